"""Reads what CALL_ONCE operators run before the first request: subgraphs that set hidden state."""

from collections.abc import Sequence

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model.handles import find_handles
from mesh.model.model import Initialiser, Operator
from mesh.model.operators import HANDLE_READERS
from mesh.model.parts import Budget, read_operators, read_tensors
from mesh.model.placement import check_order
from mesh.model.support import check_computed, check_constants, check_operators, check_tensors
from mesh.model.table import Table

CALL_ONCE = "CALL_ONCE"


def read_initialisers(
    root: Table,
    operators: Sequence[Operator],
    buffers: Sequence[memoryview | None],
    budget: Budget,
) -> tuple[Initialiser, ...]:
    """Raises: InvalidModelError, UnsupportedModelError where a slice could not carry one."""
    callers = {_subgraph_number(root, op): op for op in operators if op.name == CALL_ONCE}
    if len(callers) < sum(op.name == CALL_ONCE for op in operators):
        raise UnsupportedModelError(
            "two operators (CALL_ONCE) of the model run one subgraph; convert the model anew"
        )
    return tuple(
        _initialiser(root, caller, number, buffers, budget) for number, caller in callers.items()
    )


def _initialiser(
    root: Table,
    caller: Operator,
    number: int,
    buffers: Sequence[memoryview | None],
    budget: Budget,
) -> Initialiser:
    subgraph = root.tables("subgraphs")[number]
    if caller.inputs or caller.outputs or subgraph.raw("inputs") or subgraph.raw("outputs"):
        raise InvalidModelError(f"operator {caller.index} (CALL_ONCE) takes or gives tensors")
    tensors = read_tensors(subgraph, buffers, budget.limits, budget)
    operators = read_operators(root, subgraph, len(tensors), budget)
    tables = subgraph.tables("tensors")
    check_operators(operators, subgraph.tables("operators"))
    if any(operator.name == CALL_ONCE for operator in operators):
        raise UnsupportedModelError(
            f"operator {caller.index} (CALL_ONCE) runs a subgraph that runs another; convert the "
            "model so that one subgraph sets all variables"
        )
    varying = next((op for op in operators if op.name in HANDLE_READERS), None)
    if varying is not None:
        raise UnsupportedModelError(
            f"operator {caller.index} (CALL_ONCE) sets hidden state from what {varying.name} gives; "
            "convert the model so that variables begin with constants"
        )
    check_order(operators, tensors, ())
    made = {tensor for operator in operators for tensor in operator.outputs}
    constants = sorted({tensor for operator in operators for tensor in operator.reads} - made)
    check_tensors([tensors[index] for index in sorted(made.union(constants))], tables)
    check_computed([tensors[index] for index in sorted(made)], tables, buffers)
    check_constants([tensors[index] for index in constants], tables, buffers)
    handles = find_handles(operators, subgraph.tables("operators"), tensors, tables)
    return Initialiser(
        caller=caller,
        subgraph=number,
        tensors=tensors,
        operators=operators,
        handles=handles,
    )


def _subgraph_number(root: Table, caller: Operator) -> int:
    subgraphs = root.tables("subgraphs")
    options = subgraphs[0].tables("operators")[caller.index].table("builtin_options")
    number = -1
    if options is not None and options.name == "CallOnceOptions":
        number = options.integer("init_subgraph_index")
    if not 0 < number < len(subgraphs):
        raise InvalidModelError(
            f"operator {caller.index} (CALL_ONCE) runs subgraph {number}, which does not exist"
        )
    return number


def operators_that_set(initialiser: Initialiser, handles: frozenset[str]) -> tuple[Operator, ...]:
    """Those of its operators that are needed to set these handles, in order."""
    wanted: set[int] = set()
    needed = []
    for operator in reversed(initialiser.operators):
        sets = initialiser.handles.get(operator.index, frozenset())
        if not handles.isdisjoint(sets) or not wanted.isdisjoint(operator.outputs):
            wanted.update(operator.reads)
            needed.append(operator)
    return tuple(needed[::-1])
