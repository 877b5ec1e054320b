from pathlib import Path

import pytest

from mesh.device.capability import Conditions
from mesh.errors import ChildDiedError, DeviceError
from mesh.ids import ModelId
from mesh.model.model import Model
from mesh.model.reader import read_model
from mesh.model.tensor import LayerRange
from mesh.runtime.interpreter import InterpreterRuntime
from mesh.runtime.measuring import Effort, SliceTimer, all_boundaries, measure_model
from mesh.testing.models import residual_cnn
from mesh.testing.runtime import FakeRuntime

QUICK = Effort(budget_s=0.0, min_runs=2, warm_up_runs=1)
CONDITIONS = Conditions(
    model_id=ModelId("0" * 64),
    kernel_class="fake-1/none",
    device_profile="generic",
    power_mode="",
    threads=1,
)


@pytest.fixture
def model() -> Model:
    return read_model(residual_cnn("float32"))


def test_each_slice_is_loaded_run_and_thrown_away(model: Model, tmp_path: Path) -> None:
    runtime = FakeRuntime(compute_s=0.25)
    timer = SliceTimer(model, runtime, threads=1, folder=tmp_path / "new", effort=QUICK)
    timing = timer(LayerRange(start=2, stop=5))
    assert timing.compute_s == 0.25
    assert timing.call_s > 0
    assert [loaded.resident_bytes for loaded in runtime.slices] == [0]
    assert list((tmp_path / "new").iterdir()) == []


def test_a_failure_leaves_nothing_behind(model: Model, tmp_path: Path) -> None:
    runtime = FakeRuntime()
    runtime.next_load_error = ChildDiedError("the interpreter's process died of SIGSEGV")
    timer = SliceTimer(model, runtime, threads=1, folder=tmp_path, effort=QUICK)
    with pytest.raises(ChildDiedError):
        timer(LayerRange(start=0, stop=len(model.layers)))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(model: Model, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    timer = SliceTimer(model, FakeRuntime(), threads=1, folder=tmp_path / "file", effort=QUICK)
    with pytest.raises(DeviceError, match="cannot be written"):
        timer(LayerRange(start=0, stop=1))


def test_a_real_model_is_measured(
    model: Model, runtime: InterpreterRuntime, tmp_path: Path
) -> None:
    boundaries = all_boundaries(model)
    progress: list[tuple[int, int]] = []
    capability = measure_model(
        model,
        runtime,
        CONDITIONS,
        boundaries=boundaries[:2] + boundaries[-1:],
        folder=tmp_path,
        effort=QUICK,
        on_progress=lambda done, total: progress.append((done, total)),
    )
    assert len(capability.layer_s) == 2
    assert 0 < capability.predict_s(LayerRange(start=0, stop=len(model.layers))) < 1
    assert progress[0] == (0, 4)
    assert progress[-1] == (4, 4)


def test_boundaries_span_the_model(model: Model) -> None:
    boundaries = all_boundaries(model)
    assert (boundaries[0], boundaries[-1]) == (0, len(model.layers))
    assert list(boundaries) == sorted(set(boundaries))
