"""The models of this node: the catalogue, which files are here, and what is still to be done to them."""

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from mesh.errors import (
    ChildDiedError,
    ChildHungError,
    DeviceError,
    MeshError,
    ModelError,
    RemoteError,
    StoreError,
    UnknownModelError,
    UsageError,
)
from mesh.fleet.plans import ModelFacts
from mesh.fleet.view import View, sources
from mesh.ids import ModelId, NodeId
from mesh.node.busy import Busy
from mesh.node.held_stage import ModelFile
from mesh.node.jobs import Jobs
from mesh.node.loop import Loop
from mesh.node.publisher import Publisher
from mesh.node.workshop import OpenedModel, Wish, Workshop
from mesh.store import catalogue as catalogues
from mesh.store.catalogue import Catalogue
from mesh.store.disk import ModelStore
from mesh.store.fetch import fetch_golden, fetch_model, fetch_uploaded, is_complete
from mesh.store.manifest import Golden, ModelManifest, check_model_name
from mesh.wire.documents import Activity, HoldingsDocument
from mesh.wire.measured import CapabilityDocument
from mesh.wire.topics import Fact

_log = logging.getLogger("mesh.library")

RETRY_S = 3.0
"""Pause before a failed fetch is tried again."""
MEASURE_AGAIN_S = 60.0
"""… and a measurement, also one that failed for what may pass: a full disk, a killed process."""
_PASSING = (ChildDiedError, ChildHungError, DeviceError, StoreError)

OnAdded = Callable[[ModelManifest | MeshError], None]


class Library:
    """What this node knows of models and has of them; on the loop's thread."""

    def __init__(
        self,
        loop: Loop,
        store: ModelStore,
        workshop: Workshop,
        *,
        me: NodeId,
        on_change: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._store = store
        self._workshop = workshop
        self._me = me
        self._on_change = on_change
        self._fetching = Jobs("fetch", loop.post)
        self._working = Jobs("measure", loop.post)
        self._closing = threading.Event()
        self._opened: dict[ModelId, OpenedModel | MeshError] = {}
        self._busy = Busy(loop)
        self._retry_at_s: dict[ModelId, float] = {}
        self._again_at_s: dict[ModelId, float] = {}
        self.catalogue: Catalogue = store.load_catalogue()
        self.capabilities: dict[ModelId, CapabilityDocument] = {}

    def close(self) -> None:
        self._closing.set()
        self._fetching.close()
        self._working.close()

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

    def manifest_of(self, model_id: ModelId) -> ModelManifest:
        """One of the names under which a file is served. Raises: UnknownModelError."""
        for manifest in self.catalogue.live():
            if manifest.model_id == model_id:
                return manifest
        raise UnknownModelError(f"model {model_id:.12} was removed")

    def served(self) -> frozenset[ModelId]:
        """The models that some name in the catalogue needs."""
        return self.catalogue.model_ids()

    def holdings(self) -> HoldingsDocument:
        held = {one.model_id for one in self.catalogue.live() if is_complete(self._store, one)}
        return HoldingsDocument(held=tuple(sorted(held)))

    def publish(self, publisher: Publisher) -> None:
        """Say what there is, and take back what is no more."""
        publisher.say(Fact.CATALOGUE, self.catalogue)
        publisher.say(Fact.HOLDINGS, self.holdings())
        for model_id, capability in self.capabilities.items():
            publisher.say(Fact.CAPABILITY, capability, model_id=model_id)
        for model_id in publisher.said_models() - self.capabilities.keys():
            publisher.unsay(Fact.CAPABILITY, model_id=model_id)

    def activities(self) -> tuple[Activity, ...]:
        return self._busy.activities()

    def plannable(self) -> Mapping[ModelId, ModelFacts]:
        """The models that this node could plan: it has read their files."""
        facts: dict[ModelId, ModelFacts] = {}
        for manifest in self.catalogue.live():
            opened = self._opened.get(manifest.model_id)
            known = facts.get(manifest.model_id)
            if isinstance(opened, OpenedModel):
                facts[manifest.model_id] = ModelFacts(
                    model_id=manifest.model_id,
                    name=manifest.name,
                    wishes=known.wishes.together_with(manifest.wishes)
                    if known is not None
                    else manifest.wishes,
                    pieces=opened.pieces,
                )
        return facts

    def model_file(self, model_id: ModelId) -> ModelFile | None:
        """None while the file is still being fetched or read. Raises: why it cannot be used."""
        opened = self._opened.get(model_id)
        if isinstance(opened, MeshError):
            raise opened
        return None if opened is None else opened.file

    def threads_of(self, model_id: ModelId) -> int:
        """How many threads an interpreter of this model gets."""
        measured = self.capabilities.get(model_id)
        return self._workshop.threads.unmeasured if measured is None else measured.threads

    def golden_outputs(self, model_id: ModelId) -> tuple[bytes, ...]:
        """Raises: StoreError."""
        return self._store.read_golden(model_id)

    # Changing it

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

    def add(self, wish: Wish, on_added: OnAdded, *, peers: Mapping[str, str] | None = None) -> None:
        """Begin to serve an uploaded file; `on_added` gets the manifest or the refusal.

        On a broker of several nodes the upload and this wish may have gone to different ones: then
        the file is at one of `peers` (name → HTTP address).
        """
        try:
            self._check_name(wish)
        except UsageError as error:
            on_added(error)
            return
        self._busy.begin("checking", wish.model_id, wish.name)

        def work() -> tuple[ModelManifest, OpenedModel]:
            if peers and not self._store.has(wish.model_id):
                fetch_uploaded(self._store, wish.model_id, peers)
            return self._workshop.prepare(wish, recorded=self._golden_of(wish.model_id))

        def done(outcome: tuple[ModelManifest, OpenedModel] | MeshError) -> None:
            self._busy.end(wish.model_id)
            if isinstance(outcome, ModelError) and wish.model_id not in self.served():
                self._forget(wish.model_id)  # no model, or none that can be run: why keep it
            on_added(outcome if isinstance(outcome, MeshError) else self._enter(*outcome))
            self._on_change()

        self._working.run(work, done)
        self._on_change()

    def _enter(self, prepared: ModelManifest, opened: OpenedModel) -> ModelManifest | MeshError:
        """Put a manifest into the catalogue; what does not fit there is refused."""
        name = prepared.name
        try:
            manifest = replace(prepared, revision=self.catalogue.next_revision(name))
        except ValueError as error:
            return StoreError(f"{name!r} cannot be changed any more ({error}): choose another name")
        catalogue = catalogues.merge(self.catalogue, catalogues.of((manifest,)))
        if catalogue.get(name) != manifest:
            return StoreError(
                "the catalogue has no room for another name: reuse one that was removed"
            )
        self._opened[manifest.model_id] = opened
        self._take(catalogue)
        return manifest

    def _golden_of(self, model_id: ModelId) -> Golden | None:
        """The recorded run of a file that is served already."""
        found = [one.golden for one in self.catalogue.live() if one.model_id == model_id]
        return found[0] if found else None

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

    def keep(
        self,
        view: View,
        present: frozenset[NodeId],
        *,
        again: Collection[ModelId] = (),
        is_idle: bool = True,
    ) -> None:
        """Do the next thing for each served model: fetch it, then open and measure it.

        Models in `again` are measured once more: what was measured once does not hold any more.
        """
        self._workshop.threads.see(view, present, self._me)
        self._workshop.power.keep(self._working.run, now_s=self._loop.now_s())
        for manifest in self.catalogue.live():
            model_id = manifest.model_id
            if model_id in self._busy or self._loop.now_s() < self._retry_at_s.get(model_id, 0.0):
                continue
            if not is_complete(self._store, manifest):
                self._fetch(manifest, sources(view, present, model_id, self._me))
            elif self._is_to_measure(model_id, is_idle=is_idle):
                self._measure(manifest)
            elif model_id in again and self._loop.now_s() >= self._again_at_s.get(model_id, 0.0):
                self._again_at_s[model_id] = self._loop.now_s() + MEASURE_AGAIN_S
                self._measure(manifest, anew=True)

    def _is_to_measure(self, model_id: ModelId, *, is_idle: bool) -> bool:
        if model_id not in self.capabilities or model_id in self._retry_at_s:
            return True
        return self._workshop.is_outdated(self.capabilities[model_id], is_idle=is_idle)

    def _check_name(self, wish: Wish) -> None:
        check_model_name(wish.name)
        known = self.catalogue.get(wish.name)
        if known is not None and known.model_id != wish.model_id and not wish.replace:
            raise UsageError(
                f"another model is served as {wish.name!r}: choose another --name, or --replace it"
            )

    def _take(self, catalogue: Catalogue) -> None:
        if catalogue == self.catalogue:
            return
        before, self.catalogue = self.catalogue, catalogue
        for model_id in before.model_ids() - catalogue.model_ids():
            self._forget(model_id)
        # After the files went: on a full disk they make the room for it.
        try:
            self._store.save_catalogue(catalogue)
        except StoreError as error:
            _log.error("the catalogue could not be saved: %s", error)
        self._on_change()

    def _forget(self, model_id: ModelId) -> None:
        """Drop what is here of a model that is served no longer."""
        for known in (self._opened, self.capabilities, self._retry_at_s, self._again_at_s):
            known.pop(model_id, None)
        try:
            self._store.remove(model_id)
        except StoreError as error:
            _log.error("a model's files could not be removed: %s", error)

    # Work under way

    def _fetch(self, manifest: ModelManifest, peers: Mapping[str, str]) -> None:
        if not peers:
            return
        model_id = manifest.model_id
        progress = self._busy.begin("fetching", model_id, manifest.name)

        def is_cancelled() -> bool:
            return self._closing.is_set() or model_id not in self.served()

        def work() -> None:
            fetch_model(
                self._store,
                manifest.model_id,
                manifest.size_bytes,
                peers,
                on_progress=progress,
                is_cancelled=is_cancelled,
            )
            if manifest.golden is not None:
                fetch_golden(self._store, manifest.model_id, manifest.golden, peers)

        def done(outcome: MeshError | None) -> None:
            self._busy.end(model_id)
            self._retry_at_s.pop(model_id, None)
            if model_id not in self.served():
                self._forget(model_id)  # removed while it came
            elif isinstance(outcome, MeshError):
                _log.warning("model %s could not be fetched: %s", manifest.name, outcome)
                self._retry_at_s[model_id] = self._loop.now_s() + RETRY_S
            self._on_change()

        self._fetching.run(work, done)

    def _measure(self, manifest: ModelManifest, *, anew: bool = False) -> None:
        model_id = manifest.model_id
        progress = self._busy.begin("measuring", model_id, manifest.name)

        def work() -> tuple[OpenedModel, CapabilityDocument]:
            opened = self._workshop.open(model_id)
            return opened, self._workshop.measure(model_id, opened, progress, anew=anew)

        def done(outcome: tuple[OpenedModel, CapabilityDocument] | MeshError) -> None:
            self._busy.end(model_id)
            self._retry_at_s.pop(model_id, None)
            if model_id not in self.served():
                return  # removed meanwhile
            if isinstance(outcome, MeshError) and anew:
                _log.warning("model %s was not measured again: %s", manifest.name, outcome)
            elif isinstance(outcome, MeshError):
                _log.warning("model %s cannot be run here: %s", manifest.name, outcome)
                self._opened.setdefault(model_id, outcome)
                self.capabilities[model_id] = self._workshop.cannot_run(model_id, outcome)
                if isinstance(outcome, _PASSING):
                    self._retry_at_s[model_id] = self._loop.now_s() + MEASURE_AGAIN_S
            else:
                self._opened[model_id], self.capabilities[model_id] = outcome
            self._on_change()

        self._working.run(work, done)
