"""Makes a mutant of a model from a seed: the same seed, model and version make the same bytes."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from mesh.model.decoder import decode
from mesh.model.encoder import encode
from mesh.model.limits import Limits
from mesh.model.table import Table
from tests.fuzz.anatomy import Anatomy, dissect
from tests.fuzz.bases import GENERATED
from tests.fuzz.byte_mutators import BYTE_MUTATORS
from tests.fuzz.table_mutators import TABLE_MUTATORS

_TABLE_SHARE = 0.6  # they get furthest
_TABLE_CHANGES = (1, 1, 1, 2, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """`kind` is the mutator's name, `changes` says what was done."""

    model: str
    seed: int
    kind: str
    changes: str
    content: bytes


class Nursery:
    """Makes mutants of base models; bytes of another model come from a generated one."""

    def __init__(self, bases: Mapping[str, bytes]) -> None:
        self._bases = {name: _Base(file) for name, file in bases.items()}
        # Of the generated ones, so that a mutant depends on its model and seed alone.
        self._donors = [_Base(build()) for build in GENERATED.values()]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._bases)

    def file(self, model: str) -> bytes:
        return self._bases[model].file

    def mutant(self, model: str, seed: int) -> Mutant:
        # A text, since Python hashes other seeds differently from run to run.
        chance = random.Random(f"{model}/{seed}")
        base = self._bases[model]
        donor = chance.choice(self._donors)
        if chance.random() < _TABLE_SHARE:
            kind, changes, content = _change_tables(base.root, donor.root, chance)
        else:
            kind = chance.choice(list(BYTE_MUTATORS))
            content, changes = BYTE_MUTATORS[kind](base.file, base.anatomy, donor.file, chance)
        return Mutant(model=model, seed=seed, kind=kind, changes=changes, content=content)


def _change_tables(root: Table, donor: Table, chance: random.Random) -> tuple[str, str, bytes]:
    kind = chance.choice(list(TABLE_MUTATORS))
    said = []
    for _ in range(chance.choice(_TABLE_CHANGES)):
        root, change = TABLE_MUTATORS[kind](root, donor, chance)
        said.append(change)
        if not root.tables("subgraphs") or not root.tables("buffers"):
            break
    return kind, "; ".join(said), encode(root)


class _Base:
    def __init__(self, file: bytes) -> None:
        self.file = file

    @cached_property
    def root(self) -> Table:
        return decode(memoryview(self.file), Limits())

    @cached_property
    def anatomy(self) -> Anatomy:
        return dissect(self.file)
