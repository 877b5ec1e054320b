"""A reception over a real library and roster of one node, for tests of what `mesh` asks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from mesh.device.capability_cache import CapabilityCache
from mesh.fleet.lease import Lease
from mesh.ids import BootId, ModelId, NodeId
from mesh.node.control import Control
from mesh.node.draining import DrainMark
from mesh.node.jobs import Jobs
from mesh.node.library import Library
from mesh.node.loop import Loop
from mesh.node.power_mode import PowerMode
from mesh.node.reception import Reception
from mesh.node.roster import Roster, RosterHooks
from mesh.node.stages import Stages
from mesh.node.thread_share import ThreadShare
from mesh.node.workshop import Surroundings, Workshop
from mesh.store.disk import ModelStore
from mesh.testing.models import tiny_dense
from mesh.testing.runtime import FakeRuntime
from mesh.wire import codec, control
from mesh.wire.control import (
    AddModelReply,
    AddModelRequest,
    Verb,
)
from mesh.wire.documents import (
    Advert,
    GatewayStats,
    Heartbeat,
    NodeState,
    Plan,
    PlansDocument,
    StagesDocument,
    StageStatus,
)
from mesh.wire.measured import Link, LinksDocument
from mesh.wire.topics import Fact, FactTopic, RequestTopic, Service

RunUntil = Callable[[Loop, Callable[[], bool]], None]
ME = NodeId("0" * 16)
ADVERT = Advert(
    node_id=ME,
    boot_id=BootId("0" * 8),
    name="pi",
    mesh_name="home",
    version="0",
    board="",
    board_label="",
    runtime="fake",
    runtime_version="1",
    kernel_class="fake-1/none",
    broker_url="mqtt://pi:1883",
    broker_kind="memory",
    http_url="http://pi:80",
    host_id="",
    host_cores=1,
    threads=1,
    memory_bytes=1 << 30,
)


@dataclass(slots=True)
class _Control:
    """What the reception asks of the control flow."""

    lease: Lease = field(default_factory=Lease)
    adopted: dict[ModelId, Plan] = field(default_factory=dict)
    barred: dict[NodeId, str] = field(default_factory=dict)
    problem: str | None = None
    plans: PlansDocument | None = None

    def coordinators_plans(self) -> PlansDocument | None:
        return self.plans

    def is_routed(self, _model_id: ModelId) -> bool:
        return False

    def problem_of(self, _model_id: ModelId) -> str | None:
        return self.problem

    def review_soon(self) -> None:
        pass

    def barred_from(self, _model_id: ModelId) -> dict[NodeId, str]:
        return self.barred


@dataclass(slots=True)
class _Stages:
    """What the reception asks of the stages."""

    held: tuple[StageStatus, ...] = ()

    def document(self) -> StagesDocument:
        return StagesDocument(stages=self.held)


def _nothing(*_args: object) -> None:
    pass


def _links(peers: Iterable[NodeId]) -> LinksDocument:
    return LinksDocument(
        links=tuple(
            Link(peer=peer, goodput_bytes_per_s=1e8, message_s=1e-4) for peer in sorted(peers)
        )
    )


class Bench:
    """A reception over a real library and roster of one node."""

    def __init__(self, folder: Path, run_until: RunUntil) -> None:
        self.control = _Control()
        self.gateway: tuple[GatewayStats, ...] = ()
        self.stages = _Stages()
        self.beats: list[NodeState] = []
        self.run_until = run_until
        self.loop = Loop()
        self.folder = folder
        self.store = ModelStore(folder, max_model_bytes=1 << 20)
        scratch = folder / "slices"
        scratch.mkdir()
        workshop = Workshop(
            self.store,
            FakeRuntime(),
            CapabilityCache(folder / "capability"),
            me=ME,
            surroundings=Surroundings(
                device_profile="generic",
                power=PowerMode(lambda: ""),
                threads=ThreadShare(configured=1, cores=4),
                max_boundary_bytes=1 << 20,
            ),
            scratch_dir=scratch,
        )
        self.library = Library(self.loop, self.store, workshop, me=ME, on_change=_nothing)
        self.explainer = Jobs("explain", self.loop.post)
        self.roster = Roster(
            self.loop,
            me=ME,
            mesh_name="home",
            silence_s=4.0,
            seeds=(),
            hooks=RosterHooks(
                open_peer=_nothing,
                close_peer=_nothing,
                catalogue=_nothing,
                own_word=lambda _topic, _payload: None,
                changed=_nothing,
            ),
        )
        self.roster.state = NodeState.READY
        self.learn(Fact.ADVERT, ADVERT)
        self.reception = Reception(
            cast("Control", self.control),
            self.roster,
            self.library,
            me=ME,
            mesh_name="home",
            heartbeat=lambda: Heartbeat(
                boot_id=BootId("0" * 8), sequence=1, state=NodeState.READY, gateway=self.gateway
            ),
            explainer=self.explainer,
            stages=cast("Stages", self.stages),
            drain_mark=DrainMark(folder),
            beat=lambda: self.beats.append(self.roster.state),
        )

    def learn(self, fact: Fact, document: object, model_id: ModelId | None = None) -> None:
        topic = FactTopic(node_id=ME, fact=fact, model_id=model_id)
        self.roster.learn_own(topic, codec.encode(document))

    def handle(self, target: str, payload: bytes) -> bytes:
        """Hand in a request and wait for its one reply."""
        replies: list[bytes] = []
        topic = RequestTopic(service=Service.CONTROL, target=target)
        self.reception.handle(topic, payload, replies.append)
        self.run_until(self.loop, lambda: bool(replies))
        (reply,) = replies
        return reply

    def ask(self, verb: Verb, request: object, kind: type[Any]) -> Any:
        return control.decode_reply(kind, self.handle(verb.value, codec.encode(request)))

    def upload(self) -> ModelId:
        path = self.folder / "upload"
        path.write_bytes(tiny_dense())
        return self.store.add_file(path)

    def add(self, **wish: Any) -> AddModelReply:
        request = AddModelRequest(model_id=self.upload(), name="tiny", **wish)
        added = self.ask(Verb.MODEL_ADD, request, AddModelReply)
        assert isinstance(added, AddModelReply)
        return added

    def measure(self, model_id: ModelId) -> None:
        """Let the node do what `keep` finds to be done, and say it."""

        def is_done() -> bool:
            self.library.keep(self.roster.view, frozenset())
            return model_id in self.library.capabilities

        self.run_until(self.loop, is_done)
        self.learn(Fact.HOLDINGS, self.library.holdings())
        self.learn(Fact.CAPABILITY, self.library.capabilities[model_id], model_id)

    def join(self, node_id: NodeId, name: str, *, slower: float = 1.0, **advert: Any) -> None:
        """Another node is there and has measured the model of this one; all links are equal."""
        url = f"mqtt://{name}:1883"
        self.roster.found(node_id, url, own_word=True)
        (model_id,) = self.library.capabilities
        measured = self.library.capabilities[model_id]
        capability = replace(
            measured,
            layer_s=tuple(s if s is None else max(s, 1e-3) * slower for s in measured.layer_s),
        )
        others = {ME, *self.roster.others} - {node_id}
        for fact, document in (
            (
                Fact.ADVERT,
                replace(
                    ADVERT,
                    node_id=node_id,
                    name=name,
                    broker_url=url,
                    host_id=name,
                    host_cores=4,
                    **advert,
                ),
            ),
            (
                Fact.HEARTBEAT,
                Heartbeat(boot_id=ADVERT.boot_id, sequence=1, state=NodeState.READY),
            ),
            (Fact.HOLDINGS, self.library.holdings()),
            (Fact.CAPABILITY, capability),
            (Fact.LINKS, _links(others)),
        ):
            about = model_id if fact is Fact.CAPABILITY else None
            topic = FactTopic(node_id=node_id, fact=fact, model_id=about)
            self.roster.fact(url, topic, codec.encode(document))
        self.learn(Fact.LINKS, _links(self.roster.others))

    def close(self) -> None:
        """End its threads."""
        self.library.close()
        self.explainer.close()
