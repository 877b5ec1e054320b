"""The mDNS adapter on the loopback interface: other processes, hostile services, no network."""

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from time import monotonic

import pytest
from zeroconf import ServiceInfo, Zeroconf

from mesh.fleet.discovery import SERVICE_TYPE, Announcement
from mesh.fleet.mdns import MdnsDiscovery, discover, service_info
from mesh.fleet.txt import encode
from mesh.ids import BootId, NodeId
from mesh.testing.recorder import Recorder

LOOPBACK = ("127.0.0.1",)
ONE = Announcement(
    node_id=NodeId("00000000000000a1"),
    boot_id=BootId("00000001"),
    name="one",
    mesh_name="mdns-test",
    broker_url="mqtt://127.0.0.1:18830",
)
NEIGHBOUR = """
import sys
from mesh.fleet.discovery import Announcement
from mesh.fleet.mdns import MdnsDiscovery
discovery = MdnsDiscovery(interfaces=("127.0.0.1",))
discovery.announce(Announcement(node_id=sys.argv[1], boot_id=sys.argv[2], name="neighbour",
                                mesh_name="mdns-test", broker_url="mqtt://127.0.0.1:18831"))
sys.stdin.read()
discovery.close()
"""


@pytest.fixture
def discovery() -> Iterator[MdnsDiscovery]:
    made = MdnsDiscovery(interfaces=LOOPBACK)
    yield made
    made.close()


@pytest.fixture
def zeroconf() -> Iterator[Zeroconf]:
    """Somebody else's responder."""
    made = Zeroconf(interfaces=list(LOOPBACK))
    yield made
    made.close()


def of_this_test(heard: Recorder[Announcement]) -> Callable[[Announcement], None]:
    """Other meshes may run on this machine, and are heard, too."""
    return lambda found: heard(found) if found.mesh_name == "mdns-test" else None


def neighbour(node_id: str, boot_id: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", NEIGHBOUR, node_id, boot_id], stdin=subprocess.PIPE
    )


@pytest.mark.real
def test_two_processes_share_the_port_and_find_each_other(discovery: MdnsDiscovery) -> None:
    heard = Recorder[Announcement]()
    discovery.browse(of_this_test(heard))
    with neighbour("00000000000000b2", "00000001") as first:
        assert heard.wait_for(Announcement)[0].name == "neighbour"
        first.kill()  # as a board that loses power: no goodbye
    with neighbour("00000000000000b2", "00000002") as again:
        boots = [one.boot_id for one in heard.wait_for(Announcement, 2)]
        assert boots == ["00000001", "00000002"]
        again.communicate(timeout=10)


@pytest.mark.real
def test_discover_finds_what_was_announced(discovery: MdnsDiscovery) -> None:
    discovery.announce(ONE)
    assert discover("mdns-test", timeout_s=10, interfaces=LOOPBACK) == [ONE]


@pytest.mark.real
def test_announcing_does_not_block(discovery: MdnsDiscovery) -> None:
    began_s = monotonic()
    discovery.announce(ONE)
    assert monotonic() - began_s < 0.2


@pytest.mark.real
def test_hostile_services_are_dropped_counted_and_logged_once(
    discovery: MdnsDiscovery, zeroconf: Zeroconf, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Recorder[Announcement]()
    discovery.browse(of_this_test(heard))
    bad = {**encode(ONE), "broker": "mqtt://\x1b[2J"}
    posing = {**encode(ONE), "id": "00000000000000ff"}
    newer = {**encode(ONE), "v": "2"}
    with caplog.at_level(logging.WARNING, "mesh.fleet"):
        for number, properties in enumerate((bad, posing, newer)):
            name = f"00000000000000d{number}.{SERVICE_TYPE}"
            info = ServiceInfo(SERVICE_TYPE, name, port=1, server="x.local.", properties=properties)
            zeroconf.register_service(info, cooperating_responders=True)
        zeroconf.register_service(service_info(ONE), cooperating_responders=True)
        assert heard.wait_for(Announcement) == [ONE]
    assert discovery.dropped == 2, "another version is no offence"
    assert len([r for r in caplog.records if "ignored" in r.message]) == 3
    assert "\x1b" not in caplog.text


# zeroconf leaves a socket to the garbage collector when it cannot open another.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.real
def test_no_usable_interface_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "mesh.fleet"):
        discovery = MdnsDiscovery(interfaces=("192.0.2.250",))
        discovery.announce(ONE)
        discovery.browse(Recorder[Announcement]())
        discovery.close()
    assert len([r for r in caplog.records if "only seeds" in r.message]) == 1


def test_a_host_name_is_announced_without_an_address() -> None:
    named = Announcement(
        node_id=ONE.node_id,
        boot_id=ONE.boot_id,
        name=ONE.name,
        mesh_name=ONE.mesh_name,
        broker_url="mqtt://broker.example:1883",
    )
    assert service_info(named).addresses == []
    assert service_info(ONE).parsed_addresses() == ["127.0.0.1"]
