import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.model import Limits, read_model
from mesh.model.decoder import decode
from mesh.model.encoder import encode, encode_pieces
from mesh.model.schema import FIELDS, TABLES, UNION_MEMBERS, Field, Kind
from mesh.model.table import Table, make_table
from mesh.testing.models import CnnDataType, residual_cnn, tiny_dense

generated = pytest.importorskip("ai_edge_litert.schema_py_generated")

_NUMBERS = {
    "b": st.integers(-(2**7), 2**7 - 1),
    "B": st.integers(0, 2**8 - 1),
    "H": st.integers(0, 2**16 - 1),
    "i": st.integers(-(2**31), 2**31 - 1),
    "I": st.integers(0, 2**32 - 1),
    "q": st.integers(-(2**63), 2**63 - 1),
    "Q": st.integers(0, 2**64 - 1),
    "f": st.floats(width=32, allow_nan=False),
    "?": st.booleans(),
}


def _values(field: Field) -> st.SearchStrategy[Any]:
    if field.kind is Kind.SCALAR:
        return _NUMBERS[field.code]
    if field.kind is Kind.SCALARS:
        return st.lists(_NUMBERS[field.code], max_size=5)
    if field.kind is Kind.STRING:
        return st.text(max_size=8)
    return (
        st.lists(_tables(field.item), max_size=2)
        if field.kind is Kind.TABLES
        else _tables(field.item)
    )


def _tables(name: str) -> st.SearchStrategy[Table]:
    fields = FIELDS[name].values()
    tags = {f"{field.name}_type" for field in fields if field.kind is Kind.UNION}
    plain = {
        field.name: _values(field)
        for field in fields
        if field.kind is not Kind.UNION and field.name not in tags
    }
    return st.fixed_dictionaries({}, optional=plain).map(lambda values: make_table(name, **values))


_OPTIONS = [
    member for union in ("BuiltinOptions", "BuiltinOptions2") for member in UNION_MEMBERS[union]
]


def _operator_with(options: Table) -> Table:
    """A Model whose one operator has these options."""
    for field in ("builtin_options", "builtin_options_2"):
        members = UNION_MEMBERS[FIELDS["Operator"][field].item]
        if options.name in members:
            tag: dict[str, Any] = {f"{field}_type": members.index(options.name) + 1, field: options}
            operator = make_table("Operator", **tag)
            return make_table("Model", subgraphs=[make_table("SubGraph", operators=[operator])])
    raise AssertionError(options.name)


@given(_tables("Model"))
def test_any_model_table_reads_back_as_it_was(model: Table) -> None:
    assert decode(memoryview(encode(model)), Limits()) == model


@given(st.sampled_from(_OPTIONS).flatmap(_tables))
def test_options_of_every_operator_read_back_as_they_were(options: Table) -> None:
    model = _operator_with(options)

    assert decode(memoryview(encode(model)), Limits()) == model


@pytest.mark.parametrize("name", [name for name in _OPTIONS if TABLES[name]])
def test_options_are_what_the_generated_schema_reads(name: str) -> None:
    fields = {field.name: _sample(field) for field in FIELDS[name].values()}
    file = encode(_operator_with(make_table(name, **fields)))

    operator = generated.ModelT.InitFromPackedBuf(file).subgraphs[0].operators[0]
    options = operator.builtinOptions or operator.builtinOptions2

    assert type(options).__name__ == f"{name}T"
    found = [_plain(value) for value in vars(options).values()]
    withdrawn = {"ResizeBilinearOptions": 2}.get(name, 0)
    assert found == [_plain(value) for value in list(fields.values())[withdrawn:]]


def _sample(field: Field) -> Any:
    number = {"?": True, "f": 1.5}.get(field.code, 3)
    return (
        "text"
        if field.kind is Kind.STRING
        else [number] * 2
        if field.kind is Kind.SCALARS
        else number
    )


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return list(value) if hasattr(value, "__len__") and not isinstance(value, str) else value


@pytest.mark.parametrize("data_type", ["float32", "int8", "fp16"])
def test_the_generated_schema_finds_every_weight_aligned(data_type: CnnDataType) -> None:
    file = residual_cnn(data_type)
    model = generated.Model.GetRootAs(file, 0)

    starts = [model.Buffers(i)._tab.Vector(4) for i in range(1, model.BuffersLength())]

    assert starts
    assert all(start % 16 == 0 for start in starts)
    assert generated.Model.ModelBufferHasIdentifier(file, 0)


def test_pieces_hold_the_weights_uncopied() -> None:
    file = tiny_dense()
    pieces = encode_pieces(decode(memoryview(file), Limits()))

    views = [piece for piece in pieces if isinstance(piece, memoryview)]
    assert views
    assert all(view.obj is file for view in views)
    assert decode(memoryview(b"".join(pieces)), Limits()) == decode(memoryview(file), Limits())


def test_tables_of_one_kind_share_their_field_list() -> None:
    one = len(encode(make_table("Model", buffers=[make_table("Buffer")] * 10)))
    two = len(encode(make_table("Model", buffers=[make_table("Buffer")] * 11)))

    assert two - one == 8  # an offset in the vector and an empty table


def test_wide_scalars_are_aligned() -> None:
    file = encode(make_table("Model", buffers=[make_table("Buffer", offset=2**40 + 5, size=1)]))

    assert file.index(struct.pack("<Q", 2**40 + 5)) % 8 == 0


def test_a_value_of_the_wrong_type_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="description"):
        encode(Table("Model", {"description": 3.5}))


def test_weights_that_do_not_fit_lie_beside_the_flatbuffer(
    run_model: Callable[[bytes, list[Any]], list[Any]],
) -> None:
    root = decode(memoryview(tiny_dense()), Limits())

    beside = b"".join(encode_pieces(root, max_weights_bytes=100))

    buffers = decode(memoryview(beside), Limits()).tables("buffers")
    assert all("data" not in table.values for table in buffers)
    found, known = (
        [bytes(content or b"") for content in read_model(file).buffers]
        for file in (beside, tiny_dense())
    )
    assert found == known
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(1, 8)
    assert np.array_equal(run_model(beside, [x]), run_model(tiny_dense(), [x]))
