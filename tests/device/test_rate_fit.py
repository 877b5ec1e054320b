import random
from dataclasses import replace

import pytest

from mesh.device.load import Kind
from mesh.device.rate_fit import (
    ENOUGH_MODELS,
    FEW_MODELS_FACTOR,
    LEAST_FACTOR,
    LEAST_MODEL_S,
    ModelTimings,
    Timing,
    fit_rates,
    held_out,
)
from mesh.device.reference import OTHERS, load_s

RATES: dict[Kind, float] = {
    ("CONV_2D", "float32"): 2e-11,
    ("DEPTHWISE_CONV_2D", "float32"): 8e-11,
    ("ADD", "float32"): 5e-12,
}
CALL_S = 2e-6


def timed(load: dict[Kind, float]) -> Timing:
    return Timing(load=load, seconds=load_s(RATES, load) + CALL_S)


def drawn_model(name: str, seed: int) -> ModelTimings:
    draw = random.Random(seed)
    chunks = [{kind: draw.uniform(1e6, 3e7) for kind in RATES} for _ in range(12)]
    whole = {kind: sum(chunk[kind] for chunk in chunks) for kind in RATES}
    return ModelTimings(name=name, whole=timed(whole), chunks=tuple(map(timed, chunks)))


MODELS = [drawn_model(f"model {seed}", seed) for seed in range(6)]


def fitted(models: list[ModelTimings]) -> dict[Kind, float]:
    rates = fit_rates(models, source="a test")
    return {(rate.operator, rate.data_type): rate.seconds_per_unit for rate in rates}


def test_rates_are_found_again() -> None:
    assert fitted(MODELS) == {kind: pytest.approx(rate, rel=0.05) for kind, rate in RATES.items()}


def test_noise_is_averaged() -> None:
    draw = random.Random(7)

    def noisy(timing: Timing) -> Timing:
        return replace(timing, seconds=timing.seconds * draw.uniform(0.9, 1.2))

    models = [
        replace(one, whole=noisy(one.whole), chunks=tuple(map(noisy, one.chunks))) for one in MODELS
    ]
    assert fitted(models) == {kind: pytest.approx(rate, rel=0.35) for kind, rate in RATES.items()}


def test_a_model_that_is_held_out_is_predicted_by_the_others() -> None:
    for one in held_out(MODELS):
        assert one.factor < 1.05
        assert one.number_format == "float32"


def test_the_uncertainty_is_what_held_out_models_show() -> None:
    assert {rate.factor for rate in fit_rates(MODELS, source="a test")} == {LEAST_FACTOR}
    odd = replace(MODELS[0], whole=replace(MODELS[0].whole, seconds=MODELS[0].whole.seconds * 9))
    assert fit_rates([odd, *MODELS[1:]], source="a test")[0].factor > 2


def test_few_models_say_little() -> None:
    few = MODELS[: ENOUGH_MODELS - 1]
    assert held_out(few) == ()
    assert {rate.factor for rate in fit_rates(few, source="a test")} == {FEW_MODELS_FACTOR}


def test_rare_kinds_are_counted_together() -> None:
    rare: Kind = ("TANH", "float32")
    models = [
        replace(one, whole=Timing(load={**one.whole.load, rare: 1e3}, seconds=one.whole.seconds))
        for one in MODELS
    ]
    found = fitted(models)
    assert rare not in found
    assert (OTHERS, "float32") in found


def test_nothing_is_free() -> None:
    models = [
        replace(
            one,
            chunks=tuple(
                replace(chunk, load={**chunk.load, ("MUL", "float32"): 1e7}) for chunk in one.chunks
            ),
            whole=replace(one.whole, load={**one.whole.load, ("MUL", "float32"): 12e7}),
        )
        for one in MODELS
    ]
    assert fitted(models)["MUL", "float32"] > 0


def test_tiny_models_are_passed_over() -> None:
    tiny = replace(
        MODELS[0], name="tiny", whole=replace(MODELS[0].whole, seconds=LEAST_MODEL_S / 2)
    )
    assert fit_rates([tiny, *MODELS], source="a test") == fit_rates(MODELS, source="a test")
    with pytest.raises(ValueError, match="no timings"):
        fit_rates([tiny], source="a test")
