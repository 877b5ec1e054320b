"""What slicing costs: N slices against the whole, predicted stage times, and cutting a large file.

    python -m bench.slicing [FILE.tflite …]

Slices run as the mesh runs them, each in an interpreter's process of its own, the tensors copied
from one to the next. A stage runs RUNS times in a row before the next one's turn, and the first run
does not count: on a board of its own, too, caches hold what it ran last. All ways of cutting take
turns in each round, so that a busy machine disturbs them alike; ratios are taken within a round, and
their median is shown. Times on a machine that is
busy otherwise say little, for whoever has waited runs first; processor time, which is what all
processes of a request used, copies included, says as much as it can there.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from mesh.device.capability import Capability, Conditions
from mesh.ids import ModelId
from mesh.model import (
    LayerRange,
    Model,
    StageInterface,
    boundaries,
    read_model,
    slice_pieces,
    stage_interface,
)
from mesh.planning.even_split import even_split
from mesh.runtime.detect import detect_runtime
from mesh.runtime.golden import golden_inputs
from mesh.runtime.interpreter import InterpreterRuntime, InterpreterSlice
from mesh.runtime.measuring import all_boundaries, measure_model
from mesh.testing.models import residual_cnn

STAGES = (1, 2, 4, 8)
SAMPLES = Path(__file__).parents[1] / ".venvs" / "samples"
SAMPLE_NAMES = ("pose_landmark_full", "hand_landmark_full", "palm_detection_full")
TIMEOUT_S = 120.0
RUNS = 4
WARM_UP_ROUNDS = 3
CUT_RUNS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One request through the stages: in interpreters, on processors, and by stage as the caller waits."""

    compute_s: float
    processor_s: float
    stage_s: tuple[float, ...]

    @property
    def call_s(self) -> float:
        return sum(self.stage_s)


class Chain:
    """The stages of one way of cutting, loaded; tensors go from one to the next by their index."""

    def __init__(
        self, model: Model, bounds: Sequence[int], runtime: InterpreterRuntime, folder: Path
    ) -> None:
        self.bounds = tuple(bounds)
        self._model = model
        self._stages: list[tuple[StageInterface, InterpreterSlice]] = []
        for start, stop in pairwise(bounds):
            self._stages.append(self._load(LayerRange(start=start, stop=stop), runtime, folder))

    def _load(
        self, layers: LayerRange, runtime: InterpreterRuntime, folder: Path
    ) -> tuple[StageInterface, InterpreterSlice]:
        interface = stage_interface(self._model, layers)
        path = folder / f"{layers.start}-{layers.stop}.tflite"
        with path.open("wb") as file:
            file.writelines(slice_pieces(self._model, layers))
        loaded = runtime.load(
            path,
            inputs=interface.consumed,
            outputs=interface.produced,
            threads=1,
            timeout_s=TIMEOUT_S,
        )
        return interface, loaded

    def run(self) -> Run:
        specs = self._model.inputs
        held = {
            spec.index: bytes(one) for spec, one in zip(specs, golden_inputs(specs), strict=True)
        }
        runs = []
        for interface, loaded in self._stages:
            given = [held[spec.index] for spec in interface.consumed]
            answer = loaded.invoke(given, timeout_s=TIMEOUT_S)
            runs.append(_again(loaded, given))
            made = zip(interface.produced, answer.outputs, strict=True)
            held |= {spec.index: content for spec, content in made}
        return Run(
            compute_s=sum(run.compute_s for run in runs),
            processor_s=sum(run.processor_s for run in runs),
            stage_s=tuple(run.call_s for run in runs),
        )

    def close(self) -> None:
        for _, loaded in self._stages:
            loaded.close()


def _again(loaded: InterpreterSlice, given: Sequence[bytes]) -> Run:
    """The median run of a stage that ran just before."""
    compute_s, call_s = [], []
    before_s = _processor_s(loaded)
    for _ in range(RUNS - 1):
        started_s = time.perf_counter()
        compute_s.append(loaded.invoke(given, timeout_s=TIMEOUT_S).compute_s)
        call_s.append(time.perf_counter() - started_s)
    used_s = (_processor_s(loaded) - before_s) / (RUNS - 1)
    return Run(
        compute_s=statistics.median(compute_s),
        processor_s=used_s,
        stage_s=(statistics.median(call_s),),
    )


def _processor_s(loaded: InterpreterSlice) -> float:
    """What this process and that of the slice have used; the latter has one thread that works."""
    # proc(5), schedstat: nanoseconds on a processor come first.
    stat = Path(f"/proc/{loaded.pid}/schedstat").read_text("ascii")
    return time.process_time() + int(stat.split()[0]) / 1e9


def measured(model: Model, runtime: InterpreterRuntime, folder: Path) -> Capability:
    """As a node measures a model that it was given."""
    conditions = Conditions(
        model_id=ModelId("0" * 64),
        kernel_class=runtime.info().kernel_class,
        device_profile="",
        power_mode="",
        threads=1,
    )
    return measure_model(
        model, runtime, conditions, boundaries=all_boundaries(model), folder=folder
    )


def cuts(model: Model, capability: Capability, stages: int) -> tuple[int, ...] | None:
    """Stages even by measured time, where little crosses."""
    live_bytes = {one.layer: one.live_bytes for one in boundaries(model)}
    crossing = [live_bytes.get(boundary, 0) for boundary in capability.boundaries]
    places = range(len(capability.boundaries))
    costs = [seconds or 0.0 for seconds in capability.layer_s]
    picked = even_split(places, crossing, costs, stages)
    return None if picked is None else tuple(capability.boundaries[place] for place in picked)


def bench_model(name: str, content: bytes, rounds: int) -> None:
    model, runtime = read_model(content), detect_runtime()
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as open_chains:
        folder = Path(temporary)
        capability = measured(model, runtime, folder)
        chains: dict[int, Chain] = {}
        for stages in STAGES:
            picked = cuts(model, capability, stages)
            if picked is not None:
                chain = Chain(model, (0, *picked, len(model.layers)), runtime, folder)
                open_chains.callback(chain.close)
                chains[stages] = chain
        runs = take_turns(chains, rounds)
        # Measured again: in between, the machine may have become another.
        again = measured(model, runtime, folder)
    show_ratios(name, chains, runs, model)
    show_errors(chains, runs, (capability, again))


def take_turns(chains: Mapping[int, Chain], rounds: int) -> dict[int, list[Run]]:
    runs: dict[int, list[Run]] = {stages: [] for stages in chains}
    for each in range(WARM_UP_ROUNDS + rounds):
        for stages, chain in chains.items():
            run = chain.run()
            if each >= WARM_UP_ROUNDS:
                runs[stages].append(run)
    return runs


def show_ratios(
    name: str, chains: Mapping[int, Chain], runs: Mapping[int, Sequence[Run]], model: Model
) -> None:
    print(f"\n{name}, {len(model.layers)} layers, {len(runs[1])} rounds")
    print("                                        ÷ whole:")
    print("  stages  crossing     invoke       call  invoke  call  processor  cuts")
    live_bytes = {one.layer: one.live_bytes for one in boundaries(model)}
    for stages, chain in chains.items():
        ratios = [
            (
                one.compute_s / whole.compute_s,
                one.call_s / whole.call_s,
                one.processor_s / whole.processor_s,
            )
            for one, whole in zip(runs[stages], runs[1], strict=True)
        ]
        invoke, call, processor = (statistics.median(parts) for parts in zip(*ratios, strict=True))
        compute_ms = 1e3 * quartile([run.compute_s for run in runs[stages]])
        call_ms = 1e3 * quartile([run.call_s for run in runs[stages]])
        crossing = sum(live_bytes[cut] for cut in chain.bounds[1:-1]) / 1024
        where = ", ".join(map(str, chain.bounds[1:-1]))
        print(
            f"  {stages:6} {crossing:5.0f} KiB {compute_ms:7.2f} ms {call_ms:7.2f} ms "
            f"{invoke:7.3f} {call:5.3f} {processor:10.3f}  {where}"
        )


def show_errors(
    chains: Mapping[int, Chain],
    runs: Mapping[int, Sequence[Run]],
    capabilities: Sequence[Capability],
) -> None:
    """How far predicted stage times are off, with the mean of both measurements."""
    errors: list[tuple[float, float]] = []
    for stages, chain in chains.items():
        for place, (start, stop) in enumerate(pairwise(chain.bounds)):
            layers = LayerRange(start=start, stop=stop)
            predicted_s = statistics.mean(one.predict_s(layers) or 0.0 for one in capabilities)
            seconds = quartile([run.stage_s[place] for run in runs[stages]])
            errors.append((predicted_s / seconds - 1, seconds))
    mean = statistics.mean(abs(error) for error, _ in errors)
    weighted = sum(abs(error) * seconds for error, seconds in errors)
    weighted /= sum(seconds for _, seconds in errors)
    bias = statistics.mean(error for error, _ in errors)
    print(
        f"  predicted stage times: {mean:.1%} off in the mean ({bias:+.1%} with sign), "
        f"{weighted:.1%} weighted by time"
    )


def quartile(seconds: Sequence[float]) -> float:
    """What it takes when nobody disturbs it, as nodes take it too."""
    return sorted(seconds)[len(seconds) // 4]


def bench_cutting(path: Path) -> None:
    """In fresh processes: read a file, cut it in two, write both."""
    found = [
        json.loads(
            subprocess.run(
                [sys.executable, "-m", "bench.slicing", "--cut", str(path)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for _ in range(CUT_RUNS)
    ]
    size_bytes = path.stat().st_size
    print(f"\ncutting a file of {size_bytes / 1e6:.0f} MB in two, {CUT_RUNS} processes")
    for what in ("read_s", "cut_s", "write_s"):
        times_ms = sorted(1e3 * one[what] for one in found)
        print(
            f"  {what[:-2]:6} best {times_ms[0]:5.0f} ms, median {times_ms[len(found) // 2]:5.0f} ms"
        )
    for what in ("resident_bytes", "private_bytes"):
        most = max(one[what] for one in found)
        print(f"  {what[:-6]:9} memory at most {most / size_bytes:.2f} × the file")


def cut_here(path: Path) -> None:
    """Print what reading and cutting took in this process, as JSON."""
    import mmap  # noqa: PLC0415

    before_bytes, before_private_bytes = peak_bytes(), private_bytes()
    marks_s = [time.perf_counter()]
    with path.open("rb") as file:
        model = read_model(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    marks_s.append(time.perf_counter())
    live_bytes = {one.layer: one.live_bytes for one in boundaries(model)}
    bounds = all_boundaries(model)
    middle = bounds[len(bounds) // 2]
    halves = [
        slice_pieces(model, LayerRange(start=start, stop=stop))
        for start, stop in pairwise((0, middle, len(model.layers)))
    ]
    marks_s.append(time.perf_counter())
    with tempfile.TemporaryDirectory() as folder:
        for place, pieces in enumerate(halves):
            with (Path(folder) / str(place)).open("wb") as out:
                out.writelines(pieces)
        marks_s.append(time.perf_counter())
    read_s, cut_s, write_s = (after - before for before, after in pairwise(marks_s))
    print(
        json.dumps(
            {
                "read_s": read_s,
                "cut_s": cut_s,
                "write_s": write_s,
                "resident_bytes": peak_bytes() - before_bytes,
                "private_bytes": private_bytes() - before_private_bytes,
                "live_bytes": live_bytes[middle],
            }
        )
    )


def peak_bytes() -> int:
    """Not from getrusage: what its parent had at the fork counts there."""
    return _status_bytes("VmHWM")


def private_bytes() -> int:
    """Anonymous memory: what is no page of a file."""
    return _status_bytes("RssAnon")


def _status_bytes(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(key))


def models(paths: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """The files given, else the sample models that are there and two generated ones."""
    named = [SAMPLES / f"{name}.tflite" for name in SAMPLE_NAMES]
    for path in paths or [path for path in named if path.exists()]:
        yield path.stem, path.read_bytes()
    if not paths:
        yield "generated float32 CNN", residual_cnn("float32", width=256, blocks=40)
        yield "generated int8 CNN", residual_cnn("int8", width=256, blocks=40)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what slicing costs.")
    parser.add_argument("files", metavar="FILE", type=Path, nargs="*")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--cut", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.cut is not None:
        cut_here(args.cut)
        return
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    info = detect_runtime().info()
    print(f"{info.name} {info.version}, {os.cpu_count()} cores, load {load}")
    for name, content in models(args.files):
        bench_model(name, content, args.rounds)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.tflite"
        path.write_bytes(residual_cnn("float32", width=512, blocks=95))
        bench_cutting(path)


if __name__ == "__main__":
    main()
