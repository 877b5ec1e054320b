import fcntl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mesh.device.capability_cache import CapabilityCache
from mesh.errors import InvalidModelError, MeshError, StoreError, UnsupportedModelError
from mesh.ids import ModelId, NodeId
from mesh.model.schema import OPERATOR_NAMES
from mesh.node import workshop
from mesh.node.power_mode import PowerMode
from mesh.node.thread_share import ThreadShare
from mesh.node.workshop import GOLDEN_SEED, Surroundings, Wish, Workshop
from mesh.planning.wishes import Wishes
from mesh.runtime.golden import NEWEST_DRAW, golden_inputs
from mesh.runtime.operator_versions import OperatorVersions
from mesh.store.disk import ModelStore
from mesh.testing.models import tiny_dense
from mesh.testing.runtime import FakeRuntime

ME = NodeId("0" * 16)


@dataclass(slots=True)
class Bench:
    """A workshop over a real store and a fake runtime."""

    folder: Path
    max_boundary_bytes: int = 1 << 20
    runtime: FakeRuntime = field(default_factory=FakeRuntime)
    progress: list[tuple[int, int]] = field(default_factory=list)
    store: ModelStore = field(init=False)
    workshop: Workshop = field(init=False)

    def __post_init__(self) -> None:
        self.store = ModelStore(self.folder / "store", max_model_bytes=1 << 20)
        scratch = self.folder / "slices"
        scratch.mkdir(exist_ok=True)
        self.workshop = Workshop(
            self.store,
            self.runtime,
            CapabilityCache(self.folder / "capability"),
            me=ME,
            surroundings=Surroundings(
                device_profile="generic-x86-64",
                power=PowerMode(lambda: ""),
                threads=ThreadShare(configured=2, cores=4),
                max_boundary_bytes=self.max_boundary_bytes,
            ),
            scratch_dir=scratch,
        )

    def add(self, content: bytes | None = None) -> ModelId:
        path = self.folder / "upload"
        path.write_bytes(tiny_dense() if content is None else content)
        return self.store.add_file(path)

    def note(self, done: int, total: int) -> None:
        self.progress.append((done, total))


def test_a_model_is_opened_where_it_lies(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    model_id = bench.add()
    opened = bench.workshop.open(model_id)
    assert opened.file.path == bench.store.model_path(model_id)
    assert opened.pieces.boundaries[0] == 0
    assert opened.pieces.boundaries[-1] == len(opened.file.model.layers)


def test_a_file_that_is_not_there_or_no_model_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(StoreError):
        bench.workshop.open(ModelId("0" * 64))
    with pytest.raises(InvalidModelError):
        bench.workshop.open(bench.add(b"no model at all, but long enough to be looked at"))


def test_a_model_whose_requests_fit_no_message_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_boundary_bytes=8)
    with pytest.raises(UnsupportedModelError, match="max_payload_bytes"):
        bench.workshop.open(bench.add())


def test_a_model_is_measured_once_and_then_remembered(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    model_id = bench.add()
    opened = bench.workshop.open(model_id)
    measured = bench.workshop.measure(model_id, opened, bench.note)
    loads = len(bench.runtime.slices)
    assert measured.boundaries == opened.pieces.boundaries
    assert len(measured.layer_s) == len(measured.boundaries) - 1
    assert (measured.kernel_class, measured.threads) == ("fake-1/none", 2)
    assert bench.progress[-1][0] == bench.progress[-1][1] > 0
    assert Bench(tmp_path).workshop.measure(model_id, opened, bench.note) == measured
    assert bench.workshop.measure(model_id, opened, bench.note) == measured
    assert len(bench.runtime.slices) == loads > 0
    assert all(each.resident_bytes == 0 for each in bench.runtime.slices), "all are closed"


def lacking(*names: str) -> FakeRuntime:
    known = {name: (1, 9) for name in OPERATOR_NAMES if name not in names}
    return FakeRuntime(versions=OperatorVersions(known))


def test_what_a_runtime_lacks_is_said_and_remembered(tmp_path: Path) -> None:
    bench = Bench(tmp_path, runtime=lacking("SOFTMAX"))
    opened = bench.workshop.open(model_id := bench.add())
    measured = bench.workshop.measure(model_id, opened, bench.note)
    (refused,) = measured.refused
    assert (measured.layer_s[-1], None in measured.layer_s[:-1]) == (None, False)
    assert (refused.stop, refused.reason) == (3, "fake 1 lacks SOFTMAX version 1")
    loads = len(bench.runtime.slices)
    assert bench.workshop.measure(model_id, opened, bench.note) == measured
    assert len(bench.runtime.slices) == loads


def test_a_model_that_needs_a_newer_runtime_is_to_be_added_elsewhere(tmp_path: Path) -> None:
    bench = Bench(tmp_path, runtime=lacking("SOFTMAX"))
    wish = Wish(model_id=bench.add(), name="tiny")
    with pytest.raises(UnsupportedModelError, match=r"lacks SOFTMAX version 1: add .* newer"):
        bench.workshop.prepare(wish)


def test_what_was_refused_for_memory_is_tried_again_another_day(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    opened = bench.workshop.open(model_id := bench.add())
    bench.runtime.next_load_error = UnsupportedModelError("it needs more memory")
    (refused,) = bench.workshop.measure(model_id, opened, bench.note).refused
    assert refused.reason == "it needs more memory"
    assert bench.workshop.measure(model_id, opened, bench.note).refused == ()


def test_measured_threads_are_said(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.workshop.threads.configured = 0
    opened = bench.workshop.open(model_id := bench.add())
    measured = bench.workshop.measure(model_id, opened, bench.note)
    assert measured.threads == 1, "the fake runtime gains nothing by a second one"
    tried = [loaded.threads for loaded in bench.runtime.slices]
    assert tried[:2] == [1, 2]
    assert set(tried[2:]) == {1}


def test_why_a_model_cannot_be_run_is_a_document(tmp_path: Path) -> None:
    document = Bench(tmp_path).workshop.cannot_run(ModelId("0" * 64), MeshError("x" * 2000))
    assert document.failure == "x" * 1000
    assert (document.boundaries, document.layer_s) == ((), ())


def test_a_model_is_run_once_before_it_is_served(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    model_id = bench.add()
    manifest, opened = bench.workshop.prepare(
        Wish(model_id=model_id, name="tiny", wishes=Wishes(min_stages=2))
    )
    assert (manifest.name, manifest.writer, manifest.wishes.min_stages) == ("tiny", ME, 2)
    assert (manifest.inputs, manifest.outputs) == (
        opened.file.model.inputs,
        opened.file.model.outputs,
    )
    assert manifest.size_bytes == len(tiny_dense())
    golden = manifest.golden
    assert golden is not None
    assert (golden.seed, golden.kernel_class) == (GOLDEN_SEED, "fake-1/none")
    assert golden.draw == NEWEST_DRAW
    (run,) = bench.runtime.slices
    again = bench.runtime.load(
        bench.store.model_path(model_id),
        inputs=manifest.inputs,
        outputs=manifest.outputs,
        threads=1,
        timeout_s=1,
    )
    inputs = golden_inputs(manifest.inputs, golden.seed, draw=golden.draw)
    assert bench.store.read_golden(model_id) == again.invoke(inputs, timeout_s=1).outputs
    assert run.resident_bytes == 0, "it is closed"


def test_a_model_that_was_not_uploaded_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="was not uploaded"):
        Bench(tmp_path).workshop.prepare(Wish(model_id=ModelId("0" * 64), name="tiny"))


def test_a_model_that_this_runtime_refuses_is_not_served(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.runtime.next_load_error = UnsupportedModelError("an operator is too new")
    with pytest.raises(UnsupportedModelError, match="too new"):
        bench.workshop.prepare(Wish(model_id=bench.add(), name="tiny"))


def test_a_turn_that_never_comes_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(workshop, "TURN_TIMEOUT_S", 0.0)
    bench = Bench(tmp_path)
    model_id = bench.add()
    with (tmp_path / "edge-mesh-measuring.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        opened = bench.workshop.open(model_id)
        assert bench.workshop.measure(model_id, opened, bench.note).failure is None
    assert "out of turn" in caplog.text


def test_a_model_that_is_measured_anew_is_not_remembered(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    model_id = bench.add()
    opened = bench.workshop.open(model_id)
    first = bench.workshop.measure(model_id, opened, bench.note)
    file, loads = next((tmp_path / "capability").iterdir()), len(bench.runtime.slices)
    kept = file.read_bytes()
    again = bench.workshop.measure(model_id, opened, bench.note, anew=True)
    assert again.boundaries == first.boundaries
    assert len(bench.runtime.slices) > loads
    assert file.read_bytes() == kept
