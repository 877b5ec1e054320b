"""Reads which boards are supposed to be there, as "pi4:2,pi5@8gb"; what they can do is not decided here."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mesh.device.profile import DeviceProfile, find_profile
from mesh.errors import DeviceError, UsageError

MAX_BOARDS = 64
UNKNOWN_MEMORY_BYTES = 4 << 30
"""What is supposed where a profile knows no size and none is given."""

_BOARD = re.compile(r"(?P<name>[^\s:@,]{1,64})(@(?P<memory>[^\s:@,]{1,16}))?(:(?P<count>\d{1,4}))?")
_SIZE = re.compile(r"(?P<number>\d{1,6}(\.\d{1,3})?)(?P<unit>[mg])i?b?", re.IGNORECASE)
_SCALES = {"m": 1 << 20, "g": 1 << 30}


@dataclass(frozen=True, slots=True, kw_only=True)
class SupposedBoard:
    """One board, by a name of its own; `kind` is the word for its profile.

    `is_smallest`: of several sizes that it is sold with, nobody chose one. `is_guessed`: there is
    none that anybody knows.
    """

    name: str
    kind: str
    profile: DeviceProfile
    memory_bytes: int
    is_smallest: bool = False
    is_guessed: bool = False


def read_boards(
    words: Iterable[str], profiles: Sequence[DeviceProfile]
) -> tuple[SupposedBoard, ...]:
    """Each word as "pi4", "pi4:2", "pi4@8gb" or "pi4@8gb:2"; names are numbered by kind, from 1.

    Raises: UsageError that lists the boards there are.
    """
    boards: list[SupposedBoard] = []
    seen: dict[str, int] = {}
    for word in words:
        profile, memory_bytes, count = _read(word, profiles)
        if not 1 <= count <= MAX_BOARDS - len(boards):
            raise UsageError(f"{word!r}: a plan supposes 1 to {MAX_BOARDS} boards in all")
        short = profile.aliases[0] if profile.aliases else profile.name
        for _ in range(count):
            seen[short] = seen.get(short, 0) + 1
            boards.append(_board(short, seen[short], profile, memory_bytes))
    return tuple(boards)


def _board(
    kind: str, number: int, profile: DeviceProfile, memory_bytes: int | None
) -> SupposedBoard:
    """With the smallest size it is sold with, unless one was given."""
    sizes = profile.memory.sizes_bytes
    return SupposedBoard(
        name=f"{kind}-{number}",
        kind=kind,
        profile=profile,
        memory_bytes=memory_bytes or min(sizes, default=UNKNOWN_MEMORY_BYTES),
        is_smallest=memory_bytes is None and len(sizes) > 1,
        is_guessed=memory_bytes is None and not sizes,
    )


def _read(word: str, profiles: Sequence[DeviceProfile]) -> tuple[DeviceProfile, int | None, int]:
    match = _BOARD.fullmatch(word.strip())
    if match is None:
        raise UsageError(f"{word!r} names no board: write pi4, pi4:2 or pi4@8gb:2")
    try:
        profile = find_profile(match["name"], profiles)
    except DeviceError as error:
        raise UsageError(str(error)) from error
    return profile, _size_bytes(match["memory"], word), int(match["count"] or 1)


def _size_bytes(text: str | None, word: str) -> int | None:
    if text is None:
        return None
    match = _SIZE.fullmatch(text)
    size_bytes = round(float(match["number"]) * _SCALES[match["unit"].lower()]) if match else 0
    if size_bytes <= 0:
        raise UsageError(f"{word!r}: {text!r} is no memory size: write @8gb or @512mb")
    return size_bytes
