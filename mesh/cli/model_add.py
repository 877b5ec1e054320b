"""`mesh model add`: checks a file here, uploads it to a node, and waits until the mesh serves it."""

import argparse
import contextlib
import tempfile
from pathlib import Path

from mesh.cli import ask_lines, plan_view
from mesh.cli.model_derive import Derivation, parse_shapes, parse_state
from mesh.cli.model_file import Given, Offer, check_offer
from mesh.cli.model_wait import Awaited, wait_until_served
from mesh.cli.options import (
    Parser,
    add_connection,
    add_json,
    decimal,
    examples,
    existing_file,
    seconds,
)
from mesh.cli.plan import PLANNING_TIMEOUT_S, ask_plan
from mesh.cli.session import Asker, Session, ask_status
from mesh.cli.steps import Step, Steps, steps_for
from mesh.cli.terminal import cleaned
from mesh.cli.wish_options import add_wishes, wishes_of
from mesh.config import load
from mesh.errors import RemoteError, UsageError
from mesh.ids import ModelId
from mesh.model.limits import model_limits
from mesh.planning.wishes import Wishes
from mesh.store.disk import hash_file
from mesh.store.manifest import ChannelOrder, ResizeMode
from mesh.wire import codec
from mesh.wire.control import AddModelReply, AddModelRequest, ImageWish, StatusReply, Verb
from mesh.wire.planned import PlanReply, PlanRequest

CHECK_TIMEOUT_S = 150.0
"""The node reads the whole file and runs it once before it answers."""
WAIT_S = 300.0


def configure(parser: Parser) -> None:
    parser.usage = "mesh model add FILE [options]"
    parser.description = (
        "Serve a .tflite file: check it here, upload it to one node, wait until every node "
        "has fetched and measured it and a plan is live. Then show the plan."
    )
    parser.epilog = examples(
        "mesh model add pose.tflite",
        "mesh model add mobilenet.tflite --name lens --image --labels labels.txt",
        "mesh model add detector.tflite --split 3      # at least three stages",
        "mesh model add eyes.tflite --latency-bound 80ms --never pi-zero",
        "mesh model add pose-v2.tflite --name pose --replace",
        "mesh model add melody.tflite --input-shape audio=1,1280",
        "mesh model add gru.tflite --state h_in=h_out  # kept between requests",
    )
    parser.add_argument("file", metavar="FILE", type=existing_file, help="the .tflite file")
    parser.add_argument("--name", help="what clients call it (default: the file's name)")
    parser.add_argument("--replace", action="store_true", help="take over a name that is in use")
    parser.add_argument("--no-wait", action="store_true", help="return as soon as it is added")
    parser.add_argument(
        "--wait",
        type=seconds,
        default=WAIT_S,
        metavar="SECONDS",
        help="how long to wait until it is served (%(default)g)",
    )
    add_wishes(parser)
    _add_shape_options(parser)
    _add_image_options(parser)
    add_json(parser)
    add_connection(parser)


def _add_shape_options(parser: Parser) -> None:
    group = parser.add_argument_group(
        "shapes and state",
        "With these, a changed copy of the file is uploaded; the file itself stays as it is.",
    )
    group.add_argument(
        "--input-shape",
        action="append",
        default=[],
        metavar="NAME=1,48,48,3",
        help="fix the shape of an input, and with it all others; repeatable",
    )
    group.add_argument(
        "--state",
        action="append",
        default=[],
        metavar="IN=OUT",
        help="an input that is this output of the request before, in a session; repeatable",
    )


def _add_image_options(parser: Parser) -> None:
    defaults = ImageWish()
    group = parser.add_argument_group(
        "pictures",
        "How JPEG and PNG become the input: value = pixel (0 to 255) × scale + offset. What is not "
        "given here is taken from the model's metadata where it has some.",
    )
    group.add_argument("--image", action="store_true", help="insist that it takes pictures")
    group.add_argument(
        "--image-scale", type=decimal, metavar="X", help=f"default {defaults.scale:.6f} (1/255)"
    )
    group.add_argument("--image-offset", type=decimal, metavar="Y", help="default 0")
    group.add_argument(
        "--image-mode",
        choices=[mode.value for mode in ResizeMode],
        help=f"how it gets the model's size (default {defaults.mode})",
    )
    group.add_argument(
        "--image-channels",
        choices=[order.value for order in ChannelOrder],
        help=f"default {defaults.channels}",
    )
    group.add_argument(
        "--labels", type=existing_file, metavar="FILE", help="class names, one a line"
    )


def run(args: argparse.Namespace, session: Session) -> int:
    given = _given(args)
    with tempfile.TemporaryDirectory(prefix="edge-mesh-") as folder:
        offer = check_offer(
            args.file,
            given,
            folder=Path(folder),
            limits=model_limits(load({}, session.environment)),
        )
        if not args.json:
            for note in offer.notes:
                session.terminal.note(f"{args.file.name}: {note}")
        return _offer(args, session, offer)


def _offer(args: argparse.Namespace, session: Session, offer: Offer) -> int:
    where = session.whereabouts(args)
    with (
        contextlib.closing(session.connect(where)) as asker,
        contextlib.closing(steps_for(session.terminal, quiet=args.json)) as steps,
    ):
        adding = _Adding(session, asker, steps, offer, timeout_s=where.timeout_s)
        added = adding.add(may_replace=args.replace)
        plan = None if args.no_wait else adding.await_plan(added, wait_s=args.wait)
        url = asker.url
    if args.json:
        session.terminal.show_json(
            **codec.to_plain(added),
            is_serving=plan is not None,
            plan=codec.to_plain(plan),
            notes=list(offer.notes),
        )
        return 0
    if plan is not None:
        session.terminal.show(plan_view.render(plan, session.terminal.canvas))
    else:
        session.terminal.show(f"{offer.name} was added; `mesh status` shows when it is served")
    lines = ask_lines.ask_lines(
        offer, url=url, base_topic=where.base_topic, options=_own_options(args)
    )
    session.terminal.show("\n".join(("", "Ask it:", *(f"  {line}" for line in lines))))
    return 0


def _given(args: argparse.Namespace) -> Given:
    return Given(
        name=args.name,
        wishes=wishes_of(args) or Wishes(),
        image=_image_fields(args),
        labels_path=args.labels,
        derivation=Derivation(shapes=parse_shapes(args.input_shape), state=parse_state(args.state)),
    )


def _image_fields(args: argparse.Namespace) -> dict[str, object] | None:
    """The fields of an ImageWish that were given; None when nothing was said of pictures."""
    given = {
        name: value
        for name in ("scale", "offset", "mode", "channels")
        if (value := getattr(args, f"image_{name}")) is not None
    }
    if given.get("scale") == 0:
        raise UsageError("--image-scale must not be 0: every picture would be the same")
    return given if given or args.image else None


class _Adding:
    """The steps on the way, in the order of the methods."""

    def __init__(
        self, session: Session, asker: Asker, steps: Steps, offer: Offer, *, timeout_s: float
    ) -> None:
        self._session = session
        self._asker = asker
        self._steps = steps
        self._offer = offer
        self._timeout_s = timeout_s

    def status(self) -> StatusReply:
        return ask_status(self._asker, self._timeout_s)

    def add(self, *, may_replace: bool) -> AddModelReply:
        """Upload the file and have it served."""
        status = self.status()
        if not may_replace:
            self._check_taken(status)
        model_id = self._upload(status)
        self._steps.show([Step(label="checking")])
        request = AddModelRequest(
            model_id=model_id,
            name=self._offer.name,
            wishes=self._offer.wishes,
            image=self._offer.image,
            labels=self._offer.labels,
            replace=may_replace,
        )
        reply = self._asker.ask(Verb.MODEL_ADD, request, AddModelReply, timeout_s=CHECK_TIMEOUT_S)
        return cleaned(reply)

    def await_plan(self, added: AddModelReply, *, wait_s: float) -> PlanReply:
        """Wait until it is served and ask by which plan."""
        wait_until_served(
            Awaited(
                name=added.name,
                model_id=added.model_id,
                min_stages=self._offer.wishes.min_stages,
            ),
            ask=self.status,
            steps=self._steps,
            now_s=self._session.now_s,
            pause=self._session.pause,
            timeout_s=wait_s,
        )
        request = PlanRequest(name=added.name)
        return ask_plan(self._asker, request, timeout_s=PLANNING_TIMEOUT_S)

    def _check_taken(self, status: StatusReply) -> None:
        """What the node would refuse too, but only after the upload."""
        offer = self._offer
        taken = [model.model_id for model in status.models if model.name == offer.name]
        if taken and taken[0] != hash_file(offer.path):
            raise UsageError(
                f"another model is served as {offer.name!r}: choose another --name, or --replace it"
            )

    def _upload(self, status: StatusReply) -> ModelId:
        url = next((node.http_url for node in status.nodes if node.node_id == status.asked), "")
        if not url:
            raise RemoteError("the node does not say where it takes model files")
        label = f"uploading {self._offer.path.name}"

        def on_progress(done: int, total: int) -> None:
            self._steps.show([Step(label=label, done=done, total=total, is_bytes=True)])

        return self._session.upload(url, self._offer.path, on_progress)


def _own_options(args: argparse.Namespace) -> list[str]:
    options: list[str] = []
    if args.url:
        return ["--url", args.url]
    if args.mesh_name:
        options += ["--mesh", args.mesh_name]
    for interface in args.mdns_interfaces or ():
        options += ["--interface", interface]
    return options
