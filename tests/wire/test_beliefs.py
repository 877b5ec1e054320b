import pytest

from mesh.ids import ModelId, NodeId
from mesh.wire import codec
from mesh.wire.beliefs import LinkPace, NodePace
from mesh.wire.measured import Link

A, B = (NodeId(letter * 16) for letter in "ab")
MODEL = ModelId("0" * 64)
LINK = Link(peer=B, goodput_bytes_per_s=1e6, message_s=1e-3)


@pytest.mark.parametrize("slowness", [0.0, -1.0, float("nan"), 1e9])
def test_a_slowness_is_a_sensible_factor(slowness: float) -> None:
    with pytest.raises(ValueError, match="times slower"):
        NodePace(model_id=MODEL, node_id=A, slowness=slowness)
    with pytest.raises(ValueError, match="times slower"):
        LinkPace(model_id=MODEL, node_id=A, link=LINK, slowness=slowness)


def test_a_time_is_a_time() -> None:
    with pytest.raises(ValueError, match="what a model takes a node"):
        NodePace(model_id=MODEL, node_id=A, slowness=2.0, whole_s=-1.0)


def test_beliefs_travel() -> None:
    pace = NodePace(model_id=MODEL, node_id=A, slowness=2.0, whole_s=0.5, is_due=True)
    assert codec.decode(NodePace, codec.encode(pace), max_bytes=1000) == pace
    link = LinkPace(model_id=MODEL, node_id=A, link=LINK, slowness=4.0)
    assert codec.decode(LinkPace, codec.encode(link), max_bytes=1000) == link
