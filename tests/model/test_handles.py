from dataclasses import replace
from typing import Any

import pytest

from mesh.errors import MeshError
from mesh.model.handles import Handles, check_kinds, find_handles
from mesh.model.model import Operator, Tensor
from mesh.model.table import Table, make_table

_TYPES = ["FLOAT32", "FLOAT32", "RESOURCE", "RESOURCE", "FLOAT32"]
_TENSORS = tuple(
    Tensor(index=i, name=f"t{i}", type_name=name, data_type=None, shape=(), size_bytes=4, buffer=0)
    for i, name in enumerate(_TYPES)
)
_VARIABLE = 4

Step = tuple[str, tuple[int, ...], tuple[int, ...], Table]


def _var_handle(made: int, name: str = "total", container: str = "") -> Step:
    options = make_table("VarHandleOptions", container=container, shared_name=name)
    return "VAR_HANDLE", (), (made,), make_table("Operator", builtin_options=options)


def _step(name: str, inputs: tuple[int, ...], outputs: tuple[int, ...], **fields: Any) -> Step:
    return name, inputs, outputs, make_table("Operator", **fields)


def _find(*steps: Step) -> Handles:
    operators = [
        Operator(index=at, name=name, version=1, inputs=inputs, outputs=outputs)
        for at, (name, inputs, outputs, _) in enumerate(steps)
    ]
    tables = [make_table("Tensor", is_variable=(i == _VARIABLE) or None) for i in range(5)]
    return find_handles(operators, [step[3] for step in steps], _TENSORS, tables)


def test_users_of_a_handle_bear_its_name_and_makers_none() -> None:
    found = _find(
        _var_handle(2),
        _step("READ_VARIABLE", (2,), (0,)),
        _step("RELU", (0,), (1,)),
        _step("ASSIGN_VARIABLE", (2, 1), ()),
    )

    assert found == {1: frozenset({"variable 'total'"}), 3: frozenset({"variable 'total'"})}


def test_handles_of_one_name_are_one() -> None:
    found = _find(
        _var_handle(2),
        _var_handle(3),
        _step("READ_VARIABLE", (2,), (0,)),
        _step("ASSIGN_VARIABLE", (3, 0), ()),
    )

    assert found[2] == found[3]


def test_containers_and_names_tell_handles_apart() -> None:
    found = _find(
        _var_handle(2, container="a"),
        _var_handle(3, container="b"),
        _step("READ_VARIABLE", (2,), (0,)),
        _step("READ_VARIABLE", (3,), (1,)),
    )

    assert found[2] != found[3]


def test_a_table_is_told_by_its_number() -> None:
    options = make_table("HashtableOptions", table_id=7)
    found = _find(
        ("HASHTABLE", (), (2,), make_table("Operator", builtin_options=options)),
        _step("HASHTABLE_SIZE", (2,), (0,)),
    )

    assert found == {1: frozenset({"table 7"})}


def test_readers_of_a_variable_tensor_share_it() -> None:
    found = _find(
        _step("SVDF", (0, _VARIABLE), (1,), mutating_variable_inputs=[False, True]),
    )

    assert found == {0: frozenset({"variable 't4' (tensor 4)"})}


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([_step("READ_VARIABLE", (0,), (1,))], r"0 \(READ_VARIABLE\) has no handle"),
        ([_step("READ_VARIABLE", (2,), (1,))], "has no handle as its first input"),
        ([_step("ASSIGN_VARIABLE", (), ())], "has no handle"),
        ([_var_handle(2), _step("RELU", (2,), (1,))], "passes on the handle 't2'"),
        ([_var_handle(2), _step("ASSIGN_VARIABLE", (2, 2), ())], "passes on the handle"),
        ([_step("RELU", (0,), (3,))], "passes on the handle 't3'"),
        ([_var_handle(0)], "makes something other than a handle"),
        ([_step("VAR_HANDLE", (), (2,))], "does not say its handle"),
        (
            [_step("SVDF", (0, 1), (4,), mutating_variable_inputs=[False, True])],
            "'t1', which is no",
        ),
    ],
)
def test_handles_of_unknown_origin_or_use_are_refused(steps: list[Step], message: str) -> None:
    with pytest.raises(MeshError, match=message):
        _find(*steps)


def _uses(*shapes: tuple[int, ...]) -> list[tuple[list[Operator], list[Tensor], Handles]]:
    """A variable that is read in the first shape, and written in the others by a subgraph each."""
    names = ("READ_VARIABLE", *(["ASSIGN_VARIABLE"] * (len(shapes) - 1)))
    return [
        (
            [Operator(index=0, name=name, version=1, inputs=(2, 0), outputs=(0,))],
            [replace(_TENSORS[0], shape=shape)],
            {0: frozenset({"variable 'v'"})},
        )
        for name, shape in zip(names, shapes, strict=True)
    ]


def test_a_variable_has_one_shape() -> None:
    check_kinds(_uses((1, 16), (1, 16), (1, 16)))


@pytest.mark.parametrize("shapes", [((1, 16), (1, 1)), ((1, 16), (1, 16), (16,))])
def test_a_variable_of_two_shapes_is_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(MeshError, match=r"\(ASSIGN_VARIABLE\) uses variable 'v' as FLOAT32 \["):
        check_kinds(_uses(*shapes))
