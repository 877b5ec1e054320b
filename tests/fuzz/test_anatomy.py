import struct
from collections.abc import Callable

import pytest

from mesh.model.decoder import decode
from mesh.model.limits import Limits
from tests.fuzz.anatomy import PlaceKind, dissect
from tests.fuzz.bases import GENERATED
from tests.fuzz.table_mutators import walk

generated = pytest.mark.parametrize("build", GENERATED.values(), ids=GENERATED)


@generated
def test_it_finds_the_tables_that_the_decoder_reads(build: Callable[[], bytes]) -> None:
    file = build()

    assert len(dissect(file).tables) == len(list(walk(decode(memoryview(file), Limits()))))


@generated
def test_places_do_not_overlap(build: Callable[[], bytes]) -> None:
    places = sorted(dissect(build()).places, key=lambda place: place.start)

    # Field lists are shared by tables of several kinds, so the same bytes may be listed twice.
    alone = {(place.start, place.size_bytes) for place in places}
    ends = [start + size_bytes for start, size_bytes in sorted(alone)]
    assert all(end <= start for end, (start, _) in zip(ends, sorted(alone)[1:], strict=False))


def test_each_place_is_what_it_says() -> None:
    file = GENERATED["dense"]()
    anatomy = dissect(file)

    (version,) = (place for place in anatomy.places if place.what == "Model.version")
    assert version.kind is PlaceKind.SCALAR
    assert struct.unpack_from("<I", file, version.start) == (3,)
    names = [place for place in anatomy.of(PlaceKind.ITEMS) if place.what == "Tensor.name"]
    assert b"x" in {file[place.start : place.start + place.size_bytes] for place in names}
    assert all(
        place.start + struct.unpack_from("<I", file, place.start)[0] < len(file)
        for place in anatomy.of(PlaceKind.OFFSET)
    )


def test_weights_are_no_structure() -> None:
    anatomy = dissect(GENERATED["dense"]())

    assert any(place.what == "Buffer.data" for place in anatomy.places)
    assert all(place.what != "Buffer.data" for place in anatomy.structure)
