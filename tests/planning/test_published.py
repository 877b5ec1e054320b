import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mesh.errors import InfeasibleError, UsageError
from mesh.planning import Objective, solve
from mesh.planning.published import ScheduledStage, read_case, schedule_of

DATA = Path(__file__).parent / "data"
NAMES = ("published-vit-base", "published-vit-large")


def load(name: str) -> Any:
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def checked_cost(case: Any, schedule: tuple[ScheduledStage, ...]) -> tuple[float, float]:
    """Bottleneck and latency by the format's own rules, straight from the JSON."""
    model, element = case["model"], case["bytes_per_element"] * case["batch_size"]
    type_of = {host: name for name, hosts in case["devices"].items() for host in hosts}
    types = case["device_types"]
    parts: list[float] = []
    covered: list[int] = []
    for index, stage in enumerate(schedule):
        first, last, it = stage.first_layer, stage.last_layer, types[type_of[stage.device]]
        covered += range(first, last + 1)
        entering = model["parameters_in"] if first == 1 else model["parameters_out"][first - 2]
        into, out = entering * element, model["parameters_out"][last - 1] * element
        need = 1048576 * sum(model["mem_MB"][first - 1 : last]) + into + out
        need += case["buffers_out"] * out + (case["buffers_in"] * into if first > 1 else 0)
        assert need < 1048576 * it["mem_MB"]
        parts.append(sum(it["time_s"][first - 1 : last]))
        if index + 1 < len(schedule):
            other = types[type_of[schedule[index + 1].device]]
            parts.append(out / (min(it["bw_Mbps"], other["bw_Mbps"]) * 1048576 / 8))
    assert covered == list(range(1, model["layers"] + 1))
    assert len({stage.device for stage in schedule}) == len(schedule)
    return max(parts), sum(parts)


@pytest.mark.parametrize("name", NAMES)
def test_throughput_optimum_is_the_published_one(name: str) -> None:
    case = load(name)
    solution = solve(read_case(json.dumps(case)).problem)
    period_s, latency_s = checked_cost(case, schedule_of(solution))
    assert period_s == pytest.approx(case["expected"]["min_bottleneck_s"], rel=1e-9)
    assert solution.bottleneck_s == pytest.approx(period_s, rel=1e-12)
    assert solution.latency_s == pytest.approx(latency_s, rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_latency_optimum_is_the_published_one(name: str) -> None:
    case = load(name)
    problem = replace(read_case(json.dumps(case)).problem, objective=Objective.LATENCY)
    _, latency_s = checked_cost(case, schedule_of(solve(problem)))
    assert latency_s == pytest.approx(case["expected"]["min_latency_s"], rel=1e-9)


def test_case_says_what_it_expects() -> None:
    case = read_case((DATA / "published-vit-base.json").read_bytes())
    assert case.name == "published-vit-base"
    assert case.expected.feasible is True
    assert case.expected.min_bottleneck_s == pytest.approx(1.54876000881)


def test_memory_must_be_strictly_below() -> None:
    case = load("published-vit-base")
    model, element = case["model"], case["bytes_per_element"] * case["batch_size"]
    model["mem_MB"] = [1.0] * 48
    need = 48 * 1048576 + element * (model["parameters_in"] + 3 * model["parameters_out"][-1])
    case["devices"] = {"RCC-VE-C2000": ["only"]}
    case["device_types"]["RCC-VE-C2000"]["mem_MB"] = (need + 0.25) / 1048576
    assert schedule_of(solve(read_case(json.dumps(case)).problem)) == (
        ScheduledStage(device="only", first_layer=1, last_layer=48),
    )
    case["device_types"]["RCC-VE-C2000"]["mem_MB"] = need / 1048576
    with pytest.raises(InfeasibleError, match="it needs 1 byte more on only"):
        solve(read_case(json.dumps(case)).problem)


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        (("format",), "other", "format"),
        (("model",), [], "model"),
        (("model", "layers"), 0, "layers"),
        (("model", "layers"), 10**9, "layers"),
        (("model", "layers"), 47, "parameters_out"),
        (("model", "layers"), 1.5, "whole"),
        (("model", "mem_MB"), [-1.0] * 48, "mem_MB"),
        (("batch_size",), None, "batch_size"),
        (("batch_size",), True, "batch_size"),
        (("device_types", "RCC-VE-C2000", "time_s"), [float("nan")] * 48, "time_s"),
        (("device_types", "RCC-VE-C2000"), None, "RCC-VE-C2000"),
        (("devices", "RCC-VE-C2000"), ["mb-0"], "different names"),
        (("devices", "RCC-VE-C2000"), [1], "different names"),
        (("devices", "RCC-VE-C2000"), [str(i) for i in range(300)], "hosts"),
    ],
)
def test_damaged_case_is_refused_by_name(path: tuple[str, ...], value: object, word: str) -> None:
    case = load("published-vit-base")
    table = case
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = value
    with pytest.raises(UsageError, match=word):
        read_case(json.dumps(case))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "null", "[]", b"\xff\xfe{}"])
def test_text_that_is_no_case_is_refused(text: str | bytes) -> None:
    with pytest.raises(UsageError):
        read_case(text)


def test_huge_text_is_refused_before_parsing() -> None:
    with pytest.raises(UsageError, match="larger"):
        read_case(" " * ((16 << 20) + 1))
