"""Times of the planner on problems of given size, with the peak of memory. Run: python -m bench.planner."""

import random
import time
import tracemalloc
from dataclasses import dataclass

from mesh.errors import InfeasibleError
from mesh.ids import NodeId
from mesh.planning import Objective, PlanLink, PlanNode, Problem, solve


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`kinds` different speeds, each on `per_kind` nodes; `share` = memory of a node ÷ the model's."""

    name: str
    kinds: int
    per_kind: int
    layers: int
    share: float
    objective: Objective = Objective.THROUGHPUT
    bound: float | None = None  # latency bound ÷ the best latency


CASES = (
    Case(name="4 nodes", kinds=4, per_kind=1, layers=40, share=2.0),
    Case(name="6 nodes, tight memory", kinds=6, per_kind=1, layers=40, share=0.3),
    Case(
        name="6 nodes, latency",
        kinds=6,
        per_kind=1,
        layers=40,
        share=0.3,
        objective=Objective.LATENCY,
    ),
    Case(name="6 nodes, latency bound", kinds=6, per_kind=1, layers=40, share=0.3, bound=1.2),
    Case(name="16 of 4 kinds", kinds=4, per_kind=4, layers=128, share=2.0),
    Case(name="16 of 4 kinds, tight memory", kinds=4, per_kind=4, layers=128, share=0.1),
    Case(
        name="16 of 4 kinds, latency",
        kinds=4,
        per_kind=4,
        layers=128,
        share=0.1,
        objective=Objective.LATENCY,
    ),
    Case(
        name="16 of 4 kinds, latency bound", kinds=4, per_kind=4, layers=128, share=0.1, bound=1.2
    ),
    Case(name="10 distinct", kinds=10, per_kind=1, layers=60, share=2.0),
    Case(name="10 distinct, tight memory", kinds=10, per_kind=1, layers=60, share=0.15),
    Case(
        name="10 distinct, latency",
        kinds=10,
        per_kind=1,
        layers=60,
        share=0.15,
        objective=Objective.LATENCY,
    ),
    Case(name="10 distinct, latency bound", kinds=10, per_kind=1, layers=60, share=0.15, bound=1.2),
    Case(name="12 distinct", kinds=12, per_kind=1, layers=40, share=2.0),
)


def make_problem(case: Case, seed: int) -> Problem:
    draw = random.Random(seed)
    layer_s = [draw.uniform(0.2e-3, 4e-3) for _ in range(case.layers)]
    nodes = []
    for kind in range(case.kinds):
        speed = draw.uniform(0.7, 4.0)
        times = tuple(base * speed * draw.uniform(0.8, 1.25) for base in layer_s)
        memory_bytes = int(case.share * case.layers * (1 << 20) * draw.uniform(1.0, 1.5))
        nodes += [
            PlanNode(
                node_id=NodeId(f"{kind:02}{index:02}"),
                layer_s=times,
                stage_s=0.3e-3,
                memory_bytes=memory_bytes,
            )
            for index in range(case.per_kind)
        ]
    link = PlanLink(goodput_bytes_per_s=50e6, message_s=0.8e-3)
    ids = [node.node_id for node in nodes]
    return Problem(
        nodes=tuple(nodes),
        layer_memory_bytes=tuple(draw.randint(1 << 19, 3 << 19) for _ in range(case.layers)),
        boundary_bytes=tuple(
            draw.choice((20_000, 100_000, 400_000)) for _ in range(case.layers + 1)
        ),
        links={(a, b): link for a in [*ids, NodeId("gw")] for b in [*ids, NodeId("gw")] if a != b},
        gateway=NodeId("gw"),
        stage_memory_bytes=1 << 20,
        objective=case.objective,
    )


def bounded(problem: Problem, factor: float) -> Problem:
    from dataclasses import replace

    best = solve(replace(problem, objective=Objective.LATENCY))
    return replace(problem, latency_bound_s=best.latency_s * factor)


def main() -> None:
    print(f"{'case':32} {'best':>9} {'worst':>9} {'peak':>9}  last result")
    for case in CASES:
        times_s, outcome, peak = [], "", 0
        for seed in range(3):
            problem = make_problem(case, seed)
            if case.bound is not None:
                problem = bounded(problem, case.bound)
            start_s = time.perf_counter()
            try:
                solution = solve(problem)
                outcome = f"{len(solution.stages)} stages, {solution.bottleneck_s * 1e3:.1f} ms"
            except InfeasibleError as error:
                outcome = str(error)[:60]
            times_s.append(time.perf_counter() - start_s)
        print(
            f"{case.name:32} {min(times_s) * 1e3:6.0f} ms {max(times_s) * 1e3:6.0f} ms  {outcome}",
            flush=True,
        )


if __name__ == "__main__":
    main()
