"""Says which classes of an answer are the likeliest, by the labels of its model; how they are written, `oip_reply` decides."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mesh.model.tensor import DataType
from mesh.wire.infer import LikelyClass, OutputTensor

MAX_CLASSES = 5
"""Of one output. Five labels of the longest kind take 8 KB of JSON."""
MAX_NAMED_OUTPUTS = 16
"""Of one answer: with these, the header of a binary reply stays below what clients read of it."""


def with_classes(
    outputs: Sequence[OutputTensor], labels: Sequence[str]
) -> tuple[OutputTensor, ...]:
    """The outputs, with the likeliest classes in those that have one value for each label."""
    return tuple(_named(outputs, labels))


def has_classes(shape: Sequence[int], data_type: DataType, labels: int) -> bool:
    """Whether it is a vector of so many numbers (other dimensions 1); one alone says no class."""
    return (
        labels > 1
        and math.prod(shape) == max(shape, default=0) == labels
        and (data_type is not DataType.BOOL)
    )


def likeliest(values: npt.NDArray[Any], count: int) -> list[int]:
    """Places of the largest values of a vector, the largest first, equal ones in their order.

    NaN is no value. Integers are compared as they are: a positive scale would not change the order.
    """
    places = np.flatnonzero(~np.isnan(values))
    found = values[places]
    if found.size > count:  # most need no sorting
        places = places[found >= np.partition(found, -count)[-count]]
        found = values[places]
    falling = np.argsort(found[::-1], kind="stable")[::-1][:count]
    return [int(place) for place in places[::-1][falling]]


def _named(outputs: Sequence[OutputTensor], labels: Sequence[str]) -> Iterator[OutputTensor]:
    room = MAX_NAMED_OUTPUTS
    for output in outputs:
        if room and has_classes(output.shape, output.data_type, len(labels)):
            room -= 1
            yield replace(output, classes=_classes(output, labels))
        else:
            yield output


def _classes(output: OutputTensor, labels: Sequence[str]) -> tuple[LikelyClass, ...]:
    values = np.frombuffer(output.data, output.data_type.numpy_name)
    return tuple(
        LikelyClass(index=i, label=labels[i], value=values[i].item())
        for i in likeliest(values, MAX_CLASSES)
    )
