"""The planner's time, memory and gaps on random problems of given size: python -m bench.planner [--picture FILE]."""

import argparse
import multiprocessing
import random
import statistics
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench.growth_picture import Curve, draw
from mesh.errors import InfeasibleError
from mesh.ids import NodeId
from mesh.planning import Objective, PlanLink, PlanNode, Problem, solve
from mesh.planning.search.budget import DEFAULT_S, STEPS_PER_S, Budget
from mesh.planning.solver import find

SEEDS = range(5)
GATEWAY = NodeId("gateway")
SPEEDS = (5e6, 12.5e6, 50e6, 125e6)
"""Goodputs of nodes in bytes per second; a link has the lesser of its ends'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`kinds` of node, `per_kind` of each, `nodes` in all at most; a node holds about `memory_share`.

    `latency_slack` = latency bound ÷ the best possible latency; None = no bound. `target_s` = what
    the planner should not take longer than.
    """

    name: str
    kinds: int
    layers: int
    per_kind: int = 1
    nodes: int = 1024
    memory_share: float = 2.0
    has_like_links: bool = True
    max_replicas: int | None = None
    objective: Objective = Objective.THROUGHPUT
    latency_slack: float | None = None
    target_s: float = DEFAULT_S


SIZES = (
    Case(
        name="16 of 4 kinds × 128", kinds=4, per_kind=4, layers=128, memory_share=0.1, target_s=0.6
    ),
    Case(name="10 distinct × 60", kinds=10, layers=60, memory_share=0.15, target_s=0.3),
    Case(name="12 distinct × 100", kinds=12, layers=100, memory_share=0.12),
    Case(name="64 of 6 kinds × 160", kinds=6, per_kind=11, nodes=64, layers=160, memory_share=0.05),
)


def cases() -> Iterator[Case]:
    """Each size with ample and tight memory, unlike links, plain pipelines, for latency, and under a bound."""
    for size in SIZES:
        yield replace(size, name=f"{size.name}, ample memory", memory_share=2.0)
        yield replace(size, name=f"{size.name}, tight memory")
        yield replace(size, name=f"{size.name}, unlike links", has_like_links=False)
        yield replace(size, name=f"{size.name}, no replicas", has_like_links=False, max_replicas=1)
        yield replace(size, name=f"{size.name}, latency", objective=Objective.LATENCY)
        yield replace(size, name=f"{size.name}, latency bound", latency_slack=1.2)


def make_problem(case: Case, seed: int) -> Problem:
    draw = random.Random(seed)
    base_s = [draw.uniform(0.2e-3, 4e-3) for _ in range(case.layers)]
    kinds = [make_kind(case, kind, base_s, draw) for kind in range(case.kinds)]
    nodes = tuple(node for kind in kinds for node in kind)[: case.nodes]
    problem = Problem(
        nodes=nodes,
        layer_memory_bytes=tuple(draw.randint(1 << 19, 3 << 19) for _ in range(case.layers)),
        boundary_bytes=tuple(draw.choice((20_000, 400_000)) for _ in range(case.layers + 1)),
        links=make_links(case, nodes, draw),
        gateway=GATEWAY,
        stage_memory_bytes=1 << 20,
        max_replicas=case.max_replicas,
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


def make_links(
    case: Case, nodes: tuple[PlanNode, ...], draw: random.Random
) -> dict[tuple[NodeId, NodeId], PlanLink]:
    """Equal nodes have equal links."""
    kinds = [node.node_id[:2] for node in nodes]
    of_kind = {
        kind: 50e6 if case.has_like_links else draw.choice(SPEEDS) for kind in dict.fromkeys(kinds)
    }
    goodput = {GATEWAY: 125e6, **{node.node_id: of_kind[node.node_id[:2]] for node in nodes}}
    return {
        (a, b): PlanLink(goodput_bytes_per_s=min(goodput[a], goodput[b]), message_s=0.8e-3)
        for a in goodput
        for b in goodput
        if a != b
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    wall_s: float
    processor_s: float
    steps: float
    gap: float
    answer: str


def run(problem: Problem) -> Run:
    budget = Budget(DEFAULT_S)
    whole, start_s, processor_s = budget.left, time.perf_counter(), time.process_time()
    try:
        found = find(problem, budget)
    except InfeasibleError:
        found = None
    return Run(
        wall_s=time.perf_counter() - start_s,
        processor_s=time.process_time() - processor_s,
        steps=whole - budget.left,
        gap=1.0 if found is None else found.gap,
        answer="no plan"
        if found is None
        else f"{len(found.stages)} stages of {len(found.node_ids)} nodes",
    )


def traced_peak_bytes(problem: Problem) -> int:
    tracemalloc.start()
    run(problem)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def resident_growth_bytes(problem: Problem) -> int:
    """By how much one search raises the peak of a process that has everything else loaded."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_growth_bytes, (problem,))


def _growth_bytes(problem: Problem) -> int:
    run(replace(problem, nodes=problem.nodes[:2], objective=Objective.THROUGHPUT))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak from now on: proc(5)
    before = _peak_bytes()
    run(problem)
    return _peak_bytes() - before


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    peak = next(line for line in status if line.startswith("VmHWM:"))
    return int(peak.split()[1]) << 10


def show(case: Case) -> None:
    problems = [make_problem(case, seed) for seed in SEEDS]
    runs = [run(problem) for problem in problems]
    processor_s = statistics.median(one.processor_s for one in runs)
    gaps = ", ".join(f"{one.gap * 100:.1f}" for one in runs)
    steps_per_s = sum(one.steps for one in runs) / sum(one.processor_s for one in runs)
    verdict = "" if processor_s <= case.target_s else f"  over {case.target_s} s"
    print(
        f"{case.name:36} {processor_s:6.2f} s {statistics.median(one.wall_s for one in runs):6.2f} s "
        f"{traced_peak_bytes(problems[0]) / 1e6:6.0f} MB {resident_growth_bytes(problems[0]) / 1e6:6.0f} MB "
        f"{steps_per_s / STEPS_PER_S:6.2f}   {gaps:28} {runs[0].answer}{verdict}",
        flush=True,
    )


NODES, LAYERS, PER_KIND = (2, 4, 6, 8, 10, 12), (20, 40, 80, 120, 160, 200), (1, 2, 3, 4, 5, 6)
ROOM = 1.5
"""Of the model, what the memory of all nodes together holds."""


def growth() -> list[Curve]:
    """Median processor time against the number of distinct nodes, of layers, and of nodes per kind."""
    case = Case(name="", kinds=8, layers=60, memory_share=ROOM / 8)
    distinct = [replace(case, kinds=n, memory_share=ROOM / n) for n in NODES]
    layered = [replace(case, layers=n) for n in LAYERS]
    grouped = [replace(case, kinds=4, per_kind=n, memory_share=ROOM / (4 * n)) for n in PER_KIND]
    return [
        Curve(title="distinct nodes (60 layers)", sizes=NODES, lines=_lines(distinct)),
        Curve(title="layers (8 distinct nodes)", sizes=LAYERS, lines=_lines(layered)),
        Curve(title="nodes of each of 4 kinds (60 layers)", sizes=PER_KIND, lines=_lines(grouped)),
    ]


def _lines(sizes: list[Case]) -> dict[str, tuple[float, ...]]:
    return {
        "throughput": tuple(_median_s(case) for case in sizes),
        "latency": tuple(_median_s(replace(case, objective=Objective.LATENCY)) for case in sizes),
        "throughput, latency bounded": tuple(
            _median_s(replace(case, latency_slack=1.2)) for case in sizes
        ),
    }


def _median_s(case: Case) -> float:
    return statistics.median(run(make_problem(case, seed)).processor_s for seed in SEEDS)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the planner.")
    parser.add_argument("--picture", metavar="FILE", type=Path, help="draw growth curves instead")
    parser.add_argument(
        "--only", metavar="WORDS", default="", help="cases whose name has these words"
    )
    args = parser.parse_args()
    if args.picture is not None:
        args.picture.write_text(draw(growth(), budget_s=DEFAULT_S), encoding="utf-8")
        return
    print(
        f"medians of {len(SEEDS)} problems; gaps in %; steps as a share of {STEPS_PER_S:,} per second"
    )
    print(
        f"{'case':36} {'processor':>8} {'wall':>8} {'traced':>9} {'resident':>9} {'steps':>6}   gaps"
    )
    for case in cases():
        if args.only in case.name:
            show(case)


if __name__ == "__main__":
    main()
