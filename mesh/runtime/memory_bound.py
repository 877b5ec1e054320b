"""How much memory an interpreter's process may take for its slice: from the prediction and what is free."""

from collections.abc import Callable

FACTOR = 2
SLACK_BYTES = 64 << 20
"""A slice may take FACTOR times what was predicted, and SLACK_BYTES."""

FreeBytes = Callable[[], "int | None"]
"""Memory that this machine can spare now; None when it does not say."""


def bound_bytes(predicted_bytes: int | None, free_bytes: int | None) -> int | None:
    """What the process may take beyond a bare interpreter's; None where nothing bounds it."""
    bounds = [] if predicted_bytes is None else [FACTOR * predicted_bytes + SLACK_BYTES]
    return min(bounds if free_bytes is None else [*bounds, free_bytes], default=None)
