"""What only the fake can do; what it shares with mDNS is tests/fleet/test_discovery.py."""

from mesh.fleet.discovery import Announcement
from mesh.ids import BootId, NodeId
from mesh.testing.discovery import MemorySegment
from mesh.testing.recorder import Recorder

ONE = Announcement(
    node_id=NodeId("1" * 16),
    boot_id=BootId("1" * 8),
    name="one",
    mesh_name="default",
    broker_url="mqtt://one:1883",
)


def test_a_node_that_left_is_not_reported_to_late_browsers() -> None:
    segment = MemorySegment()
    leaving, late = segment.discovery(), segment.discovery()
    leaving.announce(ONE)
    leaving.close()
    heard = Recorder[Announcement]()
    late.browse(heard)
    assert heard.events == []


def test_a_node_that_vanished_still_is() -> None:
    segment = MemorySegment()
    vanishing, late = segment.discovery(), segment.discovery()
    vanishing.announce(ONE)
    vanishing.vanish()
    heard = Recorder[Announcement]()
    late.browse(heard)
    assert heard.events == [ONE]


def test_saying_the_same_again_is_no_news() -> None:
    segment = MemorySegment()
    one = segment.discovery()
    heard = Recorder[Announcement]()
    one.browse(heard)
    one.announce(ONE)
    one.announce(ONE)
    assert heard.events == [ONE]


def test_a_closed_one_neither_speaks_nor_hears() -> None:
    segment = MemorySegment()
    closed, other = segment.discovery(), segment.discovery()
    heard, witness = Recorder[Announcement](), Recorder[Announcement]()
    closed.browse(heard)
    other.browse(witness)
    closed.close()
    closed.announce(ONE)
    assert (heard.events, witness.events) == ([], [])
