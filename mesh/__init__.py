"""Small boards become one machine: split a .tflite model among them, pipeline inference over MQTT."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mesh.client import Answer, Client

__all__ = ["Answer", "Client", "__version__"]


def __getattr__(name: str) -> Any:
    """`mesh.Client` is imported when it is asked for: the daemon does without it."""
    if name in ("Answer", "Client"):
        from mesh import client  # noqa: PLC0415

        return getattr(client, name)
    raise AttributeError(f"module 'mesh' has no attribute {name!r}")
