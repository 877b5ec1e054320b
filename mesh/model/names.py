"""Finds what clients call a model's inputs and outputs: the signature's names, else the tensors'."""

from collections import Counter
from collections.abc import Sequence

from mesh.model.model import Tensor
from mesh.model.parts import clean
from mesh.model.table import Table


def client_names(
    root: Table, tensors: Sequence[Tensor], inputs: Sequence[int], outputs: Sequence[int]
) -> tuple[dict[int, str], dict[int, str]]:
    """Names of the inputs and of the outputs by tensor index, each distinct among its side.

    The signature counts only when exactly one covers all inputs and outputs.
    """
    sides = (set(inputs), set(outputs))
    pairs = [
        (_names(signature, "inputs"), _names(signature, "outputs"))
        for signature in root.tables("signature_defs")
        if signature.integer("subgraph_index") == 0
    ]
    covering = [pair for pair in pairs if pair[0].keys() == sides[0] and pair[1].keys() == sides[1]]
    if len(covering) == 1:
        named = covering[0]
    else:
        named = ({i: tensors[i].name for i in inputs}, {i: tensors[i].name for i in outputs})
    return _distinct(named[0]), _distinct(named[1])


def _names(signature: Table, side: str) -> dict[int, str]:
    return {
        entry.integer("tensor_index"): clean(entry.text("name")) for entry in signature.tables(side)
    }


def _distinct(names: dict[int, str]) -> dict[int, str]:
    """Empty names and names given twice get the tensor's index."""
    counts = Counter(names.values())
    distinct = {
        index: name if name and counts[name] == 1 else f"{name or 'tensor'}_{index}"
        for index, name in names.items()
    }
    if len(set(distinct.values())) < len(distinct):
        return {index: f"tensor_{index}" for index in names}
    return distinct
