import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.device.benchmark import MAX_SPLITS, measure_capability
from mesh.device.capability import Capability, Conditions, Refusal
from mesh.device.chunks import MAX_CHUNKS, SliceTiming
from mesh.errors import ChildDiedError, UnsupportedModelError
from mesh.ids import ModelId
from mesh.model.tensor import LayerRange

CONDITIONS = Conditions(
    model_id=ModelId("ab" * 32),
    kernel_class="fake",
    device_profile="board",
    power_mode="",
    threads=1,
)
LAYERS = 40
TRUE_S = [0.001 * (1 + layer % 5) for layer in range(LAYERS)]
SLICE_S, CALL_S = 0.0005, 0.0002


def exact(layers: LayerRange) -> SliceTiming:
    """A device without noise: each layer its time, each slice a constant, each call another."""
    compute_s = math.fsum(TRUE_S[layers.start : layers.stop]) + SLICE_S
    return SliceTiming(compute_s=compute_s, call_s=compute_s + CALL_S)


def measure(time_slice: object = exact, **options: object) -> Capability:
    return measure_capability(
        CONDITIONS,
        threads=1,
        boundaries=range(LAYERS + 1),
        efforts=TRUE_S,
        time_slice=time_slice,  # type: ignore[arg-type]
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("start", [0, 7, 33])
@pytest.mark.parametrize("stop", [34, 40])
def test_a_quiet_device_is_predicted_exactly(start: int, stop: int) -> None:
    layers = LayerRange(start=start, stop=stop)
    assert math.isclose(measure().predict_s(layers), exact(layers).call_s)


def test_a_wrong_guess_of_efforts_moves_time_only_inside_chunks() -> None:
    capability = measure_capability(
        CONDITIONS,
        threads=1,
        boundaries=range(LAYERS + 1),
        efforts=[1.0] * LAYERS,
        time_slice=exact,
    )
    for stop in range(1, LAYERS + 1):
        layers = LayerRange(start=0, stop=stop)
        assert abs(capability.predict_s(layers) - exact(layers).call_s) < 0.005
    assert math.isclose(math.fsum(s for s in capability.layer_s if s), math.fsum(TRUE_S))


def slow_in_one_layer(layers: LayerRange) -> SliceTiming:
    """A device on which layer 21 takes as long as all others, as an operator without a fast kernel does."""
    one_s = math.fsum(TRUE_S) if layers.start <= 21 < layers.stop else 0.0
    plain = exact(layers)
    return SliceTiming(compute_s=plain.compute_s + one_s, call_s=plain.call_s + one_s)


def test_a_layer_that_nobody_guessed_slow_is_found() -> None:
    capability = measure(slow_in_one_layer)
    for stop in (20, 21, 22, 24):
        layers = LayerRange(start=0, stop=stop)
        assert math.isclose(capability.predict_s(layers), slow_in_one_layer(layers).call_s)


def test_a_closer_look_that_is_refused_leaves_the_chunk_as_it_was() -> None:
    asked: list[LayerRange] = []

    def only_as_first_asked(layers: LayerRange) -> SliceTiming:
        asked.append(layers)
        if len(asked) > MAX_CHUNKS + 2 and asked.count(layers) == 1:
            raise UnsupportedModelError("too small")
        return slow_in_one_layer(layers)

    capability = measure(only_as_first_asked)
    assert len(set(asked)) == MAX_CHUNKS + 2 + 1  # chunks, halves, and one closer look
    assert None not in capability.layer_s
    assert capability.refusals == ()


def test_a_bad_moment_is_forgotten_in_the_next_pass() -> None:
    calls = 0

    def slow_at_first(layers: LayerRange) -> SliceTiming:
        nonlocal calls
        calls += 1
        true = exact(layers)
        factor = 1.4 if calls < 5 else 1.0
        return SliceTiming(compute_s=true.compute_s * factor, call_s=true.call_s * factor)

    assert measure(slow_at_first) == measure(exact)


def test_progress_counts_slices() -> None:
    seen: list[tuple[int, int]] = []
    measure(on_progress=lambda done, total: seen.append((done, total)), max_chunks=4)
    assert seen == [(done, 12) for done in range(13)]


def test_a_model_without_cuts_is_timed_whole() -> None:
    capability = measure_capability(
        CONDITIONS, threads=1, boundaries=(0, LAYERS), efforts=TRUE_S, time_slice=exact
    )
    whole = LayerRange(start=0, stop=LAYERS)
    assert capability.boundaries == (0, LAYERS)
    assert math.isclose(capability.predict_s(whole), exact(whole).call_s)


class Refusing:
    """A device whose runtime refuses every slice with one of some layers in it."""

    def __init__(self, *refused: int) -> None:
        self.refused = set(refused)
        self.asked: list[LayerRange] = []

    def __call__(self, layers: LayerRange) -> SliceTiming:
        self.asked.append(layers)
        if not self.refused.isdisjoint(range(layers.start, layers.stop)):
            raise UnsupportedModelError("it lacks an operator")
        return exact(layers)


def gaps(capability: Capability) -> set[int]:
    return {layer for layer, seconds in enumerate(capability.layer_s) if seconds is None}


@given(st.sets(st.integers(0, LAYERS - 1), max_size=6))
def test_exactly_what_is_refused_has_no_time_and_the_rest_stays_exact(refused: set[int]) -> None:
    capability = measure(Refusing(*refused))
    assert gaps(capability) == refused
    assert {n for each in capability.refusals for n in range(each.start, each.stop)} == refused
    able = [layer for layer in range(LAYERS) if layer not in refused]
    constants_s = [
        capability.predict_s(layers := LayerRange(start=layer, stop=layer + 1))
        - exact(layers).call_s
        for layer in able
    ]
    # Where no run of chunks is long enough, the constant of a slice stays within its times.
    assert all(abs(seconds) <= SLICE_S + 1e-9 for seconds in constants_s)


def test_layers_known_to_be_refused_are_never_tried() -> None:
    device = Refusing(20)
    known = Refusal(start=20, stop=21, reason="it lacks GATHER_ND version 5")
    capability = measure(device, refusals=(known,))
    assert gaps(capability) == {20}
    assert capability.refusals == (known,)
    assert not any(layers.start <= 20 < layers.stop for layers in device.asked)


def test_neighbours_refused_for_one_reason_are_told_as_one() -> None:
    (refusal,) = measure(Refusing(7, 8, 9)).refusals
    assert (refusal.start, refusal.stop, refusal.reason) == (7, 10, "it lacks an operator")


def test_where_everything_is_refused_the_model_is() -> None:
    with pytest.raises(UnsupportedModelError, match="it lacks an operator"):
        measure(Refusing(*range(LAYERS)))


def test_the_search_for_what_is_refused_is_bounded() -> None:
    def refuses_nearly_everything(layers: LayerRange) -> SliceTiming:
        asked.append(layers)
        if layers.stop > 1:
            raise UnsupportedModelError("it lacks an operator")
        return SliceTiming(compute_s=0.1, call_s=0.1)

    asked: list[LayerRange] = []
    capability = measure_capability(
        CONDITIONS,
        threads=1,
        boundaries=range(1025),
        efforts=[1.0] * 1024,
        time_slice=refuses_nearly_everything,
        passes=1,
    )
    assert len(asked) <= MAX_CHUNKS + 2 * MAX_SPLITS
    assert capability.layer_s[0] is not None
    assert len(gaps(capability)) == 1023


def test_halves_that_are_refused_cost_only_the_constant() -> None:
    def refuses_long_ones(layers: LayerRange) -> SliceTiming:
        if len(layers) > 10:
            raise UnsupportedModelError("too long")
        return exact(layers)

    capability = measure(refuses_long_ones)
    assert gaps(capability) == set()
    assert math.isclose(capability.stage_s, CALL_S)


def test_a_failed_slice_fails_the_measurement() -> None:
    def dies(layers: LayerRange) -> SliceTiming:
        raise ChildDiedError(f"died at {layers}")

    with pytest.raises(ChildDiedError):
        measure(dies)
