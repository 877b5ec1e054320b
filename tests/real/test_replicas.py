"""Real nodes that share a model, or each of its stages: exact answers from all, and none lost with one of them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mesh.demo.load import LoadReport, Question, run_load
from mesh.ids import NodeId
from mesh.planning.wishes import Wishes
from mesh.testing.local_mesh import LocalMesh, await_status
from mesh.testing.network import IMAGE_RANGE, Network
from mesh.wire.control import ModelStatus, StatusReply
from tests.real.conftest import Oracle

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

REQUESTS = 400
BEFORE_THE_KILL = 100
IN_FLIGHT = 16
LONGEST_PAUSE_S = 5.0
"""A request that was at the killed node goes to another one at once, not when its deadline comes."""


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[LocalMesh]:
    with LocalMesh(tmp_path) as made:
        yield made


def a_chain(folder: Path, layers: int) -> Path:
    """A model of so many layers: in as many stages, there is but one way to cut it."""
    net = Network("float32")
    x = y = net.activation("x", (1, 2048), IMAGE_RANGE)
    for layer in range(layers):
        y = net.dense(f"layer{layer}", y, 2048, gain=1.0, is_rectified=True)
    path = folder / "chain.tflite"
    path.write_bytes(net.builder.build({"x": x}, {"y": y}))
    return path


def serve(mesh: LocalMesh, file: Path, *, nodes: int, stages: int) -> ModelStatus:
    """The model on all of so many nodes, as many to a stage: nothing else is allowed."""
    names = tuple(f"node-{i + 1}" for i in range(nodes))
    mesh.start_all(names)
    with mesh.client() as client:
        everybody = f"{nodes} ready nodes"
        await_status(client, lambda status: _ready(status) == nodes, timeout_s=30, what=everybody)
    wishes = Wishes(
        min_stages=stages, max_replicas=nodes // stages, must=tuple(NodeId(name) for name in names)
    )
    model = mesh.serve(file, "chain", split=stages, wishes=wishes)
    assert [len(stage.replicas) for stage in model.stages] == [nodes // stages] * stages
    assert {one.node_name for one in model.replicas} == set(names)
    return model


def _ready(status: StatusReply) -> int:
    return sum(node.state == "ready" for node in status.nodes)


def load(
    mesh: LocalMesh, whole: Oracle, *, on_answer: Callable[[int], None] = lambda _answered: None
) -> LoadReport:
    inputs = whole.draw(3)
    question = Question(model_name="chain", inputs=inputs, expected=whole.answer(inputs))
    with mesh.client("node-1") as client:
        return run_load(client, question, count=REQUESTS, in_flight=IN_FLIGHT, on_answer=on_answer)


def check(report: LoadReport) -> None:
    """Every request has its one answer, and it is the whole model's."""
    assert report.failures == []
    assert (report.answered, report.wrong) == (REQUESTS, 0)


def ran(report: LoadReport, stage: int) -> dict[str, int]:
    """How many requests each node computed at a stage."""
    names = [timing.stages[stage].name for timing in report.timings]
    return {name: names.count(name) for name in sorted(set(names))}


@pytest.mark.parametrize(("nodes", "stages"), [(3, 1), (4, 2)])
def test_replicas_answer_alike_and_share_the_work(
    mesh: LocalMesh,
    tmp_path: Path,
    whole_model: Callable[[Path], Oracle],
    nodes: int,
    stages: int,
) -> None:
    file = a_chain(tmp_path, stages)
    model = serve(mesh, file, nodes=nodes, stages=stages)
    report = load(mesh, whole_model(file))
    check(report)
    for i, stage in enumerate(model.stages):
        counts = ran(report, i)
        assert counts.keys() == {one.node_name for one in stage.replicas}, (counts, stage)
        assert min(counts.values()) > REQUESTS / len(counts) / 20, (counts, stage)


@pytest.mark.parametrize(("nodes", "stages"), [(3, 1), (4, 2)])
def test_a_killed_replica_costs_no_request(
    mesh: LocalMesh,
    tmp_path: Path,
    whole_model: Callable[[Path], Oracle],
    nodes: int,
    stages: int,
) -> None:
    file = a_chain(tmp_path, stages)
    model = serve(mesh, file, nodes=nodes, stages=stages)
    victim = next(one.node_name for one in reversed(model.replicas) if one.node_name != "node-1")

    def kill(answered: int) -> None:
        if answered == BEFORE_THE_KILL:
            mesh.kill(victim)

    report = load(mesh, whole_model(file), on_answer=kill)
    assert victim not in mesh.nodes
    check(report)
    assert report.longest_pause_s() < LONGEST_PAUSE_S, mesh.logs()
