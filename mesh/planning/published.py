"""Reads a planner problem of a published profile ("pipeline-planner-case/1", JSON) as a `Problem`.

Its cost model: one node a stage, transfers at min(bandwidths), free entry and exit, and memory
strictly below the device's, frames held at the boundaries included.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mesh.errors import UsageError
from mesh.ids import NodeId
from mesh.planning.costs import MEMORY_SLACK_BYTES
from mesh.planning.problem import MAX_LAYERS, PlanLink, PlanNode, Problem
from mesh.planning.solution import Solution
from mesh.planning.strict_json import parse_object

FORMAT = "pipeline-planner-case/1"
MAX_HOSTS = 256
_MEGA = 1 << 20  # the format's mega, for bits as well as for bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the case says of itself; None where it says nothing."""

    feasible: bool | None
    min_bottleneck_s: float | None
    min_latency_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCase:
    """The problem's objective is throughput; replace it for latency. Node ids are the hosts' names."""

    name: str
    problem: Problem
    expected: Expected


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledStage:
    """A stage in the format's words: layers counted from 1, the last one included."""

    device: str
    first_layer: int
    last_layer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _DeviceType:
    time_s: tuple[float, ...]
    memory_mb: float
    bandwidth_mbps: float


def read_case(text: str | bytes) -> PublishedCase:
    """Parse one file. Raises: UsageError, which names the field."""
    return from_plain(parse_object(text, "the problem file"))


def from_plain(raw: Mapping[str, Any]) -> PublishedCase:
    """From parsed JSON; other keys are passed over. Raises: UsageError, which names the field."""
    if raw.get("format") != FORMAT:
        raise UsageError(f'the problem file is not of the format "{FORMAT}"')
    try:
        problem = _problem(raw)
    except ValueError as error:
        raise UsageError(f"the problem file contradicts itself: {error}") from error
    return PublishedCase(name=str(raw.get("name", "")), problem=problem, expected=_expected(raw))


def schedule_of(solution: Solution) -> tuple[ScheduledStage, ...]:
    """A solution in the format's words."""
    return tuple(
        ScheduledStage(
            device=stage.node_ids[0],
            first_layer=stage.layers.start + 1,
            last_layer=stage.layers.stop,
        )
        for stage in solution.stages
    )


def _problem(raw: Mapping[str, Any]) -> Problem:
    model = _table(raw, "model")
    layers = _count(model, "layers", at_least=1, at_most=MAX_LAYERS)
    frames = _frame_bytes(raw, model, layers)
    hosts = _hosts(raw, layers)
    held_in = _count(raw, "buffers_in")
    held_out = _count(raw, "buffers_out")
    return Problem(
        nodes=tuple(
            PlanNode(
                node_id=host,
                layer_s=it.time_s,
                stage_s=0.0,
                # Strictly below, with what the planner gives away to rounding taken off before.
                memory_bytes=max(0.0, it.memory_mb * _MEGA - 2 * MEMORY_SLACK_BYTES),
            )
            for host, it in hosts.items()
            if it.memory_mb > 0
        ),
        layer_memory_bytes=tuple(mega * _MEGA for mega in _numbers(model, "mem_MB", layers)),
        boundary_bytes=frames,
        links=_links(hosts),
        gateway=None,
        max_replicas=1,
        # The frame itself, and the buffers of the connection; the request comes without one.
        receive_memory_bytes=(frames[0], *(frame * (1 + held_in) for frame in frames[1:])),
        send_memory_bytes=tuple(frame * (1 + held_out) for frame in frames),
    )


def _frame_bytes(raw: Mapping[str, Any], model: Mapping[str, Any], layers: int) -> tuple[int, ...]:
    element = _count(raw, "bytes_per_element", at_least=1) * _count(raw, "batch_size", at_least=1)
    out = _list(model, "parameters_out", layers)
    counts = [_count(model, "parameters_in"), *(_whole("parameters_out", one) for one in out)]
    return tuple(count * element for count in counts)


def _hosts(raw: Mapping[str, Any], layers: int) -> dict[NodeId, _DeviceType]:
    types, devices = _table(raw, "device_types"), _table(raw, "devices")
    hosts: dict[NodeId, _DeviceType] = {}
    for name in devices:
        it = _device_type(_table(types, name), layers)
        for host in _list(devices, name):
            if not isinstance(host, str) or host in hosts:
                raise UsageError(f"the problem file's devices of {name} must be different names")
            hosts[NodeId(host)] = it
    if len(hosts) > MAX_HOSTS:
        raise UsageError(
            f"the problem file names {len(hosts)} hosts; at most {MAX_HOSTS} can be planned"
        )
    return hosts


def _device_type(raw: Mapping[str, Any], layers: int) -> _DeviceType:
    return _DeviceType(
        time_s=_numbers(raw, "time_s", layers),
        memory_mb=_number("mem_MB", raw.get("mem_MB")),
        bandwidth_mbps=_number("bw_Mbps", raw.get("bw_Mbps")),
    )


def _links(hosts: Mapping[NodeId, _DeviceType]) -> dict[tuple[NodeId, NodeId], PlanLink]:
    """Each pair at the slower one's bandwidth; a host without any has no link."""
    return {
        (sender, receiver): PlanLink(goodput_bytes_per_s=mbps * _MEGA / 8, message_s=0.0)
        for sender, one in hosts.items()
        for receiver, other in hosts.items()
        if sender != receiver and (mbps := min(one.bandwidth_mbps, other.bandwidth_mbps)) > 0
    }


def _expected(raw: Mapping[str, Any]) -> Expected:
    stated = raw.get("expected")
    stated = stated if isinstance(stated, dict) else {}
    feasible = stated.get("feasible")
    return Expected(
        feasible=feasible if isinstance(feasible, bool) else None,
        min_bottleneck_s=_stated(stated, "min_bottleneck_s"),
        min_latency_s=_stated(stated, "min_latency_s"),
    )


def _stated(raw: Mapping[str, Any], key: str) -> float | None:
    value = raw.get(key)
    return None if value is None else _number(key, value)


def _table(raw: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = raw.get(key)
    if not isinstance(value, dict):
        raise UsageError(f"the problem file's {key} must be an object")
    return value


def _list(raw: Mapping[str, Any], key: str, length: int | None = None) -> list[Any]:
    value = raw.get(key)
    if not isinstance(value, list) or (length is not None and len(value) != length):
        entries = "" if length is None else f" of {length} entries"
        raise UsageError(f"the problem file's {key} must be a list{entries}")
    return value


def _numbers(raw: Mapping[str, Any], key: str, length: int) -> tuple[float, ...]:
    return tuple(_number(key, value) for value in _list(raw, key, length))


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
        raise UsageError(f"the problem file's {key} must hold numbers from 0 to 10¹⁵")
    return float(value)


def _count(raw: Mapping[str, Any], key: str, *, at_least: int = 0, at_most: int = 1 << 40) -> int:
    value = _whole(key, raw.get(key))
    if not at_least <= value <= at_most:
        raise UsageError(f"the problem file's {key} must lie between {at_least} and {at_most}")
    return value


def _whole(key: str, value: Any) -> int:
    number = _number(key, value)
    if number != int(number):
        raise UsageError(f"the problem file's {key} must be whole")
    return int(number)
