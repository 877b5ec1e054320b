"""Times of the planner on random problems of given size, with its peak memory: python -m bench.planner."""

import random
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mesh.errors import InfeasibleError
from mesh.ids import NodeId
from mesh.planning import Objective, PlanLink, PlanNode, Problem, solve

SEEDS = range(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`kinds` of node, `per_kind` of each; a node holds about `memory_share` of the model.

    `latency_slack` = latency bound ÷ the best possible latency; None = no bound.
    """

    name: str
    kinds: int
    layers: int
    per_kind: int = 1
    memory_share: float = 2.0
    objective: Objective = Objective.THROUGHPUT
    latency_slack: float | None = None


SIZES = (
    Case(name="4 nodes × 40", kinds=4, layers=40, memory_share=0.4),
    Case(name="6 nodes × 40", kinds=6, layers=40, memory_share=0.3),
    Case(name="16 of 4 kinds × 128", kinds=4, per_kind=4, layers=128, memory_share=0.1),
    Case(name="10 nodes × 60", kinds=10, layers=60, memory_share=0.15),
    Case(name="12 nodes × 40", kinds=12, layers=40, memory_share=0.15),
)


def cases() -> Iterator[Case]:
    """Each size with ample memory, tight memory, for latency, and under a latency bound."""
    for size in SIZES:
        yield replace(size, name=f"{size.name}, ample memory", memory_share=2.0)
        yield replace(size, name=f"{size.name}, tight memory")
        yield replace(size, name=f"{size.name}, latency", objective=Objective.LATENCY)
        yield replace(size, name=f"{size.name}, latency bound", latency_slack=1.2)


def make_problem(case: Case, seed: int) -> Problem:
    draw = random.Random(seed)
    base_s = [draw.uniform(0.2e-3, 4e-3) for _ in range(case.layers)]
    nodes = [node for kind in range(case.kinds) for node in make_kind(case, kind, base_s, draw)]
    ends = [*(node.node_id for node in nodes), NodeId("gateway")]
    link = PlanLink(goodput_bytes_per_s=50e6, message_s=0.8e-3)
    problem = Problem(
        nodes=tuple(nodes),
        layer_memory_bytes=tuple(draw.randint(1 << 19, 3 << 19) for _ in range(case.layers)),
        boundary_bytes=tuple(draw.choice((20_000, 400_000)) for _ in range(case.layers + 1)),
        links={(a, b): link for a in ends for b in ends if a != b},
        gateway=NodeId("gateway"),
        stage_memory_bytes=1 << 20,
        objective=case.objective,
    )
    if case.latency_slack is None:
        return problem
    best = solve(replace(problem, objective=Objective.LATENCY))
    return replace(problem, latency_bound_s=best.latency_s * case.latency_slack)


def make_kind(case: Case, kind: int, base_s: list[float], draw: random.Random) -> list[PlanNode]:
    speed = draw.uniform(0.7, 4.0)
    layer_s = tuple(one * speed * draw.uniform(0.8, 1.25) for one in base_s)
    memory_bytes = int(case.memory_share * case.layers * (1 << 20) * draw.uniform(1.0, 1.5))
    return [
        PlanNode(
            node_id=NodeId(f"{kind:02}-{index:02}"),
            layer_s=layer_s,
            stage_s=0.3e-3,
            memory_bytes=memory_bytes,
        )
        for index in range(case.per_kind)
    ]


def outcome(problem: Problem) -> str:
    try:
        solution = solve(problem)
    except InfeasibleError:
        return "no plan"
    return f"{len(solution.stages)} stages, period {solution.bottleneck_s * 1e3:.1f} ms"


def peak_bytes(problem: Problem) -> int:
    tracemalloc.start()
    outcome(problem)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def main() -> None:
    print(f"{'case':36} {'best':>8} {'worst':>8} {'peak':>9}   last answer")
    for case in cases():
        times_s, answer = [], ""
        for seed in SEEDS:
            problem = make_problem(case, seed)
            start_s = time.perf_counter()
            answer = outcome(problem)
            times_s.append(time.perf_counter() - start_s)
        peak = peak_bytes(make_problem(case, SEEDS[-1])) / (1 << 20)
        best_ms, worst_ms = min(times_s) * 1e3, max(times_s) * 1e3
        print(
            f"{case.name:36} {best_ms:5.0f} ms {worst_ms:5.0f} ms {peak:5.1f} MiB   {answer}",
            flush=True,
        )


if __name__ == "__main__":
    main()
