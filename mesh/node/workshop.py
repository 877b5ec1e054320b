"""What is done to a model file on this node, off the loop: open it, measure it, record its golden run."""

import fcntl
import logging
import mmap
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mesh.config import Config
from mesh.device.capability import Capability, Conditions
from mesh.device.capability_cache import CapabilityCache
from mesh.errors import MeshError, StoreError, UnsupportedModelError
from mesh.ids import ModelId, NodeId
from mesh.model import Limits, read_model
from mesh.model.limits import model_limits
from mesh.node.held_stage import ModelFile
from mesh.node.power_mode import PowerMode
from mesh.node.thread_share import ThreadShare
from mesh.planning.pieces import Pieces, pieces_of
from mesh.planning.wishes import Wishes
from mesh.runtime.golden import NEWEST_DRAW, golden_inputs
from mesh.runtime.measuring import measure_model, version_refusals
from mesh.runtime.port import Runtime
from mesh.runtime.whole import WholeRun
from mesh.store.disk import ModelStore, hash_file
from mesh.store.manifest import Golden, ImageOptions, ModelManifest
from mesh.wire.measured import MAX_MODE_CHARS, CapabilityDocument, RefusedLayers

_log = logging.getLogger("mesh.workshop")

GOLDEN_SEED = 0
GOLDEN_TIMEOUT_S = 120.0
TURN_TIMEOUT_S = 300.0
TURN_POLL_S = 0.1

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Under what conditions this node measures, and what its messages and models may hold."""

    device_profile: str
    power: PowerMode
    threads: ThreadShare
    max_boundary_bytes: int
    limits: Limits = field(default_factory=Limits)


def surroundings_of(
    config: Config, *, device_profile: str, power: PowerMode, threads: ThreadShare
) -> Surroundings:
    """With what the configuration says of messages and models."""
    return Surroundings(
        device_profile=device_profile,
        power=power,
        threads=threads,
        max_boundary_bytes=config.max_payload_bytes,
        limits=model_limits(config),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A model that is to be served under a name."""

    model_id: ModelId
    name: str
    wishes: Wishes = field(default_factory=Wishes)
    image: ImageOptions | None = None
    labels: tuple[str, ...] = ()
    replace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedModel:
    """A model file that was read, and how the planner sees it."""

    file: ModelFile
    pieces: Pieces


class Workshop:
    """Blocking work, one piece at a time. Every method raises MeshError where it fails."""

    def __init__(
        self,
        store: ModelStore,
        runtime: Runtime,
        cache: CapabilityCache,
        *,
        me: NodeId,
        surroundings: Surroundings,
        scratch_dir: Path,
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._cache = cache
        self._me = me
        self._surroundings = surroundings
        self._scratch_dir = scratch_dir
        self.threads = surroundings.threads
        self.power = surroundings.power

    def open(self, model_id: ModelId) -> OpenedModel:
        """Read a file of the store."""
        path = self._store.model_path(model_id)
        try:
            with path.open("rb") as file:
                # Mapped, not read: the pages are the disk's, and no copy stays in the daemon.
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            model = read_model(content, self._surroundings.limits)
        except (OSError, ValueError) as error:
            raise StoreError(f"the model file cannot be read: {error}") from error
        most_bytes = self._surroundings.max_boundary_bytes
        pieces = pieces_of(model, max_boundary_bytes=most_bytes)
        largest_bytes = max(pieces.boundary_bytes[0], pieces.boundary_bytes[-1])
        if largest_bytes > most_bytes:
            raise UnsupportedModelError(
                f"a request or reply of this model has {largest_bytes} bytes, {most_bytes} are "
                "allowed: raise max_payload_bytes on every node"
            )
        return OpenedModel(file=ModelFile(path=path, model=model), pieces=pieces)

    def measure(
        self, model_id: ModelId, opened: OpenedModel, progress: Progress, *, anew: bool = False
    ) -> CapabilityDocument:
        """How fast this node runs the model; from the cache where nothing has changed.

        Measured `anew`, it is not kept there: a node that is slow today is not slow for good.
        """
        conditions = Conditions(
            model_id=model_id,
            kernel_class=self._runtime.info().kernel_class,
            device_profile=self._surroundings.device_profile,
            power_mode=self.power.now,
            threads=self.threads.configured,
            most_threads=self.threads.most,
        )
        capability = None if anew else self._cache.get(conditions, opened.pieces.boundaries)
        if capability is None:
            with _alone_on_this_machine():
                capability = self._measure(conditions, opened, progress, anew=anew)
        return CapabilityDocument(
            model_id=model_id,
            kernel_class=conditions.kernel_class,
            threads=capability.threads,
            boundaries=capability.boundaries,
            layer_s=capability.layer_s,
            stage_s=capability.stage_s,
            power_mode=conditions.power_mode[:MAX_MODE_CHARS],
            refused=tuple(
                RefusedLayers(start=one.start, stop=one.stop, reason=one.reason)
                for one in capability.refusals
            ),
        )

    def _measure(
        self, conditions: Conditions, opened: OpenedModel, progress: Progress, *, anew: bool
    ) -> Capability:
        boundaries = opened.pieces.boundaries
        # While this node waited for its turn, another may have filled a cache that they share.
        capability = None if anew else self._cache.get(conditions, boundaries)
        if capability is None:
            capability = measure_model(
                opened.file.model,
                self._runtime,
                conditions,
                boundaries=boundaries,
                folder=self._scratch_dir,
                on_progress=progress,
            )
            if capability.lasts and not anew:
                self._cache.put(capability)
        return capability

    def is_outdated(self, capability: CapabilityDocument, *, is_idle: bool) -> bool:
        """Whether a model was measured with more threads than it may have, or in another power mode.

        The mode waits until the node `is_idle`: beside its stages it would look slow.
        """
        if self.threads.is_exceeded_by(capability.threads):
            return True
        mode = self.power.now[:MAX_MODE_CHARS]
        return is_idle and capability.failure is None and capability.power_mode != mode

    def cannot_run(self, model_id: ModelId, error: MeshError) -> CapabilityDocument:
        """What is said of a model that this node cannot run."""
        return CapabilityDocument(
            model_id=model_id,
            kernel_class=self._runtime.info().kernel_class,
            threads=self.threads.unmeasured,
            boundaries=(),
            layer_s=(),
            stage_s=0.0,
            failure=str(error)[:1000],
        )

    def prepare(
        self, wish: Wish, *, recorded: Golden | None = None
    ) -> tuple[ModelManifest, OpenedModel]:
        """Read an uploaded file, run it whole once, and keep what it answered as the golden run.

        A run that was `recorded` before stays: all nodes have its file, and another kernel class
        would give other bits. The manifest's revision is for whoever writes the catalogue to set.
        """
        if not self._store.has(wish.model_id):
            raise StoreError(f"model {wish.model_id:.12} was not uploaded to this node")
        opened = self.open(wish.model_id)
        model = opened.file.model
        manifest = ModelManifest(
            model_id=wish.model_id,
            name=wish.name,
            size_bytes=_size_bytes(opened.file.path),
            inputs=model.inputs,
            outputs=model.outputs,
            revision=0,
            writer=self._me,
            wishes=wish.wishes,
            image=wish.image,
            labels=wish.labels,
            golden=recorded
            if recorded is not None and self._has_golden(wish.model_id, recorded)
            else self._record(wish.model_id, opened.file),
        )
        return manifest, opened

    def _has_golden(self, model_id: ModelId, golden: Golden) -> bool:
        path = self._store.golden_path(model_id)
        return path.is_file() and hash_file(path) == golden.sha256

    def _record(self, model_id: ModelId, file: ModelFile) -> Golden:
        for lacking in version_refusals(file.model, self._runtime, (0, len(file.model.layers))):
            raise UnsupportedModelError(
                f"{lacking.reason}: add the model through a node with a newer runtime"
            )
        whole = WholeRun(
            self._runtime,
            file.path,
            file.model,
            threads=self.threads.unmeasured,
            timeout_s=GOLDEN_TIMEOUT_S,
        )
        try:
            outputs = whole.step(golden_inputs(file.model.inputs, GOLDEN_SEED, draw=NEWEST_DRAW))
        finally:
            whole.close()
        return Golden(
            kernel_class=self._runtime.info().kernel_class,
            seed=GOLDEN_SEED,
            sha256=self._store.write_golden(model_id, outputs),
            size_bytes=_size_bytes(self._store.golden_path(model_id)),
            draw=NEWEST_DRAW,
        )


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error


@contextmanager
def _alone_on_this_machine() -> Iterator[None]:
    """Nodes that share a machine measure one after the other: together they would measure each other."""
    path = Path(tempfile.gettempdir()) / "edge-mesh-measuring.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        _log.warning("measuring without taking turns with other nodes here: %s", error)
        yield
        return
    try:
        _await_turn(descriptor)
        yield
    finally:
        os.close(descriptor)


def _await_turn(descriptor: int) -> None:
    """Whoever has the turn may hang, or not be a node at all: it is not waited for without end."""
    deadline_s = time.monotonic() + TURN_TIMEOUT_S
    while time.monotonic() < deadline_s:
        if _takes(descriptor):
            return
        time.sleep(TURN_POLL_S)
    _log.warning("measuring out of turn: another node here has measured for %.0f s", TURN_TIMEOUT_S)


def _takes(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def make_workshop(
    config: Config,
    store: ModelStore,
    runtime: Runtime,
    *,
    me: NodeId,
    device_profile: str,
    power_mode: Callable[[], str],
    cores: int,
) -> Workshop:
    """The workshop of a node, as configured."""
    return Workshop(
        store,
        runtime,
        CapabilityCache(config.measurements_path),
        me=me,
        surroundings=surroundings_of(
            config,
            device_profile=device_profile,
            power=PowerMode(power_mode),
            threads=ThreadShare(configured=config.threads, cores=cores),
        ),
        scratch_dir=config.data_dir / "slices",
    )
