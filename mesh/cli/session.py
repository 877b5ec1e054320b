"""What a command works with: the terminal, and ways to reach a node that a test can replace."""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from mesh.cli.terminal import Terminal, cleaned
from mesh.config import load
from mesh.errors import UnknownModelError
from mesh.fleet.broker_url import parse_broker_url
from mesh.ids import ModelId

if TYPE_CHECKING:  # `mesh --help` does without NumPy and the transport
    import numpy.typing as npt

    from mesh.client import Answer
    from mesh.wire.control import ModelStatus, StatusReply, Verb
    from mesh.wire.infer import InferResponse, SessionUse

T = TypeVar("T")

Progress = Callable[[int, int], None]
"""Called with what is done and the whole, in bytes."""


class Asker(Protocol):
    """A connection to one node; `mesh.Client` is one."""

    @property
    def url(self) -> str:
        """The broker of the node that is asked."""
        ...

    def ask(self, verb: "Verb", request: Any, reply: type[T], *, timeout_s: float) -> T:
        """Make a control request. Raises: the error that was replied."""
        ...

    def infer_soon(
        self,
        model_name: str,
        inputs: "Mapping[str, npt.ArrayLike]",
        *,
        outputs: Sequence[str] | None = None,
        timeout_s: float = 30.0,
        session: "SessionUse | None" = None,
    ) -> "Future[Answer]":
        """Ask with arrays."""
        ...

    def send(
        self,
        model_name: str,
        payload: bytes,
        *,
        content_type: str | None = None,
        session: "SessionUse | None" = None,
    ) -> "Future[InferResponse]":
        """Ask with a payload as it is."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """How a node is found; `url` None means by mDNS."""

    url: str | None
    mesh_name: str
    base_topic: str
    interfaces: tuple[str, ...]
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """All that a command touches of the world."""

    terminal: Terminal
    environment: Mapping[str, str]
    connect: Callable[[Whereabouts], Asker]
    upload: Callable[[str, Path, Progress], ModelId]
    now_s: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep

    def whereabouts(self, args: argparse.Namespace) -> Whereabouts:
        """Flags over environment over defaults. Raises: UsageError."""
        flags = {
            name: value
            for name, value in (
                ("mesh_name", args.mesh_name),
                ("base_topic", args.base_topic),
                ("mdns_interfaces", tuple(args.mdns_interfaces or ()) or None),
            )
            if value is not None
        }
        config = load(flags, self.environment)
        url = args.url or self.environment.get("MESH_URL") or None
        return Whereabouts(
            url=None if url is None else str(parse_broker_url(url)),
            mesh_name=config.mesh_name,
            base_topic=config.base_topic,
            interfaces=config.mdns_interfaces,
            timeout_s=args.timeout,
        )


def real_session(terminal: Terminal, environment: Mapping[str, str]) -> Session:
    return Session(terminal=terminal, environment=environment, connect=_connect, upload=_upload)


def ask_status(asker: Asker, timeout_s: float) -> "StatusReply":
    """What the node knows of the mesh, fit to be shown."""
    from mesh.wire.control import StatusReply, StatusRequest, Verb  # noqa: PLC0415

    return cleaned(asker.ask(Verb.STATUS, StatusRequest(), StatusReply, timeout_s=timeout_s))


def find_model(status: "StatusReply", name: str) -> "ModelStatus":
    """Raises: UnknownModelError naming what there is."""
    for model in status.models:
        if model.name == name:
            return model
    names = ", ".join(model.name for model in status.models) or "none yet"
    raise UnknownModelError(
        f"there is no model {name!r}; there are: {names} (`mesh model add FILE` adds one)"
    )


def _connect(where: Whereabouts) -> Asker:
    from mesh.client import Client  # noqa: PLC0415

    return Client(
        where.url,
        mesh_name=where.mesh_name,
        base_topic=where.base_topic,
        interfaces=where.interfaces,
    )


def _upload(url: str, path: Path, on_progress: Progress) -> ModelId:
    from mesh.store.http_client import upload  # noqa: PLC0415

    return upload(url, path, on_progress)
