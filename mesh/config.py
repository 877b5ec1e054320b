"""One frozen configuration value: flag over environment over file over default; read once, at start."""

import os
import re
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from mesh.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TOPIC = re.compile(r"[A-Za-z0-9_.-]{1,32}(/[A-Za-z0-9_.-]{1,32}){0,3}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
MAX_TIMEOUT_S = 86400.0


def default_data_dir() -> Path:
    """`/var/lib/edge-mesh` for root, else the XDG data directory."""
    if os.geteuid() == 0:
        return Path("/var/lib/edge-mesh")
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "edge-mesh"


def _host_name() -> str:
    host = os.uname().nodename.split(".")[0]
    cleaned = re.sub(r"[^A-Za-z0-9_.-]", "-", host).lstrip("._-")[:32]
    return cleaned or "node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that a node or a command can be told. Each field is also `MESH_<FIELD>` and a TOML key."""

    data_dir: Path = field(default_factory=default_data_dir)
    name: str = field(default_factory=_host_name)
    mesh_name: str = "default"
    owner: str = ""  # whose node this is: private layers of a model stay with its owner's nodes
    base_topic: str = "mesh"  # topics lie below <base_topic>/1
    bind: str = ""  # address to listen on; empty = every interface
    advertise: str = ""  # address at which others reach this node; empty = found out
    broker: str = (
        ""  # URL of an existing MQTT broker, "mosquitto" or "embedded"; empty = the best here
    )
    mqtt_port: int = 0  # 0 = 1883, or the next free one
    http_port: int = 0  # 0 = any free one
    seeds: tuple[str, ...] = ()  # broker URLs of nodes that mDNS does not reach
    mdns: bool = True
    mdns_interfaces: tuple[str, ...] = ()  # IP addresses; empty = every interface
    runtime: str = "auto"  # "litert", "tflite" or "auto"
    threads: int = 0  # of each interpreter; 0 = the best number, measured with each model
    memory_bytes: int = 0  # what stages may use in all; 0 = measured free memory
    measurements_dir: str = ""  # nodes of one machine may share it; empty = in data_dir
    heartbeat_s: float = 1.0
    lost_after_s: float = 4.0  # silence after which a node counts as lost
    request_timeout_s: float = 30.0
    max_payload_bytes: int = 8 << 20  # of one MQTT message: request, reply or activation
    max_model_bytes: int = 2 << 30
    max_tensor_bytes: int = 1 << 30  # of one tensor of a model
    max_activation_bytes: int = 16 << 30  # of all tensors that a model computes
    max_operators: int = 8192  # of one model
    max_queue: int = 256  # requests waiting at a gateway
    max_in_flight: int = 0  # 0 = two per node of a plan
    session_idle_s: float = 60.0  # without a request, a session is dropped after this
    max_sessions: int = 64  # open at a gateway, and passing a stage
    max_session_bytes: int = 256 << 20  # of state, at all stages of this node
    max_session_interpreters: int = 8  # of sessions whose model hides its state
    log_level: str = "info"

    @property
    def broker_url(self) -> str:
        """The URL of an existing broker; empty where this node runs its own."""
        return "" if self.broker in {"mosquitto", "embedded"} else self.broker

    @property
    def measurements_path(self) -> Path:
        """Where what was measured on this node is kept."""
        return Path(self.measurements_dir or self.data_dir / "capability")

    def __post_init__(self) -> None:
        self._check_names()
        self._check_numbers()
        self._check_sessions()

    def _check_names(self) -> None:
        for what, value in (("name", self.name), ("mesh_name", self.mesh_name)):
            if not _NAME.fullmatch(value):
                raise UsageError(
                    f"{what} {value!r} is not usable: 1 to 32 letters, digits, '.', '_' or '-', "
                    "starting with a letter or digit"
                )
        if self.owner and not _NAME.fullmatch(self.owner):
            raise UsageError(
                f"owner {self.owner!r} is not usable: 1 to 32 letters, digits, '.', '_' or '-', "
                "starting with a letter or digit"
            )
        if not _TOPIC.fullmatch(self.base_topic):
            raise UsageError(
                f"base_topic {self.base_topic!r} is not usable: letters, digits, '_', '-', '.', "
                "in levels parted by '/'"
            )
        if self.runtime not in {"auto", "litert", "tflite"}:
            raise UsageError(f"runtime {self.runtime!r} is unknown: use auto, litert or tflite")

    def _check_numbers(self) -> None:
        for what in ("mqtt_port", "http_port"):
            if not 0 <= getattr(self, what) <= 65535:
                raise UsageError(f"{what} must lie between 0 and 65535")
        if not 0.05 <= self.heartbeat_s < self.lost_after_s:
            raise UsageError("heartbeat_s must be at least 0.05 and less than lost_after_s")
        if not 0 < self.request_timeout_s <= MAX_TIMEOUT_S:
            raise UsageError(
                f"request_timeout_s must be more than 0 and at most {MAX_TIMEOUT_S:.0f}"
            )
        for what in (
            "max_payload_bytes",
            "max_model_bytes",
            "max_tensor_bytes",
            "max_activation_bytes",
            "max_operators",
            "max_queue",
            "max_sessions",
        ):
            if getattr(self, what) < 1:
                raise UsageError(f"{what} must be at least 1")
        for what in ("threads", "memory_bytes", "max_in_flight"):
            if getattr(self, what) < 0:
                raise UsageError(f"{what} must not be negative: 0 leaves the choice to the node")

    def _check_sessions(self) -> None:
        if not 0 < self.session_idle_s <= MAX_TIMEOUT_S:
            raise UsageError(f"session_idle_s must be more than 0 and at most {MAX_TIMEOUT_S:.0f}")
        for what in ("max_session_bytes", "max_session_interpreters"):
            if getattr(self, what) < 0:
                raise UsageError(f"{what} must not be negative: 0 leaves no room for any")


def load(
    flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None
) -> Config:
    """Merge the sources. `flags` holds only what was given. Raises: UsageError."""
    values: dict[str, Any] = {}
    if file is not None:
        values |= _from_file(file)
    kinds = get_type_hints(Config)
    for one in fields(Config):
        text = environment.get(f"MESH_{one.name.upper()}")
        if text is not None:
            values[one.name] = _parse(one.name, text, kinds[one.name])
    values |= flags
    return Config(**values)


def _from_file(file: Path) -> dict[str, Any]:
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"configuration {file} cannot be read: {error}") from error
    kinds = get_type_hints(Config)
    unknown = sorted(raw.keys() - kinds.keys())
    if unknown:
        raise UsageError(f"configuration {file} has unknown keys: {', '.join(unknown)}")
    return {key: _coerce(f"{file}: {key}", value, kinds[key]) for key, value in raw.items()}


def _parse(name: str, text: str, kind: Any) -> Any:
    variable = f"MESH_{name.upper()}"
    if kind is bool:
        if text.lower() not in {"0", "1", "true", "false", "yes", "no"}:
            raise UsageError(f"{variable}={text!r}: use 1 or 0")
        return text.lower() in {"1", "true", "yes"}
    if get_origin(kind) is tuple:
        return tuple(part for part in text.split(",") if part)
    try:
        return kind(text)
    except ValueError as error:
        raise UsageError(f"{variable}={text!r} is not a valid {kind.__name__}") from error


def _coerce(where: str, value: Any, kind: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(str(part) for part in value)
    if kind is float and type(value) is int:
        return float(value)
    wanted = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    if type(value) not in wanted:
        raise UsageError(f"{where} = {value!r}: expected {kind.__name__}")
    return value
