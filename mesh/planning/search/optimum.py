"""One search for one objective, from first plans to a proof: which of the searches is asked what, and when."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from operator import itemgetter

from mesh.errors import InfeasibleError
from mesh.planning.problem import Objective, Problem
from mesh.planning.search.best import EQUAL, Best, assign, proven, rank
from mesh.planning.search.budget import Budget, OutOfBudgetError
from mesh.planning.search.engine import Engine
from mesh.planning.search.gateway import least_work_s
from mesh.planning.search.improve import improve
from mesh.planning.search.prices import Pricing
from mesh.planning.search.refine import Limits
from mesh.planning.search.space import build_space
from mesh.planning.search.starts import Stages, first_plans
from mesh.planning.search.tables import build_tables
from mesh.planning.search.weights import best_weights
from mesh.planning.solution import Solution

FIRST_RISE, RISE = 0.02, 1.4
"""How far above the proven bound a sweep looks first, and by what factor further each time."""
MOST_RISE = 4.0
"""Beyond, a latency is looked for without a limit."""
MOST_FIRST_PLANS = 8
TIE_SHARE = 0.5
"""Of the budget that is left, what looking for the least latency among equal periods may take."""
CLOSE = 4e-12
"""Share of a period below which no better one is looked for under a latency bound."""


class _ProvenError(Exception):
    """Nothing can be better: the refinement ends."""


class Search:
    """One search for one objective; the bound rises towards the figure of the best plan."""

    def __init__(self, problem: Problem, budget: Budget) -> None:
        self._problem = problem
        self._budget = budget
        self._tables = build_tables(problem)
        self._best = Best(problem=problem)
        self._by_latency = problem.objective is Objective.LATENCY
        self._least_latency_s = 0.0
        self._weights = best_weights(self._tables)
        self._bound_s = 0.0
        if not self._by_latency:
            bound_s = self._weights.bound_s(self._tables.counts)
            self._bound_s = max(bound_s, least_work_s(problem))

    def offer_quickest(self, solution: Solution) -> None:
        """A plan that answers soonest, as far as its own search could prove."""
        self._least_latency_s = solution.latency_s * (1 - solution.gap)
        self.offer_solution(solution)

    def offer_solution(self, solution: Solution) -> None:
        """A plan that is known from elsewhere."""
        self._best.offer([(stage.node_ids, stage.layers) for stage in solution.stages])

    def run(self) -> Solution | None:
        """Raises: InfeasibleError where the budget ends before any plan is found."""
        first = self._first_plans()
        is_settled = False
        try:
            space = build_space(self._tables.counts, self._problem.max_replicas)
            if space is None:
                self._raise_bound(Pricing(self._tables, self._budget))
                improve(self._tables, first, self._offer, self._budget)
            else:
                self._exactly(Engine(self._tables, space, self._weights, self._budget))
                is_settled = True
        except OutOfBudgetError:
            pass
        best = self._best.solution
        if best is None and not is_settled:
            raise InfeasibleError(
                "no plan was found within the planner's budget, and none is proven impossible: "
                "allow a longer one, or plan with fewer nodes"
            )
        return None if best is None else proven(best, self._problem.objective, self._bound_s)

    def _first_plans(self) -> list[Stages]:
        """The most promising; all, where what counts is not their period."""
        ranked = [stages for _, stages in sorted(first_plans(self._tables), key=itemgetter(0))]
        is_bound = self._by_latency or self._problem.latency_bound_s < math.inf
        for stages in ranked if is_bound else ranked[:MOST_FIRST_PLANS]:
            self._offer(stages)
        return ranked[:MOST_FIRST_PLANS]

    def _offer(self, stages: Stages) -> Solution | None:
        return self._best.offer(assign(self._tables.kinds, stages))

    def _figure(self) -> float:
        """Of the best plan, what the objective counts."""
        best = self._best.solution
        return math.inf if best is None else rank(self._problem.objective, best)[0]

    def _exactly(self, engine: Engine) -> None:
        """Search the whole space to its end."""
        if self._by_latency:
            self._relaxed_latency(engine)
        elif self._problem.latency_bound_s < math.inf:
            self._raise_bound(engine.pricing)
            self._look_around(engine)
            self._within_latency(engine, max(self._bound_s, 1e-12) * (1 + FIRST_RISE))
        else:
            self._relaxed_period(engine)
        if self._figure() > self._bound_s * EQUAL:
            self._refine(engine)
        self._bound_s = self._figure()
        if not self._by_latency:
            self._quickest_of_equals(engine)

    def _relaxed_period(self, engine: Engine) -> None:
        """Raise the bound until a plan keeps it, links at their best."""
        for limit_s in self._limits_s():
            figure, stages = engine.least_period(limit_s)
            if stages is None:
                self._bound_s = limit_s
                continue
            self._bound_s = max(self._bound_s, figure)
            self._offer(stages)
            return

    def _limits_s(self) -> Iterator[float]:
        """Rising limits, the last one the best plan's own figure."""
        floor_s, rise = max(self._bound_s, 1e-12), FIRST_RISE
        while (limit_s := floor_s * (1 + rise)) < self._figure() and rise < 1e6:
            yield limit_s
            rise *= RISE if rise < 1 else 10
        yield self._figure() * EQUAL

    def _raise_bound(self, pricing: Pricing) -> None:
        """To what prices prove: of the latency, or the period too short for the latency bound, by halving."""
        if self._by_latency:
            known_s = min(self._figure(), self._problem.latency_bound_s) * EQUAL
            priced = pricing.at(math.inf, known_s)
            self._offer_all(priced.plans)
            self._bound_s = max(0.0, priced.prices.bound_s * (1 - 1e-9))
            return
        most_s = self._problem.latency_bound_s
        low_s = max(self._bound_s, 1e-12)
        high_s = min(self._figure(), low_s * 1e3)
        while most_s < math.inf and high_s > low_s * (1 + FIRST_RISE):
            middle_s = math.sqrt(low_s * high_s)
            if pricing.excludes(middle_s, most_s):
                low_s = self._bound_s = middle_s
            else:
                self._offer_all(pricing.at(middle_s, most_s).plans)
                high_s = middle_s

    def _look_around(self, engine: Engine) -> None:
        """Quickly for plans that keep the latency bound, at periods between the bound and the best known."""
        most_s = self._problem.latency_bound_s
        low_s, high_s = max(self._bound_s, 1e-12), min(self._figure(), self._bound_s * 1e3)
        while high_s > low_s * (1 + FIRST_RISE):
            middle_s = math.sqrt(low_s * high_s)
            stages = engine.low_latency(middle_s, most_s)
            if stages is None:
                low_s = middle_s
            else:
                self._offer(stages)
                high_s = min(middle_s, engine.period_of(stages))

    def _offer_all(self, plans: Iterable[Stages]) -> None:
        for stages in plans:
            self._offer(stages)

    def _within_latency(self, engine: Engine, high_s: float) -> None:
        """The least period at which the latency bound can be kept, links at their best."""
        bound_s, rise = self._problem.latency_bound_s, FIRST_RISE
        while (stages := engine.least_latency(high_s, bound_s)) is None:
            self._bound_s = high_s
            if high_s >= self._figure() or high_s == math.inf:
                return
            rise *= 2
            high_s = min(high_s * (1 + rise), self._figure() * EQUAL) if rise < 100 else math.inf
        high_s = self._lowered(engine, stages)
        while (stages := engine.least_latency(high_s * (1 - CLOSE), bound_s)) is not None:
            high_s = self._lowered(engine, stages)
            middle_s = (self._bound_s + high_s) / 2
            if (stages := engine.least_latency(middle_s, bound_s)) is not None:
                high_s = self._lowered(engine, stages)
            else:
                self._bound_s = middle_s
        self._bound_s = max(self._bound_s, high_s)

    def _lowered(self, engine: Engine, stages: Stages) -> float:
        self._offer(stages)
        return engine.period_of(stages)

    def _relaxed_latency(self, engine: Engine) -> None:
        """Raise the bound until a plan keeps it, links at their best."""
        self._raise_bound(engine.pricing)
        for most_s in self._latencies_s():
            quickest = engine.least_latency(math.inf, most_s)
            if quickest is not None:
                self._bound_s = max(self._bound_s, engine.latency_of(quickest))
                self._offer(quickest)
                return
            self._bound_s = most_s
        self._bound_s = self._figure()

    def _latencies_s(self) -> Iterator[float]:
        """Rising limits, the last one the best plan's own figure or the bound."""
        floor_s, rise = self._bound_s, FIRST_RISE
        last_s = min(self._figure(), self._problem.latency_bound_s) * EQUAL
        while floor_s > 0 and (most_s := floor_s * (1 + rise)) < last_s and rise < MOST_RISE:
            yield most_s
            rise *= 2
            last_s = min(self._figure(), self._problem.latency_bound_s) * EQUAL
        yield last_s

    def _refine(self, engine: Engine) -> None:
        """Close what is left between the bound and the best plan, every link as it is."""
        bound_s = self._problem.latency_bound_s * EQUAL
        limits = Limits(period_s=math.inf, latency_s=bound_s)
        if self._best.solution is not None and self._by_latency:
            limits = replace(limits, latency_s=self._figure())
        elif self._best.solution is not None:
            limits = replace(limits, period_s=self._figure())
        self._run(engine, limits, self._bound_s, by_latency=self._by_latency)

    def _quickest_of_equals(self, engine: Engine) -> None:
        """Among plans of the best period the one with the least latency, as far as the budget goes."""
        if self._best.solution is None or (
            self._best.solution.latency_s <= self._least_latency_s * EQUAL
        ):
            return
        limit_s = self._best.solution.bottleneck_s * EQUAL
        try:
            with self._budget.at_most(TIE_SHARE):
                stages = engine.least_latency(limit_s, self._best.solution.latency_s * EQUAL)
                if stages is None:
                    return
                self._offer(stages)
                known_s = self._best.solution.latency_s
                least_s = max(engine.latency_of(stages), self._least_latency_s)
                if known_s > least_s * EQUAL:
                    limits = Limits(period_s=limit_s, latency_s=known_s * EQUAL)
                    self._run(engine, limits, least_s, by_latency=True)
        except OutOfBudgetError:
            return

    def _run(self, engine: Engine, limits: Limits, bound_s: float, *, by_latency: bool) -> None:
        """Refine until the bound is reached or nothing is left to try."""

        def offer(stages: Stages) -> Limits:
            self._offer(stages)
            best = self._best.solution
            if best is None:
                return limits
            figure = best.latency_s if by_latency else best.bottleneck_s
            if figure <= bound_s * EQUAL:
                raise _ProvenError
            less = figure * (1 - 1e-12)
            if by_latency:
                return replace(limits, latency_s=min(less, limits.latency_s))
            return replace(limits, period_s=min(less, limits.period_s))

        try:
            engine.refine(limits, offer, by_latency=by_latency)
        except _ProvenError:
            return
