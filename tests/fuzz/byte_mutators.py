"""Damages a .tflite file byte by byte: flips, cuts, splices, offsets that lead astray.

Each takes (file, its anatomy, another model's file, a source of chance) and says what it did.
"""

import random
import struct
from collections.abc import Callable, Mapping

from tests.fuzz.anatomy import Anatomy, Place, PlaceKind

Mutated = tuple[bytes, str]
ByteMutator = Callable[[bytes, Anatomy, bytes, random.Random], Mutated]

_WORDS = (0, 1, 2, 3, 4, 8, 0xFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC)
_FORMATS = {1: "B", 2: "H", 4: "I", 8: "Q"}


def flip_anywhere(file: bytes, _anatomy: Anatomy, _donor: bytes, chance: random.Random) -> Mutated:
    mutant = bytearray(file)
    places = [chance.randrange(len(file)) for _ in range(chance.choice((1, 2, 8, 64)))]
    for at in places:
        mutant[at] ^= 1 << chance.randrange(8)
    return bytes(mutant), f"{len(places)} bits flipped anywhere, the first in byte {places[0]}"


def flip_structure(file: bytes, anatomy: Anatomy, _donor: bytes, chance: random.Random) -> Mutated:
    mutant = bytearray(file)
    places = chance.choices(anatomy.structure, k=chance.choice((1, 1, 2, 4)))
    for place in places:
        mutant[_inside(place, chance)] ^= 1 << chance.randrange(8)
    return bytes(mutant), f"{len(places)} bits flipped in {_names(places)}"


def set_structure(file: bytes, anatomy: Anatomy, _donor: bytes, chance: random.Random) -> Mutated:
    """Hostile scalars, lengths and items, whole words at a time."""
    kinds = (PlaceKind.SCALAR, PlaceKind.COUNT, PlaceKind.ITEMS)
    places = [place for place in anatomy.of(*kinds) if place.what != "Buffer.data"]
    place = chance.choice(places)
    mutant = bytearray(file)
    size_bytes = min(place.size_bytes, 4) if place.size_bytes in _FORMATS else 1
    value = chance.choice((*_WORDS, len(file), chance.getrandbits(32))) % (1 << 8 * size_bytes)
    struct.pack_into("<" + _FORMATS[size_bytes], mutant, place.start, value)
    return bytes(mutant), f"{place.what} ({place.kind.name}) set to {value:#x}"


def truncate(file: bytes, anatomy: Anatomy, _donor: bytes, chance: random.Random) -> Mutated:
    places = [place.start for place in anatomy.places]
    end = chance.choice((chance.randrange(len(file)), chance.choice(places), len(file) - 1))
    return file[:end], f"cut to {end} bytes"


def extend(file: bytes, _anatomy: Anatomy, donor: bytes, chance: random.Random) -> Mutated:
    tails = (bytes(chance.randrange(1, 4096)), donor[: chance.randrange(1, len(donor))], file)
    tail = chance.choice(tails)
    return file + tail, f"{len(tail)} bytes added at the end"


def remove_or_insert(
    file: bytes, anatomy: Anatomy, _donor: bytes, chance: random.Random
) -> Mutated:
    """Shift all that follows."""
    at = _inside(chance.choice(anatomy.structure), chance)
    size_bytes = chance.choice((1, 2, 4, 16, 64))
    if chance.random() < 0.5:
        return file[:at] + file[at + size_bytes :], f"{size_bytes} bytes removed at {at}"
    return file[:at] + bytes(size_bytes) + file[at:], f"{size_bytes} zeros inserted at {at}"


def splice_inside(file: bytes, anatomy: Anatomy, _donor: bytes, chance: random.Random) -> Mutated:
    """Bytes from one place of the file copied to another: fields, field lists, tables."""
    source, target = chance.choices(anatomy.structure, k=2)
    size_bytes = chance.choice((2, 4, 4, 8, 16, 32))
    return (
        _written(file, target.start, file[source.start : source.start + size_bytes]),
        f"{size_bytes} bytes copied from {source.what} to {target.what}",
    )


def splice_alike(file: bytes, anatomy: Anatomy, _donor: bytes, chance: random.Random) -> Mutated:
    """Two places of one kind and size swapped: offsets, scalars, field entries."""
    first = chance.choice(anatomy.structure)
    alike = [
        place
        for place in anatomy.of(first.kind)
        if place.size_bytes == first.size_bytes and place.what != "Buffer.data"
    ]
    second = chance.choice(alike)
    one, other = (file[place.start : place.start + place.size_bytes] for place in (first, second))
    return (
        _written(_written(file, first.start, other), second.start, one),
        f"{first.what} and {second.what} ({first.kind.name}) swapped",
    )


def splice_donor(file: bytes, anatomy: Anatomy, donor: bytes, chance: random.Random) -> Mutated:
    target = chance.choice(anatomy.structure)
    size_bytes = chance.choice((4, 8, 16, 64, 512))
    start = chance.randrange(len(donor)) & ~3
    return (
        _written(file, target.start, donor[start : start + size_bytes]),
        f"{size_bytes} bytes of another model written over {target.what}",
    )


def bend_offset(file: bytes, anatomy: Anatomy, _donor: bytes, chance: random.Random) -> Mutated:
    """An offset that leads to itself, beyond the end, or into something else."""
    place = chance.choice(anatomy.of(PlaceKind.OFFSET))
    elsewhere = chance.choice(anatomy.structure).start
    table = chance.choice(anatomy.tables)
    targets = (*_WORDS, len(file) - place.start, elsewhere - place.start, table - place.start)
    value = chance.choice(targets) % (1 << 32)
    return (
        _written(file, place.start, struct.pack("<I", value)),
        f"the offset of {place.what} set to {value:#x}",
    )


def bend_field_list(file: bytes, anatomy: Anatomy, _donor: bytes, chance: random.Random) -> Mutated:
    """A table whose field list is itself, beyond the file, or another table's."""
    place = chance.choice(anatomy.of(PlaceKind.FIELD_LIST))
    other = chance.choice(anatomy.of(PlaceKind.FIELD_ENTRY))
    targets = (*_WORDS, place.start - other.start, place.start, place.start - len(file))
    value = chance.choice(targets) % (1 << 32)
    return (
        _written(file, place.start, struct.pack("<I", value)),
        f"the field list of a {place.what} moved by {value:#x}",
    )


def bend_field_entry(
    file: bytes, anatomy: Anatomy, _donor: bytes, chance: random.Random
) -> Mutated:
    """A field that lies outside its table, on another field, or not at all."""
    place = chance.choice(anatomy.of(PlaceKind.FIELD_ENTRY))
    value = chance.choice((0, 1, 2, 4, 6, 8, 12, 16, 40, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF))
    return (
        _written(file, place.start, struct.pack("<H", value)),
        f"an entry of the field list of {place.what} set to {value:#x}",
    )


def _inside(place: Place, chance: random.Random) -> int:
    return place.start + chance.randrange(place.size_bytes)


def _names(places: list[Place]) -> str:
    return ", ".join(sorted({place.what for place in places}))


def _written(file: bytes, at: int, content: bytes) -> bytes:
    content = content[: len(file) - at]
    return file[:at] + content + file[at + len(content) :]


BYTE_MUTATORS: Mapping[str, ByteMutator] = {
    "bit flips": flip_anywhere,
    "structure flips": flip_structure,
    "hostile words": set_structure,
    "truncations": truncate,
    "extensions": extend,
    "shifts": remove_or_insert,
    "copies": splice_inside,
    "swaps": splice_alike,
    "other model": splice_donor,
    "offsets": bend_offset,
    "field lists": bend_field_list,
    "field entries": bend_field_entry,
}
