from dataclasses import replace
from typing import Any

import pytest

from mesh.device.board_list import read_boards
from mesh.device.profile_files import load_profiles
from mesh.errors import UsageError
from mesh.fleet.what_if import (
    GIGABIT_BYTES_PER_S,
    MQTT_SHARE,
    OUTSIDE,
    Supposition,
    Wire,
    rate_range,
    supposed,
)
from mesh.ids import NodeId
from mesh.model import read_model
from mesh.planning import evaluate, solve
from mesh.planning.pieces import Pieces, pieces_of
from mesh.testing.models import residual_cnn

PROFILES = load_profiles()
MIB = 1 << 20


@pytest.fixture(scope="module")
def pieces() -> Pieces:
    return pieces_of(read_model(residual_cnn("float32")), max_boundary_bytes=1 << 20)


def question(pieces: Pieces, *words: str, **wire: Any) -> Supposition:
    return supposed(read_boards(words, PROFILES), pieces, PROFILES, wire=Wire(**wire))


def test_boards_become_nodes(pieces: Pieces) -> None:
    problem = question(pieces, "pi4:2", "pi5@8gb").problem
    slow, _, fast = problem.nodes
    assert [node.node_id for node in problem.nodes] == ["pi4-1", "pi4-2", "pi5-1"]
    assert problem.layers == len(pieces)
    assert sum(slow.times_s) > 2 * sum(fast.times_s)
    assert (slow.threads, slow.host_cores) == (4, 4)
    assert slow.memory_bytes == (1024 - 256) * MIB  # its smallest size, less what is reserved
    assert fast.memory_bytes == (8192 - 256) * MIB
    assert slow.message_cpu_s > fast.message_cpu_s > 0


def test_who_asks_stands_outside(pieces: Pieces) -> None:
    problem = question(pieces, "pi4:2").problem
    assert problem.gateway == OUTSIDE
    ends = {OUTSIDE, *(node.node_id for node in problem.nodes)}
    assert set(problem.links) == {(a, b) for a in ends for b in ends if a != b}


def test_links_are_what_was_said_less_what_messages_cost(pieces: Pieces) -> None:
    problem = question(pieces, "pi5:2", goodput_bytes_per_s=1e6, latency_s=0.01).problem
    link = problem.links[NodeId("pi5-1"), NodeId("pi5-2")]
    assert link.goodput_bytes_per_s == pytest.approx(MQTT_SHARE * 1e6, rel=0.01)
    assert 0.01 < link.message_s < 0.011


def test_a_port_holds_a_link_back(pieces: Pieces) -> None:
    told = question(pieces, "pi5", "pi3b+", "zero2w")
    assert told.problem.links[NodeId("pi5-1"), OUTSIDE].goodput_bytes_per_s > 5e7
    assert told.problem.links[NodeId("pi5-1"), NodeId("pi3b+-1")].goodput_bytes_per_s < 37.5e6
    assert told.problem.links[NodeId("pi3b+-1"), NodeId("zero2w-1")].goodput_bytes_per_s < 4.4e6
    assert "pi3b+'s port carries 300 Mbit/s" in told.notes
    assert any("zero2w's Wi-Fi, its only port" in note for note in told.notes)
    assert not any("take turns" in note for note in told.notes)
    assert any("take turns on the air" in note for note in question(pieces, "zero2w:2").notes)


def test_what_is_supposed_is_said(pieces: Pieces) -> None:
    notes = question(pieces, "pi4:2", "pi5", "x86").notes
    assert any(note.startswith("times of pi4 and pi5 are") for note in notes)
    assert all("×0.5 to ×2" in note for note in notes if note.startswith("times of"))
    assert any("pi4 1 GiB and pi5 2 GiB" in note for note in notes)
    assert any("x86 is supposed to have 4 GiB" in note for note in notes)
    assert any("links carry 940 Mbit/s" in note for note in notes)


def test_the_same_boards_make_the_same_question(pieces: Pieces) -> None:
    assert question(pieces, "pi4", "pi5") == question(pieces, "pi4", "pi5")


def test_a_plan_lies_within_its_range(pieces: Pieces) -> None:
    told = question(pieces, "pi4:2", "zero2w")
    solution = solve(told.problem)
    least, most = rate_range(told, solution)
    assert least < solution.requests_per_s < most
    assert most / least > 2


def test_the_range_is_of_the_plan_itself(pieces: Pieces) -> None:
    told = question(pieces, "pi4")
    solution = solve(told.problem)
    plan = [(stage.node_ids, stage.layers) for stage in solution.stages]
    least, most = rate_range(told, solution)
    assert least == evaluate(told.slow, plan).requests_per_s
    assert most == evaluate(told.fast, plan).requests_per_s


def test_a_board_of_which_nothing_is_known(pieces: Pieces) -> None:
    with pytest.raises(UsageError, match="nothing is known of the speed of 64-bit ARM computer"):
        question(pieces, "arm64")


def test_what_a_profile_says_of_messages_counts(pieces: Pieces) -> None:
    (board,) = read_boards(["pi5"], PROFILES)
    network = replace(board.profile.network, message_cpu_s=0.5, byte_cpu_s=0.25)
    known = replace(board, profile=replace(board.profile, network=network))
    (node,) = supposed([known], pieces, PROFILES, wire=Wire()).problem.nodes
    assert (node.message_cpu_s, node.byte_cpu_s) == (0.5, 0.25)


def test_gigabit_is_what_people_measure() -> None:
    assert GIGABIT_BYTES_PER_S * 8 == 940e6
