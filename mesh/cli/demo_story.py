"""The demo's steps, one after the other; each does the real thing and says what came of it."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from mesh.cli import figures, plan_view, status_view
from mesh.cli.canvas import ACCENT, FAINT, GOOD, HEADING, Column, paragraph, table
from mesh.cli.demo_figures import DemoFigures
from mesh.cli.model_wait import Awaited, wait_until_served
from mesh.cli.plan import PLANNING_TIMEOUT_S, ask_plan
from mesh.cli.session import Session, ask_status
from mesh.cli.steps import Step, Steps, steps_for
from mesh.client import Client, await_reply
from mesh.demo.load import LoadReport, Question, run_load
from mesh.demo.samples import Sample, describe_answer, fetch_sample
from mesh.demo.whole import WholeModel
from mesh.errors import MeshError
from mesh.ids import ModelId
from mesh.runtime.golden import golden_inputs
from mesh.store.http_client import upload
from mesh.testing.local_mesh import LocalMesh, await_serving, await_status
from mesh.wire.control import (
    AddModelReply,
    AddModelRequest,
    ImageWish,
    StatusReply,
    Verb,
)
from mesh.wire.infer import InferResponse, Timing

MODEL_NAME = "pose"
PHOTO = "astronaut"
STATUS_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 60.0
SERVE_TIMEOUT_S = 240.0
CHECKS = 20
LOAD_REQUESTS = 120
KILL_REQUESTS = 200
KILL_AFTER = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the demo was told."""

    sample: Sample
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
        self._step = 0
        self._figures = DemoFigures()

    def tell(self) -> int:
        """Raises: MeshError at the first thing that does not work."""
        with contextlib.closing(steps_for(self._session.terminal, quiet=self._as_json)) as steps:
            model, photo = self._fetch(steps)
            self._start(steps)
            with self._mesh.client() as client:
                self._add(client, model, steps)
            response = self._ask(photo)
            with WholeModel(model) as whole:
                self._check(whole)
                self._measure(whole, model, steps)
                self._kill(whole, steps)
        del response
        self._end()
        return 0

    # The steps

    def _fetch(self, steps: Steps) -> tuple[Path, Path]:
        self._head("Fetch a trained model and a photo")
        sample = self._wishes.sample
        found = []
        for name in (sample.name, PHOTO):
            with _progress(steps, f"downloading {name}") as on_progress:
                found.append(fetch_sample(name, self._wishes.cache_dir, on_progress=on_progress))
        self._say(
            f"{sample.name}: {sample.about} {figures.size(sample.size_bytes)}, "
            f"{sample.licence}, trained by Google (MediaPipe)."
        )
        return found[0], found[1]

    def _start(self, steps: Steps) -> None:
        names = self._wishes.names
        self._head(f"Start {len(names)} node processes; they find each other over mDNS")
        began_s = time.monotonic()
        steps.show([Step(label="starting nodes")])
        self._mesh.start_all(names)
        with self._mesh.client() as client:
            await_status(
                client,
                lambda status: _all_ready(status, len(names)),
                timeout_s=60,
                what="the nodes to find each other",
            )
            took_s = time.monotonic() - began_s
            self._figures.found_each_other_s = took_s
            steps.show([])
            self._show_status(client)
        self._say(f"All {len(names)} were there after {took_s:.1f} s; nobody was told of another.")

    def _add(self, client: Client, model: Path, steps: Steps) -> None:
        sample, split = self._wishes.sample, len(self._wishes.names)
        self._head("Add the model: every node fetches it from its peers and measures itself")
        self._command(f"mesh model add {model.name} --name {MODEL_NAME} --image --split {split}")
        node = next(iter(self._mesh.nodes.values()))
        with _progress(steps, f"uploading {model.name}") as on_progress:
            model_id: ModelId = upload(node.http_url, model, on_progress)
        image = sample.image
        wish = AddModelRequest(
            model_id=model_id,
            name=MODEL_NAME,
            min_stages=split,
            image=ImageWish(scale=image.scale, offset=image.offset) if image else ImageWish(),
        )
        client.ask(Verb.MODEL_ADD, wish, AddModelReply, timeout_s=SERVE_TIMEOUT_S)
        wait_until_served(
            Awaited(name=MODEL_NAME, model_id=model_id, min_stages=split),
            ask=lambda: ask_status(client, STATUS_TIMEOUT_S),
            steps=steps,
            now_s=self._session.now_s,
            pause=self._session.pause,
            timeout_s=SERVE_TIMEOUT_S,
        )
        await_serving(client, MODEL_NAME, stages=split)
        steps.show([])
        self._command(f"mesh plan {MODEL_NAME}")
        plan = ask_plan(client, MODEL_NAME, timeout_s=PLANNING_TIMEOUT_S)
        room_bytes = plan_view.rooms(ask_status(client, STATUS_TIMEOUT_S))
        self._figures.predicted_requests_per_s = 1.0 / plan.chosen.bottleneck_s
        self._print(plan_view.render(plan, room_bytes, self._session.terminal.canvas))
        self._say(
            f"--split {split} asked for a pipeline: here all nodes share the {os.cpu_count()} cores "
            "of one machine, so on boards of their own the gain is larger than it can be here."
        )

    def _ask(self, photo: Path) -> InferResponse:
        self._head("Send the photo over MQTT, to each node in turn")
        self._command(f"mesh infer {MODEL_NAME} --image {photo.name}")
        responses = []
        for name in self._wishes.names:
            with self._mesh.client(name) as client:
                future = client.send(MODEL_NAME, photo.read_bytes(), content_type="image/png")
                responses.append(await_reply(future, ANSWER_TIMEOUT_S))
        first = responses[0]
        for line in describe_answer(self._wishes.sample, first.outputs):
            self._print(f"  {line}")
        same = all(one.outputs == first.outputs for one in responses)
        self._print("")
        if first.timing is not None:
            self._show_timing(first.timing)
        self._judge(same, f"all {len(responses)} nodes gave the same answer, bit for bit")
        return first

    def _check(self, whole: WholeModel) -> None:
        self._head("Check the split answers against the whole model in one process")
        equal = 0
        with self._mesh.client() as client:
            for seed in range(CHECKS):
                question = _question(whole, seed)
                report = run_load(client, question, count=1, in_flight=1)
                equal += report.answered - report.wrong
        outputs = sum(spec.size_bytes for spec in whole.outputs)
        self._figures.checked, self._figures.equal = CHECKS, equal
        self._judge(
            equal == CHECKS,
            f"{equal} of {CHECKS} inputs: all {len(whole.outputs)} outputs "
            f"({figures.size(outputs)}) equal bit for bit",
        )

    def _measure(self, whole: WholeModel, model: Path, steps: Steps) -> None:
        names = self._wishes.names
        self._head("Measure: the pipeline beside a single node")
        question = _question(whole, 0, outputs=2)
        with self._mesh.client() as client:
            pipeline = self._load(client, question, steps, f"{len(names)} nodes")
        with self._single_node(model) as alone, alone.client() as client:
            single = self._load(client, question, steps, "one node")
        self._figures.pipeline_requests_per_s = pipeline.requests_per_s
        self._figures.single_requests_per_s = single.requests_per_s
        rows = [
            (f"{len(names)}-stage pipeline", figures.rate(pipeline.requests_per_s)),
            ("one node alone", figures.rate(single.requests_per_s)),
        ]
        predicted = self._figures.predicted_requests_per_s
        columns = (Column(title=""), Column(title="MEASURED", is_number=True))
        self._print(self._session.terminal.canvas.draw([table(columns, rows, indent=2)]))
        self._say(
            f"The pipeline gives {pipeline.requests_per_s / single.requests_per_s:.2f}× one node, "
            f"and {pipeline.requests_per_s / predicted:.0%} of the {figures.rate(predicted)} that were "
            f"predicted; {os.cpu_count()} cores do the work of nodes, brokers and this client alike."
        )

    def _kill(self, whole: WholeModel, steps: Steps) -> None:
        question = _question(whole, 1, outputs=2)
        with self._mesh.client() as client:
            status = client.status()
            victim = _victim(status, self._mesh)
            self._head(f"Pull the plug: kill -9 {victim} while requests flow")
            epoch = _epoch(status)

            def on_answer(answered: int) -> None:
                if answered == KILL_AFTER:
                    self._mesh.kill(victim)
                steps.show([Step(label="requests answered", done=answered, total=KILL_REQUESTS)])

            report = run_load(
                client, question, count=KILL_REQUESTS, in_flight=8, on_answer=on_answer
            )
            steps.show([])
            self._figures.take_kill(report)
            self._judge(
                report.answered == KILL_REQUESTS and not report.wrong,
                f"{report.sent} requests sent, {report.answered} answered, "
                f"{len(report.failures)} failed, {report.wrong} wrong",
            )
            self._say(f"The longest pause between answers was {report.longest_pause_s():.1f} s.")
            self._show_status(client)
            self._say(f"The plan went from epoch {epoch} to {_epoch(client.status())}.")

    def _end(self) -> None:
        if self._wishes.keep:
            self._keep()
        if self._as_json:
            self._session.terminal.show_json(**self._figures.members())
            return
        self._head("Clean up: stop the nodes and remove what they wrote")
        self._say(
            "Done. On real boards: `mesh node` on each, then the same commands from anywhere."
        )

    # Help for the steps

    def _single_node(self, model: Path) -> LocalMesh:
        """A mesh of one node, which takes over what the first one measured on this machine."""
        measured = self._mesh.folder / self._wishes.names[0] / "data" / "capability"
        alone = LocalMesh(
            self._folder / "alone",
            options=("--measurements-dir", str(measured)),
            measure_each=True,
        )
        try:
            alone.start("alone")
            alone.serve(model, MODEL_NAME)
        except MeshError:
            alone.close()
            raise
        return alone

    def _load(self, client: Client, question: Question, steps: Steps, label: str) -> LoadReport:
        run_load(client, question, count=10, in_flight=4)  # warm
        report = run_load(
            client,
            question,
            count=LOAD_REQUESTS,
            in_flight=2 * len(self._wishes.names),
            on_answer=lambda done: steps.show(
                [Step(label=f"{label}: requests answered", done=done, total=LOAD_REQUESTS)]
            ),
        )
        steps.show([])
        return report

    def _keep(self) -> None:
        url = next(iter(self._mesh.nodes.values())).broker_url
        self._say(f"The mesh stays until Ctrl-C. Try: mesh status --url {url}")
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                self._session.pause(3600.0)

    def _show_status(self, client: Client) -> None:
        self._command("mesh status")
        status = ask_status(client, STATUS_TIMEOUT_S)
        self._print(status_view.render(status, self._session.terminal.canvas))

    def _show_timing(self, timing: Timing) -> None:
        columns = (
            Column(title="STAGE", is_number=True),
            Column(title="NODE"),
            Column(title="LAYERS", is_number=True),
            Column(title="WAITED", is_number=True),
            Column(title="COMPUTED", is_number=True),
        )
        rows = [
            (
                str(i + 1),
                stage.name,
                str(stage.layers),
                figures.milliseconds(stage.queue_s),
                figures.milliseconds(stage.compute_s),
            )
            for i, stage in enumerate(timing.stages)
        ]
        total, ways = figures.milliseconds(timing.total_s), figures.milliseconds(timing.transfer_s)
        self._print(self._session.terminal.canvas.draw([table(columns, rows, indent=2)]))
        self._say(f"{total} in all, {ways} of it between nodes.")

    def _head(self, text: str) -> None:
        self._step += 1
        self._draw(Text.assemble("\n", (f"{self._step}. ", ACCENT), (text, HEADING)))

    def _command(self, line: str) -> None:
        self._draw(Text(f"\n  $ {line}", style=FAINT))

    def _say(self, text: str) -> None:
        if not self._as_json:
            canvas = self._session.terminal.canvas
            self._session.terminal.show(canvas.draw([paragraph(text, indent=2)]))

    def _judge(self, good: bool, text: str) -> None:
        """Raises: MeshError where the demo's promise does not hold."""
        if not good:
            raise MeshError(f"the demo failed: {text}\n{self._mesh.logs()}")
        self._draw(Text.assemble("  ", ("✓ ", GOOD), text))

    def _draw(self, text: Text) -> None:
        self._print(self._session.terminal.canvas.draw([text]))

    def _print(self, text: str) -> None:
        if not self._as_json:
            self._session.terminal.show(text)


def _question(whole: WholeModel, seed: int, *, outputs: int | None = None) -> Question:
    """A seeded input with the answer of the whole model; `outputs` limits how many are asked for."""
    raw = golden_inputs(whole.inputs, seed)
    expected: Mapping[str, bytes] = whole.run(raw)
    names = [spec.name for spec in whole.outputs][:outputs]
    return Question(
        model_name=MODEL_NAME,
        inputs=whole.arrays(raw),
        expected={name: expected[name] for name in names},
    )


def _all_ready(status: StatusReply, count: int) -> bool:
    return [node.state for node in status.nodes] == ["ready"] * count


def _epoch(status: StatusReply) -> int:
    return next(one.epoch or 0 for one in status.models if one.name == MODEL_NAME)


def _victim(status: StatusReply, mesh: LocalMesh) -> str:
    """The node of the last stage, unless it is the one that is asked."""
    model = next(one for one in status.models if one.name == MODEL_NAME)
    names = [stage.node_name for stage in model.stages if stage.node_id != status.asked]
    return next(name for name in reversed(names) if name in mesh.nodes)


@contextlib.contextmanager
def _progress(steps: Steps, label: str) -> Iterator[Callable[[int, int], None]]:
    """A function that shows how many bytes of something are there."""

    def show(done: int, total: int) -> None:
        steps.show([Step(label=label, done=done, total=total, is_bytes=True)])

    try:
        yield show
    finally:
        steps.show([])
