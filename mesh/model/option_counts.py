"""Checks the options that say how many tensors an operator takes or gives: kernels trust them.

With a SPLIT whose option says more pieces than it has outputs, both runtimes write beyond the end
of its list of outputs.
"""

from collections.abc import Iterable, Mapping, Sequence

from mesh.errors import InvalidModelError
from mesh.model.model import Operator
from mesh.model.table import Table

_COUNTED: Mapping[str, tuple[str, str]] = {
    "PACK": ("values_count", "inputs"),
    "SPLIT": ("num_splits", "outputs"),
    "SPLIT_V": ("num_splits", "outputs"),
    "UNPACK": ("num", "outputs"),
}
"""By operator: the field of its options (schema.fbs) and what that counts."""


def check_option_counts(operators: Iterable[Operator], tables: Sequence[Table]) -> None:
    """`tables` are the operators' own. Raises: InvalidModelError where a count is not the number."""
    for operator, table in zip(operators, tables, strict=True):
        if operator.name in _COUNTED:
            field, side = _COUNTED[operator.name]
            _check(operator, table, field, side)


def _check(operator: Operator, table: Table, field: str, side: str) -> None:
    options = table.table("builtin_options")
    # Options of another operator lack the field: the kernel reads whatever lies in its place.
    said = options.integer(field) if options is not None else 0
    there = len(operator.inputs if side == "inputs" else operator.outputs)
    if said != there:
        raise InvalidModelError(
            f"operator {operator.index} ({operator.name}) has {there} {side} where its option "
            f"{field} says {said}"
        )
