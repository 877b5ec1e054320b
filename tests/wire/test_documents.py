import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import RemoteError
from mesh.ids import BootId, Epoch, ModelId, NodeId, PlanId
from mesh.testing.documents import sample_stage
from mesh.wire.codec import decode, encode, to_plain
from mesh.wire.documents import (
    MAX_DOCUMENT_BYTES,
    MAX_REPLICAS,
    Activity,
    Advert,
    BarredNode,
    GatewayStats,
    Heartbeat,
    HoldingsDocument,
    NodeState,
    Peer,
    PeersDocument,
    Plan,
    PlanPhase,
    PlanProblem,
    PlansDocument,
    PlanStage,
    StagesDocument,
    StageState,
    StageStatus,
)
from mesh.wire.measured import CapabilityDocument, Link, LinksDocument, RefusedLayers

NODE, OTHER, THIRD = (NodeId(digit * 16) for digit in "012")
MODEL = ModelId("0" * 64)

ADVERT = Advert(
    node_id=NODE,
    boot_id=BootId("0" * 8),
    name="pi",
    mesh_name="default",
    version="1",
    board="raspberry-pi-5",
    board_label="Raspberry Pi 5",
    runtime="litert",
    runtime_version="2.3.0",
    kernel_class="k",
    broker_url="mqtt://pi:1883",
    broker_kind="mosquitto",
    http_url="http://pi:80",
    host_id="h",
    host_cores=4,
    threads=4,
    memory_bytes=1 << 30,
    operator_versions=(6, 3, 0, 8),
)
CAPABILITY = CapabilityDocument(
    model_id=MODEL,
    kernel_class="k",
    threads=1,
    boundaries=(0, 3, 9),
    layer_s=(0.1, 0.2),
    stage_s=0.01,
)
REFUSED = RefusedLayers(start=3, stop=9, reason="tflite 2.14.0 lacks GATHER_ND version 5")
LIMITED = replace(CAPABILITY, layer_s=(0.1, None), refused=(REFUSED,))
LINK = Link(peer=NODE, goodput_bytes_per_s=1e8, message_s=1e-3)
STAGE = sample_stage(NODE, start=0, stop=3, compute_s=0.1, transfer_s=0.0)
PLAN = Plan(
    plan_id=PlanId("0" * 16),
    epoch=Epoch(1),
    model_id=MODEL,
    phase=PlanPhase.LIVE,
    stages=(STAGE,),
    bottleneck_s=0.1,
    bottleneck="compute",
    latency_s=0.1,
    single_node=NODE,
    single_node_s=0.1,
    verdict="",
)
HEARTBEAT = Heartbeat(
    boot_id=BootId("0" * 8),
    sequence=3,
    state=NodeState.READY,
    lease_holder=NODE,
    activities=(Activity(kind="fetching", model_name="m", done=1, total=2),),
    gateway=(
        GatewayStats(
            model_id=MODEL,
            requests_per_s=1.0,
            p50_s=None,
            p95_s=0.2,
            answered=1,
            failed=0,
            in_flight=0,
            queued=0,
        ),
    ),
)
STATUS = StageStatus(
    plan_id=PLAN.plan_id, epoch=Epoch(1), model_id=MODEL, stage=0, state=StageState.READY
)
MEASURED = replace(STATUS, measured_compute_s=0.02)
REPLICATED = replace(
    PLAN,
    stages=(sample_stage(NODE, OTHER, start=0, stop=3), sample_stage(THIRD, start=3, stop=4)),
    optimal=False,
    gap=0.04,
    reason="node-2 became 2.9 times slower",
)
DOCUMENTS: list[Any] = [
    ADVERT,
    CAPABILITY,
    LIMITED,
    HEARTBEAT,
    PeersDocument(peers=(Peer(node_id=NODE, broker_url="mqtt://a:1"),)),
    HoldingsDocument(held=(MODEL,)),
    LinksDocument(links=(LINK,)),
    StagesDocument(
        stages=(STATUS, MEASURED, replace(STATUS, state=StageState.FAILED, error="why"))
    ),
    PlansDocument(
        lease_term=2,
        plans=(PLAN, REPLICATED),
        problems=(PlanProblem(model_id=MODEL, reason="none"),),
        barred=(BarredNode(model_id=MODEL, node_id=NODE, reason="it died"),),
    ),
]

junk = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=2), st.integers(), max_size=2)
)


def read(kind: type[Any], payload: bytes) -> Any:
    return decode(kind, payload, max_bytes=MAX_DOCUMENT_BYTES)


def paths(plain: Any) -> list[tuple[Any, ...]]:
    """The way to every value inside."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(plain, dict):
        pairs = list(plain.items())
    elif isinstance(plain, list):
        pairs = list(enumerate(plain))
    return [(key, *rest) for key, inner in pairs for rest in [(), *paths(inner)]]


def put(plain: Any, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        plain = plain[key]
    plain[path[-1]] = value


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: type(one).__name__)
def test_what_a_node_says_is_understood(document: Any) -> None:
    assert read(type(document), encode(document)) == document


@given(document=st.sampled_from(DOCUMENTS), value=junk, data=st.data())
def test_a_wrong_value_anywhere_gives_a_document_or_a_remote_error(
    document: Any, value: Any, data: st.DataObject
) -> None:
    plain = to_plain(document)
    put(plain, data.draw(st.sampled_from(paths(plain))), value)
    try:
        told = read(type(document), json.dumps(plain).encode())
    except RemoteError:
        return
    assert read(type(document), encode(told)) == told


@pytest.mark.parametrize(
    ("document", "path", "value"),
    [
        (ADVERT, ("host_cores",), 0),
        (ADVERT, ("threads",), 0),
        (ADVERT, ("memory_bytes",), -1),
        (ADVERT, ("operator_versions",), [256]),
        (ADVERT, ("operator_versions",), [-1]),
        (ADVERT, ("operator_versions",), [1] * 1025),
        (LIMITED, ("layer_s",), [None]),
        (LIMITED, ("refused",), [{"start": 0, "stop": 1, "reason": ""}] * 65),
        (LIMITED, ("refused", 0, "stop"), 3),
        (LIMITED, ("refused", 0, "start"), -1),
        (LIMITED, ("refused", 0, "reason"), "x" * 513),
        (CAPABILITY, ("layer_s",), [0.1]),
        (CAPABILITY, ("layer_s",), [0.1, -0.1]),
        (CAPABILITY, ("stage_s",), -1.0),
        (CAPABILITY, ("boundaries",), []),
        (CAPABILITY, ("threads",), 0),
        (CAPABILITY, ("stage_s",), 1e308),
        (CAPABILITY, ("layer_s", 0), 1e308),
        (LINK, ("message_s",), 1e308),
        (LINK, ("goodput_bytes_per_s",), 1e-300),
        (LINK, ("goodput_bytes_per_s",), 1e300),
        (PLAN, ("stages", 0, "replicas", 0, "compute_s"), 1e308),
        (LINK, ("goodput_bytes_per_s",), 0.0),
        (LINK, ("message_s",), -1e-3),
        (PLAN, ("stages",), []),
        (PLAN, ("stages", 0, "start"), -1),
        (PLAN, ("stages", 0, "stop"), 0),
        (PLAN, ("stages", 0, "replicas", 0, "compute_s"), -1.0),
        (PLAN, ("stages", 0, "replicas", 0, "transfer_s"), -1.0),
        (PLAN, ("stages",), [to_plain(STAGE)] * 257),
        (PLAN, ("stages", 0, "replicas"), []),
        (PLAN, ("stages", 0, "replicas", 0, "share"), 0.0),
        (PLAN, ("stages", 0, "replicas", 0, "share"), 0.9),
        (PLAN, ("stages", 0, "replicas", 0, "share"), 1.1),
        (PLAN, ("stages", 0, "replicas"), [to_plain(STAGE.replicas[0]) | {"share": 0.5}] * 2),
        (PLAN, ("gap",), -0.1),
        (PLAN, ("gap",), 1.1),
        (PLAN, ("reason",), "x" * 513),
        (MEASURED, ("measured_compute_s",), -1.0),
        (MEASURED, ("measured_compute_s",), 1e308),
        (PLAN, ("bottleneck_s",), 0.0),
        (PLAN, ("latency_s",), -1.0),
        (PLAN, ("epoch",), -1),
        (PLAN, ("plan_id",), "../../../tmp/owned"),
        (PLAN, ("plan_id",), "0" * 17),
        (PLAN, ("plan_id",), "G" * 16),
    ],
)
def test_a_value_that_would_harm_its_reader_is_refused(
    document: Any, path: tuple[Any, ...], value: Any
) -> None:
    plain = to_plain(document)
    put(plain, path, value)
    with pytest.raises(RemoteError):
        read(type(document), json.dumps(plain).encode())


def test_a_node_that_cannot_run_a_model_has_no_times() -> None:
    failed = replace(CAPABILITY, boundaries=(), layer_s=(), stage_s=0.0, failure="no such operator")
    assert read(CapabilityDocument, encode(failed)) == failed


@pytest.mark.parametrize("warnings", [("hot",) * 17, ("x" * 513,)])
def test_warnings_are_few_and_short(warnings: tuple[str, ...]) -> None:
    beat = Heartbeat(boot_id=BootId("0" * 8), sequence=1, state=NodeState.READY)
    raw = json.dumps(to_plain(beat) | {"warnings": warnings}).encode()
    with pytest.raises(RemoteError, match="warning"):
        decode(Heartbeat, raw, max_bytes=MAX_DOCUMENT_BYTES)


def test_a_stage_is_as_slow_as_its_slowest_replica() -> None:
    fast, slow = sample_stage(NODE, OTHER, start=0, stop=3).replicas
    slow = replace(slow, compute_s=0.3, transfer_s=0.1)
    stage = PlanStage(start=0, stop=3, replicas=(fast, slow))
    assert (stage.compute_s, stage.transfer_s) == (0.3, 0.1)
    assert stage.replica_on(OTHER) == slow
    assert stage.replica_on(THIRD) is None


def test_a_plan_names_its_nodes_in_order() -> None:
    assert REPLICATED.node_ids == (NODE, OTHER, THIRD)


def test_shares_of_any_number_of_replicas_come_to_1() -> None:
    many = [NodeId(f"{i:016x}") for i in range(MAX_REPLICAS)]
    assert len(sample_stage(*many, start=0, stop=1).replicas) == MAX_REPLICAS
    with pytest.raises(ValueError, match="1 to 64 replicas"):
        sample_stage(*many, NodeId("f" * 16), start=0, stop=1)


@given(stages=st.integers(1, 256), replicas=st.integers(1, MAX_REPLICAS))
def test_a_plan_has_a_bounded_number_of_replicas(stages: int, replicas: int) -> None:
    nodes = [NodeId(f"{number:016x}") for number in range(replicas)]
    forged = tuple(sample_stage(*nodes, start=i, stop=i + 1) for i in range(stages))
    if stages * replicas <= 1024:
        assert replace(PLAN, stages=forged).node_ids == tuple(nodes)
    else:
        with pytest.raises(ValueError, match="at most 1024 replicas"):
            replace(PLAN, stages=forged)
