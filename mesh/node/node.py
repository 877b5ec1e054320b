"""One node put together from its parts; what it does is decided in them."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mesh
from mesh.config import Config
from mesh.device.capability import choose_threads
from mesh.device.capability_cache import CapabilityCache
from mesh.device.profile import BoardFacts, DeviceProfile, recognise
from mesh.device.profile_files import load_profiles
from mesh.errors import BrokerError, MeshError, NotConnectedError
from mesh.fleet.broker_url import BrokerUrl, parse_broker_url
from mesh.fleet.discovery import Announcement
from mesh.ids import BootId, NodeId
from mesh.node import golden_check, identity
from mesh.node.adapters import Adapters, max_message_bytes
from mesh.node.control import Control, GoldenOutcome, Hooks, draw_boot_id
from mesh.node.delivery import Delivery, Receivers
from mesh.node.desk import Desk
from mesh.node.dispatcher import Dispatcher
from mesh.node.library import Library
from mesh.node.loop import Loop
from mesh.node.post import Listeners, Post
from mesh.node.probes import Probes
from mesh.node.publisher import Publisher
from mesh.node.reception import Reception
from mesh.node.stages import Stages
from mesh.node.status import name_of
from mesh.node.workshop import Surroundings, Workshop
from mesh.pipeline.gateway import Gateway
from mesh.store.disk import ModelStore
from mesh.store.http_server import StoreServer
from mesh.store.manifest import ModelManifest
from mesh.transport.port import Message
from mesh.wire import codec
from mesh.wire.documents import Advert, Heartbeat, NodeState, Plan
from mesh.wire.frame import Frame
from mesh.wire.infer import PayloadLimits
from mesh.wire.topics import Fact, FactTopic, Lane, TopicSpace

_log = logging.getLogger("mesh.node")


class Node:
    """Everything of one node, put together."""

    def __init__(self, config: Config, adapters: Adapters) -> None:
        self._config = config
        self._adapters = adapters
        self._facts: BoardFacts = adapters.board.facts()
        self._profile: DeviceProfile = recognise(self._facts, load_profiles())
        self.node_id: NodeId = identity.node_id(config.data_dir)
        self.boot_id: BootId = draw_boot_id()
        self._threads = choose_threads(config.threads, self._facts.cores)
        self._loop = Loop()
        self._sequence = 0
        self._planner = ThreadPoolExecutor(1, thread_name_prefix="plan")
        topics = TopicSpace.of(config.base_topic)
        self._topics = topics
        self._own_url = str(parse_broker_url(adapters.broker.url))
        self.broker_url = self._advertised_url()
        self._store = ModelStore(config.data_dir, max_model_bytes=config.max_model_bytes)
        self._http = StoreServer(self._store, bind=config.bind, port=config.http_port)
        self._post = self._make_post(topics)
        self._publisher = Publisher(
            topics, me=self.node_id, publish=self._post.publish_own, learn=self._learn
        )
        self._delivery = Delivery(
            me=self.node_id,
            send=self._send_frame,
            run_soon=self._loop.post,
            max_frame_bytes=max_message_bytes(config),
        )
        self._stages = Stages(
            self._loop,
            adapters.runtime,
            config.data_dir / "slices",
            threads=self._threads,
            emit=self._delivery.emit,
            on_change=self._review_soon,
        )
        self._probes = Probes(
            self._loop,
            me=self.node_id,
            send=self._delivery.send,
            on_change=self._review_soon,
        )
        self._library = self._make_library()
        self._dispatcher = Dispatcher(
            self._loop,
            Gateway(self.node_id, max_queue=config.max_queue, max_in_flight=config.max_in_flight),
            send=self._delivery.send,
        )
        self._delivery.connect(
            Receivers(
                stage=self._stages.frame,
                result=self._dispatcher.result,
                probe=self._probes.probed,
                echo=self._probes.echoed,
            )
        )
        self._control = Control(
            self._loop,
            config,
            me=self.node_id,
            boot_id=self.boot_id,
            own_url=self._own_url,
            publisher=self._publisher,
            stages=self._stages,
            probes=self._probes,
            planner=self._planner,
            hooks=self._make_hooks(),
        )
        reception = Reception(
            self._control,
            self._library,
            me=self.node_id,
            mesh_name=config.mesh_name,
            heartbeat=self._heartbeat,
        )
        self._desk = Desk(
            self._loop,
            topics,
            self._dispatcher,
            find_model=self._library.find,
            no_plan_reason=self._no_plan_reason,
            node_name=self._name_of,
            control=reception.handle,
            publish=self._post.say,
            limits=PayloadLimits(max_payload_bytes=config.max_payload_bytes),
            timeout_s=config.request_timeout_s,
            max_parsing=config.max_queue,
        )
        self._post.connect(
            Listeners(
                connected=self._connected,
                disconnected=self._control.disconnected,
                fact=self._control.fact,
                frame=self._delivery.arrived,
                request=self._desk.request,
            )
        )

    # Life

    def run(self, on_ready: Callable[["Node"], None] = lambda _node: None) -> None:
        """Serve until `stop`. `on_ready` is called once, when clients may ask."""
        self._on_ready: Callable[[Node], None] | None = on_ready
        try:
            self._start()
            self._loop.run()
        finally:
            self._close()

    def stop(self) -> None:
        """End `run`; from any thread."""
        self._loop.stop()

    def _start(self) -> None:
        self._stages.clean()
        self._http.start()
        self._publisher.say(Fact.ADVERT, self.advert())
        self._post.open_own(self._will())
        discovery = self._adapters.discovery
        if discovery is not None:
            discovery.browse(self._found)
            discovery.announce(
                Announcement(
                    node_id=self.node_id,
                    boot_id=self.boot_id,
                    name=self._config.name,
                    mesh_name=self._config.mesh_name,
                    broker_url=self.broker_url,
                )
            )
        self._loop.every(self._config.heartbeat_s, self._tick)

    def _close(self) -> None:
        if self._adapters.discovery is not None:
            self._adapters.discovery.close()
        self._control.state = NodeState.STOPPED
        self._beat()
        self._publisher.unsay_all()
        self._desk.close()
        self._library.close()
        self._planner.shutdown(wait=False, cancel_futures=True)
        self._stages.close()
        self._post.close()
        self._http.close()

    def _tick(self) -> None:
        self._keep_broker()
        self._control.tick()
        self._beat()

    def _keep_broker(self) -> None:
        broker = self._adapters.broker
        if broker.is_alive():
            return
        _log.error("the broker ended: starting it again")
        try:
            broker.start()
        except BrokerError as error:
            _log.error("%s", error)

    # What this node says

    def _beat(self) -> None:
        self._sequence += 1
        topic = self._topics.fact(FactTopic(node_id=self.node_id, fact=Fact.HEARTBEAT))
        self._post.publish_own(Message(topic=topic, payload=codec.encode(self._heartbeat())))

    def _heartbeat(self) -> Heartbeat:
        status = self._adapters.board.status(self._profile)
        lease = self._control.lease
        return Heartbeat(
            boot_id=self.boot_id,
            sequence=self._sequence,
            state=self._control.state,
            lease_term=lease.term,
            lease_holder=lease.holder,
            load_1min=status.load_1min,
            temperature_c=status.temperature_c,
            memory_available_bytes=status.memory_available_bytes,
            throttled=status.throttled,
            activities=self._library.activities(),
            gateway=self._dispatcher.stats(),
        )

    def _will(self) -> Message:
        beat = Heartbeat(boot_id=self.boot_id, sequence=0, state=NodeState.LOST)
        topic = self._topics.fact(FactTopic(node_id=self.node_id, fact=Fact.HEARTBEAT))
        return Message(topic=topic, payload=codec.encode(beat), qos=1)

    def advert(self) -> Advert:
        """What does not change while this node runs."""
        info = self._adapters.runtime.info()
        host = parse_broker_url(self.broker_url).host
        status = self._adapters.board.status(self._profile)
        free_bytes = status.memory_available_bytes - self._profile.memory.reserved_bytes
        http_host = (
            identity.reachable_host(advertise=self._config.advertise, bind=self._config.bind)
            if self._config.broker_url
            else host
        )
        return Advert(
            node_id=self.node_id,
            boot_id=self.boot_id,
            name=self._config.name,
            mesh_name=self._config.mesh_name,
            version=mesh.__version__,
            board=self._profile.name,
            board_label=self._profile.title,
            runtime=info.name,
            runtime_version=info.version,
            kernel_class=info.kernel_class,
            broker_url=self.broker_url,
            broker_kind=self._adapters.broker.kind,
            http_url=f"http://{_bracketed(http_host)}:{self._http.port}",
            host_id=self._facts.host_id,
            host_cores=self._facts.cores,
            threads=self._threads,
            memory_bytes=self._config.memory_bytes or max(0, free_bytes),
        )

    def _advertised_url(self) -> str:
        if self._config.broker_url:
            return self._own_url
        host = identity.reachable_host(advertise=self._config.advertise, bind=self._config.bind)
        return str(BrokerUrl(host=host, port=parse_broker_url(self._own_url).port))

    # Joints between the parts

    def _make_post(self, topics: TopicSpace) -> Post:
        return Post(
            self._adapters.connector,
            topics,
            me=self.node_id,
            own_url=self._own_url,
            shared_broker=bool(self._config.broker_url),
            run_soon=self._loop.post,
        )

    def _make_library(self) -> Library:
        config = self._config
        workshop = Workshop(
            self._store,
            self._adapters.runtime,
            CapabilityCache(Path(config.measurements_dir or config.data_dir / "capability")),
            me=self.node_id,
            surroundings=Surroundings(
                device_profile=self._profile.name,
                power_mode=self._adapters.board.power_mode(self._profile),
                threads=self._threads,
                max_boundary_bytes=config.max_payload_bytes,
            ),
            scratch_dir=config.data_dir / "slices",
        )
        return Library(
            self._loop, self._store, workshop, me=self.node_id, on_change=self._review_soon
        )

    def _make_hooks(self) -> Hooks:
        return Hooks(
            open_peer=self._post.open_peer,
            close_peer=self._post.close_peer,
            set_plan=self._dispatcher.set_plan,
            drop_model=lambda model_id: self._dispatcher.drop_model(
                model_id, "the model was removed"
            ),
            check_golden=self._check_golden,
            catalogue=self._library.heard,
            catalogued=self._library.served,
            plannable=self._library.plannable,
            model_file=self._library.model_file,
            keep_models=lambda _view, present: self._keep_models(present),
        )

    def _connected(self, url: str) -> None:
        self._control.connected(url)
        if url == self._own_url:
            self._desk.connected()
            self._beat()
            self._say_ready()

    def _say_ready(self) -> None:
        """Once: connections may come and go later."""
        on_ready, self._on_ready = self._on_ready, None
        if on_ready is not None:
            on_ready(self)

    def _found(self, announcement: Announcement) -> None:
        if announcement.mesh_name == self._config.mesh_name:
            self._loop.post(
                lambda: self._control.found(
                    announcement.node_id, announcement.broker_url, own_word=True
                )
            )

    def _learn(self, topic: FactTopic, payload: bytes) -> None:
        self._control.learn_own(topic, payload)

    def _review_soon(self) -> None:
        self._control.review_soon()

    def _keep_models(self, present: frozenset[NodeId]) -> None:
        self._library.keep(self._control.view, present)
        self._publisher.say(Fact.CATALOGUE, self._library.catalogue)
        self._publisher.say(Fact.HOLDINGS, self._library.holdings())
        for model_id, capability in self._library.capabilities.items():
            self._publisher.say(Fact.CAPABILITY, capability, model_id=model_id)
        for model_id in self._publisher.said_models() - self._library.capabilities.keys():
            self._publisher.unsay(Fact.CAPABILITY, model_id=model_id)

    def _send_frame(self, node_id: NodeId, lane: Lane, frame: Frame) -> None:
        url = self._control.url_of(node_id)
        if url is None:
            raise NotConnectedError(f"node {node_id} is not known here")
        self._post.send_frame(url, node_id, lane, frame)

    def _check_golden(self, plan: Plan, on_outcome: Callable[[GoldenOutcome], None]) -> None:
        try:
            manifest = self._library.manifest_of(plan.model_id)
        except MeshError as error:
            on_outcome((str(error), False))
            return
        golden_check.check(
            plan,
            manifest,
            read_expected=lambda: self._library.golden_outputs(manifest.model_id),
            view=self._control.view,
            dispatcher=self._dispatcher,
            on_outcome=on_outcome,
        )

    def _no_plan_reason(self, manifest: ModelManifest) -> str:
        problem = self._control.problem_of(manifest.model_id)
        return f"{manifest.name} has no plan yet: {problem or 'the mesh is getting it ready'}"

    def _name_of(self, node_id: NodeId) -> str:
        return name_of(self._control.view, node_id)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
