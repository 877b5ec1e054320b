"""Reads `device_profiles/*.toml` into profiles, strictly: an unknown key is an error, not a comment."""

import sys
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import mesh
from mesh.device.profile import DeviceProfile
from mesh.errors import DeviceError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FOLDER = "device_profiles"
_MAX_FILE_BYTES = 64 << 10


def profiles_folder() -> Path:
    """Inside the package in an installed wheel, beside it in a checkout. Raises: DeviceError."""
    package = Path(mesh.__file__).parent
    for folder in (package / _FOLDER, package.parent / _FOLDER):
        if folder.is_dir():
            return folder
    raise DeviceError(f"the folder {_FOLDER}/ is missing from this installation: reinstall it")


def load_profiles(folder: Path | None = None) -> tuple[DeviceProfile, ...]:
    """Every profile of the folder, by default the one that comes with the package, sorted by name.

    Raises: DeviceError naming the file and the key.
    """
    files = sorted((folder or profiles_folder()).glob("*.toml"))
    profiles = tuple(read_profile(file) for file in files)
    names = [profile.name for profile in profiles]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DeviceError(f"two device profiles are named {twice[0]!r}: rename one")
    return profiles


def read_profile(file: Path) -> DeviceProfile:
    """Raises: DeviceError."""
    try:
        with file.open("rb") as stream:
            text = stream.read(_MAX_FILE_BYTES).decode("utf-8")
        document = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise DeviceError(f"device profile {file.name} cannot be read: {error}") from error
    return parse_profile(document, where=file.name)


def parse_profile(document: Mapping[str, Any], *, where: str) -> DeviceProfile:
    """A profile from parsed TOML; `where` names the file. Raises: DeviceError naming file and key."""
    return _read_table(DeviceProfile, document, where, "")


_Table = TypeVar("_Table")


def _read_table(kind: type[_Table], value: Any, where: str, key: str) -> _Table:
    if not isinstance(value, Mapping):
        raise _wrong(where, key, "a table")
    hints = get_type_hints(kind)
    unknown = sorted(value.keys() - hints.keys())
    if unknown:
        raise DeviceError(f"device profile {where}: unknown key {_join(key, unknown[0])!r}")
    given = {}
    for each in fields(kind):  # type: ignore[arg-type]
        if each.name in value:
            inner = _join(key, each.name)
            given[each.name] = _read(hints[each.name], value[each.name], where, inner)
        elif each.default is MISSING:
            raise DeviceError(f"device profile {where}: key {_join(key, each.name)!r} is missing")
    return kind(**given)


def _read(kind: Any, value: Any, where: str, key: str) -> Any:
    if is_dataclass(kind):
        return _read_table(kind, value, where, key)  # type: ignore[arg-type]
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise _wrong(where, key, "an array")
        inner = get_args(kind)[0]
        return tuple(_read(inner, each, where, f"{key}[{i}]") for i, each in enumerate(value))
    if get_origin(kind) in (Union, types.UnionType):  # "T | None": TOML has no null, absent is None
        kind = next(each for each in get_args(kind) if each is not type(None))
    return _read_scalar(kind, value, where, key)


def _read_scalar(kind: Any, value: Any, where: str, key: str) -> Any:
    if issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError as error:
            raise _wrong(where, key, " or ".join(repr(each.value) for each in kind)) from error
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise _wrong(where, key, {str: "a string", int: "an integer", float: "a number"}[kind])
    if kind in (int, float) and not 0 < value < 1e15:
        raise _wrong(where, key, "greater than 0")
    return value


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _wrong(where: str, key: str, wanted: str) -> DeviceError:
    return DeviceError(f"device profile {where}: {key} must be {wanted}")
