"""Parts of a real node are killed, stopped or lied to under load: each request still has its one right reply."""

import contextlib
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

import psutil
import pytest

from mesh.ids import BootId, NodeId
from mesh.model import read_model
from mesh.runtime.detect import detect_runtime
from mesh.runtime.golden import golden_inputs
from mesh.testing.local_mesh import LocalMesh, await_serving
from mesh.testing.models import residual_cnn
from mesh.testing.mqtt_client import MqttClient
from mesh.wire import codec
from mesh.wire.documents import Advert, Heartbeat, NodeState, Peer, PeersDocument
from mesh.wire.infer import InferResponse, PayloadLimits
from mesh.wire.oip_reply import parse_response
from mesh.wire.topics import Fact, FactTopic, Lane, TopicSpace

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

SPACE = TopicSpace.of("mesh")
REQUESTS = 200
BEFORE_THE_FAULT = 20
SEEDS = 4
STRANGER = NodeId("f" * 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Three nodes with a stage each; `names` in the stages' order."""

    mesh: LocalMesh
    names: tuple[str, ...]
    inputs: tuple[bytes, ...]
    outputs: tuple[dict[str, bytes], ...]

    def processes(self, name: str) -> list[psutil.Process]:
        node = psutil.Process(self.mesh.nodes[name].pid)
        return [node, *node.children(recursive=True)]

    def runtimes(self) -> list[psutil.Process]:
        return [
            process
            for name in self.names
            for process in self.processes(name)
            if process.status() != psutil.STATUS_ZOMBIE
            and "mesh.runtime.child" in process.cmdline()
        ]

    def kill_runtimes(self) -> None:
        for process in self.runtimes():
            process.kill()

    def broker_of(self, name: str) -> psutil.Process:
        (broker,) = [one for one in self.processes(name) if one.name() == "mosquitto"]
        return broker

    def ask_during(self, fault: Callable[[], object]) -> None:
        """Ask at the first stage's node, let it happen on the way, and look at every reply."""
        with MqttClient(self.mesh.nodes[self.names[0]].broker_url, "replies/#") as client:
            for i in range(REQUESTS):
                client.publish(
                    "mesh/1/request/infer/residual",
                    self.inputs[i % SEEDS],
                    ResponseTopic="replies/faults",
                    CorrelationData=b"%d" % i,
                )
            replies = client.take(BEFORE_THE_FAULT, timeout_s=30)
            fault()
            replies += client.take(REQUESTS - len(replies), timeout_s=60)
            self.await_whole()
            self.check_alive()
            replies += client.take(0, timeout_s=0)
        counts = Counter(reply.correlation_data for reply in replies)
        assert counts == {b"%d" % i: 1 for i in range(REQUESTS)}
        for reply in replies:
            answer = parse_response(reply.payload, PayloadLimits())
            assert isinstance(answer, InferResponse), answer
            expected = self.outputs[int(reply.correlation_data or b"") % SEEDS]
            assert {output.name: bytes(output.data) for output in answer.outputs} == expected

    def await_whole(self) -> None:
        """Wait until all three nodes serve together again."""
        for name in self.names:
            with self.mesh.client(name) as client:
                await_serving(client, "residual", stages=3)

    def check_alive(self) -> None:
        assert "could not be handled" not in self.mesh.logs()


@pytest.fixture(scope="module")
def pipeline(
    tmp_path_factory: pytest.TempPathFactory, measured: tuple[str, str]
) -> Iterator[Pipeline]:
    folder = tmp_path_factory.mktemp("mesh")
    file = folder / "residual.tflite"
    file.write_bytes(residual_cnn("float32"))
    inputs, outputs = _in_one_piece(file)
    with LocalMesh(folder, options=measured, measure_each=True) as mesh:
        mesh.start_all(("node-1", "node-2", "node-3"))
        model = mesh.serve(file, "residual", split=3)
        names = tuple(stage.node_name for stage in model.replicas)
        yield Pipeline(mesh=mesh, names=names, inputs=inputs, outputs=outputs)


def _in_one_piece(file: Path) -> tuple[tuple[bytes, ...], tuple[dict[str, bytes], ...]]:
    """Inputs, and what the whole model makes of them in one interpreter."""
    model = read_model(file.read_bytes())
    inputs = tuple(golden_inputs(model.inputs, seed)[0] for seed in range(SEEDS))
    loaded = detect_runtime().load(
        file, inputs=model.inputs, outputs=model.outputs, threads=1, timeout_s=60
    )
    runs = [loaded.invoke([one], timeout_s=60).outputs for one in inputs]
    loaded.close()
    names = [spec.name for spec in model.outputs]
    return inputs, tuple(dict(zip(names, run, strict=True)) for run in runs)


def test_the_broker_of_a_stages_node_is_killed(pipeline: Pipeline) -> None:
    pipeline.ask_during(lambda: pipeline.broker_of(pipeline.names[1]).kill())


def test_every_interpreter_is_killed(pipeline: Pipeline) -> None:
    pipeline.ask_during(pipeline.kill_runtimes)


def test_interpreters_that_died_while_idle_cost_no_request(pipeline: Pipeline) -> None:
    pipeline.kill_runtimes()
    pipeline.ask_during(lambda: None)


def test_a_whole_node_stands_still_and_goes_on(pipeline: Pipeline) -> None:
    stopped = pipeline.processes(pipeline.names[2])

    def tell_all(what: signal.Signals) -> None:
        for one in stopped:
            with contextlib.suppress(psutil.NoSuchProcess):  # the node, awake, may have ended it
                one.send_signal(what)

    def stand_still() -> None:
        tell_all(signal.SIGSTOP)
        Timer(6.0, lambda: tell_all(signal.SIGCONT)).start()

    pipeline.ask_during(stand_still)


def test_nonsense_on_every_topic_of_the_nodes(pipeline: Pipeline) -> None:
    def tell_nonsense() -> None:
        for name in pipeline.names:
            _tell_nonsense(pipeline.mesh, name)

    pipeline.ask_during(tell_nonsense)


def _tell_nonsense(mesh: LocalMesh, name: str) -> None:
    node, chance = mesh.nodes[name], random.Random(name)
    topics = [SPACE.frame(NodeId(node.node_id), lane) for lane in Lane]
    topics += [
        SPACE.fact(FactTopic(node_id=NodeId(one.node_id), fact=fact))
        for one in mesh.nodes.values()
        for fact in Fact
        if fact is not Fact.CAPABILITY
    ]
    with MqttClient(node.broker_url) as client:
        for _ in range(200):
            # Not empty: that would take back what a node has said, which its broker lets anybody do.
            client.publish(chance.choice(topics), chance.randbytes(chance.randrange(1, 400)))


def test_a_stranger_names_brokers_that_are_none(pipeline: Pipeline) -> None:
    """A peer that everybody hears, and whose gossip is nonsense."""
    with MqttClient(pipeline.mesh.nodes[pipeline.names[0]].broker_url) as client:

        def say(fact: Fact, document: object) -> None:
            topic = SPACE.fact(FactTopic(node_id=STRANGER, fact=fact))
            client.publish(topic, codec.encode(document))

        def speak() -> None:
            say(Fact.ADVERT, _stranger(pipeline.mesh, pipeline.names[0]))
            say(Fact.PEERS, PeersDocument(peers=(Peer(node_id=NodeId("e" * 16), broker_url="x"),)))
            say(Fact.HEARTBEAT, _beat(NodeState.READY))
            say(Fact.PEERS, PeersDocument(peers=(Peer(node_id=NodeId("d" * 16), broker_url="y"),)))

        pipeline.ask_during(speak)
        pipeline.mesh.serve(_model(pipeline.mesh.folder), "residual", split=2)
        say(Fact.HEARTBEAT, _beat(NodeState.STOPPED))


def _model(folder: Path) -> Path:
    return folder / "residual.tflite"


def _beat(state: NodeState) -> Heartbeat:
    return Heartbeat(boot_id=BootId("0" * 8), sequence=1, state=state)


def _stranger(mesh: LocalMesh, host: str) -> Advert:
    return Advert(
        node_id=STRANGER,
        boot_id=BootId("0" * 8),
        name="stranger",
        mesh_name=mesh.mesh_name,
        version="0",
        board="",
        board_label="",
        runtime="litert",
        runtime_version="0",
        kernel_class="",
        broker_url=mesh.nodes[host].broker_url,
        broker_kind="",
        http_url="http://127.0.0.1:9",
        host_id="",
        host_cores=1,
        threads=1,
        memory_bytes=0,
    )
