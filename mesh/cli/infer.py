"""`mesh infer`: asks a model once and shows the answer, or many times and shows how fast it goes."""

import argparse
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mesh.cli import infer_view
from mesh.cli.infer_load import Load, LoadRun
from mesh.cli.infer_request import (
    ArrayRequest,
    Arrays,
    InferWish,
    PayloadRequest,
    random_arrays,
    read_arrays,
    read_payload,
    write_arrays,
)
from mesh.cli.infer_sequence import SequenceRequest, split_steps
from mesh.cli.labels import read_labels
from mesh.cli.options import (
    Parser,
    add_connection,
    add_json,
    at_least_one,
    examples,
    existing_file,
    not_negative,
)
from mesh.cli.session import Asker, Session, ask_status, find_model
from mesh.cli.steps import Step, steps_for
from mesh.cli.terminal import clean
from mesh.client import Answer
from mesh.errors import UsageError
from mesh.wire import codec
from mesh.wire.infer import CONTENT_JPEG, CONTENT_PNG, CONTENT_RAW, SessionUse
from mesh.wire.session import check_name

INFER_TIMEOUT_S = 30.0
IN_FLIGHT = 4
MARGIN_S = 2.0
"""How much longer than the node's own deadline to wait for its word."""

Wish = InferWish | SequenceRequest

_PICTURES = {b"\x89PNG\r\n\x1a\n": CONTENT_PNG, b"\xff\xd8\xff": CONTENT_JPEG}


def configure(parser: Parser) -> None:
    parser.usage = "mesh infer MODEL (--image | --payload | --raw | --npz) FILE [options]\n       mesh infer MODEL --random [options]"
    parser.description = (
        "Ask a model and show its outputs and where the time went. With --count, ask many "
        "times and show requests per second instead."
    )
    parser.epilog = examples(
        "mesh infer pose --image me.jpg",
        "mesh infer lens --image cat.jpg --top 3",
        "mesh infer pose --npz inputs.npz --save outputs.npz",
        "mesh infer pose --random --count 200 --in-flight 8",
        "mesh infer speech --npz frames.npz --sequence --save words.npz",
    )
    parser.add_argument("model", metavar="MODEL", help="the model's name")
    _add_inputs(parser)
    group = parser.add_argument_group("what is shown")
    group.add_argument(
        "--output", action="append", metavar="NAME", help="only this output; repeatable"
    )
    group.add_argument(
        "--top",
        type=at_least_one,
        metavar="K",
        help="show the K largest values of a vector (5 where they have labels)",
    )
    group.add_argument(
        "--labels",
        type=existing_file,
        metavar="FILE",
        help="class names, one a line, instead of those kept with the model",
    )
    group.add_argument("--save", metavar="FILE.npz", help="write the outputs to a file")
    group = parser.add_argument_group("measuring")
    group.add_argument(
        "--count", type=at_least_one, default=1, metavar="N", help="ask N times and measure"
    )
    group.add_argument(
        "--in-flight",
        type=at_least_one,
        default=IN_FLIGHT,
        metavar="K",
        help="requests under way at once (%(default)s)",
    )
    _add_sessions(parser)
    add_json(parser)
    add_connection(parser, timeout_s=INFER_TIMEOUT_S)


def _add_inputs(parser: Parser) -> None:
    group = parser.add_argument_group("the input (one of these)")
    one = group.add_mutually_exclusive_group(required=True)
    one.add_argument("--image", type=existing_file, metavar="FILE", help="a JPEG or PNG")
    one.add_argument(
        "--payload", type=existing_file, metavar="FILE", help="anything that the mesh understands"
    )
    one.add_argument(
        "--raw", type=existing_file, metavar="FILE", help="the inputs' bytes, one after the other"
    )
    one.add_argument("--npz", type=existing_file, metavar="FILE", help="arrays named as the inputs")
    one.add_argument("--random", action="store_true", help="seeded random inputs")
    group.add_argument("--seed", type=not_negative, default=0, metavar="N", help="for --random (0)")
    group.add_argument("--content-type", metavar="TYPE", help="of --payload (found out)")


def _add_sessions(parser: Parser) -> None:
    group = parser.add_argument_group("sessions, of models that keep state")
    group.add_argument(
        "--sequence",
        action="store_true",
        help="one session; the first axis of each array is its steps (--random: --count steps)",
    )
    group.add_argument(
        "--session", metavar="NAME", help="this request is a step of it; ask one node, with --url"
    )
    group.add_argument("--session-start", action="store_true", help="begin it, from zeros")
    group.add_argument("--session-end", action="store_true", help="end it with this request")


def run(args: argparse.Namespace, session: Session) -> int:
    if args.content_type and not args.payload:
        raise UsageError("--content-type goes with --payload")
    session_use = _session_use(args)
    labels = read_labels(args.labels) if args.labels else ()
    where = session.whereabouts(args)
    wish = _wish_of_file(args, session_use)
    with (
        contextlib.closing(session.connect(where)) as asker,
        contextlib.closing(steps_for(session.terminal, quiet=True)) as steps,
    ):
        requested = wish or _random_wish(args, asker, session_use)
        sequence = requested if isinstance(requested, SequenceRequest) else None

        def on_progress(done: int, total: int) -> None:
            if total > 1:
                steps.show([Step(label=f"asking {args.model}", done=done, total=total)])

        asking = LoadRun(
            lambda: requested.submit(asker, args.model),
            count=args.count if sequence is None else len(sequence),
            in_flight=min(args.in_flight, args.count) if sequence is None else 1,
            timeout_s=args.timeout + MARGIN_S,
            now_s=session.now_s,
            on_progress=on_progress,
        )
        load = asking.run()
    error = asking.first_error
    if asking.last_answer is None:
        raise error or UsageError("nothing was asked")
    if error is not None and sequence is not None:
        raise error
    answered = asking.last_answer if sequence is None else sequence.answer()
    answer = _chosen(answered, args.output)
    if args.save:
        write_arrays(args.save, answer.outputs)
    _show(args, session, answer, load, labels)
    return error.exit_status if error is not None else 0


def _session_use(args: argparse.Namespace) -> SessionUse | None:
    """Raises: UsageError for options that do not go together."""
    if args.session is None:
        if args.session_start or args.session_end:
            raise UsageError("--session-start and --session-end go with --session NAME")
        if args.sequence and args.npz is None and not args.random:
            raise UsageError("--sequence goes with --npz or --random")
        if args.sequence and args.npz is not None and args.count > 1:
            raise UsageError("--sequence takes as many steps as the arrays have: leave out --count")
        return None
    if args.sequence or args.count > 1:
        raise UsageError("--session is one step: several at once are a --sequence")
    name = check_name(args.session, error=UsageError)
    return SessionUse(name=name, starts=args.session_start, ends=args.session_end)


def _wish_of_file(args: argparse.Namespace, use: SessionUse | None) -> Wish | None:
    """The request, where it comes from a file: that is read before anybody is asked."""
    if args.npz is not None:
        arrays = read_arrays(args.npz)
        if args.sequence:
            return _sequence_wish(args, split_steps(arrays, args.npz))
        return _array_wish(args, arrays, use)
    if args.raw is not None:
        payload = read_payload(args.raw)
        return PayloadRequest(payload=payload, content_type=CONTENT_RAW, session=use)
    path = args.image if args.image is not None else args.payload
    if path is None:
        return None
    payload = read_payload(path)
    kind = _picture_type(path, payload) if args.image is not None else args.content_type
    return PayloadRequest(payload=payload, content_type=kind, session=use)


def _random_wish(args: argparse.Namespace, asker: Asker, use: SessionUse | None) -> Wish:
    model = find_model(ask_status(asker, args.timeout), args.model)
    if args.sequence:
        seeds = range(args.seed, args.seed + args.count)
        return _sequence_wish(args, [random_arrays(model.inputs, seed) for seed in seeds])
    return _array_wish(args, random_arrays(model.inputs, args.seed), use)


def _array_wish(args: argparse.Namespace, inputs: Arrays, use: SessionUse | None) -> ArrayRequest:
    outputs = tuple(args.output) if args.output else None
    return ArrayRequest(inputs=inputs, outputs=outputs, timeout_s=args.timeout, session=use)


def _sequence_wish(args: argparse.Namespace, steps: Sequence[Arrays]) -> SequenceRequest:
    outputs = tuple(args.output) if args.output else None
    return SequenceRequest(steps, outputs=outputs, timeout_s=args.timeout)


def _picture_type(path: Path, payload: bytes) -> str:
    """By its first bytes, not by its name. Raises: UsageError."""
    for magic, content_type in _PICTURES.items():
        if payload.startswith(magic):
            return content_type
    raise UsageError(f"{path} is neither a JPEG nor a PNG: convert it, or send it as --payload")


def _chosen(answer: Answer, wanted: Sequence[str] | None) -> Answer:
    """Only the outputs asked for: a payload has no way to ask. Raises: UsageError."""
    unknown = [name for name in wanted or () if name not in answer.outputs]
    if unknown:
        raise UsageError(
            f"there is no output {unknown[0]!r}; there are: {', '.join(answer.outputs)}"
        )
    if not wanted:
        return answer
    return replace(
        answer,
        outputs={name: answer.outputs[name] for name in wanted},
        classes={name: best for name, best in answer.classes.items() if name in wanted},
    )


def _show(
    args: argparse.Namespace, session: Session, answer: Answer, load: Load, labels: Sequence[str]
) -> None:
    terminal = session.terminal
    if args.json:
        terminal.show_json(
            model_name=args.model,
            model_version=answer.model_version,
            outputs=infer_view.outputs_as_json(answer.outputs),
            classes=infer_view.classes_as_json(
                infer_view.classes_shown(answer, labels=labels, top=args.top)
            ),
            timing=codec.to_plain(answer.timing),
            load=codec.to_plain(load),
        )
        return
    terminal.show(infer_view.render(answer, load, terminal.canvas, labels=labels, top=args.top))
    if args.save:
        terminal.note(f"saved {', '.join(map(clean, answer.outputs))} to {args.save}")
