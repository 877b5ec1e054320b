"""The control flow of one node: hears all nodes, keeps to the lease, adopts plans, coordinates if it must.

Level-triggered: whatever happened, `review` looks at everything and does what is missing.
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass

from mesh.config import Config
from mesh.errors import InfeasibleError, MeshError, RemoteError
from mesh.fleet import membership, reconcile
from mesh.fleet.coordinator import Check, Coordinator, Solve
from mesh.fleet.lease import Lease, next_lease
from mesh.fleet.membership import ConnectionLost, Found, Heard, Member, Patience, Presence, Tick
from mesh.fleet.plans import ModelFacts, is_healthy
from mesh.fleet.view import View, forget, learn
from mesh.ids import BootId, ModelId, NodeId, PlanId
from mesh.node.loop import Loop
from mesh.node.probes import Probes
from mesh.node.publisher import Publisher
from mesh.node.stages import ModelFile, Stages
from mesh.planning import Explanation, Problem, Solution, explain, solve
from mesh.wire import codec
from mesh.wire.documents import (
    MAX_DOCUMENT_BYTES,
    Advert,
    Heartbeat,
    NodeState,
    Peer,
    PeersDocument,
    Plan,
    PlansDocument,
)
from mesh.wire.topics import Fact, FactTopic

_log = logging.getLogger("mesh.control")

REVIEW_DELAY_S = 0.05
"""Changes come in bursts: look once when one is over."""
LINGER_S = 5.0
"""How long the stages of a replaced plan stay for frames that are under way."""
GRACE_S = 0.5
"""How long a node may be without its broken connection before it counts as lost."""

GoldenOutcome = tuple[str | None, bool]
"""The failure or None, and whether trying again may help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What the control flow needs done elsewhere; all on the loop's thread."""

    open_peer: Callable[[str], None]
    close_peer: Callable[[str], None]
    set_plan: Callable[[ModelId, Plan | None], None]
    drop_model: Callable[[ModelId], None]
    check_golden: Callable[[Plan, Callable[[GoldenOutcome], None]], None]
    catalogue: Callable[[NodeId, bytes], None]
    catalogued: Callable[[], frozenset[ModelId]]
    plannable: Callable[[], Mapping[ModelId, ModelFacts]]
    model_file: Callable[[ModelId], ModelFile]
    keep_models: Callable[[View, frozenset[NodeId]], None]


class Control:
    """The state of the fleet as this node knows it, and what it does about it."""

    def __init__(
        self,
        loop: Loop,
        config: Config,
        *,
        me: NodeId,
        boot_id: BootId,
        own_url: str,
        publisher: Publisher,
        stages: Stages,
        probes: Probes,
        planner: Executor,
        hooks: Hooks,
    ) -> None:
        self._loop = loop
        self._me = me
        self._boot_id = boot_id
        self._own_url = own_url
        self._mesh_name = config.mesh_name
        self._publisher = publisher
        self._stages = stages
        self._probes = probes
        self._planner = planner
        self._hooks = hooks
        self._patience = Patience(silence_s=config.lost_after_s, grace_s=GRACE_S)
        self._seeds = frozenset(config.seeds)
        self._peer_urls: set[str] = set()
        self._review_pending = False
        self._coordinator = Coordinator(me)
        self._routed: dict[ModelId, Plan | None] = {}
        self._boots: dict[NodeId, BootId | None] = {}
        self._lingering: dict[PlanId, float] = {}
        self.state = NodeState.INIT
        self.view: View = {}
        self.members: membership.Members = {}
        self.lease = Lease()
        self.adopted: dict[ModelId, Plan] = {}

    # What others say

    def found(self, node_id: NodeId, broker_url: str, *, own_word: bool) -> None:
        """Discovery, a seed's advert or gossip named a node."""
        if node_id != self._me:
            self._step(Found(node_id=node_id, broker_url=broker_url, own_word=own_word))

    def fact(self, url: str, topic: FactTopic, payload: bytes) -> None:
        """A document arrived from the broker at `url`."""
        if topic.node_id == self._me:
            return
        try:
            self._take_in(url, topic, payload)
        except RemoteError as error:
            _log.warning("node %s: %s was dropped: %s", topic.node_id, topic.fact.value, error)

    def learn_own(self, topic: FactTopic, payload: bytes) -> None:
        """A document of this node enters the same view."""
        self.view = learn(self.view, topic, payload)
        self.review_soon()

    def connected(self, url: str) -> None:
        if url == self._own_url:
            if self.state is NodeState.INIT:
                self.state = NodeState.READY
            self._publisher.say_all()
        self.review_soon()

    def disconnected(self, url: str) -> None:
        self._step(ConnectionLost(broker_url=url))
        self._loop.after(GRACE_S * 1.01, self.tick)

    def tick(self) -> None:
        """Time went by."""
        self._step(Tick())
        self.review_soon()

    # What this node is

    @property
    def is_coordinator(self) -> bool:
        return self.lease.holder == self._me

    @property
    def present(self) -> frozenset[NodeId]:
        """Nodes that take part, this one included."""
        return membership.present(self.members) | {self._me}

    @property
    def ready(self) -> frozenset[NodeId]:
        """Present nodes that may be given work."""
        others = {
            node_id
            for node_id in membership.present(self.members)
            if _state(self.members[node_id]) is NodeState.READY
        }
        return frozenset(others | ({self._me} if self.state is NodeState.READY else set()))

    def url_of(self, node_id: NodeId) -> str | None:
        """The broker at which a node is reached."""
        member = self.members.get(node_id)
        return member.broker_url if member is not None else None

    def problem_of(self, model_id: ModelId) -> str | None:
        """Why the model has no plan, in the coordinator's words."""
        holder = self.lease.holder
        node = self.view.get(holder) if holder is not None else None
        for problem in node.plans.problems if node is not None and node.plans is not None else ():
            if problem.model_id == model_id:
                return problem.reason
        return None

    def is_routed(self, model_id: ModelId) -> bool:
        """Whether requests for the model flow: its live plan has all its nodes."""
        return self._routed.get(model_id) is not None

    def review_soon(self) -> None:
        """Have `review` run once the current burst of changes is over."""
        if not self._review_pending:
            self._review_pending = True
            self._loop.after(REVIEW_DELAY_S, self._review)

    # Taking in

    def _take_in(self, url: str, topic: FactTopic, payload: bytes) -> None:
        member = self.members.get(topic.node_id)
        if topic.fact is Fact.ADVERT and payload and (member is None or member.broker_url != url):
            self._introduced(url, topic, payload)
            member = self.members.get(topic.node_id)
        if member is None or member.broker_url != url:
            return  # nobody speaks for a node but its own broker
        if topic.fact is Fact.HEARTBEAT:
            beat = codec.decode(Heartbeat, payload, max_bytes=MAX_DOCUMENT_BYTES)
            self._step(Heard(node_id=topic.node_id, heartbeat=beat))
        elif topic.fact is Fact.CATALOGUE:
            self._hooks.catalogue(topic.node_id, payload)
        else:
            self.view = learn(self.view, topic, payload)
            self._follow_gossip(topic)
            self.review_soon()

    def _follow_gossip(self, topic: FactTopic) -> None:
        document = self.view[topic.node_id].peers
        if topic.fact is Fact.PEERS and document is not None:
            for peer in document.peers:
                self.found(peer.node_id, peer.broker_url, own_word=False)

    def _introduced(self, url: str, topic: FactTopic, payload: bytes) -> None:
        """A retained advert at a seed or a shared broker: a node says where it is reached."""
        advert = codec.decode(Advert, payload, max_bytes=MAX_DOCUMENT_BYTES)
        if advert.node_id != topic.node_id:
            raise RemoteError("an advert under another node's topic")
        if advert.mesh_name != self._mesh_name:
            return  # another mesh on the same broker
        known = self.members.get(topic.node_id)
        if known is None or known.presence in (Presence.UNHEARD, Presence.LOST):
            self.found(advert.node_id, advert.broker_url, own_word=True)
        elif advert.broker_url == url:
            _log.info("node %s moved to %s", topic.node_id, url)
            self.found(advert.node_id, url, own_word=True)

    def _step(self, event: membership.Event) -> None:
        before = self.members
        self.members = membership.step(
            before, event, now_s=self._loop.now_s(), patience=self._patience
        )
        if _gist(self.members) != _gist(before):
            self._log_changes(before)
            self.review_soon()

    def _log_changes(self, before: membership.Members) -> None:
        for node_id, member in self.members.items():
            old = before.get(node_id)
            if old is None or old.presence is not member.presence:
                _log.info("node %s is %s", node_id, member.presence.value)

    # Looking at everything

    def _review(self) -> None:
        self._review_pending = False
        self._connect_peers()
        self._take_lease()
        self._probes.keep(membership.present(self.members), answering=self._hearing_me())
        self._hooks.keep_models(self.view, self.present)
        self._adopt()
        if self.is_coordinator:
            self._coordinate()
        self._reconcile_stages()
        self._route()
        self._publish()

    def _connect_peers(self) -> None:
        wanted = {member.broker_url for member in self.members.values()} | self._seeds
        for url in wanted:
            self._hooks.open_peer(url)
        for url in self._peer_urls - wanted:
            self._hooks.close_peer(url)
        self._peer_urls = wanted
        for node_id in [n for n in self.view if n != self._me and n not in self.members]:
            self.view = forget(self.view, node_id)

    def _hearing_me(self) -> frozenset[NodeId]:
        """The nodes that count this one among their peers."""
        return frozenset(
            node_id
            for node_id, node in self.view.items()
            if node.peers is not None and self._me in {peer.node_id for peer in node.peers.peers}
        )

    def _take_lease(self) -> None:
        heard = [
            Lease(term=beat.lease_term, holder=beat.lease_holder)
            for member in self.members.values()
            if member.presence in (Presence.PRESENT, Presence.SUSPECT)
            and (beat := member.heartbeat) is not None
        ]
        lease = next_lease(
            self.lease, heard, me=self._me, candidates=self.ready, vouched=self._vouched()
        )
        if lease != self.lease:
            _log.info("coordinator is %s (term %d)", lease.holder, lease.term)
            if self.is_coordinator or lease.holder == self._me:
                self._coordinator.reset()
            self.lease = lease

    def _vouched(self) -> set[NodeId]:
        """Nodes that present ones hear and this one does not."""
        present = self.present
        documents = [self.view[n].peers for n in present if n != self._me and n in self.view]
        told = {peer.node_id for one in documents if one is not None for peer in one.peers}
        return told - present

    def _adopt(self) -> None:
        adopted = reconcile.adopt(
            self.adopted, self.view, present=self.present, served=self._hooks.catalogued()
        )
        for model_id, plan in self.adopted.items():
            if adopted.get(model_id) != plan:
                self._lingering[plan.plan_id] = self._loop.now_s() + LINGER_S
        for model_id in self.adopted.keys() - adopted.keys():
            self._routed.pop(model_id, None)
            self._hooks.drop_model(model_id)
        self.adopted = adopted

    def _coordinate(self) -> None:
        models = self._hooks.plannable()
        instructions = self._coordinator.step(
            models, self.view, self.adopted, ready=self.ready, now_s=self._loop.now_s()
        )
        for instruction in instructions:
            if isinstance(instruction, Solve):
                self._solve(models[instruction.model_id], instruction.problem)
            elif isinstance(instruction, Check):
                self._check(instruction.plan)

    def _solve(self, facts: ModelFacts, problem: Problem) -> None:
        def solved(future: "Future[tuple[Solution, Explanation] | str]") -> None:
            self._loop.post(lambda: take(future.result()))

        def take(outcome: tuple[Solution, Explanation] | str) -> None:
            live = self.adopted.get(facts.model_id)
            self._coordinator.solved(facts, outcome, self.view, live, now_s=self._loop.now_s())
            self.review_soon()

        self._planner.submit(_solve, problem).add_done_callback(solved)

    def _check(self, plan: Plan) -> None:
        def checked(outcome: GoldenOutcome) -> None:
            failure, again = outcome
            live = self._coordinator.checked(plan, failure, again=again, now_s=self._loop.now_s())
            if live is not None:
                _log.info("model %s: plan of epoch %d is live", plan.model_id[:12], plan.epoch)
                self._replace(live)
            self.review_soon()

        self._hooks.check_golden(plan, checked)

    def _replace(self, live: Plan) -> None:
        old = self.adopted.get(live.model_id)
        if old is not None:
            self._lingering[old.plan_id] = self._loop.now_s() + LINGER_S
        self.adopted[live.model_id] = live

    def _reconcile_stages(self) -> None:
        now_s = self._loop.now_s()
        self._lingering = {p: until for p, until in self._lingering.items() if until > now_s}
        preparing = (
            self._coordinator.preparing()
            if self.is_coordinator
            else reconcile.preparing(self.view, self.lease.holder, self.adopted)
        )
        held = self._stages.held
        todo = reconcile.changes(
            (*self.adopted.values(), *preparing),
            me=self._me,
            held=held,
            lingering=[key for key in held if key.plan_id in self._lingering],
        )
        for key in todo.unload:
            self._stages.unload(key)
        for plan, stage in todo.load:
            self._load(plan, stage)

    def _load(self, plan: Plan, stage: int) -> None:
        try:
            self._stages.load(plan, stage, self._hooks.model_file(plan.model_id))
        except MeshError as error:
            self._stages.give_up(plan, stage, error)

    def _route(self) -> None:
        """Tell the gateway which plans can be used; a node's new life interrupts its plans."""
        boots = {node_id: member.boot_id for node_id, member in self.members.items()}
        reborn = {n for n, boot in boots.items() if self._boots.get(n, boot) not in (boot, None)}
        self._boots = boots
        for model_id, plan in self.adopted.items():
            if any(stage.node_id in reborn for stage in plan.stages):
                self._hooks.set_plan(model_id, None)
                self._routed[model_id] = None
            usable = plan if is_healthy(plan, self.present) else None
            if model_id not in self._routed or self._routed[model_id] != usable:
                self._routed[model_id] = usable
                self._hooks.set_plan(model_id, usable)

    def _publish(self) -> None:
        self._publisher.say(Fact.LINKS, self._probes.document())
        self._publisher.say(Fact.STAGES, self._stages.document())
        self._publisher.say(
            Fact.PEERS,
            PeersDocument(
                peers=tuple(
                    Peer(node_id=node_id, broker_url=self.members[node_id].broker_url)
                    for node_id in sorted(membership.present(self.members))
                )
            ),
        )
        preparing = self._coordinator.preparing() if self.is_coordinator else ()
        self._publisher.say(
            Fact.PLANS,
            PlansDocument(
                lease_term=self.lease.term,
                plans=(*(plan for _, plan in sorted(self.adopted.items())), *preparing),
                problems=self._coordinator.problems() if self.is_coordinator else (),
            ),
        )


def draw_boot_id() -> BootId:
    """A new life's id."""
    return BootId(secrets.token_hex(4))


def _gist(members: membership.Members) -> dict[NodeId, tuple[object, ...]]:
    """What of the members is a reason to look at everything: load and temperature are none."""
    return {
        node_id: (
            member.presence,
            member.broker_url,
            member.boot_id,
            _state(member),
            (member.heartbeat.lease_term, member.heartbeat.lease_holder)
            if member.heartbeat is not None
            else None,
        )
        for node_id, member in members.items()
    }


def _state(member: Member) -> NodeState | None:
    return member.heartbeat.state if member.heartbeat is not None else None


def _solve(problem: Problem) -> tuple[Solution, Explanation] | str:
    try:
        solution = solve(problem)
        return solution, explain(problem, solution)
    except InfeasibleError as error:
        return str(error)
