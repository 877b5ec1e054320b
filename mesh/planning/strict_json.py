"""Reads JSON from outside into frozen dataclasses, strictly; what the values mean is decided elsewhere.

Types understood: str, int, float, bool, enums of str, NewTypes of those, `T | None`,
`tuple[T, ...]` and dataclasses of them. An unknown key, a key given twice, another type, a number
without bound or a text that cannot be printed is an error that names the place.
"""

import dataclasses
import json
import math
import types
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from mesh.errors import UsageError

MAX_TEXT_BYTES = 16 << 20
MAX_ITEMS = 16384
"""Of any one list."""
MAX_WORDS_CHARS = 4096
"""Of any one text."""
_MAX_INTEGER = 2**53
_MAX_INTEGER_DIGITS = 20

T = TypeVar("T")


def parse_object(text: str | bytes, what: str) -> dict[str, Any]:
    """One JSON object; `what` names the text in sentences. Raises: UsageError."""
    if len(text) > MAX_TEXT_BYTES:
        raise UsageError(f"{what} is larger than {MAX_TEXT_BYTES} bytes")
    try:
        words = text if isinstance(text, str) else text.decode("utf-8-sig")
        raw = json.loads(words, object_pairs_hook=_unique, parse_int=_integer)
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} is not JSON: it is not UTF-8 text") from error
    except ValueError as error:
        raise UsageError(f"{what} is not JSON: {error}") from error
    except RecursionError as error:
        raise UsageError(f"{what} is not JSON that can be read: it is nested too deep") from error
    if not isinstance(raw, dict):
        raise UsageError(f"{what} must be one JSON object")
    return raw


def read_as(kind: type[T], raw: Any, what: str) -> T:
    """Check and convert what `parse_object` gave. Raises: UsageError naming the key."""
    return cast("T", _read(kind, raw, what))


def to_plain(value: Any) -> Any:
    """The reverse: what `json.dumps` takes, with every key."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: to_plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [to_plain(one) for one in value]
    return value


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {_quoted(key)} is given twice")
        found[key] = value
    return found


def _integer(digits: str) -> int:
    if len(digits) > _MAX_INTEGER_DIGITS:
        raise ValueError("a number of too many digits")
    return int(digits)


def _read(kind: Any, raw: Any, where: str) -> Any:
    while hasattr(kind, "__supertype__"):
        kind = kind.__supertype__
    if get_origin(kind) in (Union, types.UnionType):
        inner = next(one for one in get_args(kind) if one is not type(None))
        return None if raw is None else _read(inner, raw, where)
    if get_origin(kind) is tuple:
        return _read_list(get_args(kind)[0], raw, where)
    if dataclasses.is_dataclass(kind):
        return _read_object(kind, raw, where)
    return _read_scalar(kind, raw, where)


def _read_list(kind: Any, raw: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(raw, list) or len(raw) > MAX_ITEMS:
        raise UsageError(f"{where} must be a list of at most {MAX_ITEMS} entries")
    return tuple(_read(kind, one, f"{where}[{place}]") for place, one in enumerate(raw))


def _read_object(kind: Any, raw: Any, where: str) -> Any:
    if not isinstance(raw, Mapping):
        raise UsageError(f"{where} must be an object")
    hints = get_type_hints(kind)
    unknown = sorted(raw.keys() - hints.keys())
    if unknown:
        raise UsageError(f"{where} has an unknown key {_quoted(unknown[0])}")
    values: dict[str, Any] = {}
    for one in dataclasses.fields(kind):
        if one.name in raw:
            values[one.name] = _read(hints[one.name], raw[one.name], f"{where}: {one.name}")
        elif one.default is dataclasses.MISSING:
            raise UsageError(f"{where} lacks the key {_quoted(one.name)}")
    try:
        return kind(**values)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error


def _read_scalar(kind: Any, raw: Any, where: str) -> Any:
    if isinstance(kind, type) and issubclass(kind, Enum):
        choices = [one.value for one in kind]
        if raw not in choices:
            raise UsageError(f"{where} must be {' or '.join(_quoted(one) for one in choices)}")
        return kind(raw)
    if kind is float and type(raw) in (int, float) and math.isfinite(raw):
        return float(raw)
    if kind is int and type(raw) is int and abs(raw) <= _MAX_INTEGER:
        return raw
    if kind is bool and type(raw) is bool:
        return raw
    if kind is str and type(raw) is str and len(raw) <= MAX_WORDS_CHARS and raw.isprintable():
        return raw
    wanted = {float: "a number", int: "a whole number", bool: "true or false", str: "a short text"}
    raise UsageError(f"{where} must be {wanted[kind]}")


def _quoted(text: str) -> str:
    return json.dumps(text[:64])
