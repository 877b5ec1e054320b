"""Reads `device_profiles/*.toml` into profiles, strictly: an unknown key is an error, not a comment.

So is silence: a fact that a file neither gives nor names in `unknown` is refused.
"""

import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
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

    Raises: DeviceError naming the file and the key, or two profiles that share a name or alias.
    """
    files = sorted((folder or profiles_folder()).glob("*.toml"))
    profiles = tuple(read_profile(file) for file in files)
    names = [name for profile in profiles for name in (profile.name, *profile.aliases)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DeviceError(f"two device profiles are named {twice[0]!r}: rename one")
    return profiles


def read_profile(file: Path) -> DeviceProfile:
    """Raises: DeviceError."""
    return read_profile_text(_text(file), where=file.name)


def profile_text(name: str) -> str:
    """The file of a profile that comes with the package, comments and all. Raises: DeviceError."""
    return _text(profiles_folder() / f"{name}.toml")


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(_MAX_FILE_BYTES).decode("utf-8")
    except (OSError, ValueError) as error:
        raise DeviceError(f"device profile {file.name} cannot be read: {error}") from error


def read_profile_text(text: str, *, where: str) -> DeviceProfile:
    """A profile from the text of its file. Raises: DeviceError."""
    try:
        document = tomllib.loads(text)
    except ValueError as error:
        raise DeviceError(f"device profile {where} cannot be read: {error}") from error
    return parse_profile(document, where=where)


def parse_profile(document: Mapping[str, Any], *, where: str) -> DeviceProfile:
    """A profile from parsed TOML; `where` names the file. Raises: DeviceError naming file and key."""
    profile = _read_table(DeviceProfile, document, where, "")
    _check_unknown(profile, document, where)
    return profile


def given_facts(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The dotted keys of the facts that a profile's document gives."""
    return tuple(_fact_keys(DeviceProfile, document, "", given=True))


def lacking_facts(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Those that it does not give: `unknown` has to name them, or their tables."""
    return tuple(_fact_keys(DeviceProfile, document, "", given=False))


def _fact_keys(kind: type, value: Mapping[str, Any], key: str, *, given: bool) -> Iterator[str]:
    hints = get_type_hints(kind)
    for each in fields(kind):
        inner = _join(key, each.name)
        table = _table_kind(hints[each.name])
        if table is not None:
            # A port that is left out is one that the board has not; other tables merely stand empty.
            if each.name in value or is_dataclass(hints[each.name]):
                yield from _fact_keys(table, value.get(each.name, {}), inner, given=given)
        elif each.metadata.get("is_fact") and (each.name in value) == given:
            yield inner


def _table_kind(hint: Any) -> type | None:
    """The dataclass behind `Kind` or `Kind | None`."""
    kinds = (hint, *get_args(hint)) if get_origin(hint) is not tuple else ()
    return next((kind for kind in kinds if is_dataclass(kind) and isinstance(kind, type)), None)


def _check_unknown(profile: DeviceProfile, document: Mapping[str, Any], where: str) -> None:
    lacking = lacking_facts(document)
    given = given_facts(document)
    for key in lacking:
        if not any(_covers(entry, key) for entry in profile.unknown):
            raise DeviceError(
                f"device profile {where}: {key} is missing: give it, or name it in unknown"
            )
    for entry in profile.unknown:
        for key in given:
            if _covers(entry, key):
                raise DeviceError(
                    f"device profile {where}: {key} is given, and yet {entry!r} is in unknown"
                )
        if not any(_covers(entry, key) for key in lacking):
            raise DeviceError(
                f"device profile {where}: {entry!r} in unknown is no key that may be unknown"
            )


def _covers(entry: str, key: str) -> bool:
    return key == entry or key.startswith(f"{entry}.")


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
        elif _is_required(each):
            raise DeviceError(f"device profile {where}: key {_join(key, each.name)!r} is missing")
    return kind(**given)


def _is_required(each: "Field[Any]") -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def _read(kind: Any, value: Any, where: str, key: str) -> Any:
    if get_origin(kind) in (Union, types.UnionType):  # "T | None": TOML has no null, absent is None
        kind = next(each for each in get_args(kind) if each is not type(None))
    if is_dataclass(kind):
        return _read_table(kind, value, where, key)  # type: ignore[arg-type]
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise _wrong(where, key, "an array")
        inner = get_args(kind)[0]
        return tuple(_read(inner, each, where, f"{key}[{i}]") for i, each in enumerate(value))
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
    if kind in (int, float) and not _is_possible(key, value):
        raise _wrong(where, key, "greater than 0")
    return value


def _is_possible(key: str, value: float) -> bool:
    """Above 0; only numbers that name something, such as a mode's, may begin there."""
    return 0 < value < 1e15 or (value == 0 and key.endswith(".id"))


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _wrong(where: str, key: str, wanted: str) -> DeviceError:
    return DeviceError(f"device profile {where}: {key} must be {wanted}")
