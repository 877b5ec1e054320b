"""A session of one model: requests whose state stays in the mesh between them, from any thread."""

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import numpy.typing as npt

from mesh.client.arrays import Answer
from mesh.errors import (
    MeshError,
    NoPlanError,
    OverloadedError,
    RequestError,
    SessionError,
    SessionLostError,
    UnknownModelError,
    UsageError,
)
from mesh.wire.infer import SessionUse

if TYPE_CHECKING:
    from typing_extensions import Self

_NOT_TAKEN = (RequestError, NoPlanError, OverloadedError, UnknownModelError, UsageError)
"""These say that the step was not taken; after all others nobody knows."""


class Steps(Protocol):
    """What a session asks with: a `mesh.Client`."""

    def infer(
        self,
        model_name: str,
        inputs: "Mapping[str, npt.ArrayLike] | Sequence[npt.ArrayLike]",
        *,
        outputs: Sequence[str] | None,
        timeout_s: float,
        session: SessionUse,
    ) -> Answer: ...

    def end_session(self, model_name: str, session_name: str, *, timeout_s: float) -> None: ...


class Session:
    """Begins with its first request and ends with `close`, or with a request that says it is the last.

    Steps are asked one after another. Once a step is lost, all that follow raise SessionLostError:
    begin a new session then.
    """

    def __init__(self, client: Steps, model_name: str, *, timeout_s: float) -> None:
        self._client = client
        self._model_name = model_name
        self._timeout_s = timeout_s
        self._turn = Lock()
        self._is_open = False
        self._over = ""
        self.name = secrets.token_hex(8)

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def infer(
        self,
        inputs: "Mapping[str, npt.ArrayLike] | Sequence[npt.ArrayLike]",
        *,
        outputs: Sequence[str] | None = None,
        timeout_s: float | None = None,
        last: bool = False,
    ) -> Answer:
        """Take the next step and wait for it; `last` ends the session with it.

        Raises: SessionLostError when the session cannot go on, and what `Client.infer` raises when
        this step was not taken and may be tried again.
        """
        with self._turn:
            if self._over:
                raise SessionLostError(f"this session {self._over}: begin a new one")
            use = SessionUse(name=self.name, starts=not self._is_open, ends=last)
            try:
                answer = self._client.infer(
                    self._model_name,
                    inputs,
                    outputs=outputs,
                    timeout_s=self._timeout_s if timeout_s is None else timeout_s,
                    session=use,
                )
            except _NOT_TAKEN:
                raise
            except KeyboardInterrupt:  # while it waited, with the step on its way
                self._over = "is lost" if self._is_open else ""
                raise
            except MeshError as error:
                raise self._lost(error) from error
            self._is_open = True
            self._over = "has ended" if last else ""
            return answer

    def close(self) -> None:
        """End the session, so that the nodes forget it at once. Harmless when called again."""
        with self._turn:
            if self._is_open and not self._over:
                with contextlib.suppress(MeshError):  # unheard, it ends by its silence
                    self._client.end_session(self._model_name, self.name, timeout_s=self._timeout_s)
            self._over = self._over or "has ended"

    def _lost(self, error: MeshError) -> MeshError:
        """A first step that failed has begun nothing: it may simply be tried again."""
        if not self._is_open and not isinstance(error, SessionError):
            return error
        self._over = "is lost"
        return (
            error
            if isinstance(error, SessionError)
            else SessionLostError(f"a step of this session may be lost ({error}): begin a new one")
        )
