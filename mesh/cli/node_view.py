"""What a node says when it is up: who it is, where it is reached, and what to try next; pure."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from mesh.cli.canvas import FAINT, GOOD, HEADING, WARNING, Canvas, labelled, paragraph
from mesh.wire.documents import Advert

_SLOW_BROKER = "The embedded broker is slow. Faster, after a new start of this node:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    """The facts of a node that has just come up."""

    node_id: str
    name: str
    mesh_name: str
    board: str
    runtime: str
    threads: int
    broker_url: str
    broker_kind: str
    http_url: str
    pid: int
    version: str

    @classmethod
    def of(cls, advert: Advert, *, pid: int) -> "Up":
        return cls(
            node_id=advert.node_id,
            name=advert.name,
            mesh_name=advert.mesh_name,
            board=advert.board_label,
            runtime=f"{advert.runtime} {advert.runtime_version}",
            threads=advert.threads,
            broker_url=advert.broker_url,
            broker_kind=advert.broker_kind,
            http_url=advert.http_url,
            pid=pid,
            version=advert.version,
        )

    def as_members(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)


def render(up: Up, canvas: Canvas) -> str:
    """A friendly greeting with lines to copy."""
    return canvas.draw(_parts(up))


def _parts(up: Up) -> Iterator[RenderableType]:
    yield Text.assemble(
        (f"{up.name} is up", f"{GOOD} bold"),
        f" in mesh {up.mesh_name} ",
        (f"(node {up.node_id}, version {up.version})", FAINT),
    )
    threads = "1 thread" if up.threads == 1 else f"up to {up.threads} threads"
    yield labelled(
        (
            ("board", up.board),
            ("runtime", f"{up.runtime}, {threads}"),
            ("broker", f"{up.broker_url}  {up.broker_kind}"),
            ("files", up.http_url),
        ),
        indent=2,
    )
    mesh = "" if up.mesh_name == "default" else f" --mesh {up.mesh_name}"
    yield labelled(
        (
            ("look", f"mesh status --watch{mesh}"),
            ("serve", f"mesh model add FILE.tflite{mesh}"),
            ("ask", f"mesh infer NAME --random{mesh}"),
        ),
        indent=2,
    )
    if "embedded" in up.broker_kind:
        yield paragraph(_SLOW_BROKER, indent=2, style=WARNING)
        yield Text("    sudo apt install mosquitto")
    yield Text("  Ctrl-C ends it.", style=HEADING)
