from collections.abc import Callable

import numpy as np
import pytest

from mesh.errors import MeshError
from mesh.model import read_model
from mesh.model.initialisers import operators_that_set
from mesh.model.table import make_table
from mesh.testing.model_builder import ModelBuilder


def _handle(builder: ModelBuilder, name: str) -> int:
    made = builder.tensor(f"{name}/handle", (), "resource")
    builder.operator("VAR_HANDLE", [], [made], make_table("VarHandleOptions", shared_name=name))
    return made


def _set(builder: ModelBuilder, name: str, value: float) -> None:
    content = builder.constant(f"{name}/value", np.full((1, 4), value, np.float32))
    builder.operator("ASSIGN_VARIABLE", [_handle(builder, name), content], [])


def _two_totals(first: Callable[[ModelBuilder], None], *, calls: int = 1, to: int = 1) -> bytes:
    """Two running totals, one after the other; `first` fills the subgraph that CALL_ONCE runs."""
    builder = ModelBuilder()
    first(builder.subgraph())
    for _ in range(calls):
        options = make_table("CallOnceOptions", init_subgraph_index=to)
        builder.operator("CALL_ONCE", [], [], options)
    x = y = builder.tensor("x", (1, 4))
    for name in ("a", "b"):
        handle = _handle(builder, name)
        before, total = builder.tensor(f"{name}/before", (1, 4)), builder.tensor(name, (1, 4))
        builder.operator("READ_VARIABLE", [handle], [before])
        builder.operator("ADD", [before, y], [total], make_table("AddOptions"))
        builder.operator("ASSIGN_VARIABLE", [handle, total], [])
        y = total
    return builder.build({"x": x}, {"y": y})


def _both(builder: ModelBuilder) -> None:
    _set(builder, "a", 1.0)
    _set(builder, "b", 2.0)


def test_what_sets_a_handle_is_found_with_all_it_needs() -> None:
    (initialiser,) = read_model(_two_totals(_both)).initialisers

    needed = operators_that_set(initialiser, frozenset({"variable 'b'"}))

    assert [operator.name for operator in needed] == ["VAR_HANDLE", "ASSIGN_VARIABLE"]
    assert {operator.index for operator in needed} == {2, 3}
    assert operators_that_set(initialiser, frozenset({"variable 'q'"})) == ()


def _nothing(_: ModelBuilder) -> None:
    """An empty subgraph."""


def _call_again(builder: ModelBuilder) -> None:
    builder.operator("CALL_ONCE", [], [], make_table("CallOnceOptions", init_subgraph_index=1))


def _branch(builder: ModelBuilder) -> None:
    builder.operator("IF", [], [])


def _without_content(builder: ModelBuilder) -> None:
    empty = builder.tensor("empty", (1, 4))
    builder.operator("ASSIGN_VARIABLE", [_handle(builder, "a"), empty], [])


def _of_another(builder: ModelBuilder) -> None:
    """The first value of "a" is that of "b"."""
    _set(builder, "b", 2.0)
    value = builder.tensor("value", (1, 4))
    builder.operator("READ_VARIABLE", [_handle(builder, "b")], [value])
    builder.operator("ASSIGN_VARIABLE", [_handle(builder, "a"), value], [])


def _of_chance(builder: ModelBuilder) -> None:
    shape = builder.constant("shape", np.array([1, 4], np.int32))
    value = builder.tensor("value", (1, 4))
    builder.operator("RANDOM_UNIFORM", [shape], [value], make_table("RandomOptions"))
    for name in ("a", "b"):
        builder.operator("ASSIGN_VARIABLE", [_handle(builder, name), value], [])


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (_two_totals(_nothing, to=0), "runs subgraph 0, which does not exist"),
        (_two_totals(_nothing, to=2), "runs subgraph 2, which does not exist"),
        (_two_totals(_both, calls=2), "run one subgraph"),
        (_two_totals(_call_again), "runs a subgraph that runs another"),
        (_two_totals(_branch), r"\(IF\) runs other subgraphs"),
        (_two_totals(_without_content), "'empty' has 0 bytes of 16"),
        (_two_totals(_of_another), "sets hidden state from what READ_VARIABLE gives"),
        (_two_totals(_of_chance), r"\(RANDOM_UNIFORM\) draws random numbers"),
    ],
)
def test_initialisers_that_a_slice_cannot_carry_are_refused(file: bytes, message: str) -> None:
    with pytest.raises(MeshError, match=message):
        read_model(file)
