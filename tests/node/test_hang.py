import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.node.hang import FACTOR, INVOKE_S, LOAD_S, invoke_deadline_s, load_deadline_s
from mesh.wire.measured import MAX_TIME_S

times_s = st.floats(0, 1000)
sizes_bytes = st.integers(0, 1 << 31)


def test_a_load_may_take_as_long_as_its_file_is_large() -> None:
    assert load_deadline_s(0) == LOAD_S
    assert load_deadline_s(100_000_000) == LOAD_S + 20


def test_the_plan_counts_until_there_is_a_measurement() -> None:
    assert invoke_deadline_s([], planned_s=1.0, slice_bytes=0) == FACTOR
    assert invoke_deadline_s([0.5, 0.4], planned_s=1.0, slice_bytes=0) == FACTOR / 2


@given(st.lists(times_s, max_size=5), times_s, sizes_bytes)
def test_no_run_is_cut_short_that_takes_as_long_as_a_slow_one(
    runs_s: list[float], planned_s: float, slice_bytes: int
) -> None:
    deadline_s = invoke_deadline_s(runs_s, planned_s=planned_s, slice_bytes=slice_bytes)
    assert deadline_s >= INVOKE_S
    assert deadline_s >= min(max(runs_s, default=planned_s) * FACTOR, MAX_TIME_S)


def test_a_plan_that_promises_a_day_is_not_waited_for_longer() -> None:
    """Nor than a clock can wait: poll counts milliseconds in 32 bits."""
    deadline_s = invoke_deadline_s([], planned_s=MAX_TIME_S, slice_bytes=1 << 40)
    assert deadline_s == MAX_TIME_S
    assert deadline_s * 1000 < 2**31


@pytest.mark.parametrize("size_bytes", [1_000, 1_000_000, 1_000_000_000])
def test_a_larger_slice_is_waited_for_longer(size_bytes: int) -> None:
    longer_s = invoke_deadline_s([], planned_s=0.0, slice_bytes=size_bytes)
    assert longer_s > invoke_deadline_s([], planned_s=0.0, slice_bytes=0)
