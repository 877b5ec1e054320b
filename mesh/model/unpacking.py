"""Checks that unpacked weights have the shape of the packed ones: delegates take it for granted.

XNNPACK reads the constant behind a DEQUANTIZE in the shape of its output, beyond the constant's end
where that is larger; both must be what the file says they are.
"""

from collections.abc import Iterable, Sequence

from mesh.errors import InvalidModelError
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
