"""Finds what clients call a model's inputs and outputs: a signature's names, else the tensors'."""

from collections import Counter
from collections.abc import Sequence

from mesh.model.model import Tensor
from mesh.model.parts import clean
from mesh.model.table import Table

MAX_NAME_CHARS = 240
"""Names travel in manifests, which take 256 characters; a number may be appended."""
_DEFAULT_KEY = "serving_default"  # what TensorFlow calls a model's main signature


def client_names(
    root: Table, tensors: Sequence[Tensor], inputs: Sequence[int], outputs: Sequence[int]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the inputs and of the outputs in their order, each distinct among its side.

    They are those of a signature that covers all inputs and outputs: "serving_default" where there
    are several, else the file's first. Without one, tensors bear their own names.
    """
    for signature in sorted(root.tables("signature_defs"), key=_rank):
        named = (_names(signature, "inputs"), _names(signature, "outputs"))
        if signature.integer("subgraph_index") == 0 and _covers(named, inputs, outputs):
            return _in_order(inputs, named[0]), _in_order(outputs, named[1])
    return (
        _distinct(inputs, [tensors[index].name for index in inputs]),
        _distinct(outputs, [tensors[index].name for index in outputs]),
    )


def _rank(signature: Table) -> bool:
    return signature.text("signature_key") != _DEFAULT_KEY


def _covers(
    named: tuple[dict[int, list[str]], dict[int, list[str]]],
    inputs: Sequence[int],
    outputs: Sequence[int],
) -> bool:
    return named[0].keys() == set(inputs) and named[1].keys() == set(outputs)


def _names(signature: Table, side: str) -> dict[int, list[str]]:
    """The names of each tensor; one that is an output twice has two."""
    names: dict[int, list[str]] = {}
    for entry in signature.tables(side):
        names.setdefault(entry.integer("tensor_index"), []).append(clean(entry.text("name")))
    return names


def _in_order(indices: Sequence[int], names: dict[int, list[str]]) -> tuple[str, ...]:
    waiting = {index: list(given) for index, given in names.items()}
    return _distinct(
        indices,
        [waiting[i].pop(0) if len(waiting[i]) > 1 else waiting[i][0] for i in indices],
    )


def _distinct(indices: Sequence[int], names: Sequence[str]) -> tuple[str, ...]:
    """Long names are cut; empty names and names given twice get the tensor's index."""
    short = [name[:MAX_NAME_CHARS] for name in names]
    counts = Counter(short)
    distinct = tuple(
        name if name and counts[name] == 1 else f"{name or 'tensor'}_{index}"
        for index, name in zip(indices, short, strict=True)
    )
    if len(set(distinct)) == len(distinct):
        return distinct
    # The same tensor twice, or names that look like numbered ones.
    repeated = len(set(indices)) < len(indices)
    return tuple(
        f"tensor_{index}_{at}" if repeated else f"tensor_{index}"
        for at, index in enumerate(indices)
    )
