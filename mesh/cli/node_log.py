"""How a node's log reads: one line a record on standard error, with time, level and area."""

import logging
from typing import TextIO

from mesh.cli.terminal import clean
from mesh.errors import UsageError

LEVELS = ("debug", "info", "warning", "error")


class LineFormatter(logging.Formatter):
    """As "2024-05-01 12:00:00.123 info    control: node … is present"; a traceback in one line."""

    def __init__(self) -> None:
        super().__init__(datefmt="%Y-%m-%d %H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        when = f"{self.formatTime(record, self.datefmt)}.{int(record.msecs):03d}"
        area = record.name.removeprefix("mesh.")
        trace = ""
        if record.exc_info:
            trace = " | " + " | ".join(self.formatException(record.exc_info).split("\n"))
        return clean(f"{when} {record.levelname.lower():7} {area}: {record.getMessage()}{trace}")


def set_up(level: str, stream: TextIO) -> None:
    """Log the mesh from `level` on, libraries from warnings on. Raises: UsageError."""
    if level not in LEVELS:
        raise UsageError(f"log_level {level!r} is unknown: use {', '.join(LEVELS)}")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("mesh").setLevel(level.upper())
