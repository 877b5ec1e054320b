import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.ids import NodeId
from mesh.planning.problem import Objective
from mesh.planning.wishes import MAX_NAMED, MAX_STAGES, Wishes

A, B, C = (NodeId(letter * 16) for letter in "abc")

some_nodes = st.lists(st.sampled_from([A, B, C]), unique=True)


@st.composite
def some_wishes(draw: st.DrawFn) -> Wishes:
    must = draw(some_nodes)
    return Wishes(
        min_stages=draw(st.integers(1, 4)),
        max_replicas=draw(st.none() | st.integers(1, 4)),
        objective=draw(st.sampled_from(Objective)),
        latency_bound_s=draw(st.none() | st.floats(0.001, 10)),
        must=tuple(must),
        never=tuple(one for one in draw(some_nodes) if one not in must),
        private_layers=draw(st.integers(0, 3)),
        owner=draw(st.sampled_from(["", "ann", "bob"])),
    )


def test_nothing_is_asked_for_by_default() -> None:
    wishes = Wishes()
    assert wishes.min_stages == 1
    assert wishes.bound_s == math.inf
    assert Wishes(latency_bound_s=0.05).bound_s == 0.05


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"min_stages": 0}, "min_stages"),
        ({"min_stages": MAX_STAGES + 1}, "min_stages"),
        ({"max_replicas": 0}, "max_replicas"),
        ({"latency_bound_s": 0.0}, "latency_bound_s"),
        ({"latency_bound_s": math.nan}, "latency_bound_s"),
        ({"latency_bound_s": math.inf}, "latency_bound_s"),
        ({"private_layers": -1}, "private_layers"),
        ({"must": (A, A)}, "each once"),
        ({"never": ("",)}, "name of 1 to"),
        ({"never": ("x" * 65,)}, "name of 1 to"),
        ({"must": ("a\x1b[2J",)}, "name of 1 to"),
        ({"must": tuple(str(i) for i in range(MAX_NAMED + 1))}, f"at most {MAX_NAMED}"),
        ({"must": (A, B), "never": (B,)}, "choose one"),
        ({"owner": "x" * 65}, "owner"),
        ({"owner": "a\n"}, "owner"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Wishes(**fields)


def test_two_names_of_one_file_get_the_stricter_of_each() -> None:
    one = Wishes(min_stages=2, max_replicas=3, latency_bound_s=0.2, must=(A,), never=(C,))
    other = Wishes(min_stages=3, latency_bound_s=0.1, must=(B, C), private_layers=4, owner="ann")
    assert one.together_with(other) == Wishes(
        min_stages=3,
        max_replicas=3,
        latency_bound_s=0.1,
        must=(A, B),
        never=(C,),
        private_layers=4,
        owner="ann",
    )


def test_layers_that_are_private_to_two_owners_belong_to_nobody() -> None:
    ann, bob = (Wishes(private_layers=1, owner=owner) for owner in ("ann", "bob"))
    assert ann.together_with(ann).owner == "ann"
    assert ann.together_with(bob).owner == bob.together_with(ann).owner == ""


@given(one=some_wishes(), other=some_wishes())
def test_both_wishes_are_kept_but_for_what_clashes(one: Wishes, other: Wishes) -> None:
    both = one.together_with(other)
    for each in (one, other):
        assert both.min_stages >= each.min_stages
        assert both.bound_s <= each.bound_s
        assert both.private_layers >= each.private_layers
        assert both.owner in ("", each.owner) or not each.private_layers
    assert {*one.must} <= {*both.must}
    assert {*one.never} <= {*both.never}
    assert one.together_with(one).bound_s == one.together_with(Wishes()).bound_s == one.bound_s
