import mmap
import os
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import WrongShapeError
from mesh.model.tensor import DataType, TensorSpec
from mesh.runtime.region import (
    ALIGNMENT_BYTES,
    Region,
    _unlinked_file,
    check_sizes,
    create_shared_file,
    lay_out,
)

specs = st.builds(
    TensorSpec,
    index=st.integers(0, 9),
    name=st.just("t"),
    data_type=st.sampled_from(DataType),
    shape=st.lists(st.integers(0, 20), max_size=3).map(tuple),
)


@given(st.lists(specs, max_size=6), st.lists(specs, max_size=6))
def test_slots_are_aligned_and_apart(inputs: list[TensorSpec], outputs: list[TensorSpec]) -> None:
    layout = lay_out(inputs, outputs)
    slots = (*layout.inputs, *layout.outputs)
    assert [slot.size_bytes for slot in slots] == [spec.size_bytes for spec in (*inputs, *outputs)]
    assert all(slot.offset_bytes % ALIGNMENT_BYTES == 0 for slot in slots)
    assert all(one.stop_bytes <= other.offset_bytes for one, other in pairwise(slots))
    assert layout.size_bytes >= max((slot.stop_bytes for slot in slots), default=1)


@pytest.mark.parametrize("create", [create_shared_file, _unlinked_file])
def test_two_mappings_see_the_same_bytes(create: object) -> None:
    assert callable(create)
    spec = TensorSpec(index=0, name="x", data_type=DataType.UINT8, shape=(3,))
    layout = lay_out([spec], [spec])
    descriptor = create(layout.size_bytes)
    one, other = Region(descriptor, layout), Region(descriptor, layout)
    os.close(descriptor)
    one.write_inputs([memoryview(b"abc")])
    assert other.memory[:3] == b"abc"
    other.memory[ALIGNMENT_BYTES : ALIGNMENT_BYTES + 3] = b"xyz"
    assert one.read_outputs() == (b"xyz",)
    one.close()
    other.close()


def test_the_shared_file_keeps_its_size() -> None:
    descriptor = create_shared_file(mmap.PAGESIZE)
    for size_bytes in (0, 2 * mmap.PAGESIZE):
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, size_bytes)
    os.close(descriptor)


def test_an_empty_tensor_is_a_buffer_of_no_bytes() -> None:
    empty = TensorSpec(index=0, name="x", data_type=DataType.FP32, shape=(0, 4))
    assert check_sizes([b""], [empty])[0].nbytes == 0
    with pytest.raises(WrongShapeError, match="'x' needs 0"):
        check_sizes([b"1"], [empty])
