"""Measures this machine's reference rates for what-if planning: python -m bench.reference FILE.json [MODEL …]

Times MobileNetV2, ResNet-50, a residual network in several number formats, and any .tflite files
given, with one thread; keeps the times in FILE.json, so that a second call only fits. Prints how well each
model is predicted by the others, and what belongs into the board's profile.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from mesh.device.load import Load
from mesh.device.profile import ReferenceRate
from mesh.device.rate_fit import LEAST_MODEL_S, ModelTimings, Timing, fit_rates, held_out
from mesh.device.reference import load_s
from mesh.errors import MeshError
from mesh.model import read_model
from mesh.runtime.detect import detect_runtime
from mesh.runtime.measuring import Effort
from mesh.runtime.reference_timing import time_model
from mesh.testing.models import residual_cnn
from mesh.testing.network import NumberFormat
from mesh.testing.published_networks import mobilenet_v2, resnet_50

FORMATS: tuple[NumberFormat, ...] = ("float32", "int8", "dynamic")
EFFORT = Effort(budget_s=0.08, max_runs=100)


def built() -> Iterator[tuple[str, Callable[[], bytes]]]:
    for number_format in FORMATS:
        yield f"mobilenet_v2 {number_format}", partial(mobilenet_v2, number_format)
        yield f"resnet_50 {number_format}", partial(resnet_50, number_format)
    for number_format in (*FORMATS, "int16x8"):
        yield f"residual {number_format}", partial(residual_cnn, number_format, width=64, blocks=6)


def measure(name: str, content: bytes, known: dict[str, Any], folder: Path) -> None:
    if name in known:
        return
    try:
        timings = time_model(
            name, read_model(content), detect_runtime(), folder=folder, effort=EFFORT
        )
    except MeshError as error:
        print(f"{name:42} {error}")
        return
    known[name] = {
        "whole": _plain(timings.whole),
        "chunks": [_plain(chunk) for chunk in timings.chunks],
    }
    print(f"{name:42} {timings.whole.seconds * 1e3:10.3f} ms in {len(timings.chunks)} chunks")


def show(models: list[ModelTimings], rates: tuple[ReferenceRate, ...]) -> None:
    fitted = {(rate.operator, rate.data_type): rate.seconds_per_unit for rate in rates}
    print(f"\n{'model':42} {'measured':>11} {'fitted':>7} {'held out':>8}  (÷ measured)")
    tried, inside = held_out(models), []
    for model, one in zip(models, tried, strict=True):
        ratio = load_s(fitted, model.whole.load) / model.whole.seconds
        inside.append(max(ratio, 1 / ratio))
        print(
            f"{one.name:42} {one.measured_s * 1e3:8.3f} ms {ratio:7.2f} "
            f"{one.predicted_s / one.measured_s:8.2f}  {one.number_format}"
        )
    outside = [one.factor for one in tried]
    for what, factors in (("fitted", inside), ("held out", outside)):
        print(
            f"{what:9} mean ×{statistics.geometric_mean(factors):.2f}, "
            f"median ×{statistics.median(factors):.2f}, worst ×{max(factors):.2f}"
        )
    print("\n# for the profile")
    for rate in rates:
        print(
            f'\n[[reference]]\noperator = "{rate.operator}"\ndata_type = "{rate.data_type}"\n'
            f"seconds_per_unit = {rate.seconds_per_unit:.3g}\nfactor = {rate.factor}\n"
            f'source = "{rate.source}"'
        )


def _plain(timing: Timing) -> dict[str, Any]:
    return {
        "seconds": timing.seconds,
        "load": [[*kind, value] for kind, value in timing.load.items()],
    }


def _timing(plain: dict[str, Any]) -> Timing:
    load: Load = {
        (operator, number_format): effort for operator, number_format, effort in plain["load"]
    }
    return Timing(load=load, seconds=plain["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("timings", type=Path)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--source", default="bench/reference.py")
    args = parser.parse_args()
    known = json.loads(args.timings.read_text(encoding="utf-8")) if args.timings.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for name, build in built():
            if name not in known:
                measure(name, build(), known, Path(folder))
        for path in args.models:
            measure(path.stem, path.read_bytes(), known, Path(folder))
            args.timings.write_text(json.dumps(known), encoding="utf-8")
    args.timings.write_text(json.dumps(known), encoding="utf-8")
    models = [
        ModelTimings(
            name=name,
            whole=_timing(one["whole"]),
            chunks=tuple(_timing(chunk) for chunk in one["chunks"]),
        )
        for name, one in sorted(known.items())
        if one["whole"]["seconds"] >= LEAST_MODEL_S
    ]
    show(models, fit_rates(models, source=args.source))


if __name__ == "__main__":
    main()
