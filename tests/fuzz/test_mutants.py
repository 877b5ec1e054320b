import random

import pytest

from mesh.model.decoder import decode
from mesh.model.encoder import encode
from mesh.model.limits import Limits
from tests.fuzz.anatomy import dissect
from tests.fuzz.bases import GENERATED
from tests.fuzz.byte_mutators import BYTE_MUTATORS
from tests.fuzz.mutants import Nursery
from tests.fuzz.table_mutators import TABLE_MUTATORS, changed_at, walk

_FILE = GENERATED["cnn-int8"]()
_ROOT = decode(memoryview(_FILE), Limits())
_DONOR = GENERATED["dense"]()
_DONOR_ROOT = decode(memoryview(_DONOR), Limits())
_TRIES = 40


def test_a_seed_makes_the_same_mutant_whatever_was_made_before() -> None:
    one = Nursery({"cnn-int8": _FILE, "dense": _DONOR})
    other = Nursery({"dense": _DONOR})
    one.mutant("cnn-int8", 4)

    assert one.mutant("dense", 5) == other.mutant("dense", 5)
    assert one.mutant("dense", 5) != other.mutant("dense", 6)


def test_every_mutator_has_its_turn() -> None:
    nursery = Nursery({"dense": _DONOR})

    kinds = {nursery.mutant("dense", seed).kind for seed in range(600)}

    assert kinds == BYTE_MUTATORS.keys() | TABLE_MUTATORS.keys()


@pytest.mark.parametrize("kind", BYTE_MUTATORS)
def test_a_byte_mutator_changes_the_file(kind: str) -> None:
    anatomy = dissect(_FILE)

    mutants = [
        BYTE_MUTATORS[kind](_FILE, anatomy, _DONOR, random.Random(seed)) for seed in range(_TRIES)
    ]

    changed = [content for content, _ in mutants if content != _FILE]
    assert len(set(changed)) > _TRIES // 5
    assert all(said for _, said in mutants)


@pytest.mark.parametrize("kind", TABLE_MUTATORS)
def test_a_table_mutator_changes_what_a_sound_flatbuffer_says(kind: str) -> None:
    mutants = [
        encode(TABLE_MUTATORS[kind](_ROOT, _DONOR_ROOT, random.Random(seed))[0])
        for seed in range(_TRIES)
    ]

    assert len(set(mutants) - {encode(_ROOT)}) > _TRIES // 5
    assert all(mutant[4:8] == b"TFL3" for mutant in mutants)


def test_a_table_is_changed_in_its_place() -> None:
    path, tensor = next(entry for entry in walk(_ROOT) if entry[1].name == "Tensor")

    changed = changed_at(_ROOT, path, tensor.replace(name=b"another"))

    before, after = (list(walk(root)) for root in (_ROOT, changed))
    differing = {
        at for (at, old), (_, new) in zip(before, after, strict=True) if not at and old != new
    }
    assert differing == {()}  # the root holds it
    assert [table.text("name") for at, table in after if at == path] == ["another"]
    assert changed_at(changed, path, tensor) == _ROOT
