"""From timed chunks of models to seconds per unit of effort for each kind of operator; numbers only.

Least squares on relative errors, rates never negative: single operators cannot be timed soundly
(`mesh.device.chunks`), but many chunks of many models tell their kinds apart.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mesh.device.load import FORMATS, Kind, Load
from mesh.device.profile import ReferenceRate
from mesh.device.reference import OTHERS, load_s

LEAST_SHARE = 0.05
"""A kind that has no more than this share of any model's effort is counted among the others."""
LEAST_FACTOR = 1.2
FEW_MODELS_FACTOR = 2.0
"""The uncertainty where too few models were timed to leave one out and see."""
ENOUGH_MODELS = 4
_STEPS, _SWEEPS = 6, 300
_PULL = 0.01
"""How strongly a kind is drawn to its format's usual rate where chunks say little of it."""
_FLOOR_SHARE = 0.05
"""Chunks are timed no better than to this share of their model's time."""
_LEAST_RATE = 0.1
"""Of the usual rate: nothing is free."""
_CALL_S = 1e-5
LEAST_MODEL_S = 5e-5
"""What takes less says more of calling an interpreter than of operators."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds of one invoke of layers with this load."""

    load: Load
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTimings:
    """One model, whole and in consecutive chunks."""

    name: str
    whole: Timing
    chunks: tuple[Timing, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """A model's time as all other models predict it, and as measured; `number_format` is its main one."""

    name: str
    number_format: str
    predicted_s: float
    measured_s: float

    @property
    def factor(self) -> float:
        """How far off, either way: at least 1."""
        ratio = self.predicted_s / self.measured_s
        return max(ratio, 1 / ratio)


def fit_rates(models: Sequence[ModelTimings], *, source: str) -> tuple[ReferenceRate, ...]:
    """Rates by kind, sorted; the uncertainty is what models show that are left out in turn.

    Nine of ten models of a number format lie within its factor. Models of less than
    `LEAST_MODEL_S` are passed over. Raises: ValueError without others.
    """
    models = [model for model in models if model.whole.seconds >= LEAST_MODEL_S]
    factors = _factors(held_out(models))
    return tuple(
        ReferenceRate(
            operator=operator,
            data_type=number_format,
            seconds_per_unit=seconds,
            factor=factors.get(number_format, FEW_MODELS_FACTOR),
            source=source,
        )
        for (operator, number_format), seconds in sorted(_fitted(models).items())
    )


def held_out(models: Sequence[ModelTimings]) -> tuple[HeldOut, ...]:
    """Each model against the fit of all others; none where there are few."""
    if len(models) < ENOUGH_MODELS:
        return ()
    return tuple(
        HeldOut(
            name=model.name,
            number_format=_main_format(model.whole.load),
            predicted_s=load_s(_fitted([*models[:place], *models[place + 1 :]]), model.whole.load),
            measured_s=model.whole.seconds,
        )
        for place, model in enumerate(models)
    )


def _factors(tried: Sequence[HeldOut]) -> dict[str, float]:
    by_format: dict[str, list[float]] = {}
    for one in tried:
        by_format.setdefault(one.number_format, []).append(one.factor)
    return {
        number_format: max(LEAST_FACTOR, round(statistics.quantiles(off, n=10)[-1], 2))
        for number_format, off in by_format.items()
        if len(off) >= ENOUGH_MODELS
    }


def _main_format(load: Load) -> str:
    totals: dict[str, float] = {}
    for (_, number_format), effort in load.items():
        totals[number_format] = totals.get(number_format, 0.0) + effort
    return max(sorted(totals), key=lambda number_format: totals[number_format])


def _fitted(models: Sequence[ModelTimings]) -> dict[Kind, float]:
    """Weighted least squares, weights by the last fit: errors count by their share of the time."""
    if not models:
        raise ValueError("there are no timings to fit")
    kept = _kept_kinds(models)
    rows = [row for model in models for row in _rows(model, kept)]
    usual = _usual_rates(models)
    rates = {
        kind: usual[kind[1]] for kind in sorted({kind for row in rows for kind in row.efforts})
    }
    call_s = 0.0
    for _ in range(_STEPS):
        weights = [row.weight_at(_row_s(row, rates, call_s)) for row in rows]
        *scaled, call = _least_squares(rows, weights, {kind: usual[kind[1]] for kind in rates})
        rates = {kind: usual[kind[1]] * value for kind, value in zip(rates, scaled, strict=True)}
        call_s = call * _CALL_S
    return rates


def _usual_rates(models: Sequence[ModelTimings]) -> dict[str, float]:
    """Seconds per unit by number format: the median of the models that are mostly in it, else of all."""
    found: dict[str, list[float]] = {}
    for model in models:
        rate = model.whole.seconds / math.fsum(model.whole.load.values())
        found.setdefault(_main_format(model.whole.load), []).append(rate)
    overall = statistics.median(rate for some in found.values() for rate in some)
    medians = {number_format: statistics.median(some) for number_format, some in found.items()}
    return {number_format: medians.get(number_format, overall) for number_format in FORMATS}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One equation: Σ effort × rate + a call = seconds."""

    efforts: Mapping[Kind, float]
    seconds: float
    floor_s: float
    weight: float

    def weight_at(self, predicted_s: float) -> float:
        return self.weight / (math.sqrt(max(predicted_s, 1e-9) * self.seconds) + self.floor_s)


def _row_s(row: _Row, rates: Mapping[Kind, float], call_s: float) -> float:
    return math.fsum((call_s, *(effort * rates[kind] for kind, effort in row.efforts.items())))


def _kept_kinds(models: Sequence[ModelTimings]) -> set[Kind]:
    kept = set()
    for model in models:
        total = math.fsum(model.whole.load.values())
        kept |= {kind for kind, effort in model.whole.load.items() if effort > LEAST_SHARE * total}
    return kept


def _rows(model: ModelTimings, kept: set[Kind]) -> list[_Row]:
    """The whole counts as much as all chunks together."""
    floor_s = _FLOOR_SHARE * model.whole.seconds
    share = 1 / math.sqrt(len(model.chunks)) if model.chunks else 0.0
    timed = [(model.whole, 0.0, 1.0), *((chunk, floor_s, share) for chunk in model.chunks)]
    return [
        _Row(
            efforts=_grouped(timing.load, kept),
            seconds=timing.seconds,
            floor_s=floor,
            weight=weight,
        )
        for timing, floor, weight in timed
    ]


def _grouped(load: Load, kept: set[Kind]) -> dict[Kind, float]:
    grouped: dict[Kind, float] = {}
    for kind, effort in load.items():
        key = kind if kind in kept else (OTHERS, kind[1])
        grouped[key] = grouped.get(key, 0.0) + effort
    return grouped


def _least_squares(
    rows: Sequence[_Row], weights: Sequence[float], usual: Mapping[Kind, float]
) -> list[float]:
    """Coordinate descent on the normal equations; in units of `usual`, the call last."""
    place = {kind: index for index, kind in enumerate(usual)}
    size = len(usual) + 1
    products = [[0.0] * size for _ in range(size)]
    targets = [0.0] * size
    for row, weight in zip(rows, weights, strict=True):
        entries = [
            (place[kind], effort * usual[kind] * weight) for kind, effort in row.efforts.items()
        ]
        entries.append((size - 1, _CALL_S * weight))
        for index, value in entries:
            targets[index] += value * row.seconds * weight
            for other, factor in entries:
                products[index][other] += value * factor
    for index in range(len(usual)):
        products[index][index] += _PULL**2
        targets[index] += _PULL**2
    return _descended(products, targets)


def _descended(products: Sequence[Sequence[float]], targets: Sequence[float]) -> list[float]:
    values = [1.0] * len(targets)
    for _ in range(_SWEEPS):
        for index, line in enumerate(products):
            reached = math.fsum(map(float.__mul__, line, values)) - line[index] * values[index]
            least = _LEAST_RATE if index < len(values) - 1 else 0.0
            values[index] = max((targets[index] - reached) / line[index], least)
    return values
