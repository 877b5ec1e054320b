"""Progress: bars leave nothing behind, lines are few, and quiet is quiet."""

import contextlib
import io

import pytest

from mesh.cli.steps import Step, steps_for
from mesh.cli.terminal import Terminal


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def play(err: io.StringIO, *, quiet: bool = False) -> str:
    terminal = Terminal(io.StringIO(), err, {"NO_COLOR": "1"})
    with contextlib.closing(steps_for(terminal, quiet=quiet)) as steps:
        for done in (0, 1, 2, 3):
            steps.show([Step(label="pi4: measuring", done=done, total=3), Step(label="checking")])
        steps.show([Step(label="uploading", done=1 << 20, total=4 << 20, is_bytes=True)])
    return err.getvalue()


def test_lines_say_when_something_begins_and_ends() -> None:
    assert play(io.StringIO()) == (
        "pi4: measuring 0/3\nchecking\npi4: measuring 3/3\nuploading 1 MiB of 4 MiB\n"
    )


def test_quiet() -> None:
    assert play(io.StringIO(), quiet=True) == ""


@pytest.mark.parametrize("quiet", [True, False])
def test_bars_are_taken_away(quiet: bool) -> None:
    text = play(Tty(), quiet=quiet)
    assert "uploading" in text
    assert text.endswith("\x1b[2K")  # the last line is wiped


def test_extent() -> None:
    assert Step(label="x").extent == ""
    assert not Step(label="x").is_done
    assert Step(label="x", done=3, total=3).is_done
