from dataclasses import replace
from pathlib import Path

import pytest

from mesh.config import Config
from mesh.device.board import Board
from mesh.device.profile import recognise
from mesh.device.profile_files import load_profiles
from mesh.fleet.lease import Lease
from mesh.ids import BootId, NodeId
from mesh.node.introduction import Doing, Introduction
from mesh.runtime.operator_versions import OperatorVersions
from mesh.testing.runtime import FakeRuntime
from mesh.wire import codec
from mesh.wire.documents import Activity, Advert, Heartbeat, NodeState

ME, BOOT = NodeId("0" * 16), BootId("0" * 8)
RUNTIME = FakeRuntime(versions=OperatorVersions({"ADD": (1, 5), "CONV_2D": (1, 8)}))
KIB = 1024
AVAILABLE_KIB = 4 << 20
IDLE = Doing(state=NodeState.READY, lease=Lease(term=3, holder=ME), activities=(), gateway=())


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """A machine of 8 GiB, half of them free."""
    for name, text in (
        ("proc/meminfo", f"MemTotal: {8 << 20} kB\nMemAvailable: {AVAILABLE_KIB} kB\n"),
        ("proc/loadavg", "0.50 0.40 0.30 1/100 1234\n"),
        ("proc/sys/kernel/random/boot_id", "one\n"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Board(tmp_path, machine="x86_64", allowed_cores=4)


def introduce(board: Board, config: Config) -> Introduction:
    facts = board.facts()
    return Introduction(
        config,
        board,
        recognise(facts, load_profiles()),
        facts,
        node_id=ME,
        boot_id=BOOT,
        threads=2,
    )


def advert(board: Board, config: Config) -> Advert:
    introduction = introduce(board, config)
    return introduction.advert(
        broker_url=introduction.broker_url("mqtt://127.0.0.1:18831"),
        broker_kind="memory",
        http_port=8080,
        runtime=RUNTIME,
    )


def test_a_node_is_reached_where_it_says(board: Board) -> None:
    told = advert(board, Config(advertise="192.0.2.7"))
    assert told.broker_url == "mqtt://192.0.2.7:18831"
    assert told.http_url == "http://192.0.2.7:8080"


def test_the_runtime_says_what_it_knows(board: Board) -> None:
    told = advert(board, Config())
    assert (told.runtime, told.runtime_version, told.kernel_class) == ("fake", "1", "fake-1/none")
    assert told.operator_versions == (5, 0, 0, 8)


def test_an_address_of_ipv6_stands_in_brackets(board: Board) -> None:
    told = advert(board, Config(bind="::1"))
    assert told.broker_url == "mqtt://[::1]:18831"
    assert told.http_url == "http://[::1]:8080"


def test_an_existing_broker_is_advertised_as_it_is(board: Board) -> None:
    config = Config(broker="mqtt://broker.lan:1883", advertise="192.0.2.7")
    introduction = introduce(board, config)
    assert introduction.broker_url("mqtt://broker.lan:1883") == "mqtt://broker.lan:1883"
    assert advert(board, config).http_url == "http://192.0.2.7:8080"


def test_what_the_board_is_and_can_do(board: Board) -> None:
    told = advert(board, Config(bind="127.0.0.1", name="pi", mesh_name="home"))
    assert (told.node_id, told.boot_id, told.name, told.mesh_name) == (ME, BOOT, "pi", "home")
    assert (told.board, told.host_cores, told.threads) == ("generic-x86-64", 4, 2)
    assert (told.runtime, told.kernel_class) == ("fake", "fake-1/none")
    assert 0 < told.memory_bytes < AVAILABLE_KIB * KIB


def test_the_memory_is_what_was_configured(board: Board) -> None:
    assert advert(board, Config(bind="127.0.0.1", memory_bytes=123)).memory_bytes == 123


def test_each_heartbeat_is_the_next(board: Board) -> None:
    introduction = introduce(board, Config())
    activity = Activity(kind="fetching", model_name="tiny", done=1, total=2)
    first = introduction.heartbeat(IDLE)
    second = introduction.heartbeat(
        Doing(state=NodeState.STOPPED, lease=Lease(), activities=(activity,), gateway=())
    )
    assert (first.sequence, second.sequence) == (1, 2)
    assert (first.lease_term, first.lease_holder) == (3, ME)
    assert (first.load_1min, first.memory_available_bytes) == (0.5, AVAILABLE_KIB * KIB)
    assert (second.state, second.activities) == (NodeState.STOPPED, (activity,))


def test_interpreters_without_a_filter_are_a_warning(board: Board) -> None:
    introduction = introduce(board, Config())
    assert introduction.heartbeat(IDLE).warnings == ()
    beat = introduction.heartbeat(replace(IDLE, unfiltered="seccomp: " + "x" * 5000))
    (warning,) = beat.warnings
    assert warning.startswith("interpreters run without a filter of system calls (seccomp: xx")
    assert "add only models that you trust" in warning
    assert codec.decode(Heartbeat, codec.encode(beat), max_bytes=4096) == beat


def test_the_will_is_of_this_life(board: Board) -> None:
    will = introduce(board, Config()).will()
    assert (will.state, will.boot_id, will.sequence) == (NodeState.LOST, BOOT, 0)
