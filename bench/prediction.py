"""Predicted against measured requests per second on nodes with unequal shares of the processor.

    python -m bench.prediction [--seconds 10] [--json FILE] [MODEL.tflite …]

As root, on a machine with little else to do: each node runs in a control group with a CPU quota, and
every plan that is forced by wishes is compared with what it promised when it went live. The share of
its quota that each node used tells what set the pace; where none is near 1, the machine was busy.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.quota_lab import QuotaLab, question_of, quota_lab
from mesh.errors import DeadlineExceededError
from mesh.planning.wishes import Wishes
from mesh.testing.cpu_quota import cannot_limit
from mesh.wire.control import ModelStatus

SAMPLES = Path(".venvs/samples")
MODELS = ("pose_landmark_full", "hand_landmark_full", "face_landmark_with_attention")
CORES = {"gateway": 0.3, "fast": 0.3, "middle": 0.2, "slow": 0.14}
SETTLE_ROUNDS = 2
"""How often each plan is timed; the median counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One plan: `used` = what each node used of its share."""

    model: str
    wish: str
    plan: str
    predicted_per_s: float
    measured_per_s: float
    failed: int
    wrong: int
    used: Mapping[str, float]

    @property
    def error(self) -> float:
        """How far off the prediction was, of what was measured."""
        return self.predicted_per_s / self.measured_per_s - 1


def wishes() -> Iterator[tuple[str, Wishes]]:
    """What each model is asked for, one after the other; one leaves all to the planner."""
    away = ("gateway",)
    yield (
        "one node",
        _wishes(never=(*away, "middle", "slow"), max_replicas=1),
    )
    yield "replicas", _wishes(must=("fast", "middle", "slow"), never=away)
    yield (
        "two stages",
        _wishes(must=("fast", "middle"), never=(*away, "slow"), min_stages=2, max_replicas=1),
    )
    yield (
        "three stages",
        _wishes(must=("fast", "middle", "slow"), never=away, min_stages=3, max_replicas=1),
    )
    yield "a replicated stage", _wishes(must=("fast", "middle", "slow"), never=away, min_stages=2)
    yield "free choice", Wishes()
    yield "the gateway too", _wishes(must=("gateway", "fast"), min_stages=2, max_replicas=1)


def _wishes(
    *,
    must: tuple[str, ...] = (),
    never: tuple[str, ...] = (),
    min_stages: int = 1,
    max_replicas: int | None = None,
) -> Wishes:
    named = {"must": must, "never": never}
    return Wishes(min_stages=min_stages, max_replicas=max_replicas, **named)  # type: ignore[arg-type]


def told(model: ModelStatus) -> str:
    """As "fast+middle [0, 60) → slow [60, 140)"."""
    return " → ".join(
        f"{'+'.join(one.node_name for one in stage.replicas)} [{stage.start}, {stage.stop})"
        for stage in model.stages
    )


def lines(lab: QuotaLab, file: Path, *, seconds: float) -> Iterator[Line]:
    """Each plan of one model, predicted and measured."""
    question = question_of(file, file.stem)
    for wish, asked in wishes():
        try:
            model = lab.serve(file, file.stem, asked)
        except DeadlineExceededError as error:
            print(f"{file.stem}: {wish}: no plan: {str(error)[:200]}")
            continue
        predicted_per_s = 1 / (model.bottleneck_s or 1.0)
        rounds = [
            lab.rate(question, expected_per_s=predicted_per_s, seconds=seconds)
            for _ in range(SETTLE_ROUNDS)
        ]
        last = rounds[-1]
        yield Line(
            model=file.stem,
            wish=wish,
            plan=told(model),
            predicted_per_s=predicted_per_s,
            measured_per_s=statistics.median(one.requests_per_s for one in rounds),
            failed=sum(len(one.failures) for one in rounds),
            wrong=sum(one.wrong for one in rounds),
            used=last.used,
        )


def show(line: Line) -> None:
    used = " ".join(f"{name} {share:.2f}" for name, share in line.used.items())
    print(
        f"{line.model:32} {line.wish:20} {line.predicted_per_s:8.2f} {line.measured_per_s:8.2f} "
        f"{line.error:+7.1%}  {line.failed} failed, {line.wrong} wrong  {line.plan}  (used: {used})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare predicted with measured throughput.")
    parser.add_argument("files", metavar="MODEL", type=Path, nargs="*")
    parser.add_argument("--seconds", type=float, default=10.0, help="of load for each plan, twice")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    args = parser.parse_args()
    if why := cannot_limit():
        parser.error(why)
    os.nice(-15)  # the load generator has no share, and is not what is measured
    found: list[Line] = []
    print(f"{'model':32} {'plan asked for':20} {'predicted':>8} {'measured':>8} {'error':>7}")
    for file in args.files or [SAMPLES / f"{name}.tflite" for name in MODELS]:
        with (
            tempfile.TemporaryDirectory() as folder,
            quota_lab(CORES, Path(folder)) as lab,
        ):
            for line in lines(lab, file, seconds=args.seconds):
                found.append(line)
                show(line)
    within = sum(abs(line.error) <= 0.1 for line in found)
    print(f"{within} of {len(found)} plans within 10 %")
    if args.json:
        args.json.write_text(json.dumps([asdict(line) for line in found], indent=1))


if __name__ == "__main__":
    main()
