import math

import pytest

from mesh.device.benchmark import measure_capability
from mesh.device.capability import Capability, Conditions
from mesh.device.chunks import SliceTiming
from mesh.errors import ChildDiedError
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
        CONDITIONS, boundaries=range(LAYERS + 1), efforts=[1.0] * LAYERS, time_slice=exact
    )
    for stop in range(1, LAYERS + 1):
        layers = LayerRange(start=0, stop=stop)
        assert abs(capability.predict_s(layers) - exact(layers).call_s) < 0.005
    assert math.isclose(math.fsum(capability.layer_s), math.fsum(TRUE_S))


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
        CONDITIONS, boundaries=(0, LAYERS), efforts=TRUE_S, time_slice=exact
    )
    whole = LayerRange(start=0, stop=LAYERS)
    assert capability.boundaries == (0, LAYERS)
    assert math.isclose(capability.predict_s(whole), exact(whole).call_s)


def test_a_failed_slice_fails_the_measurement() -> None:
    def dies(layers: LayerRange) -> SliceTiming:
        raise ChildDiedError(f"died at {layers}")

    with pytest.raises(ChildDiedError):
        measure(dies)
