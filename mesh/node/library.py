"""The models of this node: catalogue, files, measurements; slow work runs on two threads of its own."""

import fcntl
import logging
import mmap
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from mesh.device.capability import Conditions
from mesh.device.capability_cache import CapabilityCache
from mesh.errors import (
    MeshError,
    RemoteError,
    StoreError,
    UnknownModelError,
    UnsupportedModelError,
    UsageError,
)
from mesh.fleet.plans import ModelFacts
from mesh.fleet.view import View
from mesh.ids import ModelId, NodeId
from mesh.model import read_model
from mesh.node.loop import Loop
from mesh.node.stages import ModelFile
from mesh.planning.pieces import Pieces, pieces_of
from mesh.runtime.golden import golden_inputs
from mesh.runtime.measuring import measure_model
from mesh.runtime.port import Runtime
from mesh.store import catalogue as catalogues
from mesh.store.catalogue import Catalogue
from mesh.store.disk import ModelStore
from mesh.store.fetch import fetch_golden, fetch_model
from mesh.store.manifest import Golden, ImageOptions, ModelManifest, check_model_name
from mesh.wire.documents import Activity, CapabilityDocument, HoldingsDocument

_log = logging.getLogger("mesh.library")

RETRY_S = 3.0
"""Pause before a failed fetch is tried again."""
GOLDEN_SEED = 0
INVOKE_TIMEOUT_S = 120.0

T = TypeVar("T")
OnDone = Callable[["ModelManifest | MeshError"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Under what conditions this node measures."""

    device_profile: str
    power_mode: str
    threads: int
    max_boundary_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A model that is to be served under a name."""

    model_id: ModelId
    name: str
    min_stages: int = 1
    image: ImageOptions | None = None
    labels: tuple[str, ...] = ()
    replace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    file: ModelFile
    pieces: Pieces


class Library:
    """What this node knows of models and has of them."""

    def __init__(
        self,
        loop: Loop,
        store: ModelStore,
        runtime: Runtime,
        cache: CapabilityCache,
        *,
        me: NodeId,
        surroundings: Surroundings,
        scratch_dir: Path,
        on_change: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._store = store
        self._runtime = runtime
        self._cache = cache
        self._me = me
        self._surroundings = surroundings
        self._scratch_dir = scratch_dir
        self._on_change = on_change
        self._fetcher = ThreadPoolExecutor(1, thread_name_prefix="fetch")
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="measure")
        self._closing = threading.Event()
        self._opened: dict[ModelId, _Opened | MeshError] = {}
        self._busy: dict[ModelId, Activity] = {}
        self._retry_at_s: dict[ModelId, float] = {}
        self.catalogue = store.load_catalogue()
        self.capabilities: dict[ModelId, CapabilityDocument] = {}

    def close(self) -> None:
        self._closing.set()
        self._fetcher.shutdown(wait=False, cancel_futures=True)
        self._worker.shutdown(wait=False, cancel_futures=True)

    # What there is

    def find(self, name: str) -> ModelManifest:
        """Raises: UnknownModelError naming what there is."""
        manifest = self.catalogue.get(name)
        if manifest is None:
            names = ", ".join(one.name for one in self.catalogue.live()) or "none yet"
            raise UnknownModelError(
                f"there is no model {name!r}; there are: {names} (`mesh model add FILE` adds one)"
            )
        return manifest

    def served(self) -> frozenset[ModelId]:
        """The models that some name in the catalogue needs."""
        return self.catalogue.model_ids()

    def holdings(self) -> HoldingsDocument:
        held = (model_id for model_id in self._opened if self._store.has(model_id))
        return HoldingsDocument(held=tuple(sorted(held)))

    def activities(self) -> tuple[Activity, ...]:
        return tuple(self._busy[model_id] for model_id in sorted(self._busy))

    def plannable(self) -> Mapping[ModelId, ModelFacts]:
        """The models that this node could plan: it has read their files."""
        facts: dict[ModelId, ModelFacts] = {}
        for manifest in self.catalogue.live():
            opened = self._opened.get(manifest.model_id)
            known = facts.get(manifest.model_id)
            if isinstance(opened, _Opened):
                facts[manifest.model_id] = ModelFacts(
                    model_id=manifest.model_id,
                    name=manifest.name,
                    min_stages=max(manifest.min_stages, known.min_stages if known else 1),
                    pieces=opened.pieces,
                )
        return facts

    def model_file(self, model_id: ModelId) -> ModelFile | MeshError:
        opened = self._opened.get(model_id)
        if isinstance(opened, _Opened):
            return opened.file
        return opened or StoreError("the model's file is not here yet")

    def read_file(self, model_id: ModelId) -> ModelFile:
        """Raises: MeshError while the model's file is not here or cannot be read."""
        file = self.model_file(model_id)
        if isinstance(file, MeshError):
            raise file
        return file

    def golden_outputs(self, manifest: ModelManifest) -> tuple[bytes, ...]:
        """Raises: StoreError."""
        return self._store.read_golden(manifest.model_id)

    # What others say

    def heard(self, node_id: NodeId, payload: bytes) -> None:
        """Another node's catalogue arrived."""
        if not payload:
            return
        try:
            other = catalogues.decode(payload)
        except RemoteError as error:
            _log.warning("node %s: its catalogue was dropped: %s", node_id, error)
            return
        self._take(catalogues.merge(self.catalogue, other))

    # Changing it

    def add(self, wish: Wish, on_done: OnDone) -> None:
        """Begin to serve a file that the store has; `on_done` gets the manifest or the refusal."""
        try:
            self._check_name(wish)
        except UsageError as error:
            on_done(error)
            return
        self._busy[wish.model_id] = Activity(kind="checking", model_name=wish.name, done=0, total=0)

        def done(outcome: "ModelManifest | MeshError") -> None:
            self._busy.pop(wish.model_id, None)
            if isinstance(outcome, ModelManifest):
                revision = self.catalogue.next_revision(wish.name)
                outcome = replace(outcome, revision=revision)
                self._take(catalogues.merge(self.catalogue, catalogues.of((outcome,))))
            on_done(outcome)
            self._on_change()

        self._run(self._worker, work, done)
        self._on_change()

    def _check_name(self, wish: Wish) -> None:
        check_model_name(wish.name)
        known = self.catalogue.get(wish.name)
        if known is not None and known.model_id != wish.model_id and not wish.replace:
            raise UsageError(
                f"another model is served as {wish.name!r}: choose another --name, or --replace it"
            )

    def remove(self, name: str) -> ModelManifest:
        """Stop serving a name everywhere. Raises: UnknownModelError."""
        manifest = self.find(name)
        tombstone = replace(
            manifest,
            revision=self.catalogue.next_revision(name),
            writer=self._me,
            deleted=True,
            labels=(),
        )
        self._take(catalogues.merge(self.catalogue, catalogues.of((tombstone,))))
        return manifest

    def keep(self, view: View, present: frozenset[NodeId]) -> None:
        """Do the next thing for each served model: fetch, open, measure."""
        for manifest in self.catalogue.live():
            model_id = manifest.model_id
            if model_id in self._busy or self._loop.now_s() < self._retry_at_s.get(model_id, 0.0):
                continue
            golden = manifest.golden
            complete = self._store.has(model_id) and (
                golden is None or self._store.golden_path(model_id).is_file()
            )
            if not complete:
                self._fetch(manifest, _sources(view, present, model_id, self._me))
            elif model_id not in self._opened or (
                model_id not in self.capabilities and isinstance(self._opened[model_id], _Opened)
            ):
                self._measure(manifest)

    # Slow work

    def _run(
        self,
        executor: ThreadPoolExecutor,
        work: Callable[[], T],
        done: Callable[["T | MeshError"], None],
    ) -> None:
        """Run `work` on the executor and `done` with its outcome on the loop."""

        def finished(future: "Future[T]") -> None:
            if future.cancelled():
                return
            error = future.exception()
            if error is None:
                outcome: T | MeshError = future.result()
            elif isinstance(error, MeshError):
                outcome = error
            else:
                _log.error("a job failed", exc_info=error)
                outcome = MeshError(f"a fault in the node ({type(error).__name__}): see its log")
            self._loop.post(lambda: done(outcome))

        executor.submit(work).add_done_callback(finished)

    def _progress(self, kind: str, manifest: ModelManifest) -> Callable[[int, int], None]:
        def report(done: int, total: int) -> None:
            activity = Activity(kind=kind, model_name=manifest.name, done=done, total=total)

            def note() -> None:
                if manifest.model_id in self._busy:
                    self._busy[manifest.model_id] = activity

            self._loop.post(note)

        self._busy[manifest.model_id] = Activity(
            kind=kind, model_name=manifest.name, done=0, total=0
        )
        return report

    def _fetch(self, manifest: ModelManifest, peers: Mapping[str, str]) -> None:
        if not peers:
            return
        progress = self._progress("fetching", manifest)

        def work() -> None:
            fetch_model(
                self._store,
                manifest.model_id,
                manifest.size_bytes,
                peers,
                on_progress=progress,
                is_cancelled=self._closing.is_set,
            )
            if manifest.golden is not None:
                fetch_golden(self._store, manifest.model_id, manifest.golden, peers)

        def done(outcome: "MeshError | None") -> None:
            self._busy.pop(manifest.model_id, None)
            if isinstance(outcome, MeshError):
                _log.warning("model %s could not be fetched: %s", manifest.name, outcome)
                self._retry_at_s[manifest.model_id] = self._loop.now_s() + RETRY_S
            self._on_change()

        self._run(self._fetcher, work, done)

    def _measure(self, manifest: ModelManifest) -> None:
        progress = self._progress("measuring", manifest)

        def done(outcome: "tuple[_Opened, CapabilityDocument] | MeshError") -> None:
            self._busy.pop(manifest.model_id, None)
            if isinstance(outcome, MeshError):
                _log.warning("model %s cannot be run here: %s", manifest.name, outcome)
                self._opened.setdefault(manifest.model_id, outcome)
                outcome_document = _failure(
                    manifest.model_id, self._runtime.info().kernel_class, self._threads, outcome
                )
            else:
                self._opened[manifest.model_id], outcome_document = outcome
            self.capabilities[manifest.model_id] = outcome_document
            self._on_change()

        self._run(self._worker, lambda: self._open_and_measure(manifest.model_id, progress), done)

    @property
    def _threads(self) -> int:
        return self._surroundings.threads

    # On the worker's thread

    def _open(self, model_id: ModelId) -> _Opened:
        path = self._store.model_path(model_id)
        try:
            with path.open("rb") as file:
                # Mapped, not read: the pages are the disk's, and no copy stays in the daemon.
                model = read_model(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:
            raise StoreError(f"the model file cannot be read: {error}") from error
        pieces = pieces_of(model, max_boundary_bytes=self._surroundings.max_boundary_bytes)
        largest = max(pieces.boundary_bytes[0], pieces.boundary_bytes[-1])
        if largest > self._surroundings.max_boundary_bytes:
            raise UnsupportedModelError(
                f"a request or reply of this model has {largest} bytes: "
                "raise max_payload_bytes on every node"
            )
        return _Opened(file=ModelFile(path=path, model=model), pieces=pieces)

    def _open_and_measure(
        self, model_id: ModelId, progress: Callable[[int, int], None]
    ) -> tuple[_Opened, CapabilityDocument]:
        opened = self._open(model_id)
        conditions = Conditions(
            model_id=model_id,
            kernel_class=self._runtime.info().kernel_class,
            device_profile=self._surroundings.device_profile,
            power_mode=self._surroundings.power_mode,
            threads=self._threads,
        )
        capability = self._cache.get(conditions, opened.pieces.boundaries)
        if capability is None:
            with _alone_on_this_machine():
                capability = measure_model(
                    opened.file.model,
                    self._runtime,
                    conditions,
                    boundaries=opened.pieces.boundaries,
                    folder=self._scratch_dir,
                    on_progress=progress,
                )
            self._cache.put(capability)
        return opened, CapabilityDocument(
            model_id=model_id,
            kernel_class=conditions.kernel_class,
            threads=conditions.threads,
            boundaries=capability.boundaries,
            layer_s=capability.layer_s,
            stage_s=capability.stage_s,
        )

    def _prepare(self, wish: Wish) -> tuple[ModelManifest, _Opened]:
        """Read the file, run it whole once and keep what it answered as the golden pair."""
        if not self._store.has(wish.model_id):
            raise StoreError(f"model {wish.model_id:.12} was not uploaded to this node")
        opened = self._open(wish.model_id)
        model = opened.file.model
        loaded = self._runtime.load(
            self._store.model_path(wish.model_id),
            inputs=model.inputs,
            outputs=model.outputs,
            threads=self._threads,
            timeout_s=INVOKE_TIMEOUT_S,
        )
        try:
            inputs = golden_inputs(model.inputs, GOLDEN_SEED)
            outputs = loaded.invoke(inputs, timeout_s=INVOKE_TIMEOUT_S).outputs
        finally:
            loaded.close()
        sha256 = self._store.write_golden(wish.model_id, outputs)
        manifest = ModelManifest(
            model_id=wish.model_id,
            name=wish.name,
            size_bytes=self._store.model_path(wish.model_id).stat().st_size,
            inputs=model.inputs,
            outputs=model.outputs,
            revision=0,
            writer=self._me,
            min_stages=wish.min_stages,
            image=wish.image,
            labels=wish.labels,
            golden=Golden(
                kernel_class=self._runtime.info().kernel_class,
                seed=GOLDEN_SEED,
                sha256=sha256,
                size_bytes=self._store.golden_path(wish.model_id).stat().st_size,
            ),
        )
        return manifest, opened

    def _take(self, catalogue: Catalogue) -> None:
        if catalogue == self.catalogue:
            return
        before, self.catalogue = self.catalogue, catalogue
        try:
            self._store.save_catalogue(catalogue)
        except StoreError as error:
            _log.error("the catalogue could not be kept on disk: %s", error)
        for model_id in before.model_ids() - catalogue.model_ids():
            self._opened.pop(model_id, None)
            self.capabilities.pop(model_id, None)
            self._store.remove(model_id)
        self._on_change()


def _sources(
    view: View, present: frozenset[NodeId], model_id: ModelId, me: NodeId
) -> dict[str, str]:
    """The HTTP addresses of present nodes that hold the model, by the nodes' names."""
    return {
        node.advert.name: node.advert.http_url
        for node_id, node in sorted(view.items())
        if node_id != me
        and node_id in present
        and node.advert is not None
        and node.holdings is not None
        and model_id in node.holdings.held
    }


def _failure(
    model_id: ModelId, kernel_class: str, threads: int, error: MeshError
) -> CapabilityDocument:
    return CapabilityDocument(
        model_id=model_id,
        kernel_class=kernel_class,
        threads=threads,
        boundaries=(),
        layer_s=(),
        stage_s=0.0,
        failure=str(error)[:1000],
    )


@contextmanager
def _alone_on_this_machine() -> Iterator[None]:
    """Nodes that share a machine measure one after the other: together they would measure each other."""
    path = Path(tempfile.gettempdir()) / "edge-mesh-measuring.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        _log.warning("measuring without taking turns: %s", error)
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
