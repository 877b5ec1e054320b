"""How the demo speaks: numbered headings, commands to copy, sentences and screens, or nothing at all."""

from rich.console import RenderableType
from rich.text import Text

from mesh.cli.canvas import ACCENT, FAINT, GOOD, HEADING, Canvas, paragraph
from mesh.cli.terminal import Terminal


class Narrator:
    """`quiet`: for `--json`, where the figures at the end are all that is said."""

    def __init__(self, terminal: Terminal, *, quiet: bool) -> None:
        self._terminal = terminal
        self._quiet = quiet
        self._chapters = 0

    @property
    def canvas(self) -> Canvas:
        return self._terminal.canvas

    def head(self, text: str) -> None:
        """Begin the next step."""
        self._chapters += 1
        self.draw(Text.assemble("\n", (f"{self._chapters}. ", ACCENT), (text, HEADING)))

    def command(self, line: str) -> None:
        """What one would type for what comes next."""
        self.draw(Text(f"\n  $ {line}", style=FAINT))

    def say(self, text: str) -> None:
        """A sentence, wrapped."""
        self.draw(paragraph(text, indent=2))

    def done(self, text: str) -> None:
        """A promise that was kept."""
        self.draw(Text.assemble("  ", ("✓ ", GOOD), text))

    def gap(self) -> None:
        self.show("")

    def draw(self, *parts: RenderableType) -> None:
        self.show(self.canvas.draw(parts))

    def show(self, text: str) -> None:
        """A screen that was drawn elsewhere."""
        if not self._quiet:
            self._terminal.show(text)
