"""Writes a profile as the file that `mesh.device.profile_files` reads, each number with its source. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any

from mesh.device.profile import Anchor, DeviceProfile, Port, ReferenceRate

_WIDTH = 100
_MEASURED = ("reference =", "[[reference]]", "[anchor]")


def to_toml(
    profile: DeviceProfile, sources: Mapping[str, str], *, heading: str, otherwise: str
) -> str:
    """`sources` by dotted key, that of a table or list too; `otherwise` for all other numbers.

    Without reference and anchor, which `with_reference` adds.
    """
    return "\n".join([f"# {_line_of(heading)}", *_table(profile, "", sources, otherwise)]) + "\n"


def with_reference(
    text: str, rates: Sequence[ReferenceRate], anchor: Anchor | None, *, comment: str
) -> str:
    """A profile's file with these rates in place of those that it had; all else as it stands there."""
    blocks = [block for block in text.strip("\n").split("\n\n") if not _is_measured(block)]
    if rates:
        blocks.insert(1, "\n".join([f"# {_line_of(comment)}", *_rates(rates)]))
    if anchor is not None:
        blocks.append(
            "\n".join([f"# {_line_of(comment)}", "[anchor]", *_table(anchor, "", {}, "")])
        )
    return "\n\n".join(blocks) + "\n"


def _is_measured(block: str) -> bool:
    lines = (line for line in block.splitlines() if not line.startswith("#"))
    return next(lines, "").startswith(_MEASURED)


def _rates(rates: Sequence[ReferenceRate]) -> Iterator[str]:
    yield "reference = ["
    for rate in rates:
        items = (f"{each.name} = {_literal(getattr(rate, each.name))}" for each in fields(rate))
        yield f"    {{ {', '.join(items)} }},"
    yield "]"


def _table(value: Any, key: str, sources: Mapping[str, str], otherwise: str) -> Iterator[str]:
    """Plain keys first: what follows a table's heading belongs to that table."""
    tables = []
    for each in fields(value):
        item, name = getattr(value, each.name), f"{key}.{each.name}" if key else each.name
        if is_dataclass(item) or _is_list_of_tables(item):
            tables.append((name, item))
        elif not _says_nothing(each, item):
            yield from _entry(each.name, item, sources.get(name, ""), otherwise)
    for name, item in tables:
        if name not in {"reference", "anchor"}:
            yield from _headed(name, item, sources, otherwise)


def _headed(name: str, item: Any, sources: Mapping[str, str], otherwise: str) -> Iterator[str]:
    is_list = isinstance(item, tuple)
    for table in item if is_list else (item,):
        lines = list(_table(table, name, sources, otherwise))
        # A port that is there says so by its heading; of another table an empty one says nothing.
        if lines or isinstance(table, Port):
            comment = sources.get(name)
            yield from ("", *([f"# {_line_of(comment)}"] if comment else []))
            yield f"[[{name}]]" if is_list else f"[{name}]"
            yield from lines


def _says_nothing(each: Any, item: Any) -> bool:
    """Whether the key reads the same when it is left out."""
    return item is None or (each.default is not MISSING and item == each.default)


def _is_list_of_tables(item: Any) -> bool:
    return isinstance(item, tuple) and any(is_dataclass(each) for each in item)


def _entry(key: str, item: Any, source: str, otherwise: str) -> Iterator[str]:
    values = item if isinstance(item, tuple) else (item,)
    if not source and any(isinstance(value, int | float) for value in values):
        source = otherwise
    if source:
        yield f"# {_line_of(source)}"
    line = f"{key} = {_literal(item)}"
    if len(line) <= _WIDTH or not isinstance(item, tuple):
        yield line
    else:
        yield from (f"{key} = [", *(f"    {_literal(value)}," for value in item), "]")


def _literal(item: Any) -> str:
    if isinstance(item, Enum):
        item = item.value
    if isinstance(item, tuple):
        return f"[{', '.join(_literal(value) for value in item)}]"
    if isinstance(item, str):
        # JSON's escapes are TOML's, which wants one more.
        return json.dumps(item, ensure_ascii=False).replace("\x7f", "\\u007F")
    return f"{item:_}" if isinstance(item, int) else repr(item)


def _line_of(text: str) -> str:
    """A comment ends with its line, and may have no control characters."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
