"""Where clients ask: each request message gets exactly one reply, an answer or an error."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from mesh.errors import (
    BadTopicError,
    MeshError,
    OverloadedError,
    SessionLostError,
    TooLargeError,
)
from mesh.ids import ModelId, NodeId, SessionKey
from mesh.model.tensor import LayerRange
from mesh.node.dispatcher import Dispatcher
from mesh.node.jobs import Jobs
from mesh.node.loop import Loop
from mesh.node.replies import Call, Replies
from mesh.pipeline.classes import with_classes
from mesh.pipeline.image import to_tensor
from mesh.pipeline.request import Answer
from mesh.store.manifest import ModelManifest
from mesh.transport.port import Message
from mesh.wire import oip, oip_reply, payload, session
from mesh.wire.documents import Plan
from mesh.wire.frame import StageTime
from mesh.wire.infer import (
    ImagePayload,
    InferRequest,
    InferResponse,
    OutputTensor,
    PayloadLimits,
    StageTiming,
    Timing,
)
from mesh.wire.refusal import refusal_of
from mesh.wire.topics import RequestTopic, Service, TopicSpace

_log = logging.getLogger("mesh.desk")


class Desk:
    """Takes request messages; parsing and encoding run on a thread of their own."""

    def __init__(
        self,
        loop: Loop,
        topics: TopicSpace,
        dispatcher: Dispatcher,
        *,
        find_model: Callable[[str], ModelManifest],
        no_plan_reason: Callable[[ModelId, str], str],
        node_name: Callable[[NodeId], str],
        control: Callable[[RequestTopic, bytes, Callable[[bytes], None]], None],
        publish: Callable[[Message], None],
        limits: PayloadLimits,
        timeout_s: float,
        max_parsing: int,
    ) -> None:
        self._loop = loop
        self._topics = topics
        self._dispatcher = dispatcher
        self._find_model = find_model
        self._no_plan_reason = no_plan_reason
        self._node_name = node_name
        self._control = control
        self._replies = Replies(loop, publish)
        self._limits = limits
        self._timeout_s = timeout_s
        self._max_parsing = max_parsing
        self._parsing = 0
        self._worker = Jobs("desk", loop.post)

    def close(self) -> None:
        self._worker.close()

    def connected(self) -> None:
        """The own broker is back: say what could not be said."""
        self._replies.say_unsent()

    def request(self, topic: RequestTopic | None, message: Message) -> None:
        """A request message arrived; `topic` None: on a topic that the protocol does not know."""
        mirrored = self._topics.mirrored(message.topic)
        if mirrored is None or message.retain:
            return  # no request; or one that the broker has kept, which was answered when it came
        call = Call(
            reply_topic=mirrored,
            correlation_data=message.correlation_data,
            model_name=topic.target if topic is not None else "",
        )
        try:
            call = self._addressed(call, message.response_topic)
            self._begin(topic, call, message)
        except MeshError as error:
            self._replies.refuse(call, refusal_of(error), oip.id_of(message.payload, self._limits))

    def _addressed(self, call: Call, response_topic: str | None) -> Call:
        """Raises: BadTopicError."""
        if response_topic is None:
            return call
        return replace(call, reply_topic=self._topics.check_response_topic(response_topic))

    def _begin(self, topic: RequestTopic | None, call: Call, message: Message) -> None:
        """Raises: MeshError."""
        if topic is None:
            raise BadTopicError(
                f"requests go to {self._topics.base}/request/infer/MODEL or …/infer/MODEL/REPLY_ID, "
                "names of letters, digits, '_', '.', ':' and '-'"
            )
        if topic.service is Service.CONTROL:
            self._control(topic, message.payload, lambda reply: self._replies.say(call, reply))
        else:
            self._infer(call, message)

    def _infer(self, call: Call, message: Message) -> None:
        """Raises: UnknownModelError, OverloadedError."""
        manifest = self._find_model(call.model_name)
        if self._parsing >= self._max_parsing:
            raise OverloadedError(f"{self._parsing} requests are being read already: send later")
        self._parsing += 1
        self._worker.run(
            lambda: _read(manifest, message, self._limits),
            lambda outcome: self._was_read(call, manifest, message, outcome),
        )

    def _was_read(
        self,
        call: Call,
        manifest: ModelManifest,
        message: Message,
        request: InferRequest | MeshError,
    ) -> None:
        self._parsing -= 1
        if isinstance(request, MeshError):
            request_id = oip.id_of(message.payload, self._limits)
            self._replies.refuse(call, refusal_of(request), request_id)
            return
        # A message may be good for 136 years (MQTT 5, 3.3.2.3.3); no request is waited for that long.
        expiry_s = None if message.expiry_s is None else min(message.expiry_s, oip.MAX_TIMEOUT_S)
        given = [t for t in (request.timeout_s, expiry_s) if t is not None]
        self._dispatcher.ask(
            manifest.model_id,
            () if request.only_ends else tuple(zip(manifest.inputs, request.inputs, strict=True)),
            manifest.outputs,
            timeout_s=min(given, default=self._timeout_s),
            on_answer=lambda answer: self._answered(call, manifest, request, answer),
            no_plan_reason=self._no_plan_reason(manifest.model_id, manifest.name),
            session=request.session,
        )

    def _answered(
        self, call: Call, manifest: ModelManifest, request: InferRequest, answer: Answer
    ) -> None:
        if answer.refusal is not None:
            self._replies.refuse(call, answer.refusal, request.id)
            return
        response = InferResponse(
            id=request.id,
            model_name=manifest.name,
            model_version=manifest.model_id[:12],
            outputs=tuple(
                OutputTensor(
                    name=spec.name, data_type=spec.data_type, shape=spec.shape, data=bytes(data)
                )
                for spec, data in zip(
                    manifest.outputs, answer.outputs, strict=not request.only_ends
                )
                if request.outputs is None or spec.name in request.outputs
            ),
            timing=self._timing(answer),
        )
        self._worker.run(
            lambda: _encode(
                response, manifest.labels, binary=request.binary_output, limits=self._limits
            ),
            lambda outcome: self._was_encoded(call, request, outcome, answer.session),
        )

    def _was_encoded(
        self,
        call: Call,
        request: InferRequest,
        content: bytes | MeshError,
        session_key: SessionKey | None,
    ) -> None:
        if isinstance(content, MeshError):
            error = content
            if session_key is not None:  # asked again, it would be another step
                reason = f"a step was computed, but not answered: {content}"
                self._dispatcher.lose_session(session_key, reason)
                error = SessionLostError(f"{reason}. Begin a new session with session_start")
            self._replies.refuse(call, refusal_of(error), request.id)
            return
        self._replies.say(
            call,
            content,
            content_type=oip_reply.content_type(binary=request.binary_output),
            request_id=request.id,
        )

    def _timing(self, answer: Answer) -> Timing:
        plan = answer.plan
        at_stages_s = sum(time.queue_s + time.compute_s for time in answer.timings)
        return Timing(
            total_s=answer.total_s,
            transfer_s=max(0.0, answer.total_s - at_stages_s),
            stages=tuple(
                self._stage_timing(plan, time)
                for time in answer.timings
                if plan is not None and time.stage < len(plan.stages)
            ),
        )

    def _stage_timing(self, plan: Plan, time: StageTime) -> StageTiming:
        stage = plan.stages[time.stage]
        node_id = stage.node_ids[min(time.replica, len(stage.replicas) - 1)]
        return StageTiming(
            node=node_id,
            name=self._node_name(node_id),
            layers=LayerRange(start=stage.start, stop=stage.stop),
            queue_s=time.queue_s,
            compute_s=time.compute_s,
        )


def _read(manifest: ModelManifest, message: Message, limits: PayloadLimits) -> InferRequest:
    parsed = payload.parse_request(
        message.payload, message.content_type, manifest.inputs, manifest.outputs, limits
    )
    if isinstance(parsed, ImagePayload):
        parsed = InferRequest(inputs=(to_tensor(parsed, manifest.inputs, manifest.image),))
    if parsed.session is None:  # what is no JSON says it beside the payload
        return replace(parsed, session=session.of_properties(message.user_properties))
    return parsed


def _encode(
    response: InferResponse, labels: Sequence[str], *, binary: bool, limits: PayloadLimits
) -> bytes:
    """Raises: TooLargeError."""
    if labels:
        response = replace(response, outputs=with_classes(response.outputs, labels))
    content = oip_reply.encode_response(response, binary=binary)
    if len(content) > limits.max_payload_bytes:
        raise TooLargeError(
            f"The answer has {len(content)} bytes, at most {limits.max_payload_bytes} are sent: "
            'ask for fewer "outputs", or for raw ones with "binary_data_output"'
        )
    return content
