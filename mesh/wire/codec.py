"""Frozen dataclasses to JSON and back, strictly: what a peer says is checked before it is believed.

Types understood: str, int, float, bool, enums of str, NewTypes of those, `T | None`,
`tuple[T, ...]` and dataclasses of them. Unknown keys are ignored, so that a newer peer may say more.
"""

import dataclasses
import functools
import json
import math
import types
from enum import Enum
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from mesh.errors import RemoteError

MAX_TEXT_CHARS = 4096
MAX_ITEMS = 16384
MAX_INTEGER = 2**63 - 1
_MAX_INTEGER_DIGITS = 20

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Turn a value into what `json.dumps` takes."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    return value


def encode(value: Any) -> bytes:
    """Compact JSON with sorted keys: equal values give equal bytes."""
    text = json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def decode(kind: type[T], payload: bytes, *, max_bytes: int) -> T:
    """Parse a document. Raises: RemoteError naming the field that is wrong."""
    if len(payload) > max_bytes:
        raise RemoteError(f"{kind.__name__}: {len(payload)} bytes, at most {max_bytes} are allowed")
    try:
        raw = json.loads(payload, parse_int=_bounded_integer, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise RemoteError(f"{kind.__name__} is not JSON: {error}") from error
    return from_plain(kind, raw)


def from_plain(kind: type[T], raw: Any) -> T:
    """Check and convert what `json.loads` gave. Raises: RemoteError."""
    return cast("T", _convert(kind, raw, kind.__name__))


def _bounded_integer(digits: str) -> int:
    if len(digits) > _MAX_INTEGER_DIGITS:
        raise ValueError("a number of too many digits")
    return int(digits)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _convert(kind: Any, raw: Any, where: str) -> Any:
    while hasattr(kind, "__supertype__"):
        kind = kind.__supertype__
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        inner = next(arg for arg in get_args(kind) if arg is not type(None))
        return None if raw is None else _convert(inner, raw, where)
    if origin is tuple:
        return _convert_tuple(kind, raw, where)
    if dataclasses.is_dataclass(kind):
        return _convert_dataclass(kind, raw, where)
    return _convert_scalar(kind, raw, where)


def _convert_tuple(kind: Any, raw: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(raw, list) or len(raw) > MAX_ITEMS:
        raise RemoteError(f"{where}: expected a list of at most {MAX_ITEMS} items")
    item_kind = get_args(kind)[0]
    return tuple(_convert(item_kind, item, f"{where}[{i}]") for i, item in enumerate(raw))


@functools.cache
def _field_kinds(kind: Any) -> tuple[tuple[str, Any, bool], ...]:
    hints = get_type_hints(kind)
    return tuple(
        (
            f.name,
            hints[f.name],
            f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING,
        )
        for f in dataclasses.fields(kind)
    )


def _convert_dataclass(kind: Any, raw: Any, where: str) -> Any:
    if not isinstance(raw, dict):
        raise RemoteError(f"{where}: expected an object")
    values: dict[str, Any] = {}
    for name, field_kind, required in _field_kinds(kind):
        if name in raw:
            values[name] = _convert(field_kind, raw[name], f"{where}.{name}")
        elif required:
            raise RemoteError(f"{where}.{name} is missing")
    try:
        return kind(**values)
    except ValueError as error:
        raise RemoteError(f"{where}: {error}") from error


def _convert_scalar(kind: Any, raw: Any, where: str) -> Any:
    if type(raw) is int and abs(raw) > MAX_INTEGER:
        raise RemoteError(f"{where}: a number beyond {MAX_INTEGER}")
    if kind is float and type(raw) in (int, float) and math.isfinite(raw):
        return float(raw)
    if kind is int and type(raw) is int:
        return raw
    if kind is bool and type(raw) is bool:
        return raw
    if kind is str and type(raw) is str and len(raw) <= MAX_TEXT_CHARS:
        # JSON can spell lone surrogates, which no terminal, topic or file name can hold.
        return raw.encode("utf-8", "replace").decode()
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(raw)
        except ValueError:
            pass
    raise RemoteError(f"{where}: not a valid {getattr(kind, '__name__', kind)}")
