import pytest

from mesh.errors import UsageError
from mesh.fleet.naming import MAX_LISTED, node_named, with_ids
from mesh.fleet.view import NodeView, View
from mesh.ids import NodeId
from mesh.planning.wishes import Wishes
from mesh.testing.documents import sample_advert

A, B, C, D = (NodeId(letter * 16) for letter in "abcd")
VIEW: View = {
    B: NodeView(advert=sample_advert(B, name="pi-b")),
    A: NodeView(advert=sample_advert(A, name="pi-a", owner="ann")),
    C: NodeView(advert=sample_advert(C, name="twin")),
    D: NodeView(advert=sample_advert(D, name="twin")),
}


def test_a_node_is_found_by_its_name_or_id() -> None:
    assert node_named(VIEW, "pi-b") == node_named(VIEW, B) == B


def test_an_unknown_node_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        node_named(VIEW, "pi-x")
    assert str(caught.value) == (
        f"there is no node 'pi-x'; there are: pi-a ({A}), pi-b ({B}), twin ({C}), twin ({D})"
    )


def test_a_node_that_has_not_introduced_itself_is_called_by_its_id() -> None:
    assert node_named({A: NodeView()}, A) == A
    with pytest.raises(UsageError, match="there are: none yet"):
        node_named({}, "pi-a")


def test_not_every_node_of_a_large_mesh_is_listed() -> None:
    ids = [NodeId(f"{i:016x}") for i in range(MAX_LISTED + 3)]
    with pytest.raises(UsageError, match=r"and 3 more$"):
        node_named({one: NodeView() for one in ids}, "x")


def test_a_name_of_two_nodes_is_refused_with_their_ids() -> None:
    with pytest.raises(UsageError, match=rf"2 nodes are called 'twin': .*{C}, {D}"):
        node_named(VIEW, "twin")
    assert node_named(VIEW, D) == D


def test_wishes_get_ids_for_words() -> None:
    wishes = Wishes(must=(NodeId("pi-b"), B, NodeId("pi-a")), never=(C,), min_stages=2)
    assert with_ids(wishes, VIEW, asked=B) == Wishes(must=(A, B), never=(C,), min_stages=2)


def test_a_node_cannot_be_wanted_by_its_name_and_refused_by_its_id() -> None:
    with pytest.raises(UsageError, match="choose one"):
        with_ids(Wishes(must=(NodeId("pi-a"),), never=(A,)), VIEW, asked=A)


def test_private_layers_belong_to_the_owner_of_the_asked_node() -> None:
    assert with_ids(Wishes(private_layers=1), VIEW, asked=A).owner == "ann"
    assert with_ids(Wishes(private_layers=1, owner="bob"), VIEW, asked=B).owner == "bob"
    assert with_ids(Wishes(), VIEW, asked=A).owner == ""


@pytest.mark.parametrize("asked", [B, NodeId("0" * 16)])
def test_private_layers_without_an_owner_are_refused(asked: NodeId) -> None:
    with pytest.raises(UsageError, match="mesh node --owner NAME"):
        with_ids(Wishes(private_layers=1), VIEW, asked=asked)
