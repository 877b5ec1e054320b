"""Which operators a runtime knows, in which versions; how that is found out is `version_probe`'s."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mesh.model.model import Operator
from mesh.model.schema import OPERATOR_NAMES

MAX_VERSION = 255
_MAX_NAMED = 3

Versions = tuple[int, int]
"""The first and the last version known."""


@dataclass(frozen=True, slots=True)
class OperatorVersions:
    """The known versions of each builtin operator, by its name in schema.fbs; it checks itself: ValueError."""

    known: Mapping[str, Versions]

    def __post_init__(self) -> None:
        for name, (first, last) in self.known.items():
            if name not in OPERATOR_NAMES or not 1 <= first <= last <= MAX_VERSION:
                raise ValueError(f"{name} has no versions {first} to {last}")

    def knows(self, operator: Operator) -> bool:
        """A custom operator counts as unknown: the interpreters know theirs by name, not by version."""
        first, last = self.known.get(operator.name, (1, 0))
        return first <= operator.version <= last

    def lacking(self, operators: Iterable[Operator]) -> str:
        """What is missing for these, as "GATHER_ND version 5, RANK version 2"; empty = nothing."""
        missing = sorted(
            {(one.name, one.version) for one in operators if not self.knows(one)},
        )
        named = [f"{name} version {version}" for name, version in missing[:_MAX_NAMED]]
        rest = len(missing) - len(named)
        return ", ".join(named) + (f" and {rest} more" if rest else "")

    def latest(self) -> tuple[int, ...]:
        """The last version of each operator by its number in schema.fbs, 0 where it is unknown."""
        numbers = [self.known.get(name, (0, 0))[1] for name in OPERATOR_NAMES]
        while numbers and numbers[-1] == 0:
            numbers.pop()
        return tuple(numbers)


EVERY_VERSION = OperatorVersions(dict.fromkeys(OPERATOR_NAMES, (1, MAX_VERSION)))
"""What a runtime knows that refuses nothing."""
