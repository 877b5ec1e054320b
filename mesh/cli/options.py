"""The options that commands share, and how a command line's words become values."""

import argparse
import math
import os
import re
import shutil
from pathlib import Path
from typing import NoReturn

from mesh.errors import UsageError

_EXAMPLES = "examples:"
_SIZE = re.compile(r"(?P<number>\d{1,12}(\.\d{1,6})?)\s*(?P<unit>[kmgt]?i?b?)", re.IGNORECASE)
_SCALES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class Parser(argparse.ArgumentParser):
    """Raises where argparse would end the process: `main` says it, as a line or as JSON."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see `{self.prog} --help`)")


class _HelpFormat(argparse.HelpFormatter):
    """Fills descriptions, and leaves examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith(_EXAMPLES):
            return text
        return super()._fill_text(text, width, indent)


def help_format(prog: str) -> argparse.HelpFormatter:
    """80 columns, or what COLUMNS says."""
    columns = shutil.get_terminal_size((80, 24)).columns if os.environ.get("COLUMNS") else 80
    return _HelpFormat(prog, max_help_position=28, width=columns - 2)


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\n".join((_EXAMPLES, *(f"  {line}" for line in lines)))


def add_json(parser: "argparse._ActionsContainer") -> None:
    parser.add_argument(
        "--json", action="store_true", help="print JSON for programs, one object a line"
    )


def add_connection(parser: argparse.ArgumentParser, *, timeout_s: float = 5.0) -> None:
    """The options by which a command finds a node to ask."""
    group = parser.add_argument_group(
        "which node is asked", "Without these, the first node found over mDNS on the local network."
    )
    group.add_argument(
        "--url", metavar="mqtt://HOST:PORT", help="the broker of a node (or set MESH_URL)"
    )
    add_mesh_name(group)
    group.add_argument(
        "--base-topic", metavar="TOPIC", help="first topic level, if not 'mesh' (MESH_BASE_TOPIC)"
    )
    add_interface(group)
    group.add_argument(
        "--timeout",
        type=seconds,
        default=timeout_s,
        metavar="SECONDS",
        help="how long to wait for an answer (%(default)g)",
    )


def add_mesh_name(group: "argparse._ActionsContainer") -> None:
    group.add_argument(
        "--mesh", metavar="NAME", dest="mesh_name", help="name of the mesh (MESH_MESH_NAME)"
    )


def add_interface(group: "argparse._ActionsContainer") -> None:
    group.add_argument(
        "--interface",
        metavar="IP",
        dest="mdns_interfaces",
        action="append",
        help="search only on the interface with this address; repeatable (MESH_MDNS_INTERFACES)",
    )


def at_least_one(text: str) -> int:
    return _whole(text, least=1)


def not_negative(text: str) -> int:
    return _whole(text, least=0)


def seconds(text: str) -> float:
    """A positive time, at most a day."""
    number = decimal(text)
    if not 0 < number <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} must be more than 0 and at most 86400 seconds")
    return number


def decimal(text: str) -> float:
    """A finite number."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return number


def size_bytes(text: str) -> int:
    """As "512MiB", "2G" or "1048576": K, M and G are powers of 1024, as memory is counted."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write 512MiB, 2GiB or bytes")
    unit = match["unit"].lower().removesuffix("b").removesuffix("i")
    return round(float(match["number"]) * _SCALES[unit])


def existing_file(text: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"there is no file {text!r}")
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder, not a file")
    return path


def _whole(text: str, *, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
    if not least <= number < 2**53:
        raise argparse.ArgumentTypeError(f"{text} must be at least {least}")
    return number
