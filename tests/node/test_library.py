from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mesh.device.capability_cache import CapabilityCache
from mesh.errors import (
    ChildDiedError,
    MeshError,
    StoreError,
    UnknownModelError,
    UnsupportedModelError,
    UsageError,
)
from mesh.fleet.view import NodeView, View
from mesh.ids import BootId, ModelId, NodeId
from mesh.node import library, power_mode
from mesh.node.library import Library
from mesh.node.loop import Loop
from mesh.node.power_mode import PowerMode
from mesh.node.thread_share import ThreadShare
from mesh.node.workshop import Surroundings, Wish, Workshop
from mesh.runtime.operator_versions import OperatorVersions
from mesh.store import catalogue as catalogues
from mesh.store.disk import ModelStore
from mesh.store.http_server import StoreServer
from mesh.store.manifest import MAX_MODELS, ModelManifest
from mesh.testing.models import residual_cnn, tiny_dense
from mesh.testing.runtime import FakeRuntime
from mesh.wire.documents import Advert, HoldingsDocument
from mesh.wire.measured import CapabilityDocument

RunUntil = Callable[[Loop, Callable[[], bool]], None]
ME, A = NodeId("0" * 16), NodeId("a" * 16)


@dataclass(slots=True)
class Bench:
    """A node's library over a real store and a fake runtime."""

    folder: Path
    run_until: RunUntil
    me: NodeId = ME
    loop: Loop = field(default_factory=Loop)
    runtime: FakeRuntime = field(default_factory=FakeRuntime)
    changes: int = 0
    power_mode: str = ""
    store: ModelStore = field(init=False)
    library: Library = field(init=False)

    def __post_init__(self) -> None:
        scratch = self.folder / "slices"
        scratch.mkdir(parents=True, exist_ok=True)
        self.store = ModelStore(self.folder, max_model_bytes=1 << 20)
        workshop = Workshop(
            self.store,
            self.runtime,
            CapabilityCache(self.folder / "capability"),
            me=self.me,
            surroundings=Surroundings(
                device_profile="generic",
                power=PowerMode(lambda: self.power_mode),
                threads=ThreadShare(configured=1, cores=4),
                max_boundary_bytes=1 << 20,
            ),
            scratch_dir=scratch,
        )
        self.library = Library(self.loop, self.store, workshop, me=self.me, on_change=self.changed)

    def changed(self) -> None:
        self.changes += 1

    def upload(self, content: bytes | None = None) -> ModelId:
        path = self.folder / "upload"
        path.write_bytes(tiny_dense() if content is None else content)
        return self.store.add_file(path)

    def add(
        self, name: str = "tiny", *, content: bytes | None = None, replace: bool = False
    ) -> ModelManifest | MeshError:
        wish = Wish(model_id=self.upload(content), name=name, replace=replace)
        outcomes: list[ModelManifest | MeshError] = []
        self.library.add(wish, outcomes.append)
        self.run_until(self.loop, lambda: bool(outcomes))
        return outcomes[0]

    def added(self, name: str = "tiny") -> ModelManifest:
        outcome = self.add(name)
        assert isinstance(outcome, ModelManifest)
        return outcome

    def keep(
        self, view: View | None = None, *, until: Callable[[], bool], is_idle: bool = True
    ) -> None:
        """Review again and again, as the control flow does after each change."""

        def look() -> bool:
            self.library.keep(view or {}, frozenset(view or {}), is_idle=is_idle)
            return until()

        self.run_until(self.loop, look)


@pytest.fixture
def make(tmp_path: Path, run_until: RunUntil) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def one(name: str = "me", *, me: NodeId = ME) -> Bench:
        made.append(Bench(folder=tmp_path / name, run_until=run_until, me=me))
        return made[-1]

    yield one
    for bench in made:
        bench.library.close()


def peer(bench: Bench, url: str) -> View:
    """What others see of a node whose files are served at the URL."""
    advert = Advert(
        node_id=bench.me,
        boot_id=BootId("0" * 8),
        name="peer",
        mesh_name="default",
        version="0",
        board="",
        board_label="",
        runtime="fake",
        runtime_version="1",
        kernel_class="k",
        broker_url="mqtt://peer:1883",
        broker_kind="memory",
        http_url=url,
        host_id="",
        host_cores=1,
        threads=1,
        memory_bytes=0,
    )
    return {bench.me: NodeView(advert=advert, holdings=bench.library.holdings())}


def test_a_model_is_served_once_it_is_added(make: Callable[..., Bench]) -> None:
    bench = make()
    manifest = bench.added()
    assert bench.library.find("tiny") == manifest
    assert bench.library.served() == {manifest.model_id}
    assert bench.library.holdings() == HoldingsDocument(held=(manifest.model_id,))
    assert bench.library.manifest_of(manifest.model_id) == manifest
    assert bench.library.plannable()[manifest.model_id].name == "tiny"
    file = bench.library.model_file(manifest.model_id)
    assert file is not None
    assert file.path.is_file()
    assert bench.library.golden_outputs(manifest.model_id)
    assert bench.changes >= 2


def test_what_is_under_way_is_told(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.library.add(Wish(model_id=bench.upload(), name="tiny"), lambda _outcome: None)
    (activity,) = bench.library.activities()
    assert (activity.kind, activity.model_name) == ("checking", "tiny")
    bench.run_until(bench.loop, lambda: not bench.library.activities())


def test_an_unknown_name_is_told_with_those_that_there_are(make: Callable[..., Bench]) -> None:
    bench = make()
    with pytest.raises(UnknownModelError, match="none yet"):
        bench.library.find("tiny")
    bench.added()
    with pytest.raises(UnknownModelError, match="there are: tiny"):
        bench.library.find("tin")
    with pytest.raises(UnknownModelError):
        bench.library.manifest_of(ModelId("0" * 64))
    assert bench.library.model_file(ModelId("0" * 64)) is None


def test_a_name_changes_its_file_only_when_that_is_wanted(make: Callable[..., Bench]) -> None:
    bench = make()
    first = bench.added()
    other = residual_cnn("float32")
    assert isinstance(bench.add(content=other), UsageError)
    replaced = bench.add(content=other, replace=True)
    assert isinstance(replaced, ModelManifest)
    assert replaced.revision == first.revision + 1
    assert not bench.store.has(first.model_id), "nobody needs it any more"


def test_bad_names_and_bad_files_are_refused(make: Callable[..., Bench]) -> None:
    bench = make()
    assert isinstance(bench.add("a/b"), UsageError)
    bench.runtime.next_load_error = UnsupportedModelError("too new")
    assert isinstance(bench.add(), UnsupportedModelError)
    assert bench.library.served() == frozenset()
    assert bench.library.activities() == ()


def test_a_removed_name_stays_removed_and_its_file_goes(make: Callable[..., Bench]) -> None:
    bench = make()
    manifest = bench.added()
    before = bench.library.catalogue
    assert bench.library.remove("tiny") == manifest
    assert not bench.store.has(manifest.model_id)
    bench.library.heard(A, catalogues.encode(before))
    assert bench.library.served() == frozenset()
    with pytest.raises(UnknownModelError):
        bench.library.remove("tiny")


def test_a_file_stays_while_another_name_needs_it(make: Callable[..., Bench]) -> None:
    bench = make()
    manifest = bench.added()
    bench.added("again")
    bench.library.remove("tiny")
    assert bench.store.has(manifest.model_id)


def test_what_is_served_outlives_a_restart(make: Callable[..., Bench]) -> None:
    manifest = make().added()
    again = make()
    assert again.library.find("tiny") == manifest
    assert again.library.plannable() == {}
    again.keep(until=lambda: manifest.model_id in again.library.capabilities)
    assert manifest.model_id in again.library.plannable()


def test_a_model_that_cannot_be_run_here_is_said_so(make: Callable[..., Bench]) -> None:
    manifest = make().added()
    again = make()
    again.runtime.versions = OperatorVersions({})
    again.keep(until=lambda: manifest.model_id in again.library.capabilities)
    failure = again.library.capabilities[manifest.model_id].failure
    assert failure is not None
    assert failure.startswith("fake 1 lacks FULLY_CONNECTED version 1")


def test_another_nodes_models_are_fetched_and_measured(make: Callable[..., Bench]) -> None:
    theirs = make("theirs", me=A)
    manifest = theirs.added()
    server = StoreServer(theirs.store, bind="127.0.0.1")
    server.start()
    try:
        mine = make()
        mine.library.heard(A, catalogues.encode(theirs.library.catalogue))
        assert mine.library.served() == {manifest.model_id}
        assert mine.library.holdings().held == ()
        view = peer(theirs, f"http://127.0.0.1:{server.port}")
        mine.keep(view, until=lambda: manifest.model_id in mine.library.capabilities)
    finally:
        server.close()
    assert mine.library.holdings().held == (manifest.model_id,)
    assert mine.library.golden_outputs(manifest.model_id) == theirs.library.golden_outputs(
        manifest.model_id
    )


def test_a_fetch_that_failed_is_not_repeated_at_once(make: Callable[..., Bench]) -> None:
    theirs = make("theirs", me=A)
    theirs.added()
    server = StoreServer(theirs.store, bind="127.0.0.1")
    view = peer(theirs, f"http://127.0.0.1:{server.port}")
    server.close()  # nobody answers there
    mine = make()
    mine.library.heard(A, catalogues.encode(theirs.library.catalogue))
    mine.library.keep(view, frozenset({A}))
    assert [one.kind for one in mine.library.activities()] == ["fetching"]
    mine.run_until(mine.loop, lambda: not mine.library.activities())
    mine.library.keep(view, frozenset({A}))
    assert mine.library.activities() == ()


def test_a_catalogue_that_is_none_changes_nothing(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.added()
    before = bench.library.catalogue
    for payload in (b"", b"{", b"[]", b'{"manifests": 3}'):
        bench.library.heard(A, payload)
    assert bench.library.catalogue == before


def test_a_later_revision_of_another_node_wins(make: Callable[..., Bench]) -> None:
    bench = make()
    manifest = bench.added()
    later = replace(manifest, revision=manifest.revision + 1, writer=A, labels=("cat",))
    bench.library.heard(A, catalogues.encode(catalogues.of((later,))))
    assert bench.library.find("tiny").labels == ("cat",)
    assert bench.store.has(manifest.model_id)


def test_a_measurement_that_failed_for_what_may_pass_is_made_again(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "MEASURE_AGAIN_S", 0.0)
    manifest = make().added()
    again = make()
    again.runtime.next_load_error = ChildDiedError("somebody killed it")
    again.keep(until=lambda: manifest.model_id in again.library.capabilities)
    assert again.library.capabilities[manifest.model_id].failure == "somebody killed it"
    again.keep(until=lambda: again.library.capabilities[manifest.model_id].failure is None)
    assert manifest.model_id in again.library.plannable()


def test_a_model_that_is_removed_while_it_is_fetched_leaves_no_file(
    make: Callable[..., Bench],
) -> None:
    theirs = make("theirs", me=A)
    manifest = theirs.added()
    server = StoreServer(theirs.store, bind="127.0.0.1")
    server.start()
    try:
        mine = make()
        mine.library.heard(A, catalogues.encode(theirs.library.catalogue))
        mine.library.keep(peer(theirs, f"http://127.0.0.1:{server.port}"), frozenset({A}))
        mine.library.remove("tiny")
        mine.run_until(mine.loop, lambda: not mine.library.activities())
    finally:
        server.close()
    assert not mine.store.has(manifest.model_id)
    assert not mine.store.golden_path(manifest.model_id).exists()
    assert not any(path.exists() for path in mine.store.partial_paths(manifest.model_id))


def test_on_a_full_disk_a_removed_model_makes_room(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make()
    manifest = bench.added()

    def full(_catalogue: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(bench.store, "save_catalogue", full)
    bench.library.remove("tiny")
    assert not bench.store.has(manifest.model_id)
    assert bench.library.capabilities == {}


def test_a_model_that_is_added_again_keeps_its_recorded_run(make: Callable[..., Bench]) -> None:
    """The other nodes have its file, and another kernel class would record other bits."""
    bench = make()
    first = bench.added()
    bench.runtime.compute = lambda call: tuple(bytes(spec.size_bytes) for spec in call.outputs)
    again = bench.add(replace=True)
    assert isinstance(again, ModelManifest)
    assert again.revision > first.revision
    assert again.golden == first.golden


def test_a_catalogue_without_room_is_told(make: Callable[..., Bench]) -> None:
    bench = make()
    one = replace(bench.added("a"), deleted=True)
    full = catalogues.of(replace(one, name=f"n{i}") for i in range(MAX_MODELS))
    bench.library.heard(A, catalogues.encode(full))
    outcome = bench.add("z")
    assert isinstance(outcome, StoreError)
    assert "no room" in str(outcome)


def test_a_name_whose_revisions_are_used_up_is_told(make: Callable[..., Bench]) -> None:
    bench = make()
    last = replace(bench.added(), revision=2**53 - 1, writer=A)
    bench.library.heard(A, catalogues.encode(catalogues.of((last,))))
    assert isinstance(bench.add(replace=True), StoreError)


def test_a_file_that_is_no_model_does_not_stay_on_the_disk(make: Callable[..., Bench]) -> None:
    bench = make()
    assert isinstance(bench.add(content=b"garbage" * 100), MeshError)
    assert bench.store.list_models() == ()


def test_a_model_runs_with_the_threads_that_it_was_measured_with(
    make: Callable[..., Bench],
) -> None:
    bench = make()
    manifest = bench.added()
    assert bench.library.threads_of(manifest.model_id) == 1
    bench.keep(until=lambda: manifest.model_id in bench.library.capabilities)
    measured = bench.library.capabilities[manifest.model_id]
    bench.library.capabilities[manifest.model_id] = replace(measured, threads=2)
    assert bench.library.threads_of(manifest.model_id) == 2
    # More than this node's share: it is measured again with fewer.
    bench.keep(until=lambda: bench.library.capabilities[manifest.model_id] == measured)


def test_a_model_is_measured_again_when_that_is_wanted_and_not_without_pause(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make()
    model_id = bench.added().model_id
    bench.keep(until=lambda: model_id in bench.library.capabilities)
    measured: list[bool] = []
    before = bench.library.capabilities[model_id]

    def measure(
        _workshop: Workshop, *_args: object, anew: bool = False, **_more: object
    ) -> CapabilityDocument:
        measured.append(anew)
        return replace(before, stage_s=1.0)

    monkeypatch.setattr(Workshop, "measure", measure)

    def look() -> bool:
        bench.library.keep({}, frozenset(), again=(model_id,))
        return bench.library.capabilities[model_id].stage_s == 1.0

    bench.run_until(bench.loop, look)
    for _ in range(3):
        bench.library.keep({}, frozenset(), again=(model_id,))
    assert measured == [True]
    assert bench.library.activities() == ()


def test_a_second_measurement_that_fails_changes_nothing(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = make()
    model_id = bench.added().model_id
    bench.keep(until=lambda: model_id in bench.library.capabilities)
    before = bench.library.capabilities[model_id]

    def fail(_workshop: Workshop, *_args: object, **_more: object) -> CapabilityDocument:
        raise ChildDiedError("it was killed")

    monkeypatch.setattr(Workshop, "measure", fail)
    bench.library.keep({}, frozenset(), again=(model_id,))
    bench.run_until(bench.loop, lambda: not bench.library.activities())
    assert bench.library.capabilities[model_id] == before
    assert "was not measured again: it was killed" in caplog.text


def test_in_another_power_mode_a_model_is_measured_again_as_soon_as_the_node_is_idle(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(power_mode, "POLL_S", 0.0)
    bench = make()
    bench.power_mode = "15W"
    model_id = bench.added().model_id
    known = bench.library.capabilities
    bench.keep(until=lambda: model_id in known and known[model_id].power_mode == "15W")
    before = known[model_id]
    bench.power_mode = "MAXN"
    looks = iter(range(50))
    bench.keep(until=lambda: next(looks, None) is None, is_idle=False)
    assert known[model_id] == before, "beside its stages it would look slow"
    bench.keep(until=lambda: known[model_id].power_mode == "MAXN")
    bench.power_mode = "15W"
    bench.keep(until=lambda: known[model_id] == before)
