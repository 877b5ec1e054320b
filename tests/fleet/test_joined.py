from dataclasses import replace

import pytest

from mesh.device.board_list import read_boards
from mesh.device.load import Load
from mesh.device.profile import find_profile
from mesh.device.profile_files import load_profiles
from mesh.device.reference import reference_of
from mesh.errors import UsageError
from mesh.fleet.joined import SAME_BOARD_FACTOR, joined
from mesh.fleet.what_if import Supposition, rate_range
from mesh.ids import NodeId
from mesh.planning import PlanLink, PlanNode, Problem, solve

PROFILES = load_profiles()
LOADS: tuple[Load, ...] = (
    {("CONV_2D", "float32"): 1e7},
    {("DEPTHWISE_CONV_2D", "float32"): 1e6, ("ADD", "float32"): 1e6},
)
PI4, PI5, X86 = "raspberry-pi-4b", "raspberry-pi-5", "generic-x86-64"
A, B = NodeId("aa"), NodeId("bb")


def node(node_id: NodeId, *layer_s: float | None) -> PlanNode:
    return PlanNode(
        node_id=node_id,
        name=f"my-{node_id}",
        layer_s=layer_s,
        stage_s=1e-3,
        memory_bytes=1e9,
        threads=2,
        host_cores=4,
        message_cpu_s=1e-4,
        byte_cpu_s=1e-9,
    )


def live(*nodes: PlanNode, goodputs: tuple[float, ...] = (1e7, 3e7)) -> Problem:
    pairs = [(one.node_id, other.node_id) for one in nodes for other in nodes if one != other]
    return Problem(
        nodes=nodes,
        layer_memory_bytes=(1.0, 1.0),
        boundary_bytes=(10, 10, 10),
        links={
            pair: PlanLink(goodput_bytes_per_s=goodput, message_s=1e-3)
            for pair, goodput in zip(pairs, goodputs, strict=False)
        },
        gateway=nodes[0].node_id,
    )


def add(problem: Problem, *words: str, **profiles: str) -> Supposition:
    live_profiles = {NodeId(node_id): name for node_id, name in profiles.items()}
    boards = read_boards(words, PROFILES)
    return joined(problem, boards, LOADS, PROFILES, live_profiles=live_profiles)


def test_the_same_board_takes_the_same_time() -> None:
    told = add(live(node(A, 0.1, 0.2), node(B, 0.3, 0.4)), "pi4:2", aa=PI4, bb=PI5)
    *_, first, second = told.problem.nodes
    assert (first.node_id, second.node_id) == ("+pi4-1", "+pi4-2")
    assert first.layer_s == second.layer_s == (0.1, 0.2)
    assert (first.threads, first.stage_s, first.message_cpu_s) == (2, 1e-3, 1e-4)
    assert told.notes[0].startswith("times of pi4 are those that my-aa measured, the same kind")


def test_another_board_goes_by_the_ratio_of_references() -> None:
    (*_, added) = add(live(node(A, 0.1, 0.2)), "pi5", aa=PI4).problem.nodes
    slow, fast = (reference_of(find_profile(name, PROFILES), PROFILES) for name in (PI4, PI5))
    expected = [
        measured_s * fast.seconds(load) / slow.seconds(load)
        for measured_s, load in zip((0.1, 0.2), LOADS, strict=True)
    ]
    assert added.layer_s == pytest.approx(expected)
    assert added.stage_s < 1e-3
    assert added.message_cpu_s < 1e-4


def test_of_several_nodes_the_median_counts() -> None:
    problem = live(node(A, 0.1, 0.2), node(B, 0.3, None), node(NodeId("cc"), 0.5, 0.4))
    (*_, added) = add(problem, "pi4", aa=PI4, bb=PI4, cc=PI4).problem.nodes
    assert added.layer_s == pytest.approx((0.3, 0.3))


def test_what_no_node_can_run_the_board_cannot_either() -> None:
    unable = replace(node(A, 0.1, None), unable="litert 1 lacks RANK")
    (*_, added) = add(live(unable), "pi4", aa=PI4).problem.nodes
    assert added.layer_s == (0.1, None)
    assert added.unable == "litert 1 lacks RANK"


def test_links_are_the_median_of_the_live_ones() -> None:
    told = add(live(node(A, 0.1, 0.2), node(B, 0.3, 0.4)), "pi4", aa=PI4)
    new = {pair: link for pair, link in told.problem.links.items() if "+pi4-1" in pair}
    assert set(new) == {("+pi4-1", A), (A, "+pi4-1"), ("+pi4-1", B), (B, "+pi4-1")}
    assert {link.goodput_bytes_per_s for link in new.values()} == {2e7}
    assert told.problem.links[A, B].goodput_bytes_per_s == 1e7


def test_a_slow_port_holds_its_links_back() -> None:
    problem = live(node(A, 0.1, 0.2), node(B, 0.3, 0.4), goodputs=(1e8, 1e8))
    told = add(problem, "zero2w", "pi4", aa=PI4)
    assert told.problem.links[A, NodeId("+zero2w-1")].goodput_bytes_per_s < 5e6
    assert told.problem.links[NodeId("+pi4-1"), NodeId("+zero2w-1")].goodput_bytes_per_s < 5e6
    assert told.problem.links[A, NodeId("+pi4-1")].goodput_bytes_per_s > 9e7


def test_a_lone_node_has_no_links_to_go_by() -> None:
    told = add(live(node(A, 0.1, 0.2)), "pi4", aa=PI4)
    assert (A, NodeId("+pi4-1")) in told.problem.links
    assert told.notes[-1].startswith("no link between two machines is measured here")


def test_links_within_one_machine_say_nothing_of_others() -> None:
    one, other = (replace(node(each, 0.1, 0.2), host_id="box") for each in (A, B))
    told = add(live(one, other, goodputs=(4e9, 4e9)), "pi4", aa=PI4)
    assert told.problem.links[A, NodeId("+pi4-1")].goodput_bytes_per_s < 1.2e8


def test_without_any_reference_among_the_live_the_boards_own_counts() -> None:
    told = add(live(node(A, 0.1, 0.2)), "pi5", aa="generic-arm64")
    expected = reference_of(find_profile(PI5, PROFILES), PROFILES)
    assert told.problem.nodes[-1].layer_s == tuple(expected.seconds(load) for load in LOADS)


def test_a_board_of_which_nothing_is_known_can_be_like_a_live_one() -> None:
    told = add(live(node(A, 0.1, 0.2)), "arm64", aa="generic-arm64")
    assert told.problem.nodes[-1].layer_s == (0.1, 0.2)
    with pytest.raises(UsageError, match="nothing is known"):
        add(live(node(A, 0.1, 0.2)), "arm64", aa=PI4)


def test_ratios_are_surer_than_references() -> None:
    slow, fast = (
        add(live(node(A, 0.1, 0.2)), "pi5", aa=name).slow.nodes[-1].times_s for name in (PI4, X86)
    )
    base = [
        add(live(node(A, 0.1, 0.2)), "pi5", aa=name).problem.nodes[-1].times_s
        for name in (PI4, X86)
    ]
    assert slow[0] / base[0][0] == pytest.approx(2**0.5)  # both of one source
    assert fast[0] / base[1][0] == pytest.approx(2)


def test_only_what_is_supposed_is_uncertain() -> None:
    told = add(live(node(A, 0.1, 0.2)), "pi4", aa=PI4)
    assert told.slow.nodes[0] == told.fast.nodes[0] == told.problem.nodes[0]
    assert told.slow.nodes[1].layer_s == pytest.approx((0.115, 0.23))
    least, most = rate_range(told, solve(told.problem))
    assert 1 < most / least <= SAME_BOARD_FACTOR**2


def test_the_live_nodes_and_wishes_stay() -> None:
    problem = replace(live(node(A, 0.1, 0.2)), max_replicas=1, required=frozenset({A}))
    told = add(problem, "pi4", aa=PI4)
    assert told.problem.nodes[:1] == problem.nodes
    assert (told.problem.max_replicas, told.problem.required) == (1, frozenset({A}))
