"""Checks unpacked weights: they have the shape of the packed ones, and are not given out.

Delegates take both for granted. XNNPACK reads the constant behind a DEQUANTIZE in the shape of its
output, beyond the constant's end where that is larger.
"""

from collections.abc import Collection, Iterable, Sequence

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model.model import Operator, Tensor

_UNPACKING = frozenset({"DENSIFY", "DEQUANTIZE"})


def check_unpacking(operators: Iterable[Operator], tensors: Sequence[Tensor]) -> None:
    """Raises: InvalidModelError naming a tensor that is unpacked into another shape."""
    for operator in operators:
        if operator.name not in _UNPACKING:
            continue
        packed, unpacked = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
        if packed.shape != unpacked.shape:
            raise InvalidModelError(
                f"operator {operator.index} ({operator.name}) unpacks {packed.name!r} of shape "
                f"{list(packed.shape)} into shape {list(unpacked.shape)}"
            )


def check_not_given_out(
    copied: Iterable[Operator], tensors: Sequence[Tensor], outputs: Collection[int]
) -> None:
    """`outputs` are the graph's. Raises: UnsupportedModelError naming unpacked weights among them.

    XNNPACK unpacks weights for its own use, and leaves the tensor as the memory was: LiteRT 2.3 and
    tflite-runtime 2.14 give out other numbers each time.
    """
    for operator in copied:
        if operator.name in _UNPACKING and any(tensor in outputs for tensor in operator.outputs):
            raise UnsupportedModelError(
                f"the output {tensors[operator.outputs[0]].name!r} is constant weights, which "
                f"operator {operator.index} ({operator.name}) unpacks and runtimes do not give out; "
                "convert the model without this output"
            )
