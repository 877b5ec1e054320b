"""Changes what a .tflite file says while it stays a sound flatbuffer: shapes, indices, options.

Such mutants pass the decoder and reach the semantic checks and the interpreters. Each mutator
takes (the root table, another model's root, a source of chance) and says what it did.
"""

import random
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence

from mesh.model.schema import (
    FIELDS,
    OPERATOR_NAMES,
    TENSOR_TYPE_NAMES,
    UNION_MEMBERS,
    Field,
    Kind,
)
from mesh.model.table import Table, Value, make_table

Path = tuple[tuple[str, int], ...]
"""From the root: (field, index in it), with index -1 for a field that holds one table."""
Changed = tuple[Table, str]
TableMutator = Callable[[Table, Table, random.Random], Changed]

_SIZES = (0, 1, -1, 2, 3, 7, 255, 4096, 65_536, 1 << 20, 1 << 30, (1 << 31) - 1, -(1 << 31), -2)
_INTEGERS = (0, 1, -1, 2, 3, 5, 7, 16, 77, 99, 127, -128, 1000, 1 << 15, 1 << 20, (1 << 31) - 1)
_FLOATS = (0.0, -1.0, 1.0, 1e-38, 1e38, 1e-45, float("inf"), float("-inf"), float("nan"))


def walk(root: Table, path: Path = ()) -> Iterator[tuple[Path, Table]]:
    """Every table of the file with the way to it."""
    yield path, root
    for name, value in root.values.items():
        if isinstance(value, Table):
            yield from walk(value, (*path, (name, -1)))
        elif isinstance(value, tuple):
            for index, table in enumerate(value):
                yield from walk(table, (*path, (name, index)))


def changed_at(root: Table, path: Path, new: Table) -> Table:
    """The root with the table at the path exchanged."""
    if not path:
        return new
    (name, index), rest = path[0], path[1:]
    if index < 0:
        inner = root.table(name)
        return root if inner is None else root.replace(**{name: changed_at(inner, rest, new)})
    tables = root.tables(name)
    exchanged = changed_at(tables[index], rest, new)
    return root.replace(**{name: (*tables[:index], exchanged, *tables[index + 1 :])})


def _pick(root: Table, name: str, chance: random.Random) -> tuple[Path, Table]:
    found = [entry for entry in walk(root) if entry[1].name == name]
    return chance.choice(found) if found else ((), root)


def _set(root: Table, path: Path, table: Table, **fields: Value | Sequence[float]) -> Table:
    values = make_table(table.name, **fields).values
    return changed_at(root, path, table.replace(**values))


def change_shape(root: Table, _donor: Table, chance: random.Random) -> Changed:
    path, tensor = _pick(root, "Tensor", chance)
    shape = list(tensor.integers("shape"))
    what = chance.randrange(6)
    if what <= 2 and shape:
        shape[chance.randrange(len(shape))] = chance.choice(_SIZES)
    elif what == 3 and shape:
        shape.pop(chance.randrange(len(shape)))
    elif what == 4:
        shape.insert(chance.randrange(len(shape) + 1), chance.choice((1, 1, 2, 0)))
    else:
        shape = [chance.choice((1, 2, 65_536))] * chance.choice((0, 1, 8, 9, 20))
    field = "shape_signature" if chance.random() < 0.1 else "shape"
    return (
        _set(root, path, tensor, **{field: shape}),
        f"{field} of {tensor.text('name')!r} set to {shape}",
    )


def change_type(root: Table, _donor: Table, chance: random.Random) -> Changed:
    path, tensor = _pick(root, "Tensor", chance)
    number = chance.choice((*range(len(TENSOR_TYPE_NAMES)), -1, 77))
    name = TENSOR_TYPE_NAMES[number] if 0 <= number < len(TENSOR_TYPE_NAMES) else number
    return (
        _set(root, path, tensor, type=number),
        f"type of {tensor.text('name')!r} set to {name}",
    )


def change_buffer(root: Table, _donor: Table, chance: random.Random) -> Changed:
    path, tensor = _pick(root, "Tensor", chance)
    count = len(root.tables("buffers"))
    buffer = chance.choice((0, chance.randrange(count), chance.randrange(count), count, 0xFFFFFFFF))
    return (
        _set(root, path, tensor, buffer=buffer),
        f"buffer of {tensor.text('name')!r} set to {buffer}",
    )


def change_content(root: Table, _donor: Table, chance: random.Random) -> Changed:
    """Small constants hold shapes, axes and paddings: hostile numbers, or another length."""
    buffers = root.tables("buffers")
    filled = [at for at, buffer in enumerate(buffers) if len(buffer.raw("data"))]
    small = [at for at in filled if len(buffers[at].raw("data")) <= 64]
    at = chance.choice(small if small and chance.random() < 0.8 else filled)
    content = bytearray(buffers[at].raw("data"))
    what = chance.randrange(4)
    if what == 0:
        content = content[: chance.randrange(len(content))]
    elif what == 1:
        content += bytes(chance.choice((1, 4, 64)))
    elif len(content) >= 4:
        value = chance.choice(_SIZES)
        struct.pack_into("<i", content, chance.randrange(len(content) // 4) * 4, value)
    else:
        content[0] = 0xFF
    path = (("buffers", at),)
    return (
        _set(root, path, buffers[at], data=bytes(content)),
        f"buffer {at} set to {len(content)} bytes {bytes(content[:16]).hex()}…",
    )


def change_operands(root: Table, _donor: Table, chance: random.Random) -> Changed:
    """Inputs or outputs of an operator: one index changed, dropped, added, or all in other order."""
    path, operator = _pick(root, "Operator", chance)
    field = chance.choice(("inputs", "inputs", "inputs", "outputs", "intermediates"))
    tensors = len(root.tables("subgraphs")[0].tables("tensors"))
    indices = _other_indices(list(operator.integers(field)), tensors, chance)
    return (
        _set(root, path, operator, **{field: indices}),
        f"{field} of {_name(root, operator)} set to {indices}",
    )


def change_ends(root: Table, _donor: Table, chance: random.Random) -> Changed:
    path, subgraph = _pick(root, "SubGraph", chance)
    field = chance.choice(("inputs", "outputs"))
    indices = _other_indices(
        list(subgraph.integers(field)), len(subgraph.tables("tensors")), chance
    )
    return _set(root, path, subgraph, **{field: indices}), f"the model's {field} set to {indices}"


def _other_indices(indices: list[int], tensors: int, chance: random.Random) -> list[int]:
    hostile = (-1, -2, tensors, (1 << 31) - 1, -(1 << 31))
    any_index = chance.choice((*[chance.randrange(tensors) for _ in range(8)], *hostile))
    what = chance.randrange(6)
    if what <= 1 and indices:
        indices[chance.randrange(len(indices))] = any_index
    elif what == 2 and indices:
        indices.pop(chance.randrange(len(indices)))
    elif what == 3:
        indices.insert(chance.randrange(len(indices) + 1), any_index)
    elif what == 4:
        chance.shuffle(indices)
    else:
        indices = chance.choice(([], indices * 2, [any_index] * chance.choice((1, 4, 40))))
    return indices


def change_quantization(root: Table, _donor: Table, chance: random.Random) -> Changed:
    path, tensor = _pick(root, "Tensor", chance)
    old = tensor.table("quantization") or make_table("QuantizationParameters")
    scale, zero_point = list(old.integers("scale")), list(old.integers("zero_point"))
    count = chance.choice((0, 1, 2, 3, 8, 16, 1000))
    new = chance.choice(
        (
            {"scale": [0.01] * count},
            {"zero_point": [0] * count},
            {"scale": [0.01] * count, "zero_point": [0] * count},
            {"scale": [chance.choice(_FLOATS)] * max(1, len(scale))},
            {"zero_point": [chance.choice((-129, 128, 1 << 40, -(1 << 63)))] * len(zero_point)},
            {"quantized_dimension": chance.choice((-1, 1, 2, 3, 4, 99, (1 << 31) - 1))},
            {"scale": [0.01] * count, "zero_point": [0] * count, "quantized_dimension": 3},
        )
    )
    quantization = old.replace(**make_table("QuantizationParameters", **new).values)
    said = {key: str(value)[:40] for key, value in new.items()}
    return (
        changed_at(root, path, tensor.replace(quantization=quantization)),
        f"quantization of {tensor.text('name')!r} changed: {said}",
    )


def change_option(root: Table, _donor: Table, chance: random.Random) -> Changed:
    """One field of an operator's options: stride 0, axis 99, an activation that there is not."""
    found = [
        (path, table)
        for path, table in walk(root)
        if path and path[-1][0].startswith("builtin_options") and FIELDS[table.name]
    ]
    if not found:
        return change_version(root, _donor, chance)
    path, options = chance.choice(found)
    name = chance.choice(list(FIELDS[options.name]))
    return _with_hostile_field(root, path, options, name, chance)


def change_option_table(root: Table, donor: Table, chance: random.Random) -> Changed:
    """An operator's options removed, or those of another operator."""
    path, operator = _pick(root, "Operator", chance)
    name = _name(root, operator)
    others = [t for t in (*_operators(root), *_operators(donor)) if "builtin_options" in t.values]
    if chance.random() < 0.4 or not others:
        bare = operator.replace(builtin_options=None, builtin_options_type=None)
        return changed_at(root, path, bare), f"options of {name} removed"
    other = chance.choice(others)
    fields = {f: other.values[f] for f in ("builtin_options_type", "builtin_options")}
    options = other.table("builtin_options")
    return (
        changed_at(root, path, operator.replace(**fields)),
        f"options of {name} set to {options.name if options else None}",
    )


def change_version(root: Table, _donor: Table, chance: random.Random) -> Changed:
    path, code = _pick(root, "OperatorCode", chance)
    version = chance.choice((0, -1, *range(1, 14), 99, (1 << 31) - 1))
    return _set(root, path, code, version=version), f"version of {_title(code)} set to {version}"


def change_operator(root: Table, _donor: Table, chance: random.Random) -> Changed:
    """One operator, or all of its kind, become another builtin operator."""
    number = chance.randrange(len(OPERATOR_NAMES))
    new = make_table(
        "OperatorCode",
        deprecated_builtin_code=min(number, 127),
        builtin_code=number,
        version=chance.choice((1, 1, 2, 3)),
    )
    if chance.random() < 0.3:
        path, old = _pick(root, "OperatorCode", chance)
        return changed_at(root, path, new), f"every {_title(old)} becomes {_title(new)}"
    path, operator = _pick(root, "Operator", chance)
    codes = root.tables("operator_codes")
    swapped = _set(root, path, operator, opcode_index=len(codes))
    return (
        swapped.replace(operator_codes=(*codes, new)),
        f"a {_name(root, operator)} becomes {_title(new)}",
    )


def exchange_operators(root: Table, _donor: Table, chance: random.Random) -> Changed:
    """An operator of another's kind, in another place, twice, or not at all."""
    subgraph = root.tables("subgraphs")[0]
    operators = list(subgraph.tables("operators"))
    first, second = (chance.randrange(len(operators)) for _ in range(2))
    said = f"{_name(root, operators[first])} and {_name(root, operators[second])}"
    what = chance.randrange(4)
    if what == 0:
        code = operators[second].integer("opcode_index")
        operators[first] = operators[first].replace(opcode_index=code)
    elif what == 1:
        operators[first], operators[second] = operators[second], operators[first]
    elif what == 2:
        operators.insert(first, operators[second])
    else:
        del operators[first]
    kinds = ("given one kind", "exchanged", "doubled", "the first removed")
    new = subgraph.replace(operators=tuple(operators))
    return changed_at(root, (("subgraphs", 0),), new), f"{said}: {kinds[what]}"


def change_any_field(root: Table, _donor: Table, chance: random.Random) -> Changed:
    """Any field of any table, also one that was absent, gets a hostile value or goes."""
    path, table = chance.choice(list(walk(root)))
    fields = FIELDS[table.name]
    if not fields:
        return change_version(root, _donor, chance)
    name = chance.choice(list(fields))
    if name in table.values and chance.random() < 0.3 and not name.endswith("_type"):
        return changed_at(root, path, table.replace(**{name: None})), f"{table.name}.{name} removed"
    return _with_hostile_field(root, path, table, name, chance)


def copy_table(root: Table, donor: Table, chance: random.Random) -> Changed:
    """A table's fields from a table of the same kind elsewhere, here or in another model."""
    path, table = chance.choice(list(walk(root)))
    alike = [
        other
        for source in (root, donor)
        for _, other in walk(source)
        if other.name == table.name and other.values
    ]
    if not alike or not path:
        return change_any_field(root, donor, chance)
    other = chance.choice(alike)
    name = chance.choice(list(other.values))
    if name.endswith("_type") or f"{name}_type" in other.values:
        return changed_at(root, path, other), f"a {table.name} replaced by another"
    return (
        changed_at(root, path, table.replace(**{name: other.values[name]})),
        f"{table.name}.{name} copied from another {table.name}",
    )


def _with_hostile_field(
    root: Table, path: Path, table: Table, name: str, chance: random.Random
) -> Changed:
    field = FIELDS[table.name][name]
    value = _hostile(table, name, field, chance)
    if value is None:
        return root, f"{table.name}.{name} left as it is"
    said = bytes(value).hex()[:40] if isinstance(value, memoryview) else str(value)[:40]
    return (
        changed_at(root, path, table.replace(**{name: value})),
        f"{table.name}.{name} set to {said}",
    )


def _hostile(table: Table, name: str, field: Field, chance: random.Random) -> Value | None:
    """A value of the field's kind that is hardly right; None where there is none to think of."""
    if field.kind is Kind.SCALAR:
        return _hostile_scalar(field.code, chance)
    if field.kind is Kind.STRING:
        return chance.choice((b"", b"\xff\xfe", b"\0", b"x" * 5000, "\u202e".encode()))
    if field.kind is Kind.SCALARS:
        old = bytes(table.raw(name))
        items = [_hostile_scalar(field.code, chance) for _ in range(chance.choice((0, 1, 4, 64)))]
        hostile = struct.pack(f"<{len(items)}{field.code}", *items)
        cut = old[: chance.randrange(len(old) // field.width_bytes + 1) * field.width_bytes]
        return memoryview(chance.choice((hostile, cut, old + hostile, old + old)))
    if field.kind is Kind.TABLES:
        tables = table.tables(name)
        return chance.choice(((), tables[1:], tables + tables, tables[::-1]))
    if field.kind is Kind.TABLE:
        return make_table(field.item)
    tag = table.values.get(f"{name}_type", 0)
    return make_table(UNION_MEMBERS[field.item][tag - 1]) if isinstance(tag, int) and tag else None


def _hostile_scalar(code: str, chance: random.Random) -> bool | int | float:
    if code == "f":
        return chance.choice(_FLOATS)
    if code == "?":
        return chance.random() < 0.5
    bits = 8 * struct.calcsize(code)
    low, high = (0, 1 << bits) if code.isupper() else (-(1 << bits - 1), 1 << bits - 1)
    value = chance.choice((*_INTEGERS, low, high - 1))
    return min(max(value, low), high - 1)


def _operators(root: Table) -> tuple[Table, ...]:
    subgraphs = root.tables("subgraphs")
    return subgraphs[0].tables("operators") if subgraphs else ()


def _name(root: Table, operator: Table) -> str:
    codes = root.tables("operator_codes")
    index = operator.integer("opcode_index")
    return _title(codes[index]) if index < len(codes) else "an unknown operator"


def _title(code: Table) -> str:
    number = max(code.integer("deprecated_builtin_code"), code.integer("builtin_code"))
    return OPERATOR_NAMES[number] if 0 <= number < len(OPERATOR_NAMES) else str(number)


TABLE_MUTATORS: Mapping[str, TableMutator] = {
    "shapes": change_shape,
    "types": change_type,
    "buffers": change_buffer,
    "contents": change_content,
    "operands": change_operands,
    "ends": change_ends,
    "quantization": change_quantization,
    "options": change_option,
    "option tables": change_option_table,
    "versions": change_version,
    "operators": change_operator,
    "operator order": exchange_operators,
    "any field": change_any_field,
    "table copies": copy_table,
}
