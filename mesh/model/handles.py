"""Finds which hidden state each operator uses: variable tensors, resource variables, tables."""

from collections.abc import Iterable, Mapping, Sequence

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model.model import Operator, Tensor
from mesh.model.operators import HANDLE_MAKERS, HANDLE_USERS
from mesh.model.parts import clean
from mesh.model.table import Table

Handles = Mapping[int, frozenset[str]]
"""Names of the state that an operator uses, by the operator's index; nothing for most."""

RESOURCE = "RESOURCE"


def find_handles(
    operators: Sequence[Operator],
    operator_tables: Sequence[Table],
    tensors: Sequence[Tensor],
    tensor_tables: Sequence[Table],
) -> Handles:
    """Raises: UnsupportedModelError, InvalidModelError for handles of unknown origin or use."""
    made: dict[int, str] = {}
    found: dict[int, frozenset[str]] = {}
    for operator, table in zip(operators, operator_tables, strict=True):
        if operator.name in HANDLE_MAKERS:
            made |= dict.fromkeys(operator.outputs, _resource_name(operator, table))
            _check_maker(operator, tensors)
            continue
        _check_handles(operator, tensors, made)
        _check_mutated(operator, table, tensors, tensor_tables)
        names = {made[tensor] for tensor in operator.reads if tensor in made}
        names |= {
            f"variable {tensors[tensor].name!r:.120} (tensor {tensor})"
            for tensor in operator.reads
            if tensor_tables[tensor].integer("is_variable")
        }
        if names:
            found[operator.index] = frozenset(names)
    return found


def _resource_name(operator: Operator, table: Table) -> str:
    """What makes two handles the same one: schema.fbs, VarHandleOptions and HashtableOptions."""
    options = table.table("builtin_options")
    if operator.name == "VAR_HANDLE" and options is not None and options.name == "VarHandleOptions":
        parts = (clean(options.text("container")), clean(options.text("shared_name")))
        return f"variable {'/'.join(part for part in parts if part)!r:.160}"
    if operator.name == "HASHTABLE" and options is not None and options.name == "HashtableOptions":
        return f"table {options.integer('table_id')}"
    raise InvalidModelError(f"operator {operator.index} ({operator.name}) does not say its handle")


def _check_maker(operator: Operator, tensors: Sequence[Tensor]) -> None:
    if operator.inputs or any(tensors[i].type_name != RESOURCE for i in operator.outputs):
        raise InvalidModelError(
            f"operator {operator.index} ({operator.name}) makes something other than a handle"
        )


def _check_handles(operator: Operator, tensors: Sequence[Tensor], made: Mapping[int, str]) -> None:
    """Native code follows a handle unchecked: only a handle operator may take one, and made here."""
    takes = operator.name in HANDLE_USERS
    if takes and (not operator.inputs or operator.inputs[0] not in made):
        raise InvalidModelError(
            f"operator {operator.index} ({operator.name}) has no handle as its first input"
        )
    for tensor in (*operator.reads[int(takes) :], *operator.outputs):
        if tensor in made or tensors[tensor].type_name == RESOURCE:
            raise UnsupportedModelError(
                f"operator {operator.index} ({operator.name}) passes on the handle "
                f"{tensors[tensor].name!r}; convert the model so that state is an input and an output"
            )


def _check_mutated(
    operator: Operator,
    table: Table,
    tensors: Sequence[Tensor],
    tensor_tables: Sequence[Table],
) -> None:
    """What an operator says it writes to must be a variable, or it would overwrite an activation."""
    mutates = table.raw("mutating_variable_inputs")
    for tensor, mutated in zip(operator.inputs, mutates, strict=False):
        if mutated and tensor >= 0 and not tensor_tables[tensor].integer("is_variable"):
            raise InvalidModelError(
                f"operator {operator.index} ({operator.name}) writes to its input "
                f"{tensors[tensor].name!r}, which is no variable"
            )


def check_kinds(
    uses: Iterable[tuple[Sequence[Operator], Sequence[Tensor], Handles]],
) -> None:
    """That all that is written to and read from a resource variable has one type and shape.

    `uses` = a subgraph's operators, its tensors and their handles. Where a variable has another shape
    than the tensor it is read into, both runtimes read beyond the smaller one.
    Raises: UnsupportedModelError.
    """
    kinds: dict[str, str] = {}
    for operators, tensors, handles in uses:
        for operator in operators:
            for tensor in _contents(operator):
                kind = f"{tensors[tensor].type_name} {list(tensors[tensor].shape)}"
                for name in sorted(handles.get(operator.index, ())):
                    if kinds.setdefault(name, kind) != kind:
                        raise UnsupportedModelError(
                            f"operator {operator.index} ({operator.name}) uses {name} as {kind}, "
                            f"another as {kinds[name]}; convert the model so that it stays the same"
                        )


def _contents(operator: Operator) -> tuple[int, ...]:
    """The tensors that a variable's content comes from or goes to."""
    match operator.name:
        case "ASSIGN_VARIABLE":
            return operator.inputs[1:2]
        case "READ_VARIABLE":
            return operator.outputs[:1]
    return ()
