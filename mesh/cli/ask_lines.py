"""Lines to copy that ask a model: with `mesh`, and with any MQTT client; pure."""

import shlex
from collections.abc import Sequence

from mesh.cli.model_file import Offer
from mesh.fleet.broker_url import parse_broker_url
from mesh.wire.topics import RequestTopic, Service, TopicSpace


def ask_lines(offer: Offer, *, url: str, base_topic: str, options: Sequence[str]) -> list[str]:
    """`options` are those by which the user's own `mesh` found the mesh."""
    broker = parse_broker_url(url)
    topics = TopicSpace.of(base_topic)
    topic = RequestTopic(service=Service.INFER, target=offer.name)
    at = f"-h {broker.host} -p {broker.port}"
    sample = "--image photo.jpg" if offer.takes_pictures else "--random"
    return [
        " ".join(("mesh infer", offer.name, sample, *map(shlex.quote, options))),
        f"mosquitto_sub {at} \\\n    -t {topics.response(topic)} -C 1 &",
        _publish(offer, at, topics.request(topic)),
    ]


def _publish(offer: Offer, at: str, topic: str) -> str:
    if offer.takes_pictures:
        return f"mosquitto_pub {at} \\\n    -t {topic} -f photo.jpg"
    size_bytes = sum(spec.size_bytes for spec in offer.inputs)
    return f"head -c {size_bytes} /dev/zero | mosquitto_pub {at} \\\n    -t {topic} -s"
