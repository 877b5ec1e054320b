import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.model.model import Operator
from mesh.model.schema import OPERATOR_NAMES
from mesh.runtime.operator_versions import EVERY_VERSION, MAX_VERSION, OperatorVersions

KNOWN = OperatorVersions({"ADD": (1, 5), "CONV_2D": (1, 7), "BROADCAST_TO": (2, 3)})


def an_operator(name: str, version: int) -> Operator:
    return Operator(index=0, name=name, version=version, inputs=(0,), outputs=(1,))


@pytest.mark.parametrize(
    ("name", "version", "known"),
    [
        ("ADD", 1, True),
        ("ADD", 5, True),
        ("ADD", 6, False),
        ("BROADCAST_TO", 1, False),
        ("BROADCAST_TO", 2, True),
        ("GATHER_ND", 1, False),
        ("CUSTOM", 1, False),
    ],
)
def test_a_version_is_known_within_its_operators_range(
    name: str, version: int, *, known: bool
) -> None:
    assert KNOWN.knows(an_operator(name, version)) is known


def test_what_is_missing_is_named_once_and_in_order() -> None:
    operators = [an_operator("GATHER_ND", 5), an_operator("ADD", 6), an_operator("GATHER_ND", 5)]
    assert KNOWN.lacking(operators) == "ADD version 6, GATHER_ND version 5"
    assert KNOWN.lacking([an_operator("ADD", 2)]) == ""
    many = [an_operator("ADD", version) for version in range(6, 20)]
    assert KNOWN.lacking(many).endswith(" and 11 more")


def test_the_latest_versions_stand_at_the_operators_numbers() -> None:
    latest = KNOWN.latest()
    assert (latest[0], latest[3], latest[OPERATOR_NAMES.index("BROADCAST_TO")]) == (5, 7, 3)
    assert latest[1] == 0
    assert latest[-1] != 0
    assert OperatorVersions({}).latest() == ()


@given(st.sampled_from(OPERATOR_NAMES), st.integers(1, MAX_VERSION))
def test_a_runtime_that_refuses_nothing(name: str, version: int) -> None:
    assert EVERY_VERSION.knows(an_operator(name, version))


@pytest.mark.parametrize("known", [{"NO_SUCH": (1, 1)}, {"ADD": (0, 1)}, {"ADD": (3, 2)}])
def test_it_checks_itself(known: dict[str, tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="has no versions"):
        OperatorVersions(known)
