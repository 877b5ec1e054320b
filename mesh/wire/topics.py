"""Every topic of the mesh, made and taken apart in one place; nothing is published here.

    {base}/node/{node}/advert|heartbeat|peers|catalogue|holdings|capability/{model}|links|stages|plans
    {base}/frame/{node}/stage|result|probe|echo
    {base}/request/infer/{model}[/{reply}]      {base}/response/infer/{model}[/{reply}]
    {base}/request/control/{verb}[/{reply}]     {base}/response/control/{verb}[/{reply}]

Requests and replies lie in disjoint subtrees, so that a filter on requests never hears replies.
"""

import re
from dataclasses import dataclass
from enum import Enum

from mesh.errors import BadTopicError
from mesh.ids import ModelId, NodeId

TOPIC_VERSION = 1
_LEVEL = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_NODE_ID = re.compile(r"[0-9a-f]{16}")
_MODEL_ID = re.compile(r"[0-9a-f]{64}")
MAX_TOPIC_BYTES = 512
MAX_REPLY_LEVELS = 2
"""A reply id may have two levels: a client's own, for its subscription, and one per request."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # MQTT 5, 1.5.4: brokers may refuse them


class Fact(Enum):
    """What a node says about itself, retained at its own broker (but for the heartbeat)."""

    ADVERT = "advert"
    HEARTBEAT = "heartbeat"
    PEERS = "peers"
    CATALOGUE = "catalogue"
    HOLDINGS = "holdings"
    CAPABILITY = "capability"
    LINKS = "links"
    STAGES = "stages"
    PLANS = "plans"


class Lane(Enum):
    """Where binary frames to a node arrive."""

    STAGE = "stage"
    RESULT = "result"
    PROBE = "probe"
    ECHO = "echo"


class Service(Enum):
    """What a client may ask for."""

    INFER = "infer"
    CONTROL = "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactTopic:
    node_id: NodeId
    fact: Fact
    model_id: ModelId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTopic:
    node_id: NodeId
    lane: Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTopic:
    """`target` is the model's name or the control verb; `reply_id` has one level or two."""

    service: Service
    target: str
    reply_id: str | None = None


Topic = FactTopic | FrameTopic | RequestTopic


@dataclass(frozen=True, slots=True)
class TopicSpace:
    """The topics below one base, for example "mesh/1"."""

    base: str

    @classmethod
    def of(cls, base_topic: str) -> "TopicSpace":
        return cls(f"{base_topic}/{TOPIC_VERSION}")

    def fact(self, topic: FactTopic) -> str:
        path = f"{self.base}/node/{topic.node_id}/{topic.fact.value}"
        return path if topic.model_id is None else f"{path}/{topic.model_id}"

    def all_facts(self) -> str:
        return f"{self.base}/node/#"

    def frame(self, node_id: NodeId, lane: Lane) -> str:
        return f"{self.base}/frame/{node_id}/{lane.value}"

    def all_frames(self, node_id: NodeId) -> str:
        return f"{self.base}/frame/{node_id}/#"

    def all_requests(self, *, shared: bool) -> str:
        """On a broker of several nodes a shared subscription gives each request to one of them."""
        # MQTT 5, 4.8.2 Shared Subscriptions
        prefix = "$share/mesh/" if shared else ""
        return f"{prefix}{self.base}/request/#"

    def request(self, topic: RequestTopic) -> str:
        return self._exchange("request", topic)

    def response(self, topic: RequestTopic) -> str:
        return self._exchange("response", topic)

    def all_responses(self, client_id: str) -> str:
        """The filter of a client whose reply ids are `client_id/1`, `client_id/2` and so on."""
        return f"{self.base}/response/+/+/{client_id}/+"

    def _exchange(self, direction: str, topic: RequestTopic) -> str:
        path = f"{self.base}/{direction}/{topic.service.value}/{topic.target}"
        return path if topic.reply_id is None else f"{path}/{topic.reply_id}"

    def parse(self, text: str) -> Topic | None:
        """Take a topic apart; None for one that the protocol does not know."""
        prefix = self.base + "/"
        if len(text) > MAX_TOPIC_BYTES or not text.startswith(prefix):
            return None
        levels = text[len(prefix) :].split("/")
        if not all(_LEVEL.fullmatch(level) for level in levels):
            return None
        parse_rest = {"node": _parse_fact, "frame": _parse_frame, "request": _parse_request}
        try:
            return parse_rest[levels[0]](levels[1:])
        except (KeyError, ValueError):
            return None

    def mirrored(self, text: str) -> str | None:
        """Where to say that a topic below `request/` is none that is served; None for any other."""
        path = text.removeprefix(f"{self.base}/request")
        is_request = path != text and path[:1] in {"", "/"}
        if not is_request or not _is_plain(text) or len(text.encode()) > MAX_TOPIC_BYTES:
            return None
        return f"{self.base}/response{path}"

    def check_response_topic(self, text: str) -> str:
        """Refuse a client's ResponseTopic that would loop or forge.

        A reply may go anywhere outside this mesh's own subtree, and inside it only below
        `response/`. Raises: BadTopicError.
        """
        if not 1 <= len(text.encode(errors="surrogatepass")) <= MAX_TOPIC_BYTES:
            raise BadTopicError(f"the response topic must have 1 to {MAX_TOPIC_BYTES} bytes")
        if "+" in text or "#" in text or text.startswith("$") or not _is_plain(text):
            raise BadTopicError(
                "the response topic holds '+', '#' or control characters, or starts with '$': "
                "name one plain topic"
            )
        if text.startswith(self.base + "/") and not text.startswith(f"{self.base}/response/"):
            raise BadTopicError(
                f"the response topic lies inside {self.base}/ but outside {self.base}/response/: "
                "choose a topic of your own"
            )
        return text


def _is_plain(text: str) -> bool:
    """No control characters, and sound Unicode."""
    return _CONTROL.search(text) is None and not any("\ud800" <= c <= "\udfff" for c in text)


def _parse_frame(rest: list[str]) -> FrameTopic | None:
    if len(rest) != 2 or not _NODE_ID.fullmatch(rest[0]):
        return None
    return FrameTopic(node_id=NodeId(rest[0]), lane=Lane(rest[1]))


def _parse_request(rest: list[str]) -> RequestTopic | None:
    if not 2 <= len(rest) <= 2 + MAX_REPLY_LEVELS:
        return None
    reply_id = "/".join(rest[2:]) or None
    return RequestTopic(service=Service(rest[0]), target=rest[1], reply_id=reply_id)


def _parse_fact(rest: list[str]) -> FactTopic | None:
    if len(rest) not in (2, 3) or not _NODE_ID.fullmatch(rest[0]):
        return None
    fact = Fact(rest[1])
    if (fact is Fact.CAPABILITY) != (len(rest) == 3):
        return None
    if fact is not Fact.CAPABILITY:
        return FactTopic(node_id=NodeId(rest[0]), fact=fact)
    if not _MODEL_ID.fullmatch(rest[2]):
        return None
    return FactTopic(node_id=NodeId(rest[0]), fact=fact, model_id=ModelId(rest[2]))
