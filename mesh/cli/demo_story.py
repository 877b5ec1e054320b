"""The demo's steps, one after the other: what is said of each, before and after it is done."""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from mesh.cli import demo_acts, figures, plan_view, status_view
from mesh.cli.demo_acts import MODEL_NAME, STATUS_TIMEOUT_S
from mesh.cli.demo_figures import DemoFigures
from mesh.cli.demo_narrator import Narrator
from mesh.cli.demo_speed import Speed, speed_table, stage_table
from mesh.cli.plan import PLANNING_TIMEOUT_S, ask_plan
from mesh.cli.session import Session, ask_status
from mesh.cli.steps import Steps, steps_for
from mesh.demo.samples import Sample, describe_answer, fetch_sample
from mesh.demo.whole import WholeModel
from mesh.errors import MeshError
from mesh.testing.local_mesh import LocalMesh
from mesh.wire.planned import PlanRequest

CHECKS = 20
OUTPUTS_ASKED = 2
"""Where speed counts: the other outputs are large maps that few want."""
FOREVER_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the demo was told."""

    sample: Sample
    photo: Sample
    names: tuple[str, ...]
    cache_dir: Path
    keep: bool


class Story:
    """Tells it once, from the download to the end of the last node."""

    def __init__(
        self, wishes: Wishes, session: Session, mesh: LocalMesh, folder: Path, *, as_json: bool
    ) -> None:
        self._wishes = wishes
        self._session = session
        self._mesh = mesh
        self._folder = folder
        self._as_json = as_json
        self._narrator = Narrator(session.terminal, quiet=as_json)
        self._figures = DemoFigures()

    def tell(self) -> int:
        """Raises: MeshError at the first thing that does not work."""
        with contextlib.closing(steps_for(self._session.terminal, quiet=self._as_json)) as steps:
            model, photo = self._fetch(steps)
            self._start(steps)
            self._add(model, steps)
            self._ask(photo)
            with WholeModel(model) as whole:
                self._check(whole)
                self._measure(whole, model, steps)
                self._kill(whole, steps)
        if self._wishes.keep:
            self._keep()
        self._end()
        return 0

    def _fetch(self, steps: Steps) -> tuple[Path, Path]:
        self._narrator.head("Fetch a trained model and a photo")
        paths = []
        for sample in (self._wishes.sample, self._wishes.photo):
            with demo_acts.bytes_shown(steps, f"downloading {sample.name}") as on_progress:
                path = fetch_sample(sample.name, self._wishes.cache_dir, on_progress=on_progress)
            paths.append(path)
            size = figures.size(sample.size_bytes)
            self._narrator.say(f"{path.name}: {sample.about} {size}, {sample.licence}.")
        return paths[0], paths[1]

    def _start(self, steps: Steps) -> None:
        names = self._wishes.names
        self._narrator.head(f"Start {len(names)} node processes; they find each other over mDNS")
        began_s = time.monotonic()
        with demo_acts.busy_shown(steps, f"starting {len(names)} nodes"):
            demo_acts.start(self._mesh, names)
        took_s = self._figures.found_each_other_s = time.monotonic() - began_s
        self._show_status()
        self._narrator.say(
            f"After {took_s:.1f} s each knew all {len(names)}; none was told of another."
        )

    def _add(self, model: Path, steps: Steps) -> None:
        split = len(self._wishes.names)
        self._narrator.head("Add the model: measure, plan, split, check, serve")
        self._narrator.command(
            f"mesh model add {model.name} --name {MODEL_NAME} --image --split {split}"
        )
        demo_acts.serve(self._mesh, model, self._wishes.sample, steps, self._session)
        self._narrator.say(
            "One node took the upload, the others fetched it from their peers. Each timed the "
            "model's layers for itself. The plan went live once its stages together had given the "
            "whole model's answer."
        )
        self._show_plan()
        self._narrator.say(
            f"A pipeline was asked for (--split {split}), to show one. Whether it pays while all "
            f"nodes share the {_cores()} of one machine is measured below."
        )

    def _show_plan(self) -> None:
        self._narrator.command(f"mesh plan {MODEL_NAME}")
        with self._mesh.client() as client:
            request = PlanRequest(name=MODEL_NAME)
            plan = ask_plan(client, request, timeout_s=PLANNING_TIMEOUT_S)
        self._figures.predicted_requests_per_s = 1.0 / plan.chosen.bottleneck_s
        self._narrator.show(plan_view.render(plan, self._narrator.canvas))

    def _ask(self, photo: Path) -> None:
        self._narrator.head("Send the photo over MQTT, to each node in turn")
        self._narrator.command(f"mesh infer {MODEL_NAME} --image {photo.name}")
        answers = demo_acts.ask_each(self._mesh, photo)
        for line in describe_answer(self._wishes.sample, answers[0]):
            self._narrator.show(f"  {line}")
        same = all(one == answers[0] for one in answers)
        self._judge(same, f"all {len(answers)} nodes gave the same answer, bit for bit")

    def _check(self, whole: WholeModel) -> None:
        self._narrator.head("Check the split answers against the whole model in one process")
        equal = demo_acts.check(self._mesh, whole, CHECKS)
        outputs_bytes = sum(spec.size_bytes for spec in whole.outputs)
        self._figures.checked, self._figures.equal = CHECKS, equal
        self._judge(
            equal == CHECKS,
            f"{equal} of {CHECKS} random inputs: all {len(whole.outputs)} outputs "
            f"({figures.size(outputs_bytes)}) equal bit for bit",
        )

    def _measure(self, whole: WholeModel, model: Path, steps: Steps) -> None:
        count = len(self._wishes.names)
        self._narrator.head("Measure: the pipeline beside a single node")
        asked_for = demo_acts.question(whole, 0, outputs=OUTPUTS_ASKED)
        label, in_flight = f"{count}-stage pipeline", 2 * count
        pipeline = demo_acts.measure(self._mesh, asked_for, steps, label=label, in_flight=in_flight)
        measured = self._mesh.folder / self._wishes.names[0] / "data" / "capability"
        with demo_acts.node_alone(self._folder / "alone", model, measured=measured) as alone:
            single = demo_acts.measure(
                alone, asked_for, steps, label="one node alone", in_flight=in_flight
            )
        self._figures.take_speeds(pipeline, single)
        received_bytes = [whole.received_bytes(one.layers) for one in pipeline.timing.stages]
        self._narrator.say(
            f"One by one: the median of {demo_acts.ONE_BY_ONE} requests. A hop is one way over MQTT "
            f"from node to node. Many at once: {in_flight} requests under way."
        )
        self._narrator.gap()
        self._narrator.draw(stage_table(pipeline.timing, received_bytes))
        self._narrator.gap()
        self._narrator.draw(speed_table([pipeline, single]))
        self._narrator.say(self._verdict(pipeline, single))

    def _verdict(self, pipeline: Speed, single: Speed) -> str:
        predicted = figures.rate(self._figures.predicted_requests_per_s)
        return (
            f"So here the pipeline answers {pipeline.requests_per_s / single.requests_per_s:.2f}× as "
            f"many requests as one node. That is a figure of this machine, not of boards: "
            f"{len(self._wishes.names)} nodes, their brokers and this client share its {_cores()}, "
            "so stages compute side by side only as far as cores are free, and every hop costs "
            "processor time too. Boards bring cores of their own. "
            f"({predicted} were predicted for stages and hops alone, without this client.)"
        )

    def _kill(self, whole: WholeModel, steps: Steps) -> None:
        asked_for = demo_acts.question(whole, 1, outputs=OUTPUTS_ASKED)
        with self._mesh.client() as client:
            before = client.status()
            victim = demo_acts.victim_of(before)
            self._narrator.head(f"Pull the plug: kill -9 {victim} while requests flow")
            report = demo_acts.kill_under_load(self._mesh, client, asked_for, victim, steps)
            after = client.status()
        self._figures.take_kill(report)
        self._judge(
            report.answered == report.sent and not report.wrong,
            f"{report.sent} requests sent, {report.answered} answered, "
            f"{len(report.failures)} failed, {report.wrong} wrong",
        )
        self._narrator.say(
            f"{victim} died after {demo_acts.KILL_AFTER} answers, with {demo_acts.KILL_IN_FLIGHT} "
            "requests under way. The others planned anew (epoch "
            f"{demo_acts.epoch_of(before)} → {demo_acts.epoch_of(after)}), and what was lost was "
            f"sent again: the longest pause between answers was {report.longest_pause_s():.1f} s."
        )
        self._show_status()

    def _keep(self) -> None:
        url = next(iter(self._mesh.nodes.values())).broker_url
        stays = f"The mesh stays until Ctrl-C. Try: mesh status --url {url}"
        if self._as_json:
            self._session.terminal.note(stays)
        self._narrator.gap()
        self._narrator.say(stays)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                self._session.pause(FOREVER_S)

    def _end(self) -> None:
        self._narrator.head("Clean up: stop the nodes and remove what they wrote")
        count = len(self._mesh.nodes)
        self._mesh.close()
        self._narrator.say(
            f"{figures.count(count, 'node')} stopped; only the downloads stay, in "
            f"{self._wishes.cache_dir}. On real boards: `mesh node` on each, then the commands "
            "above, from anywhere on the network."
        )
        if self._as_json:
            self._session.terminal.show_json(**self._figures.members())

    # Help for the steps

    def _judge(self, good: bool, text: str) -> None:
        """Raises: MeshError where the demo's promise does not hold."""
        if not good:
            self._session.terminal.note(self._mesh.logs())
            raise MeshError(f"the demo failed: {text} (the nodes' logs are above)")
        self._narrator.done(text)

    def _show_status(self) -> None:
        self._narrator.command("mesh status")
        with self._mesh.client() as client:
            status = ask_status(client, STATUS_TIMEOUT_S)
        self._narrator.show(status_view.render(status, self._narrator.canvas))


def _cores() -> str:
    return figures.count(len(os.sched_getaffinity(0)), "core")
