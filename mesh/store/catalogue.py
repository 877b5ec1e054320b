"""All manifests that a node knows, one per name, and the rule by which two such sets become one.

`merge` is a join: commutative, associative, idempotent, so nodes that have heard the same
manifests hold the same catalogue, whatever the order.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from mesh.ids import ModelId
from mesh.store import manifest as manifests
from mesh.store.manifest import MAX_CATALOGUE_BYTES, MAX_MODELS, ModelManifest
from mesh.wire import codec


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Manifests sorted by name, tombstones included."""

    manifests: tuple[ModelManifest, ...] = ()

    def __post_init__(self) -> None:
        names = [one.name for one in self.manifests]
        if len(names) > MAX_MODELS or any(a >= b for a, b in itertools.pairwise(names)):
            raise ValueError(
                f"a catalogue has at most {MAX_MODELS} manifests, sorted, one per name"
            )

    def get(self, name: str) -> ModelManifest | None:
        """The manifest that is served under `name`; None also for a deleted one."""
        return next((one for one in self.live() if one.name == name), None)

    def live(self) -> tuple[ModelManifest, ...]:
        """What is served."""
        return tuple(one for one in self.manifests if not one.deleted)

    def model_ids(self) -> frozenset[ModelId]:
        """The files that are needed: several names may share one."""
        return frozenset(one.model_id for one in self.live())

    def next_revision(self, name: str) -> int:
        """What a writer of `name` must use so that its manifest wins, also over a tombstone."""
        return max((one.revision + 1 for one in self.manifests if one.name == name), default=1)


def of(found: Iterable[ModelManifest]) -> Catalogue:
    """The catalogue of these manifests; per name the one written last stays.

    Where that would be more than MAX_MODELS, the first by name stay.
    """
    winners: dict[str, ModelManifest] = {}
    for one in found:
        rival = winners.get(one.name)
        if rival is None or _rank(one) > _rank(rival):
            winners[one.name] = one
    return Catalogue(manifests=tuple(winners[name] for name in sorted(winners)[:MAX_MODELS]))


def merge(catalogue: Catalogue, other: Catalogue) -> Catalogue:
    """Join two catalogues."""
    return of((*catalogue.manifests, *other.manifests))


def _rank(one: ModelManifest) -> tuple[int, str, bytes]:
    """Last writer wins; the bytes decide only between two manifests that break that rule."""
    return (one.revision, one.writer, manifests.encode(one))


def encode(catalogue: Catalogue) -> bytes:
    return codec.encode(catalogue)


def decode(payload: bytes) -> Catalogue:
    """Read a catalogue. Raises: RemoteError."""
    return codec.decode(Catalogue, payload, max_bytes=MAX_CATALOGUE_BYTES)
