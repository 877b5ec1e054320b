import io

import pytest

from mesh.cli.demo_narrator import Narrator
from mesh.cli.terminal import Terminal

SAID = """
1. Begin

  $ mesh status
  A sentence that is longer than sixty columns is wrapped,
  with its indent.
  ✓ kept

as drawn elsewhere

2. Go on
"""


def tell(narrator: Narrator) -> None:
    narrator.head("Begin")
    narrator.command("mesh status")
    narrator.say("A sentence that is longer than sixty columns is wrapped, with its indent.")
    narrator.done("kept")
    narrator.gap()
    narrator.show("as drawn elsewhere")
    narrator.head("Go on")


@pytest.mark.parametrize(("quiet", "said"), [(False, SAID), (True, "")])
def test_what_is_said(quiet: bool, said: str) -> None:
    out, err = io.StringIO(), io.StringIO()
    tell(Narrator(Terminal(out, err, {"COLUMNS": "60"}), quiet=quiet))
    assert (out.getvalue(), err.getvalue()) == (said, "")
