import pytest

from mesh.fleet.view import NodeView, View
from mesh.ids import NodeId
from mesh.node.thread_share import ThreadShare
from mesh.testing.documents import sample_advert

ME, A, B, C = (NodeId(letter * 16) for letter in "0abc")


def a_view(**hosts: str) -> View:
    """Nodes by the first letter of their id, with the machine that each runs on."""
    return {
        NodeId(letter * 16): NodeView(
            advert=sample_advert(NodeId(letter * 16), name=letter, host_id=host)
        )
        for letter, host in ((name.removeprefix("n"), host) for name, host in hosts.items())
    }


SHARED = a_view(n0="here", a="here", b="elsewhere", c="here")


@pytest.mark.parametrize(
    ("present", "most"),
    [([], 4), ([B], 4), ([A], 2), ([A, B], 2), ([A, B, C], 1), ([NodeId("f" * 16)], 4)],
)
def test_the_nodes_of_a_machine_share_its_cores(present: list[NodeId], most: int) -> None:
    share = ThreadShare(configured=0, cores=4)
    share.see(SHARED, present, ME)
    assert share.most == most
    assert share.is_exceeded_by(most + 1)
    assert not share.is_exceeded_by(most)


def test_a_node_that_leaves_gives_no_threads_back() -> None:
    share = ThreadShare(configured=0, cores=4)
    share.see(SHARED, [A], ME)
    share.see(SHARED, [], ME)
    assert share.most == 2


@pytest.mark.parametrize("view", [{}, {ME: NodeView()}, a_view(n0="", a="")])
def test_a_machine_that_is_not_known_is_this_nodes_own(view: View) -> None:
    share = ThreadShare(configured=0, cores=4)
    share.see(view, [A], ME)
    assert (share.most, share.unmeasured) == (4, 1)


def test_a_configured_number_is_kept_to() -> None:
    share = ThreadShare(configured=3, cores=4)
    share.see(SHARED, [A, C], ME)
    assert (share.most, share.unmeasured) == (3, 3)
