"""Answers what `mesh` asks: status, plan, adding and removing models, draining."""

import logging
from collections.abc import Callable
from typing import TypeVar

from mesh.errors import (
    BadPayloadError,
    MeshError,
    RemoteError,
    StoreError,
    UsageError,
)
from mesh.fleet.naming import with_ids
from mesh.ids import NodeId
from mesh.model import cut_points, uncuttable_reason
from mesh.node.control import Control
from mesh.node.drain_desk import DrainDesk
from mesh.node.draining import DrainMark
from mesh.node.jobs import Jobs
from mesh.node.library import Library
from mesh.node.plan_desk import PlanDesk
from mesh.node.roster import Roster
from mesh.node.stages import Stages
from mesh.node.status import Snapshot, status
from mesh.node.workshop import Wish
from mesh.store.manifest import ChannelOrder, ImageOptions, ModelManifest, ResizeMode
from mesh.wire import codec, control
from mesh.wire.control import (
    AddModelReply,
    AddModelRequest,
    DrainRequest,
    ImageWish,
    RemoveModelReply,
    RemoveModelRequest,
    StatusRequest,
    Verb,
)
from mesh.wire.documents import Heartbeat
from mesh.wire.planned import PlanReply, PlanRequest
from mesh.wire.topics import RequestTopic

_log = logging.getLogger("mesh.reception")

MAX_REQUEST_BYTES = 2 << 20

Reply = Callable[[bytes], None]
R = TypeVar("R", StatusRequest, PlanRequest, AddModelRequest, RemoveModelRequest, DrainRequest)


class Reception:
    """The control service of one node; on the loop's thread."""

    def __init__(
        self,
        control_flow: Control,
        roster: Roster,
        library: Library,
        *,
        me: NodeId,
        mesh_name: str,
        heartbeat: Callable[[], Heartbeat],
        explainer: Jobs,
        stages: Stages,
        drain_mark: DrainMark,
        beat: Callable[[], None],
    ) -> None:
        self._control = control_flow
        self._roster = roster
        self._library = library
        self._me = me
        self._mesh_name = mesh_name
        self._heartbeat = heartbeat
        self._drains = DrainDesk(
            control_flow, roster, library, stages, me=me, mark=drain_mark, on_change=beat
        )
        self._plans = PlanDesk(
            control_flow,
            roster,
            library,
            me=me,
            heartbeat=heartbeat,
            explainer=explainer,
        )

    def handle(self, topic: RequestTopic, payload: bytes, reply: Reply) -> None:
        """Answer one request; `reply` is called exactly once."""
        request_id = control.reply_id_of(payload[:MAX_REQUEST_BYTES])
        try:
            self._handler(topic.target)(payload, reply)
        except MeshError as error:
            reply(control.encode_refusal(request_id, error))
        except Exception as error:  # noqa: BLE001 - whoever asks gets an answer
            _log.exception("a control request failed")
            fault = MeshError(f"a fault in the node ({type(error).__name__}): see its log")
            reply(control.encode_refusal(request_id, fault))

    def _handler(self, target: str) -> Callable[[bytes, Reply], None]:
        handlers: dict[str, Callable[[bytes, Reply], None]] = {
            Verb.STATUS.value: self._status,
            Verb.PLAN.value: self._plan,
            Verb.MODEL_ADD.value: self._add,
            Verb.MODEL_REMOVE.value: self._remove,
            Verb.DRAIN.value: self._drain,
        }
        if target not in handlers:
            there_are = ", ".join(handlers)
            raise UsageError(f"there is no control request {target!r}; there are: {there_are}")
        return handlers[target]

    def _status(self, payload: bytes, reply: Reply) -> None:
        request = _parse(StatusRequest, payload)
        snapshot = Snapshot(
            me=self._me,
            mesh_name=self._mesh_name,
            view=self._roster.view,
            members=self._roster.members,
            coordinator=self._control.lease.holder,
            own_heartbeat=self._heartbeat(),
            manifests=self._library.catalogue.live(),
            adopted=self._control.adopted,
            routed=self._control.is_routed,
            problem_of=self._control.problem_of,
        )
        reply(control.encode_reply(request.id, status(snapshot)))

    def _add(self, payload: bytes, reply: Reply) -> None:
        request = _parse(AddModelRequest, payload)
        wish = Wish(
            model_id=request.model_id,
            name=request.name,
            wishes=with_ids(request.wishes, self._roster.view, asked=self._me),
            image=_image_options(request.image),
            labels=request.labels,
            replace=request.replace,
        )

        def done(outcome: ModelManifest | MeshError) -> None:
            if isinstance(outcome, MeshError):
                reply(control.encode_refusal(request.id, outcome))
            else:
                reply(control.encode_reply(request.id, self._added(outcome)))

        self._library.add(wish, done, peers=self._http_urls())

    def _drain(self, payload: bytes, reply: Reply) -> None:
        request = _parse(DrainRequest, payload)
        reply(control.encode_reply(request.id, self._drains.answer(request)))

    def _http_urls(self) -> dict[str, str]:
        """Where the other nodes' files are, by name and id."""
        adverts = [
            node.advert
            for node_id, node in sorted(self._roster.view.items())
            if node_id in self._roster.others and node.advert is not None
        ]
        return {f"{advert.name} ({advert.node_id})": advert.http_url for advert in adverts}

    def _added(self, manifest: ModelManifest) -> AddModelReply:
        file = self._library.model_file(manifest.model_id)
        if file is None:
            raise StoreError(f"{manifest.name} was removed while it was added: add it again")
        return AddModelReply(
            name=manifest.name,
            model_id=manifest.model_id,
            inputs=manifest.inputs,
            outputs=manifest.outputs,
            operators=len(file.model.layers),
            cuts=len(cut_points(file.model)),
            uncuttable=uncuttable_reason(file.model),
        )

    def _remove(self, payload: bytes, reply: Reply) -> None:
        request = _parse(RemoveModelRequest, payload)
        manifest = self._library.remove(request.name)
        reply(control.encode_reply(request.id, RemoveModelReply(name=manifest.name)))

    def _plan(self, payload: bytes, reply: Reply) -> None:
        request = _parse(PlanRequest, payload)

        def done(outcome: PlanReply | MeshError) -> None:
            if isinstance(outcome, MeshError):
                reply(control.encode_refusal(request.id, outcome))
            else:
                reply(control.encode_reply(request.id, outcome))

        self._plans.answer(request, done)


def _parse(kind: type[R], payload: bytes) -> R:
    """Raises: BadPayloadError: here a client speaks, no peer."""
    try:
        return codec.decode(kind, payload or b"{}", max_bytes=MAX_REQUEST_BYTES)
    except RemoteError as error:
        raise BadPayloadError(str(error)) from error


def _image_options(wish: ImageWish | None) -> ImageOptions | None:
    """Raises: BadPayloadError."""
    if wish is None:
        return None
    try:
        return ImageOptions(
            scale=wish.scale,
            offset=wish.offset,
            mode=ResizeMode(wish.mode),
            channels=ChannelOrder(wish.channels),
        )
    except ValueError as error:
        raise BadPayloadError(f"image options: {error}") from error
