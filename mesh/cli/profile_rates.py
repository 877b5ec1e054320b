"""Measures this machine's reference rates: networks in chunks, and a fit by kind of operator.

How chunks are timed is `mesh.runtime.reference_timing`'s business, the fit `mesh.device.rate_fit`'s.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mesh.cli.profile_networks import MOBILENET, RESNET, Network, OnStep
from mesh.device.profile import Anchor, ReferenceRate
from mesh.device.rate_fit import LEAST_MODEL_S, ModelTimings, fit_rates
from mesh.errors import DeviceError, MeshError
from mesh.model import read_model
from mesh.runtime.measuring import Effort
from mesh.runtime.port import Runtime
from mesh.runtime.reference_timing import time_model

_EFFORT = Effort(budget_s=0.05, max_runs=50)
_PASSES = 2
_DIGITS = 3
"""Figures beyond are noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What was measured; `anchor` None where one of its two networks could not be timed."""

    reference: tuple[ReferenceRate, ...]
    anchor: Anchor | None
    passed_over: tuple[str, ...]


def measure_rates(
    networks: Sequence[Network],
    runtime: Runtime,
    *,
    available_bytes: int,
    source: str,
    on_step: OnStep,
) -> Rates:
    """One network after the other, one thread. Raises: DeviceError when none could be timed."""
    timings: list[ModelTimings] = []
    passed_over: list[str] = []
    for network in networks:
        outcome = _time(network, runtime, available_bytes, on_step)
        if isinstance(outcome, str):
            passed_over.append(f"{network.name}: {outcome}")
        elif outcome.whole.seconds >= LEAST_MODEL_S:
            timings.append(outcome)
    if not timings:
        raise DeviceError(f"nothing could be timed on this machine ({'; '.join(passed_over)})")
    return Rates(
        reference=tuple(
            replace(rate, seconds_per_unit=_rounded(rate.seconds_per_unit))
            for rate in fit_rates(timings, source=source)
        ),
        anchor=_anchor(timings, source),
        passed_over=tuple(passed_over),
    )


def _time(
    network: Network, runtime: Runtime, available_bytes: int, on_step: OnStep
) -> ModelTimings | str:
    """Its times, or why there are none."""
    if not network.fits(available_bytes):
        return "too large for the memory that is free"
    try:
        with tempfile.TemporaryDirectory(prefix="mesh-profile-") as folder:
            return time_model(
                network.name,
                read_model(network.build()),
                runtime,
                folder=Path(folder),
                passes=_PASSES,
                effort=_EFFORT,
                on_slice=partial(on_step, network.name),
            )
    except OSError as error:
        return f"no room for its slices: {error.strerror or error}"
    except MeshError as error:
        return str(error)


def _anchor(timings: Sequence[ModelTimings], source: str) -> Anchor | None:
    seconds = {each.name: each.whole.seconds for each in timings}
    if MOBILENET not in seconds or RESNET not in seconds:
        return None
    return Anchor(
        one_thread_mobilenet_v2_s=_rounded(seconds[MOBILENET]),
        one_thread_resnet_50_s=_rounded(seconds[RESNET]),
        source=source,
    )


def _rounded(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")
