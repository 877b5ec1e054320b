from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from mesh.device.capability import Conditions
from mesh.errors import ChildDiedError, DeviceError, UnsupportedModelError
from mesh.ids import ModelId
from mesh.model.cuts import stage_interface
from mesh.model.model import Model
from mesh.model.reader import read_model
from mesh.model.schema import OPERATOR_NAMES
from mesh.model.tensor import LayerRange
from mesh.runtime.golden import golden_inputs
from mesh.runtime.interpreter import InterpreterRuntime
from mesh.runtime.measuring import (
    Effort,
    SliceTimer,
    all_boundaries,
    measure_model,
    measured_threads,
)
from mesh.runtime.operator_versions import OperatorVersions
from mesh.testing.models import CnnDataType, residual_cnn
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


WHOLE = OperatorVersions(dict.fromkeys(OPERATOR_NAMES, (1, 1)))
"""Knows every operator that `residual_cnn` has, in the only version that it has."""


def without(name: str) -> OperatorVersions:
    return OperatorVersions({other: v for other, v in WHOLE.known.items() if other != name})


def pieces_with(model: Model, name: str, boundaries: tuple[int, ...]) -> set[int]:
    return {
        piece
        for piece, (start, stop) in enumerate(pairwise(boundaries))
        if any(layer.name == name for layer in model.layers[start:stop])
    }


def test_pieces_with_unknown_operators_are_not_tried(model: Model, tmp_path: Path) -> None:
    runtime = FakeRuntime(versions=without("DEPTHWISE_CONV_2D"))
    boundaries = all_boundaries(model)
    lacking = pieces_with(model, "DEPTHWISE_CONV_2D", boundaries)
    capability = measure_model(
        model, runtime, CONDITIONS, boundaries=boundaries, folder=tmp_path, effort=QUICK
    )
    unknown = {piece for piece, s in enumerate(capability.layer_s) if s is None}
    assert 0 < len(lacking) < len(boundaries) - 1
    assert unknown == lacking
    assert capability.lasts
    assert capability.refusals[0].reason == "fake 1 lacks DEPTHWISE_CONV_2D version 1"


def test_a_model_of_unknown_operators_cannot_be_run(model: Model, tmp_path: Path) -> None:
    runtime = FakeRuntime(versions=OperatorVersions({}))
    with pytest.raises(UnsupportedModelError, match="fake 1 lacks"):
        measure_model(model, runtime, CONDITIONS, boundaries=all_boundaries(model), folder=tmp_path)
    assert runtime.slices == []


def test_what_the_interpreter_refuses_is_left_out_and_may_load_another_day(
    model: Model, tmp_path: Path
) -> None:
    runtime = FakeRuntime()
    runtime.next_load_error = UnsupportedModelError("the interpreter refuses it: no memory")
    capability = measure_model(
        model, runtime, CONDITIONS, boundaries=all_boundaries(model), folder=tmp_path, effort=QUICK
    )
    assert capability.layer_s[0] is None
    assert None not in capability.layer_s[1:]
    assert [one.reason for one in capability.refusals] == ["the interpreter refuses it: no memory"]
    assert not capability.lasts


def test_the_name_of_a_passing_file_is_not_part_of_a_reason(
    model: Model, runtime: InterpreterRuntime, tmp_path: Path
) -> None:
    timer = SliceTimer(model, runtime, threads=1, folder=tmp_path, effort=QUICK)
    path = tmp_path / "measure-xyz.tflite"
    path.write_bytes(b"")
    interface = stage_interface(model, LayerRange(start=0, stop=1))
    with pytest.raises(UnsupportedModelError, match="the interpreter refuses it: "):
        timer._load(path, interface)


def chunks_of(model: Model) -> tuple[tuple[int, int], ...]:
    return tuple(pairwise(all_boundaries(model)))


def test_threads_are_not_measured_where_one_is_the_most(model: Model, tmp_path: Path) -> None:
    runtime = FakeRuntime()
    assert measured_threads(model, runtime, chunks_of(model), most=1, folder=tmp_path) == 1
    assert runtime.slices == []


def test_threads_that_gain_nothing_are_not_taken(model: Model, tmp_path: Path) -> None:
    runtime = FakeRuntime(compute_s=0.5)
    assert measured_threads(model, runtime, chunks_of(model), most=3, folder=tmp_path) == 1
    assert len(runtime.slices) == 3


def test_a_chunk_that_is_refused_is_no_place_to_try_threads(model: Model, tmp_path: Path) -> None:
    runtime = FakeRuntime()
    runtime.next_load_error = UnsupportedModelError("no memory")
    assert measured_threads(model, runtime, chunks_of(model), most=2, folder=tmp_path) == 1
    assert len(runtime.slices) == 2


def test_measured_threads_are_those_of_the_capability(
    model: Model, runtime: InterpreterRuntime, tmp_path: Path
) -> None:
    boundaries = all_boundaries(model)
    capability = measure_model(
        model,
        runtime,
        replace(CONDITIONS, threads=0, most_threads=2),
        boundaries=(0, boundaries[-1]),
        folder=tmp_path,
        effort=QUICK,
    )
    assert capability.threads in {1, 2}
    assert capability.conditions.threads == 0


@pytest.mark.parametrize("kind", ["float32", "int8", "fp16"])
def test_threads_do_not_change_a_bit(
    runtime: InterpreterRuntime, tmp_path: Path, kind: CnnDataType
) -> None:
    file, model = tmp_path / "model.tflite", read_model(residual_cnn(kind))
    file.write_bytes(residual_cnn(kind))
    inputs = golden_inputs(model.inputs)
    answers = set()
    for threads in (1, 2, 3):
        loaded = runtime.load(
            file, inputs=model.inputs, outputs=model.outputs, threads=threads, timeout_s=60
        )
        answers.add(loaded.invoke(inputs, timeout_s=60).outputs)
        loaded.close()
    assert len(answers) == 1


def test_boundaries_span_the_model(model: Model) -> None:
    boundaries = all_boundaries(model)
    assert (boundaries[0], boundaries[-1]) == (0, len(model.layers))
    assert list(boundaries) == sorted(set(boundaries))
