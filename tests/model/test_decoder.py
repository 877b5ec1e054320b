import random
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import InvalidModelError, ModelError, UnsupportedModelError
from mesh.model import (
    LayerRange,
    Limits,
    cut_points,
    read_model,
    slice_model,
    stage_memory,
    weight_bytes,
)
from mesh.model.decoder import decode
from mesh.model.encoder import encode
from mesh.model.table import make_table
from mesh.testing.models import residual_cnn, tiny_dense

_TINY = tiny_dense()
_SEEDS = {"tiny": _TINY, "int8": residual_cnn("int8"), "fp16": residual_cnn("fp16", blocks=1)}
_OFFSETS = (0, 1, 2, 4, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def _read(file: bytes) -> None:
    """Read a file and, when it is accepted, use it to the full."""
    try:
        model = read_model(file)
    except ModelError:
        return
    whole = LayerRange(start=0, stop=len(model.layers))
    for layers in (whole, *(LayerRange(start=0, stop=cut.layer) for cut in cut_points(model)[:2])):
        assert stage_memory(model, layers).total_bytes > 0
        assert weight_bytes(model, layers) >= 0
        assert read_model(slice_model(model, layers)).layers


def _mutant(file: bytes, chance: random.Random) -> bytes:
    mutant = bytearray(file)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(len(mutant))
        word = at & ~3
        kind = chance.randrange(4)
        if kind == 0:
            mutant[at] = chance.randrange(256)
        elif kind == 1:
            value = chance.choice((*_OFFSETS, len(file), chance.randrange(len(file))))
            mutant[word : word + 4] = struct.pack("<I", value)
        elif kind == 2:
            source = chance.randrange(len(mutant))
            mutant[at : at + 32] = mutant[source : source + 32]
        else:
            del mutant[max(at, 8) :]
    return bytes(mutant)


@pytest.mark.parametrize("seed", _SEEDS)
def test_damaged_files_raise_model_errors_only(seed: str) -> None:
    chance = random.Random(seed)
    for _ in range(400):
        _read(_mutant(_SEEDS[seed], chance))


@given(at=st.integers(0, len(_TINY) - 4), value=st.integers(0, 2**32 - 1))
def test_any_word_may_be_wrong(at: int, value: int) -> None:
    _read(_TINY[:at] + struct.pack("<I", value) + _TINY[at + 4 :])


@given(st.binary(max_size=200))
def test_random_bytes_are_no_model(noise: bytes) -> None:
    _read(noise)
    _read(noise[:4] + b"TFL3" + noise[4:])


@pytest.mark.parametrize("length", range(0, len(_TINY), 37))
def test_a_file_cut_short_is_refused(length: int) -> None:
    with pytest.raises(InvalidModelError):
        read_model(_TINY[:length])


def test_bytes_after_the_flatbuffer_do_no_harm() -> None:
    zipped = _TINY + b"PK\x03\x04labels.txt" + bytes(100)

    assert decode(memoryview(zipped), Limits()) == decode(memoryview(_TINY), Limits())


def test_another_file_is_named_as_such() -> None:
    with pytest.raises(InvalidModelError, match="TFL3"):
        decode(memoryview(b"\x89PNG\r\n\x1a\n" * 4), Limits())


def _with_extra_field(slot: int) -> bytes:
    """A lone Model table that has a field in `slot` and nothing else."""
    vtable = struct.pack(f"<HH{slot + 1}H", 4 + 2 * (slot + 1), 8, *[0] * slot, 4)
    vtable += bytes(-len(vtable) % 4)
    table = struct.pack("<iI", len(vtable), 1)
    return struct.pack("<I4s", 8 + len(vtable), b"TFL3") + vtable + table


def test_a_field_that_the_schema_lacks_is_refused_by_number() -> None:
    with pytest.raises(UnsupportedModelError, match="field 10 of table Model"):
        decode(memoryview(_with_extra_field(10)), Limits())


def test_a_table_with_very_many_fields_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="101 fields"):
        decode(memoryview(_with_extra_field(100)), Limits())


def test_an_option_that_the_schema_lacks_is_refused_by_name() -> None:
    operator = make_table(
        "Operator", builtin_options_type=200, builtin_options=make_table("AddOptions")
    )
    file = encode(make_table("Model", subgraphs=[make_table("SubGraph", operators=[operator])]))

    with pytest.raises(UnsupportedModelError, match=r"Operator\.builtin_options.*200"):
        decode(memoryview(file), Limits())


def test_an_option_without_its_type_is_damage() -> None:
    operator = make_table("Operator", builtin_options=make_table("AddOptions"))
    file = encode(make_table("Model", subgraphs=[make_table("SubGraph", operators=[operator])]))

    with pytest.raises(InvalidModelError, match="type"):
        decode(memoryview(file), Limits())


def _lead_all_to_the_last(file: bytes, count: int) -> bytes:
    """The file with every offset of its first vector of `count` tables leading to the last one."""
    shared = bytearray(file)
    at = shared.index(struct.pack("<I", count)) + 4
    last_at = at + 4 * (count - 1)
    last = last_at + struct.unpack_from("<I", shared, last_at)[0]
    for index in range(count):
        struct.pack_into("<I", shared, at + 4 * index, last - (at + 4 * index))
    return bytes(shared)


def test_tables_shared_many_times_over_are_bounded() -> None:
    subgraphs = [make_table("SubGraph") for _ in range(59)]
    subgraphs.append(make_table("SubGraph", operators=[make_table("Operator")] * 8000))
    file = encode(make_table("Model", version=3, subgraphs=subgraphs))

    with pytest.raises(InvalidModelError, match="overlap"):
        decode(memoryview(_lead_all_to_the_last(file, 60)), Limits())


def test_vectors_that_overlap_are_damage() -> None:
    buffers = [make_table("Buffer", data=b"") for _ in range(58)]
    buffers.append(make_table("Buffer", data=bytes(4096)))
    file = encode(make_table("Model", version=3, buffers=buffers))

    with pytest.raises(InvalidModelError, match="overlap"):
        decode(memoryview(_lead_all_to_the_last(file, 59)), Limits())


def _operators_full_of_fields(count: int) -> bytes:
    """Ten subgraphs that are one, and in it as many operators that are one."""
    empty: dict[str, list[int]] = {
        "inputs": [],
        "outputs": [],
        "intermediates": [],
        "mutating_variable_inputs": [],
    }
    operator = make_table("Operator", opcode_index=0, custom_options=b"", **empty)
    subgraphs = [make_table("SubGraph") for _ in range(9)]
    subgraphs.append(make_table("SubGraph", operators=[operator] * count))
    file = encode(make_table("Model", version=3, subgraphs=subgraphs))
    return _lead_all_to_the_last(_lead_all_to_the_last(file, count), 10)


def test_a_file_of_shared_tables_takes_little_memory() -> None:
    file = _operators_full_of_fields(2000)
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=r"overlap|fields than the limit"):
            read_model(file)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 16 << 20
