"""What the demo does at each step, without a word: serve, ask, check, measure, kill."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from mesh.cli.demo_speed import Speed, hops, median_timing
from mesh.cli.model_wait import Awaited, wait_until_served
from mesh.cli.session import Session, ask_status, find_model
from mesh.cli.steps import Step, Steps
from mesh.client import Client, await_reply
from mesh.demo.load import LoadReport, Question, run_load
from mesh.demo.samples import Sample
from mesh.demo.whole import WholeModel
from mesh.errors import MeshError
from mesh.planning.wishes import Wishes
from mesh.runtime.golden import golden_inputs
from mesh.store.http_client import upload
from mesh.testing.local_mesh import LocalMesh, await_serving, await_status
from mesh.wire.control import AddModelReply, AddModelRequest, ImageWish, StatusReply, Verb
from mesh.wire.infer import CONTENT_PNG, OutputTensor

MODEL_NAME = "pose"
STATUS_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 60.0
FIND_TIMEOUT_S = 60.0
SERVE_TIMEOUT_S = 240.0
ONE_BY_ONE = 20
MANY = 120
KILL_REQUESTS = 200
KILL_IN_FLIGHT = 8
KILL_AFTER = 40


def start(mesh: LocalMesh, names: tuple[str, ...]) -> None:
    """Start nodes and wait until they know each other."""
    mesh.start_all(names)
    with mesh.client() as client:
        await_status(
            client,
            lambda status: [node.state for node in status.nodes] == ["ready"] * len(names),
            timeout_s=FIND_TIMEOUT_S,
            what="the nodes to find each other",
        )


def serve(mesh: LocalMesh, model: Path, sample: Sample, steps: Steps, session: Session) -> None:
    """Upload the model to the first node and wait until all nodes serve it together."""
    node, split = next(iter(mesh.nodes.values())), len(mesh.nodes)
    with bytes_shown(steps, f"uploading {model.name}") as on_progress:
        model_id = upload(node.http_url, model, on_progress)
    image = sample.image
    wish = AddModelRequest(
        model_id=model_id,
        name=MODEL_NAME,
        wishes=Wishes(min_stages=split),
        image=ImageWish(scale=image.scale, offset=image.offset) if image else ImageWish(),
    )
    with mesh.client() as client:
        client.ask(Verb.MODEL_ADD, wish, AddModelReply, timeout_s=SERVE_TIMEOUT_S)
        wait_until_served(
            Awaited(name=MODEL_NAME, model_id=model_id, min_stages=split),
            ask=lambda: ask_status(client, STATUS_TIMEOUT_S),
            steps=steps,
            now_s=session.now_s,
            pause=session.pause,
            timeout_s=SERVE_TIMEOUT_S,
        )
        await_serving(client, MODEL_NAME, stages=split)
    steps.show([])


def ask_each(mesh: LocalMesh, photo: Path) -> list[tuple[OutputTensor, ...]]:
    """What each node answers to the photo."""
    answers = []
    for name in mesh.nodes:
        with mesh.client(name) as client:
            future = client.send(MODEL_NAME, photo.read_bytes(), content_type=CONTENT_PNG)
            answers.append(await_reply(future, ANSWER_TIMEOUT_S).outputs)
    return answers


def check(mesh: LocalMesh, whole: WholeModel, count: int) -> int:
    """How many of so many inputs the mesh answers with the whole model's bits, in all outputs."""
    equal = 0
    with mesh.client() as client:
        for seed in range(count):
            report = run_load(client, question(whole, seed), count=1, in_flight=1)
            equal += report.answered - report.wrong
    return equal


def measure(
    mesh: LocalMesh, asked_for: Question, steps: Steps, *, label: str, in_flight: int
) -> Speed:
    """Ask one by one, then with many under way. Raises: MeshError where an answer is missing."""

    def on_answer(done: int) -> None:
        steps.show([Step(label=f"{label}: requests answered", done=done, total=MANY)])

    with mesh.client() as client:
        asked = client.status().asked
        singly = run_load(client, asked_for, count=ONE_BY_ONE, in_flight=1)
        many = run_load(client, asked_for, count=MANY, in_flight=in_flight, on_answer=on_answer)
    steps.show([])
    failures = singly.failures + many.failures
    if failures:
        raise MeshError(f"measuring failed ({label}): {failures[0]}")
    timing = median_timing(singly.timings)
    return Speed(
        label=label, timing=timing, hops=hops(asked, timing), requests_per_s=many.requests_per_s
    )


@contextlib.contextmanager
def node_alone(folder: Path, model: Path, *, measured: Path) -> Iterator[LocalMesh]:
    """A mesh of one node that serves the model, with what another measured on this machine."""
    options = ("--measurements-dir", str(measured))
    with LocalMesh(folder, options=options, measure_each=True) as alone:
        alone.start("alone")
        alone.serve(model, MODEL_NAME)
        yield alone


def kill_under_load(
    mesh: LocalMesh, client: Client, asked_for: Question, victim: str, steps: Steps
) -> LoadReport:
    """Kill a node in the midst of requests and see what becomes of them."""

    def on_answer(answered: int) -> None:
        if answered == KILL_AFTER:
            mesh.kill(victim)
        steps.show([Step(label="requests answered", done=answered, total=KILL_REQUESTS)])

    report = run_load(
        client, asked_for, count=KILL_REQUESTS, in_flight=KILL_IN_FLIGHT, on_answer=on_answer
    )
    steps.show([])
    return report


def question(whole: WholeModel, seed: int, *, outputs: int | None = None) -> Question:
    """A seeded input with the answer of the whole model; `outputs` limits how many are asked for."""
    raw = golden_inputs(whole.inputs, seed)
    expected = whole.run(raw)
    names = [spec.name for spec in whole.outputs][:outputs]
    return Question(
        model_name=MODEL_NAME,
        inputs=whole.arrays(raw),
        expected={name: expected[name] for name in names},
    )


def epoch_of(status: StatusReply) -> int:
    """The live plan's; 0 while there is none."""
    return find_model(status, MODEL_NAME).epoch or 0


def victim_of(status: StatusReply) -> str:
    """The node of the last stage, unless it is the one that is asked."""
    replicas = reversed(find_model(status, MODEL_NAME).replicas)
    return next(one.node_name for one in replicas if one.node_id != status.asked)


@contextlib.contextmanager
def bytes_shown(steps: Steps, label: str) -> Iterator[Callable[[int, int], None]]:
    """A function that shows how many bytes of something are there."""

    def show(done: int, total: int) -> None:
        steps.show([Step(label=label, done=done, total=total, is_bytes=True)])

    try:
        yield show
    finally:
        steps.show([])


@contextlib.contextmanager
def busy_shown(steps: Steps, label: str) -> Iterator[None]:
    """For what has no measure."""
    steps.show([Step(label=label)])
    try:
        yield
    finally:
        steps.show([])
