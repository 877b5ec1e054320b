"""Real node processes on this machine's loopback: a mesh to try things on, and to break.

Each node is `mesh node` with its own data directory, broker and mDNS; the mesh has a name of its
own, so that it never joins another one. Nothing outlives `close`, nor the process that started it.
"""

import contextlib
import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from mesh.client import Client
from mesh.errors import DeadlineExceededError, MeshError, NodeLostError, UsageError
from mesh.planning.wishes import Wishes
from mesh.store.http_client import upload
from mesh.testing.cpu_quota import CpuGroup
from mesh.wire.control import (
    AddModelReply,
    AddModelRequest,
    ImageWish,
    ModelStatus,
    StatusReply,
    Verb,
)
from mesh.wire.documents import StageState

if TYPE_CHECKING:
    from typing_extensions import Self

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
ADD_TIMEOUT_S = 60.0
SERVE_TIMEOUT_S = 120.0
POLL_S = 0.05
_LOG_TAIL_CHARS = 4000

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalNode:
    """A running node process."""

    name: str
    node_id: str
    broker_url: str
    http_url: str
    log: Path
    process: "subprocess.Popen[str]"

    @property
    def pid(self) -> int:
        return self.process.pid


class LocalMesh:
    """Starts, kills and stops nodes; `client` talks to one of them."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        options: tuple[str, ...] = (),
        threads: int = 1,
        measure_each: bool = False,
        groups: Mapping[str, CpuGroup] | None = None,
    ) -> None:
        """`options` are further flags of `mesh node`, for every node.

        All nodes run on the same machine, so what one has measured holds for the others; with
        `measure_each` every node measures for itself nevertheless. A node named in `groups` runs
        in that group, with its broker and its interpreters.
        """
        self._groups = groups or {}
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="edge-mesh-local-")
        self.folder = folder or Path(self._temporary.name if self._temporary else "")
        self.mesh_name = f"local-{secrets.token_hex(4)}"
        self.nodes: dict[str, LocalNode] = {}
        self._processes: dict[str, subprocess.Popen[str]] = {}  # also those not up yet
        shared = () if measure_each else ("--measurements-dir", str(self.folder / "measurements"))
        self._options = (*options, *shared, "--threads", str(threads))

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def launch(
        self, name: str, *options: str, python: Path | None = None
    ) -> "subprocess.Popen[str]":
        """Start a node process without waiting for it. Raises: UsageError for a name that runs.

        `python` is that of another environment, which has this package too.
        """
        if name in self._processes:
            raise UsageError(f"a node {name} runs already: stop it first, or take another name")
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            *(self._groups[name].entering() if name in self._groups else ()),
            *(
                str(python or sys.executable),
                "-m",
                "mesh",
                "node",
                "--json",
                "--end-with-stdin",
                "--name",
                name,
            ),
            *("--mesh", self.mesh_name, "--data-dir", str(folder / "data")),
            *("--bind", LOOPBACK, "--interface", LOOPBACK),
            *self._options,
            *options,
        ]
        with (folder / "log.txt").open("a") as log:
            self._processes[name] = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                env=_environment(),
            )
        return self._processes[name]

    def start(self, name: str, *options: str, python: Path | None = None) -> LocalNode:
        """Start a node and wait until it serves. Raises: NodeLostError, DeadlineExceededError."""
        return self.await_up(name, self.launch(name, *options, python=python))

    def start_all(self, names: tuple[str, ...], *options: str) -> None:
        """Start several nodes at once."""
        processes = {name: self.launch(name, *options) for name in names}
        for name, process in processes.items():
            self.await_up(name, process)

    def await_up(self, name: str, process: "subprocess.Popen[str]") -> LocalNode:
        """Wait until a launched node says that it serves."""
        log = self.folder / name / "log.txt"
        try:
            said = json.loads(_first_line(process, START_TIMEOUT_S))
            if said.get("status") == "error":
                raise NodeLostError(str(said.get("error")))
        except (MeshError, ValueError) as error:
            self._end(name)
            tail = log.read_text(errors="replace")[-_LOG_TAIL_CHARS:]
            raise NodeLostError(f"node {name} did not start ({error}); it said:\n{tail}") from error
        node = LocalNode(
            name=name,
            node_id=said["node_id"],
            broker_url=said["broker_url"],
            http_url=said["http_url"],
            log=log,
            process=process,
        )
        self.nodes[name] = node
        return node

    def kill(self, name: str) -> None:
        """Pull the plug: SIGKILL, without a word to anybody."""
        self.nodes[name].process.send_signal(signal.SIGKILL)
        self._end(name)

    def stop(self, name: str) -> None:
        """Ask a node to end, and wait until it has."""
        self.nodes[name].process.send_signal(signal.SIGTERM)
        self._end(name)

    def close(self) -> None:
        """End every node, also those not up yet, and remove what was made. Harmless again."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for name in list(self._processes):
            self._end(name)
        if self._temporary is not None:
            self._temporary.cleanup()

    def client(self, name: str | None = None) -> Client:
        """A client of one node; of the first when none is named."""
        node = self.nodes[name] if name is not None else next(iter(self.nodes.values()))
        return Client(node.broker_url)

    def serve(
        self,
        file: Path,
        name: str,
        *,
        split: int = 1,
        wishes: Wishes | None = None,
        image: ImageWish | None = None,
        labels: tuple[str, ...] = (),
    ) -> ModelStatus:
        """Add a model at the first node; return when every node serves it in `split` stages or more.

        `wishes`, where given, are asked for instead of a split.
        """
        node = next(iter(self.nodes.values()))
        with Client(node.broker_url) as client:
            wish = AddModelRequest(
                model_id=upload(node.http_url, file),
                name=name,
                wishes=wishes or Wishes(min_stages=split),
                image=image,
                labels=labels,
                replace=True,
            )
            client.ask(Verb.MODEL_ADD, wish, AddModelReply, timeout_s=ADD_TIMEOUT_S)
        for one in self.nodes.values():
            with Client(one.broker_url) as client:
                served = await_serving(client, name, stages=split)
        return served

    def _end(self, name: str) -> None:
        self.nodes.pop(name, None)
        _end(self._processes.pop(name))

    def logs(self) -> str:
        """The end of every node's log."""
        files = sorted(self.folder.glob("*/log.txt"))
        ends = [file.read_text(errors="replace")[-_LOG_TAIL_CHARS:] for file in files]
        return "\n".join(
            f"--- {file.parent.name}\n{end}" for file, end in zip(files, ends, strict=True)
        )


def await_status(
    client: Client, is_so: Callable[[StatusReply], T | None], *, timeout_s: float, what: str
) -> T:
    """Ask for the status until `is_so` gives something true. Raises: DeadlineExceededError."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        status = client.status()
        found = is_so(status)
        if found:
            return found
        if time.monotonic() > deadline_s:
            raise DeadlineExceededError(f"waited {timeout_s:.0f} s for {what}; status: {status}")
        time.sleep(POLL_S)


def await_serving(client: Client, name: str, *, stages: int = 1) -> ModelStatus:
    """Wait until a model is served by so many stages or more, all ready, and every node has its file."""

    def serving(status: StatusReply) -> ModelStatus | None:
        for model in status.models:
            ready = all(one.state is StageState.READY for one in model.replicas)
            ready &= model.held_by >= sum(node.state == "ready" for node in status.nodes)
            if model.name == name and model.state == "serving" and ready:
                return model if len(model.stages) >= stages else None
        return None

    return await_status(
        client, serving, timeout_s=SERVE_TIMEOUT_S, what=f"{name} in {stages} stages"
    )


@contextlib.contextmanager
def local_mesh(count: int, *options: str) -> Iterator[LocalMesh]:
    """A mesh of `count` nodes, named from node-1 on."""
    with LocalMesh() as mesh:
        mesh.start_all(tuple(f"node-{i + 1}" for i in range(count)), *options)
        yield mesh


def _environment() -> Mapping[str, str]:
    """The environment without settings of the mesh, which would reach the nodes."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MESH_")}
    return {**kept, "PYTHONUNBUFFERED": "1"}


def _first_line(process: "subprocess.Popen[str]", timeout_s: float) -> str:
    stream = process.stdout
    if stream is None:
        raise NodeLostError("its output is not read")
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        if not selector.select(timeout_s):
            raise DeadlineExceededError(f"it said nothing for {timeout_s:.0f} s")
    line = stream.readline()
    if not line:
        raise NodeLostError(f"it ended with status {process.wait()}")
    return line


def _end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)  # harmless where it has ended or was told before
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
