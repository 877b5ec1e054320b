"""`mesh node`: turns flags into a configuration, sets up the log, and runs the daemon."""

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mesh.cli import node_log, node_view
from mesh.cli.node_view import Up
from mesh.cli.options import (
    Parser,
    add_interface,
    add_json,
    add_mesh_name,
    at_least_one,
    examples,
    existing_file,
    not_negative,
    seconds,
    size_bytes,
)
from mesh.cli.session import Session
from mesh.cli.terminal import Terminal
from mesh.config import Config, load
from mesh.fleet.broker_url import parse_broker_url

if TYPE_CHECKING:
    from mesh.node.node import Node

_GIVEN_ONLY = argparse.SUPPRESS
"""Only flags that were given are in the namespace, so that environment and file count for the rest."""


def configure(parser: Parser) -> None:
    parser.usage = "mesh node [options]"
    parser.description = (
        "Run a node on this machine until Ctrl-C: it finds the other nodes, keeps copies of "
        "the models, runs the stages it is given, and answers clients. Each flag can also be "
        "set as MESH_<NAME> in the environment or in a TOML file; a flag wins over both."
    )
    parser.epilog = examples(
        "mesh node",
        "mesh node --name pi5 --memory 2GiB",
        "mesh node --seed mqtt://192.168.1.20:1883        # where mDNS does not reach",
        "mesh node --broker mqtt://broker.lan:1883        # use a broker that is there",
        "mesh node --config /etc/edge-mesh.toml",
    )
    parser.argument_default = _GIVEN_ONLY
    parser.add_argument("--name", help="what this node is called (the host's name)")
    parser.add_argument(
        "--config", type=existing_file, metavar="FILE", default=None, help="settings as TOML"
    )
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where models and the node's id are kept"
    )
    add_json(parser)
    _add_network(parser)
    _add_work(parser)
    _add_patience(parser)


def _add_network(parser: Parser) -> None:
    group = parser.add_argument_group("network")
    add_mesh_name(group)
    group.add_argument("--bind", metavar="IP", help="address to listen on (every interface)")
    group.add_argument(
        "--advertise", metavar="HOST", help="address at which others reach this node (found out)"
    )
    group.add_argument(
        "--broker",
        metavar="URL",
        help="an MQTT broker that is there, or 'mosquitto' or 'embedded' (the best one here)",
    )
    group.add_argument(
        "--mqtt-port", type=not_negative, metavar="PORT", help="1883, or the next free one"
    )
    group.add_argument("--http-port", type=not_negative, metavar="PORT", help="any free one")
    group.add_argument(
        "--seed",
        dest="seeds",
        type=_broker_url,
        action="append",
        metavar="URL",
        help="the broker of a node that mDNS does not reach; repeatable",
    )
    group.add_argument(
        "--no-mdns", dest="mdns", action="store_false", help="neither announce nor search"
    )
    add_interface(group)
    group.add_argument("--base-topic", metavar="TOPIC", help="first topic level ('mesh')")


def _add_work(parser: Parser) -> None:
    group = parser.add_argument_group("work")
    group.add_argument(
        "--owner", metavar="NAME", help="whose node this is, for models with private layers"
    )
    group.add_argument("--runtime", choices=("auto", "litert", "tflite"), help="default auto")
    group.add_argument(
        "--threads", type=not_negative, metavar="N", help="0: the best number, measured"
    )
    group.add_argument(
        "--memory",
        dest="memory_bytes",
        type=size_bytes,
        metavar="SIZE",
        help="what stages may use in all, as 512MiB (what is free at start)",
    )
    group.add_argument("--measurements-dir", metavar="DIR", help="in the data directory")
    group.add_argument(
        "--max-payload",
        dest="max_payload_bytes",
        type=size_bytes,
        metavar="SIZE",
        help="of one message: request, reply or activation (8MiB)",
    )
    group.add_argument("--max-queue", type=at_least_one, metavar="N", help="requests waiting (256)")
    group.add_argument(
        "--max-in-flight", type=not_negative, metavar="N", help="per model; 0: two per stage"
    )


def _add_patience(parser: Parser) -> None:
    group = parser.add_argument_group("patience and log")
    group.add_argument(
        "--heartbeat", dest="heartbeat_s", type=seconds, metavar="SECONDS", help="default 1"
    )
    group.add_argument(
        "--lost-after",
        dest="lost_after_s",
        type=seconds,
        metavar="SECONDS",
        help="silence after which a node counts as lost (4)",
    )
    group.add_argument(
        "--request-timeout",
        dest="request_timeout_s",
        type=seconds,
        metavar="SECONDS",
        help="for requests that name none (30)",
    )
    group.add_argument("--log-level", choices=node_log.LEVELS, help="default info")
    group.add_argument(
        "--end-with-stdin",
        action="store_true",
        help="end when standard input closes: for programs that start nodes",
    )


def run(args: argparse.Namespace, session: Session) -> int:
    from mesh.node import daemon  # noqa: PLC0415 - a wrong flag is told without the runtime loaded

    config = config_of(args, session.environment)
    node_log.set_up(config.log_level, session.terminal.err)
    if getattr(args, "end_with_stdin", False):  # left out where it was not given
        threading.Thread(target=_end_with_stdin, name="stdin", daemon=True).start()

    def on_ready(node: "Node") -> None:
        up = Up.of(node.advert(), pid=os.getpid())
        with contextlib.suppress(BrokenPipeError):  # that nobody reads it is no reason to end
            _greet(session.terminal, up, as_json="json" in args)

    daemon.run(config, on_ready)
    return 0


def _end_with_stdin() -> None:
    """A starter that was killed closes it too: its nodes do not outlive it."""
    while sys.stdin.buffer.read(4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _greet(terminal: Terminal, up: Up, *, as_json: bool) -> None:
    if as_json:
        terminal.show_json(**up.as_members())
    else:
        terminal.show(node_view.render(up, terminal.canvas))


def config_of(args: argparse.Namespace, environment: Mapping[str, str]) -> Config:
    """Flag over environment over file over default. Raises: UsageError."""
    given: dict[str, Any] = vars(args)
    flags = {
        field.name: tuple(given[field.name])
        if isinstance(given[field.name], list)
        else given[field.name]
        for field in fields(Config)
        if given.get(field.name) is not None
    }
    return load(flags, environment, args.config)


def _broker_url(text: str) -> str:
    return str(parse_broker_url(text))
