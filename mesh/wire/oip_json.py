"""Reads JSON from clients within bounds: nesting, digits and length are theirs, memory is ours."""

import json
import re
from typing import Any, NoReturn

from mesh.errors import BadPayloadError

_MAX_INTEGER_DIGITS = 400  # the largest float64 has 309
_OBJECT_START = re.compile(rb"[ \t\r\n]{0,64}\{")
_ID_FIRST = re.compile(
    rb'[ \t\r\n]{0,64}\{[ \t\r\n]{0,64}"id"[ \t\r\n]{0,64}:[ \t\r\n]{0,64}("(?:[^"\\]|\\.){0,1536}")'
)


def looks_like_object(payload: bytes) -> bool:
    return _OBJECT_START.match(payload) is not None


def read_object(payload: bytes) -> dict[str, Any]:
    """Parse a payload that is one JSON object and nothing else. Raises: BadPayloadError."""
    try:
        value = _DECODER.decode(payload.decode())
    except (ValueError, RecursionError) as error:
        raise _not_json(error) from error
    return _as_object(value)


def read_leading_object(payload: bytes, *, max_bytes: int) -> tuple[dict[str, Any], int]:
    """Parse the object at the start; also returns the offset of the first byte behind it.

    Only `max_bytes` are looked at, however long the rest is. Raises: BadPayloadError.
    """
    # What follows the header is no text: those bytes become lone surrogates, one character each.
    text = payload[:max_bytes].decode(errors="surrogateescape")
    start = len(text) - len(text.lstrip(" \t\r\n"))
    try:
        value, end = _DECODER.raw_decode(text, start)
        size_bytes = len(text[:end].encode(errors="surrogateescape"))
        payload[:size_bytes].decode()
    except (ValueError, RecursionError) as error:
        if len(payload) > max_bytes:
            raise BadPayloadError(f"No JSON header ends in the first {max_bytes} bytes") from error
        raise _not_json(error) from error
    return _as_object(value), size_bytes


def leading_id(payload: bytes, *, max_chars: int) -> str | None:
    """Return the text of an "id" that begins the object, whatever follows; else None."""
    match = _ID_FIRST.match(payload)
    try:
        found = None if match is None else str(_DECODER.decode(match[1].decode()))
    except ValueError:
        return None
    return found if found is not None and len(found) <= max_chars else None


def _not_json(error: Exception) -> BadPayloadError:
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return BadPayloadError(f"The payload begins like JSON but is not: {reason}")


def _as_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadPayloadError('The JSON payload must be an object with "inputs"')
    return value


def _integer(digits: str) -> int:
    if len(digits) > _MAX_INTEGER_DIGITS:
        raise ValueError("a number has too many digits")
    return int(digits)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f'{name} is not JSON: send the string "{name}"')


_DECODER = json.JSONDecoder(parse_int=_integer, parse_constant=_no_constant)
