"""What the owner of a model asks of its plans; who the named nodes are is known elsewhere."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from mesh.ids import NodeId
from mesh.planning.problem import MAX_NODES, Objective

MAX_STAGES = 1024
MAX_NAMED = 64
"""Nodes that may be named in `must`, and in `never`."""
MAX_OPERATORS = 2**31 - 1
_MAX_NAME_CHARS = 64
_MAX_BOUND_S = 86_400.0

N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How a model wants to be run; the defaults ask for nothing.

    `min_stages` > 1 asks for a split; `max_replicas` is the most nodes per stage, 1 = a plain
    pipeline, None = any number. Nodes in `must` have a stage, those in `never` have none; a client
    may name them, a manifest holds ids. The first `private_layers` operators run only on nodes of
    `owner`. Raises: ValueError.
    """

    min_stages: int = 1
    max_replicas: int | None = None
    objective: Objective = Objective.THROUGHPUT
    latency_bound_s: float | None = None
    must: tuple[NodeId, ...] = ()
    never: tuple[NodeId, ...] = ()
    private_layers: int = 0
    owner: str = ""

    def __post_init__(self) -> None:
        _check_within("min_stages", self.min_stages, 1, MAX_STAGES)
        _check_within("private_layers", self.private_layers, 0, MAX_OPERATORS)
        if self.max_replicas is not None:
            _check_within("max_replicas", self.max_replicas, 1, MAX_NODES)
        if self.latency_bound_s is not None and not 0 < self.latency_bound_s <= _MAX_BOUND_S:
            raise ValueError(f"latency_bound_s must be more than 0 and at most {_MAX_BOUND_S:.0f}")
        _check_names("must", self.must)
        _check_names("never", self.never)
        if len(self.owner) > _MAX_NAME_CHARS or not self.owner.isprintable():
            raise ValueError(f"an owner is printable, of at most {_MAX_NAME_CHARS} characters")
        both = sorted(set(self.must) & set(self.never))
        if both:
            raise ValueError(f"{both[0]} cannot be in must and in never: choose one")

    @property
    def bound_s(self) -> float:
        """The latency bound as a number: infinite where there is none."""
        return math.inf if self.latency_bound_s is None else self.latency_bound_s

    def together_with(self, other: "Wishes") -> "Wishes":
        """Both at once, for two names of one file: the stricter of each; where they clash, this one's.

        Private layers of two owners may run nowhere: no node has both, and an owner of none is
        nobody's.
        """
        are_both_private = self.private_layers > 0 and other.private_layers > 0
        owner = self.owner if self.private_layers else other.owner
        return replace(
            self,
            min_stages=max(self.min_stages, other.min_stages),
            max_replicas=_least(self.max_replicas, other.max_replicas),
            latency_bound_s=_least(self.latency_bound_s, other.latency_bound_s),
            must=_named((*self.must, *(one for one in other.must if one not in self.never))),
            never=_named((*self.never, *(one for one in other.never if one not in self.must))),
            private_layers=max(self.private_layers, other.private_layers),
            owner="" if are_both_private and self.owner != other.owner else owner,
        )


def _check_within(what: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ValueError(f"{what} must lie between {least} and {most}")


def _check_names(what: str, names: tuple[NodeId, ...]) -> None:
    if len(names) > MAX_NAMED or len(set(names)) < len(names):
        raise ValueError(f"{what} names at most {MAX_NAMED} nodes, each once")
    if any(not 0 < len(name) <= _MAX_NAME_CHARS or not name.isprintable() for name in names):
        raise ValueError(f"{what}: a node has a name of 1 to {_MAX_NAME_CHARS} characters")


def _named(names: Iterable[NodeId]) -> tuple[NodeId, ...]:
    return tuple(sorted(set(names))[:MAX_NAMED])


def _least(one: N | None, other: N | None) -> N | None:
    return min((value for value in (one, other) if value is not None), default=None)
