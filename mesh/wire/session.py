"""Reads which session a request belongs to, from its JSON or its MQTT 5 user properties, and writes it.

The names are those of Triton's sequence batcher ("sequence_start", "sequence_end") with our word.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mesh.errors import BadPayloadError
from mesh.wire.infer import SessionUse

MAX_NAME_CHARS = 64
_NAME, _START, _END = MEMBERS = ("session", "session_start", "session_end")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}

UserProperties = Sequence[tuple[str, str]]


def of_json(root: Mapping[str, Any], parameters: Mapping[str, Any]) -> SessionUse | None:
    """From the request's own members or its `parameters`. Raises: BadPayloadError."""
    return _use({name: _one(name, root.get(name), parameters.get(name)) for name in MEMBERS})


def of_properties(properties: UserProperties) -> SessionUse | None:
    """From MQTT 5 user properties; of a name that comes twice the last counts. Raises: BadPayloadError."""
    found: dict[str, Any] = {name: text for name, text in properties if name in MEMBERS}
    for name in (_START, _END):
        if name in found:
            found[name] = _BOOLEANS.get(found[name].lower(), found[name])
    return _use(found)


def as_json(use: SessionUse) -> dict[str, Any]:
    """The members of a request, those that say something. Raises: BadPayloadError."""
    marks = {_START: use.starts, _END: use.ends}
    return {_NAME: check_name(use.name)} | {name: True for name, is_set in marks.items() if is_set}


def as_properties(use: SessionUse) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, str(value).lower() if value is True else value)
        for name, value in as_json(use).items()
    )


def check_name(name: Any, *, error: type[Exception] = BadPayloadError) -> str:
    """Return a name that a session may have. Raises: `error`."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARS:
        raise error(f'"{_NAME}" must be a text of 1 to {MAX_NAME_CHARS} characters')
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise error(f'"{_NAME}" has half a character (a lone surrogate): send whole ones')
    return name


def _one(name: str, own: Any, parameter: Any) -> Any:
    if own is not None and parameter is not None and own != parameter:
        raise BadPayloadError(f'"{name}" and "parameters.{name}" differ: send one')
    return parameter if own is None else own


def _use(found: Mapping[str, Any]) -> SessionUse | None:
    marks = {}
    for name in (_START, _END):
        mark = found.get(name)
        if mark is not None and not isinstance(mark, bool):
            raise BadPayloadError(f'"{name}" must be true or false')
        marks[name] = bool(mark)
    if found.get(_NAME) is not None:
        return SessionUse(name=check_name(found[_NAME]), starts=marks[_START], ends=marks[_END])
    if any(marks.values()):
        raise BadPayloadError(f'"{_START}" and "{_END}" need a "{_NAME}"')
    return None
