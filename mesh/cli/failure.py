"""How an error is told: one line for people, one JSON object for programs, an exit status for both."""

from typing import Any

from mesh.cli.terminal import SCHEMA_VERSION, clean
from mesh.errors import MeshError

INTERRUPTED = 130
"""128 + SIGINT, as shells say it."""
BROKEN_PIPE = 141
"""128 + SIGPIPE."""


def line(error: Exception) -> str:
    """As `mesh: <sentence>`."""
    return f"mesh: {_sentence(error)}"


def members(error: Exception) -> dict[str, Any]:
    """The members of the JSON object."""
    kind = type(error) if isinstance(error, MeshError) else MeshError
    return {
        "schema_version": SCHEMA_VERSION,
        "status": "error",
        "error": _sentence(error),
        "code": kind.code,
        "retryable": kind.retryable,
    }


def exit_status(error: Exception) -> int:
    return error.exit_status if isinstance(error, MeshError) else MeshError.exit_status


def _sentence(error: Exception) -> str:
    told = " ".join(clean(str(error)).split())
    if isinstance(error, MeshError):
        return told or f"failed ({error.code})"
    return f"a fault in mesh itself ({type(error).__name__}: {told}); MESH_DEBUG=1 shows where"
