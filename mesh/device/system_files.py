"""Reads small files of /proc and /sys; one that is missing or refuses is None, never an error."""

from pathlib import Path

_MAX_BYTES = 64 << 10
_MAX_DIGITS = 20  # of a 64-bit number with its sign


def read_text(path: Path) -> str | None:
    """The content without its ends' white space and NULs (device tree strings end with one)."""
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode("utf-8", "replace").strip("\0\n\t ")
    except OSError:  # sensors may also answer EIO or EAGAIN
        return None


def read_integer(path: Path) -> int | None:
    try:
        return int((read_text(path) or "")[:_MAX_DIGITS])
    except ValueError:
        return None
