"""Whole nodes over buses in memory: real loops, stores and threads, no broker, no interpreter."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mesh.client import Client
from mesh.config import Config
from mesh.device.board import Board
from mesh.errors import InfeasibleError, UnknownModelError, UsageError
from mesh.node.adapters import Adapters
from mesh.node.node import Node
from mesh.planning.wishes import Wishes
from mesh.store.http_client import upload
from mesh.testing.bus import MemoryNetwork
from mesh.testing.discovery import MemorySegment
from mesh.testing.models import tiny_dense
from mesh.testing.runtime import FakeRuntime
from mesh.wire.control import (
    AddModelReply,
    AddModelRequest,
    ModelStatus,
    RemoveModelReply,
    RemoveModelRequest,
    StatusReply,
    Verb,
)
from mesh.wire.documents import NodeState
from mesh.wire.planned import PlanReply, PlanRequest

TIMEOUT_S = 30.0
POLL_S = 0.01
INPUT = np.zeros((1, 8), np.float32)


class Fleet:
    """Nodes of one network, each on a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.network = MemoryNetwork()
        self.segment = MemorySegment()
        self._folder = folder
        self._running: dict[str, tuple[Node, threading.Thread]] = {}
        self._changed = threading.Condition()

    def url(self, name: str) -> str:
        """Brokers are in memory: the port only tells them apart."""
        return f"mqtt://127.0.0.1:{1000 + ord(name)}"

    def start(self, name: str, *, unfiltered: str = "") -> Node:
        runtime = FakeRuntime(compute_s=0.0)  # its slices do not add up: one node is the plan
        runtime.why_unfiltered = unfiltered
        adapters = Adapters(
            broker=self.network.broker(self.url(name)),
            connector=self.network,
            runtime=runtime,
            discovery=self.segment.discovery(),
            board=Board(),
        )
        config = Config(
            data_dir=self._folder / name,
            name=name,
            bind="127.0.0.1",
            heartbeat_s=0.05,
            lost_after_s=2.0,
        )
        config.data_dir.mkdir(exist_ok=True)
        node = Node(config, adapters)
        ready = threading.Event()
        thread = threading.Thread(target=node.run, args=(lambda _node: ready.set(),), name=name)
        thread.start()
        self._running[name] = (node, thread)
        assert ready.wait(TIMEOUT_S)
        return node

    def stop(self, name: str) -> None:
        node, thread = self._running.pop(name)
        node.stop()
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()

    def close(self) -> None:
        for name in list(self._running):
            self.stop(name)

    def client(self, name: str) -> Client:
        return Client(self.url(name), connector=self.network)

    def add(self, name: str, client: Client, *, min_stages: int = 1) -> AddModelReply:
        node, _ = self._running[name]
        path = self._folder / "tiny.tflite"
        path.write_bytes(tiny_dense())
        model_id = upload(node.advert().http_url, path)
        request = AddModelRequest(
            model_id=model_id, name="tiny", wishes=Wishes(min_stages=min_stages)
        )
        return client.ask(Verb.MODEL_ADD, request, AddModelReply, timeout_s=TIMEOUT_S)

    def wait(self, client: Client, is_done: Callable[[StatusReply], bool]) -> StatusReply:
        """Ask for the status until it is as wanted."""
        deadline_s = time.monotonic() + TIMEOUT_S
        with self._changed:
            while not is_done(status := client.status()):
                assert time.monotonic() < deadline_s, status
                self._changed.wait(POLL_S)
        return status


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path)
    yield made
    made.close()


def serving(status: StatusReply) -> ModelStatus | None:
    return next((model for model in status.models if model.state == "serving"), None)


def test_a_node_alone_serves_a_model(fleet: Fleet) -> None:
    fleet.start("a")
    with fleet.client("a") as client:
        added = fleet.add("a", client)
        assert (added.name, added.operators) == ("tiny", 3)
        assert (added.cuts, added.uncuttable) == (2, None)
        fleet.wait(client, lambda status: serving(status) is not None)
        answer = client.infer("tiny", {"x": INPUT})
        assert answer.outputs["y"].shape == (1, 4)
        assert answer.timing is not None
        assert [stage.name for stage in answer.timing.stages] == ["a"]


def test_a_node_tells_of_itself_and_of_its_models(fleet: Fleet) -> None:
    node = fleet.start("a")
    with fleet.client("a") as client:
        (told,) = client.status().nodes
        assert (told.node_id, told.name, told.state) == (node.node_id, "a", "ready")
        fleet.wait(client, lambda status: status.nodes[0].is_coordinator)
        with pytest.raises(UnknownModelError):
            client.infer("tiny", {"x": INPUT})


def test_interpreters_without_a_filter_are_a_note_to_whoever_asks_the_mesh(fleet: Fleet) -> None:
    fleet.start("a", unfiltered="seccomp: Invalid argument")
    fleet.start("b")
    with fleet.client("b") as client:
        told = fleet.wait(client, lambda status: any("filter" in note for note in status.notes))
    (note,) = [note for note in told.notes if "filter" in note]
    assert note.startswith("a: interpreters run without a filter of system calls (seccomp: Inv")
    assert [len(node.warnings) for node in told.nodes] == [1, 0]


def test_a_plan_is_explained_before_it_is_made(fleet: Fleet) -> None:
    fleet.start("a")
    with fleet.client("a") as client:
        fleet.add("a", client)
        fleet.wait(client, lambda status: serving(status) is not None)
        plan = client.ask(Verb.PLAN, PlanRequest(name="tiny"), PlanReply, timeout_s=TIMEOUT_S)
        assert [one.node_name for part in plan.chosen.stages for one in part.replicas] == ["a"]
        assert plan.live is not None
        assert plan.live.epoch == 1
        too_many = PlanRequest(name="unknown")
        with pytest.raises((UnknownModelError, InfeasibleError)):
            client.ask(Verb.PLAN, too_many, PlanReply, timeout_s=TIMEOUT_S)


def test_a_model_that_is_removed_is_gone(fleet: Fleet) -> None:
    fleet.start("a")
    with fleet.client("a") as client:
        fleet.add("a", client)
        fleet.wait(client, lambda status: serving(status) is not None)
        request = RemoveModelRequest(name="tiny")
        removed = client.ask(Verb.MODEL_REMOVE, request, RemoveModelReply, timeout_s=TIMEOUT_S)
        assert removed.name == "tiny"
        assert client.status().models == ()
        with pytest.raises(UnknownModelError):
            client.ask(Verb.MODEL_REMOVE, request, RemoveModelReply, timeout_s=TIMEOUT_S)


def test_two_nodes_find_each_other_and_share_their_models(fleet: Fleet) -> None:
    fleet.start("a")
    fleet.start("b")
    with fleet.client("a") as client, fleet.client("b") as other:
        fleet.add("a", client)
        told = fleet.wait(
            other, lambda status: (model := serving(status)) is not None and model.held_by == 2
        )
        assert [(node.name, node.state) for node in told.nodes] == [("a", "ready"), ("b", "ready")]
        assert sum(node.is_coordinator for node in told.nodes) == 1
        fleet.wait(client, lambda status: serving(status) is not None)
        answers = [one.infer("tiny", {"x": INPUT}).outputs["y"] for one in (client, other)]
        assert np.array_equal(answers[0], answers[1])


def test_the_node_that_is_left_serves_on(fleet: Fleet) -> None:
    fleet.start("a")
    fleet.start("b")
    with fleet.client("a") as client:
        fleet.add("a", client)
        fleet.wait(
            client, lambda status: (model := serving(status)) is not None and model.held_by == 2
        )
    fleet.stop("a")
    with fleet.client("b") as client:
        fleet.wait(
            client,
            lambda status: (
                (model := serving(status)) is not None
                and [one.node_name for one in model.replicas] == ["b"]
            ),
        )
        assert client.infer("tiny", {"x": INPUT}).outputs["y"].shape == (1, 4)


def test_a_stopped_node_leaves_nothing_retained(fleet: Fleet) -> None:
    fleet.start("a")
    assert fleet.network.broker(fleet.url("a")).retained() != {}
    fleet.stop("a")
    assert fleet.network.broker(fleet.url("a")).retained() == {}


def test_a_restarted_node_is_the_same_one_in_a_new_life(fleet: Fleet) -> None:
    first = fleet.start("a")
    fleet.stop("a")
    second = fleet.start("a")
    assert first.node_id == second.node_id
    assert first.boot_id != second.boot_id
    assert second.advert().boot_id == second.boot_id


def test_a_broker_that_ended_is_started_again(fleet: Fleet) -> None:
    node = fleet.start("a")
    fleet.network.broker(node.broker_url).stop()
    with fleet.client("a") as client:
        (told,) = client.status(timeout_s=TIMEOUT_S).nodes
    assert told.state == NodeState.READY.value


def test_unknown_control_requests_are_refused_with_those_that_there_are(fleet: Fleet) -> None:
    fleet.start("a")

    class Unknown:
        value = "nothing"

    with fleet.client("a") as client, pytest.raises(UsageError, match="model-add"):
        client.ask(Unknown(), PlanRequest(name="x"), PlanReply, timeout_s=5.0)  # type: ignore[arg-type]
