"""What every discovery holds to: the fake and mDNS on the loopback interface; and `gather`."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from mesh.fleet.discovery import Announcement, Discovery, gather
from mesh.fleet.mdns import MdnsDiscovery
from mesh.ids import BootId, NodeId
from mesh.testing.discovery import MemorySegment
from mesh.testing.recorder import Recorder

Make = Callable[[], Discovery]


def announcement(number: int, *, mesh_name: str = "default", boot: int = 1) -> Announcement:
    return Announcement(
        node_id=NodeId(f"{number:016x}"),
        boot_id=BootId(f"{boot:08x}"),
        name=f"board {number}",
        mesh_name=mesh_name,
        broker_url=f"mqtt://127.0.0.1:{18830 + number}",
    )


@pytest.fixture(params=["memory", pytest.param("mdns", marks=pytest.mark.real)])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Make adapters of one network segment, closed when the test ends."""
    segment = MemorySegment()
    made: list[Discovery] = []

    def one() -> Discovery:
        if request.param == "memory":
            made.append(segment.discovery())
        else:
            made.append(MdnsDiscovery(interfaces=("127.0.0.1",)))
        return made[-1]

    yield one
    for discovery in made:
        discovery.close()


def browse(discovery: Discovery) -> Recorder[Announcement]:
    """What is heard of this test's nodes: others may run on the machine and are heard, too."""
    heard = Recorder[Announcement]()

    def hear(found: Announcement) -> None:
        if found.node_id.startswith("0" * 8):
            heard(found)

    discovery.browse(hear)
    return heard


def test_nodes_hear_each_other_and_themselves(make: Make) -> None:
    one, other = make(), make()
    heard = browse(one), browse(other)
    one.announce(announcement(1))
    other.announce(announcement(2))
    for recorder in heard:
        found = recorder.wait_for(Announcement, 2)
        assert sorted(found, key=lambda a: a.node_id) == [announcement(1), announcement(2)]


def test_a_late_browser_hears_of_earlier_nodes(make: Make) -> None:
    early = make()
    witness = browse(early)
    early.announce(announcement(1))
    witness.wait_for(Announcement)
    assert browse(make()).wait_for(Announcement) == [announcement(1)]


def test_a_restarted_node_is_reported_with_its_new_boot_id(make: Make) -> None:
    heard = browse(make())
    first = make()
    first.announce(announcement(1))
    heard.wait_for(Announcement)
    first.close()
    make().announce(announcement(1, boot=2))
    assert heard.wait_for(Announcement, 2) == [announcement(1), announcement(1, boot=2)]


def test_a_changed_announcement_is_reported(make: Make) -> None:
    heard = browse(make())
    changing = make()
    changing.announce(announcement(1))
    heard.wait_for(Announcement)
    moved = replace(announcement(1), broker_url="mqtt://192.0.2.7:1883", name="renamed")
    changing.announce(moved)
    assert heard.wait_for(Announcement, 2)[1] == moved


def test_closing_twice_is_harmless(make: Make) -> None:
    discovery = make()
    discovery.announce(announcement(1))
    discovery.close()
    discovery.close()


def test_gather_returns_the_nodes_of_one_mesh(make: Make) -> None:
    heard = browse(make())
    for number, mesh_name in ((3, "default"), (2, "default"), (1, "other")):
        make().announce(announcement(number, mesh_name=mesh_name))
    heard.wait_for(Announcement, 3)
    found = gather(make(), mesh_name="default", timeout_s=10)
    assert found == [announcement(2), announcement(3)]


def test_gather_gives_up_at_its_timeout(make: Make) -> None:
    assert gather(make(), mesh_name="default", timeout_s=0.01) == []


def test_gather_keeps_a_nodes_newest_word() -> None:
    class Restarting:
        """A node that restarts while somebody gathers."""

        def announce(self, announcement: Announcement) -> None: ...
        def close(self) -> None: ...
        def browse(self, on_found: Callable[[Announcement], None]) -> None:
            for boot in (1, 2):
                on_found(announcement(1, boot=boot))

    found = gather(Restarting(), mesh_name="default", timeout_s=1, settle_s=0.01)
    assert found == [announcement(1, boot=2)]
