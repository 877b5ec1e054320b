import pytest

from mesh.ids import NodeId
from mesh.testing.documents import sample_advert

A = NodeId("a" * 16)


def test_a_sample_is_of_the_node_named_and_as_changed() -> None:
    advert = sample_advert(A, name="pi", threads=2)
    assert (advert.node_id, advert.name, advert.threads) == (A, "pi", 2)


def test_an_unknown_field_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="colour"):
        sample_advert(A, colour="red")
