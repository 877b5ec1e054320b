"""Reads a file of class names, one a line."""

from collections.abc import Sequence
from pathlib import Path

from mesh.errors import UsageError
from mesh.store.manifest import MAX_LABEL_CHARS, MAX_LABELS

_MAX_BYTES = MAX_LABELS * (4 * MAX_LABEL_CHARS + 2)


def read_labels(path: Path) -> tuple[str, ...]:
    """Raises: UsageError."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"labels {path} cannot be read: {error}") from error
    labels = tuple(line.strip() for line in text.splitlines())
    if len(text) > _MAX_BYTES:
        raise UsageError(f"labels {path}: at most {MAX_LABELS} labels are allowed")
    check_labels(labels, f"labels {path}")
    return labels


def check_labels(labels: Sequence[str], where: str) -> None:
    """Whether a manifest can hold them. Raises: UsageError."""
    if len(labels) > MAX_LABELS:
        raise UsageError(f"{where}: at most {MAX_LABELS} labels are allowed")
    for i, label in enumerate(labels):
        if len(label) > MAX_LABEL_CHARS or not label.isprintable():
            raise UsageError(
                f"{where}, line {i + 1}: a label is printable and has at most "
                f"{MAX_LABEL_CHARS} characters"
            )
