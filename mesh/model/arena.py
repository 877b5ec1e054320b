"""How much memory the activations of a slice take, by when each lives; weights are not counted here."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from mesh.model.kernel_memory import KernelMemory
from mesh.model.model import Model
from mesh.model.slicer import SliceContent

_ALIGN_BYTES = 64  # TFLite's arena places tensors at multiples of this
_MAX_PLACED = 2048

# XNNPACK lets these write over their first input where nothing else reads it.
_IN_PLACE = frozenset(
    {
        "ABS",
        "ADD",
        "CEIL",
        "DIV",
        "ELU",
        "FLOOR",
        "HARD_SWISH",
        "LEAKY_RELU",
        "LOGISTIC",
        "MAXIMUM",
        "MINIMUM",
        "MUL",
        "NEG",
        "PRELU",
        "RELU",
        "RELU6",
        "RELU_N1_TO_1",
        "ROUND",
        "SQRT",
        "SQUARE",
        "SQUARED_DIFFERENCE",
        "SUB",
        "TANH",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Life:
    """The first and the last operator of the slice during which memory is held."""

    first: int
    last: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    start: int
    life: _Life

    @property
    def stop(self) -> int:
        return self.start + self.life.size_bytes


def ends_bytes(content: SliceContent, model: Model) -> int:
    """Inputs and outputs, which are kept from run to run."""
    return sum(_aligned(model.tensors[index].size_bytes) for index in _ends(content))


def inner_bytes(
    content: SliceContent, model: Model, delegated: Collection[int], kernels: KernelMemory
) -> int:
    """What the other activations take; `delegated` = indices of the operators that XNNPACK runs."""
    lives = _lives(content, model)
    if kernels.reuses_low_room:
        return _peak_bytes(lives.values())
    outside = {
        tensor
        for operator in content.operators
        if operator.index not in delegated
        for tensor in (*operator.reads, *operator.outputs)
    }
    plain = [life for tensor, life in lives.items() if tensor in outside]
    stacked = {tensor: life for tensor, life in lives.items() if tensor not in outside}
    return _peak_bytes(plain) + _stacked_bytes(_merged(content, stacked))


def _peak_bytes(lives: Iterable[_Life]) -> int:
    """The most that is held at once."""
    changes: dict[int, int] = {}
    for life in lives:
        changes[life.first] = changes.get(life.first, 0) + life.size_bytes
        changes[life.last + 1] = changes.get(life.last + 1, 0) - life.size_bytes
    return max(accumulate(changes[step] for step in sorted(changes)), default=0)


def _stacked_bytes(lives: Sequence[_Life]) -> int:
    """The same where memory below all that live is not used again.

    So XNNPACK of 2023 places activations (src/memory-planner.c, `find_value_alloc_offset`): in a
    chain of equal ones each lies above the one before, and none makes room. Largest first, each
    into the tightest gap between two that live with it, else above all of them.
    """
    if len(lives) > _MAX_PLACED:  # a bound instead: placing takes the square of their number
        return sum(life.size_bytes for life in lives)
    placed: list[_Place] = []
    for life in sorted(lives, key=lambda life: -life.size_bytes):
        placed.append(_Place(start=_start(life, placed), life=life))
    return max((place.stop for place in placed), default=0)


def _start(life: _Life, placed: Iterable[_Place]) -> int:
    together = sorted(
        (place.start, place.stop)
        for place in placed
        if place.life.first <= life.last and life.first <= place.life.last
    )
    reached, gaps = 0, []
    for at, (start, stop) in enumerate(together):
        if at and start - reached >= life.size_bytes:
            gaps.append((start - reached, reached))
        reached = max(reached, stop)
    return min(gaps)[1] if gaps else reached


def _lives(content: SliceContent, model: Model) -> dict[int, _Life]:
    """Of each activation that the slice makes for itself."""
    inner = model.activations - _ends(content)
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for at, operator in enumerate(content.operators):
        first |= {tensor: at for tensor in operator.outputs if tensor in inner}
        last |= {tensor: at for tensor in (*operator.reads, *operator.outputs) if tensor in first}
    return {
        tensor: _Life(
            first=start, last=last[tensor], size_bytes=_aligned(model.tensors[tensor].size_bytes)
        )
        for tensor, start in first.items()
    }


def _merged(content: SliceContent, lives: dict[int, _Life]) -> list[_Life]:
    """The lives with those that go on in the same place made one.

    XNNPACK of 2023 then forgets when it began, and keeps the place from the start.
    """
    readers = Counter(tensor for operator in content.operators for tensor in operator.reads)
    places = dict(lives)
    for operator in content.operators:
        if operator.name not in _IN_PLACE or not operator.reads or len(operator.outputs) != 1:
            continue
        source, target = operator.reads[0], operator.outputs[0]
        before, after = places.get(source), places.get(target)
        if before is None or after is None or readers[source] != 1:
            continue
        if before.size_bytes == after.size_bytes:
            places[target] = replace(before, first=0, last=after.last)
            del places[source]
    return [*places.values()]


def _ends(content: SliceContent) -> frozenset[int]:
    interface = content.interface
    return frozenset(spec.index for spec in (*interface.consumed, *interface.produced))


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // _ALIGN_BYTES) * _ALIGN_BYTES
