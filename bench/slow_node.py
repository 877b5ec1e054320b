"""A node is slowed to a third at full load: when is a better plan live, what is lost: python -m bench.slow_node

As root: each node runs in a control group with a CPU quota, see `bench.prediction`.
"""

import argparse
import os
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.prediction import told
from bench.quota_lab import QuotaLab, question_of, quota_lab
from mesh.demo.load import LoadReport, Question, run_load
from mesh.planning.wishes import Wishes
from mesh.testing.cpu_quota import cannot_limit
from mesh.wire.control import ModelStatus

CORES = {"gateway": 0.4, "fast": 0.4, "middle": 0.2}
SLOWED = "fast"
BEFORE_S = 10.0
WATCH_S = 25.0
AFTER_S = 15.0
POLL_S = 0.2
_BATCH = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`live_after_s` = from the slowdown to the next epoch, None where none came; rates per second."""

    plan_before: str
    plan_after: str
    reason: str
    live_after_s: float | None
    switches: int
    before_per_s: float
    promised_before_per_s: float
    after_per_s: float
    promised_per_s: float
    answered: int
    failures: tuple[str, ...]
    wrong: int


class Load:
    """Requests without a pause until `stop`; when each was answered."""

    def __init__(self, lab: QuotaLab, question: Question) -> None:
        self._lab, self._question = lab, question
        self._stopping = threading.Event()
        self.ended_s: list[float] = []
        self.failures: list[str] = []
        self.wrong = 0

    def run(self) -> None:
        in_flight = 4 * len(self._lab.cores)
        with self._lab.mesh.client(self._lab.gateway) as client:
            while not self._stopping.is_set():
                began_s = time.monotonic()
                self._take(
                    began_s, run_load(client, self._question, count=_BATCH, in_flight=in_flight)
                )

    def _take(self, began_s: float, report: LoadReport) -> None:
        self.ended_s += [began_s + at_s for at_s in report.finished_s]
        self.failures += report.failures
        self.wrong += report.wrong

    def stop(self) -> None:
        self._stopping.set()

    def per_s(self, since_s: float, until_s: float) -> float:
        return sum(since_s <= at_s < until_s for at_s in self.ended_s) / (until_s - since_s)


def slow_down(lab: QuotaLab, file: Path, name: str) -> Outcome:
    """Serve, load, slow one node to a third, and watch what the mesh does about it."""
    load = Load(lab, question_of(file, name))
    before = lab.serve(file, name, Wishes())
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(load.run)
        try:
            time.sleep(BEFORE_S)
            slowed_s = time.monotonic()
            lab.set_cores(SLOWED, lab.cores[SLOWED] / 3)
            epochs = _watch(lab, name, slowed_s)
            time.sleep(AFTER_S)
            ended_s = time.monotonic()
        finally:
            load.stop()
        running.result()
    after = lab.model(name)
    changes = [at_s for at_s, epoch in epochs if epoch != before.epoch]
    return Outcome(
        plan_before=told(before),
        plan_after=told(after),
        reason=after.reason,
        live_after_s=changes[0] if changes else None,
        switches=len({epoch for _, epoch in epochs}) - 1,
        promised_before_per_s=_promised_per_s(before),
        before_per_s=load.per_s(slowed_s - BEFORE_S / 2, slowed_s),
        after_per_s=load.per_s(ended_s - AFTER_S, ended_s),
        promised_per_s=_promised_per_s(after),
        answered=len(load.ended_s) - len(load.failures),
        failures=tuple(load.failures),
        wrong=load.wrong,
    )


def _watch(lab: QuotaLab, name: str, since_s: float) -> list[tuple[float, int | None]]:
    """The epochs of the live plan, each with how long after the slowdown it was seen."""
    seen: list[tuple[float, int | None]] = []
    with lab.mesh.client(lab.gateway) as client:
        while (at_s := time.monotonic() - since_s) < WATCH_S:
            model = next(one for one in client.status().models if one.name == name)
            seen.append((at_s, model.epoch))
            time.sleep(POLL_S)
    return seen


def _promised_per_s(model: ModelStatus) -> float:
    return 1 / model.bottleneck_s if model.bottleneck_s else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description="Slow a node to a third at full load.")
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        default=Path(".venvs/samples/hand_landmark_full.tflite"),
    )
    args = parser.parse_args()
    if why := cannot_limit():
        parser.error(why)
    os.nice(-15)  # the load generator has no share
    with tempfile.TemporaryDirectory() as folder, quota_lab(CORES, Path(folder)) as lab:
        found = slow_down(lab, args.file, args.file.stem)
    when = "never" if found.live_after_s is None else f"{found.live_after_s:.1f} s"
    print(
        f"before   {found.plan_before}  {found.before_per_s:.2f}/s of {found.promised_before_per_s:.2f}/s promised"
    )
    print(f"slowed   {SLOWED} to a third; next plan live after {when}, {found.switches} switches")
    print(f"after    {found.plan_after}  {found.after_per_s:.2f}/s ({found.reason})")
    print(
        f"promised {found.promised_per_s:.2f}/s, {found.after_per_s / found.promised_per_s:.0%} of it"
    )
    print(f"{found.answered} answered, {len(found.failures)} failed, {found.wrong} wrong")
    for failure in found.failures[:5]:
        print(f"  {failure}")


if __name__ == "__main__":
    main()
