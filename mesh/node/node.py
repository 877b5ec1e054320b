"""One node put together from its parts; what it does is decided in them."""

import logging
from collections.abc import Callable

from mesh.config import Config
from mesh.device.profile import BoardFacts, DeviceProfile, recognise
from mesh.device.profile_files import load_profiles
from mesh.device.threads import most_threads
from mesh.errors import BrokerError, NotConnectedError
from mesh.fleet.broker_url import parse_broker_url
from mesh.fleet.discovery import Announcement
from mesh.ids import BootId, NodeId
from mesh.node import identity
from mesh.node.adapters import Adapters, max_message_bytes
from mesh.node.control import Control, Hooks
from mesh.node.delivery import Delivery, Receivers
from mesh.node.desk import Desk
from mesh.node.dispatcher import make_dispatcher
from mesh.node.draining import DrainMark
from mesh.node.golden_check import GoldenCheck
from mesh.node.introduction import Doing, Introduction
from mesh.node.jobs import Jobs
from mesh.node.library import Library
from mesh.node.loop import Loop
from mesh.node.post import Listeners, Post
from mesh.node.probes import make_probes
from mesh.node.publisher import Publisher
from mesh.node.reception import Reception
from mesh.node.roster import Roster, RosterHooks
from mesh.node.stages import Stages
from mesh.node.status import name_of
from mesh.node.workshop import make_workshop
from mesh.pipeline.stage_sessions import SessionLimits
from mesh.store.disk import ModelStore
from mesh.store.http_server import StoreServer
from mesh.transport.port import Message
from mesh.wire import codec
from mesh.wire.documents import Advert, Heartbeat, NodeState
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
        self.boot_id: BootId = identity.draw_boot_id()
        self._introduction = Introduction(
            config,
            adapters.board,
            self._profile,
            self._facts,
            node_id=self.node_id,
            boot_id=self.boot_id,
            threads=most_threads(config.threads, self._facts.cores),
        )
        self._drain_mark = DrainMark(config.data_dir)
        self._loop = Loop()
        self._planner, self._explainer = (Jobs(n, self._loop.post) for n in ("plan", "explain"))
        self._topics = topics = TopicSpace.of(config.base_topic)
        self._own_url = str(parse_broker_url(adapters.broker.url))
        self.broker_url = self._introduction.broker_url(self._own_url)
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
        self._library = self._make_library()
        self._stages = Stages(
            self._loop,
            adapters.runtime,
            config.data_dir / "slices",
            me=self.node_id,
            threads_of=self._library.threads_of,
            emit=self._delivery.emit,
            on_change=self._review_soon,
            session_limits=SessionLimits.of(config),
            cores=adapters.board.cores,
        )
        self._probes = make_probes(
            *(self._loop, self._delivery, self._post, adapters.broker),
            me=self.node_id,
            own_url=self._own_url,
            on_change=self._review_soon,
        )
        self._dispatcher = make_dispatcher(
            config, self._loop, me=self.node_id, send=self._delivery.send
        )
        self._delivery.connect(
            Receivers(
                stage=self._stages.frame,
                result=self._dispatcher.result,
                probe=self._probes.probed,
                echo=self._probes.echoed,
            )
        )
        self._roster = Roster(
            self._loop,
            me=self.node_id,
            mesh_name=config.mesh_name,
            silence_s=config.lost_after_s,
            seeds=config.seeds,
            hooks=RosterHooks(
                open_peer=self._post.open_peer,
                close_peer=self._post.close_peer,
                catalogue=self._library.heard,
                own_word=self._publisher.came_back,
                changed=self._review_soon,
            ),
        )
        self._control = Control(
            self._loop,
            self._roster,
            me=self.node_id,
            publisher=self._publisher,
            stages=self._stages,
            probes=self._probes,
            planner=self._planner,
            hooks=self._make_hooks(),
        )
        reception = Reception(
            self._control,
            self._roster,
            self._library,
            me=self.node_id,
            mesh_name=config.mesh_name,
            heartbeat=self._heartbeat,
            explainer=self._explainer,
            stages=self._stages,
            drain_mark=self._drain_mark,
            beat=self._beat,
        )
        self._desk = Desk(
            self._loop,
            topics,
            self._dispatcher,
            find_model=self._library.find,
            no_plan_reason=self._control.no_plan_reason,
            node_name=lambda node_id: name_of(self._roster.view, node_id),
            control=reception.handle,
            publish=self._post.say,
            limits=PayloadLimits(max_payload_bytes=config.max_payload_bytes),
            timeout_s=config.request_timeout_s,
            max_parsing=config.max_queue,
        )
        self._post.connect(
            Listeners(
                connected=self._connected,
                disconnected=self._roster.disconnected,
                fact=self._roster.fact,
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
        self._post.open_own(self._said(self._introduction.will(), qos=1))
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
        self._roster.state = NodeState.STOPPED
        self._beat()
        self._post.withdraw(self._publisher.advert())
        self._publisher.unsay_all()
        self._desk.close()
        self._library.close()
        self._planner.close()
        self._explainer.close()
        self._stages.close()
        self._post.close()
        self._http.close()

    def _tick(self) -> None:
        self._keep_broker()
        self._publisher.say(Fact.ADVERT, self.advert())  # its CPU quota may have changed
        self._roster.tick()
        self._control.review_soon()
        self._publisher.say_unsent()
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

    def advert(self) -> Advert:
        """What does not change while this node runs."""
        return self._introduction.advert(
            broker_url=self.broker_url,
            broker_kind=self._adapters.broker.kind,
            http_port=self._http.port,
            runtime=self._adapters.runtime,
        )

    def _heartbeat(self) -> Heartbeat:
        return self._introduction.heartbeat(
            Doing(
                state=self._roster.state,
                lease=self._control.lease,
                activities=self._library.activities(),
                gateway=self._dispatcher.stats(),
                unfiltered=self._adapters.runtime.unfiltered(),
            )
        )

    def _beat(self) -> None:
        self._roster.own_heartbeat = beat = self._heartbeat()
        self._post.publish_own(self._said(beat, qos=0))

    def _said(self, beat: Heartbeat, *, qos: int) -> Message:
        topic = self._topics.fact(FactTopic(node_id=self.node_id, fact=Fact.HEARTBEAT))
        return Message(topic=topic, payload=codec.encode(beat), qos=qos)

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
        workshop = make_workshop(
            self._config,
            self._store,
            self._adapters.runtime,
            me=self.node_id,
            device_profile=self._profile.name,
            power_mode=lambda: self._adapters.board.power_mode(self._profile),
            cores=self._facts.cores,
        )
        return Library(
            self._loop, self._store, workshop, me=self.node_id, on_change=self._review_soon
        )

    def _make_hooks(self) -> Hooks:
        return Hooks(
            set_route=self._dispatcher.set_route,
            keep_sessions=self._dispatcher.keep_sessions,
            end_plan=self._dispatcher.end_plan,
            drop_model=self._dispatcher.drop_model,
            check_golden=GoldenCheck(self._library, self._roster, self._dispatcher).check,
            served=self._library.served,
            plannable=self._library.plannable,
            model_file=self._library.model_file,
            keep_models=self._keep_models,
        )

    def _connected(self, url: str) -> None:
        self._control.review_soon()
        if url == self._own_url:
            if self._roster.state is NodeState.INIT:
                self._roster.state = self._drain_mark.state
            self._publisher.say_all()
            self._desk.connected()
            self._beat()
            self._say_ready()
        else:
            self._post.introduce(url, self._publisher.advert())

    def _say_ready(self) -> None:
        """Once: connections may come and go later."""
        on_ready, self._on_ready = self._on_ready, None
        if on_ready is not None:
            on_ready(self)

    def _found(self, announcement: Announcement) -> None:
        if announcement.mesh_name == self._config.mesh_name:
            self._loop.post(
                lambda: self._roster.found(
                    announcement.node_id, announcement.broker_url, own_word=True
                )
            )

    def _learn(self, topic: FactTopic, payload: bytes) -> None:
        self._roster.learn_own(topic, payload)

    def _review_soon(self) -> None:
        self._control.review_soon()

    def _keep_models(self) -> None:
        again, idle = self._control.to_measure_again(), not self._stages.held
        self._library.keep(self._roster.view, self._roster.present, again=again, is_idle=idle)
        self._library.publish(self._publisher)

    def _send_frame(self, node_id: NodeId, lane: Lane, frame: Frame) -> None:
        url = self._roster.url_of(node_id)
        if url is None:
            raise NotConnectedError(f"node {node_id} is not known here")
        self._post.send_frame(url, node_id, lane, frame)
