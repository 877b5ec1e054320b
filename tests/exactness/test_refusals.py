"""What cannot be run or cut is refused by name with advice: by the reader, the slicer, and `mesh`."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mesh.cli.main import main
from mesh.errors import UnsupportedModelError
from mesh.model import LayerRange, cut_points, read_model, slice_model, stage_interface
from mesh.model.table import make_table
from mesh.runtime.detect import detect_runtime
from mesh.testing.model_builder import ModelBuilder
from tests.exactness.catalogue import entries, is_converted, is_servable

MODEL_ERROR_STATUS = 3
ReadSample = Callable[[str], bytes]


def _one(
    operator: str, *, x_type: str = "float32", y_type: str = "float32", version: int = 1
) -> bytes:
    builder = ModelBuilder()
    x, y = builder.tensor("x", (1, 4), x_type), builder.tensor("y", (1, 4), y_type)
    builder.operator(operator, [x], [y], version=version)
    return builder.build({"x": x}, {"y": y})


def _open_shape() -> bytes:
    builder = ModelBuilder()
    x = builder.tensor("x", (1, 1), shape_signature=[-1, -1])
    y = builder.tensor("y", (1, 1), shape_signature=[-1, -1])
    builder.operator("RELU", [x], [y])
    return builder.build({"x": x}, {"y": y})


GENERATED_REFUSALS = {
    "if": (_one("IF"), r"operator 0 \(IF\) .*; convert the model without control flow"),
    "while": (_one("WHILE"), r"operator 0 \(WHILE\) .*; convert the model without control flow"),
    "custom": (
        _one("CUSTOM"),
        r"operator 0 \(CUSTOM:.*\) is a custom operator.*; convert the model",
    ),
    "string": (_one("CAST", x_type="string"), r"'x' has type STRING, .*; convert the model"),
    "sized_by_values": (_one("WHERE", y_type="int64"), r"operator 0 \(WHERE\) .*; convert"),
    "open_shape": (_open_shape(), r"tensor 'x' has a size that is not fixed; .*mesh model add"),
}
REAL_REFUSALS = {
    "hey_jarvis": r"operator 25 \(IF\) runs other subgraphs.*; convert the model without control",
    "melspectrogram": r"has a size that is not fixed; .*--input-shape",
    "face_landmark_with_attention": r"CUSTOM:Landmarks2TransformMatrix.*; convert the model",
    "selfie_segmentation": r"CUSTOM:Convolution2DTransposeBias.*; convert the model",
    "selfie_segmentation_landscape": r"CUSTOM:Convolution2DTransposeBias.*; convert the model",
}
GENERATED_CASES = [pytest.param(*case, id=name) for name, case in GENERATED_REFUSALS.items()]
REAL_CASES = [
    pytest.param(name, reason, marks=pytest.mark.samples) for name, reason in REAL_REFUSALS.items()
]


def _assert_the_command_refuses(
    words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence at stderr, nothing at stdout, the exit status of a model error."""
    assert main(words) == MODEL_ERROR_STATUS
    said = capsys.readouterr()
    assert said.out == ""
    assert re.search(reason, said.err), said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(("file", "reason"), GENERATED_CASES)
def test_a_generated_file_is_refused_by_the_reader(file: bytes, reason: str) -> None:
    with pytest.raises(UnsupportedModelError, match=reason):
        read_model(file)


@pytest.mark.parametrize(("name", "reason"), REAL_CASES)
def test_a_real_file_is_refused_by_the_reader(
    name: str, reason: str, read_sample: ReadSample
) -> None:
    with pytest.raises(UnsupportedModelError, match=reason):
        read_model(read_sample(name))


def test_these_are_all_real_files_that_are_refused() -> None:
    refused = {name for name in entries() if not is_servable(name) and not is_converted(name)}
    assert refused == set(REAL_REFUSALS)


@pytest.mark.parametrize(("file", "reason"), GENERATED_CASES)
def test_inspect_refuses_a_generated_file_in_one_sentence(
    file: bytes, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(file)
    _assert_the_command_refuses(["model", "inspect", str(path)], reason, capsys)


@pytest.mark.parametrize(("name", "reason"), REAL_CASES)
def test_inspect_refuses_a_real_file_in_one_sentence(
    name: str,
    reason: str,
    sample_model: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    _assert_the_command_refuses(["model", "inspect", str(sample_model(name))], reason, capsys)


@pytest.mark.samples
@pytest.mark.parametrize("name", [name for name in REAL_REFUSALS if name != "melspectrogram"])
def test_add_refuses_before_it_asks_any_node(
    name: str, sample_model: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["model", "add", str(sample_model(name)), "--url", "mqtt://127.0.0.1:1"]
    _assert_the_command_refuses(words, REAL_REFUSALS[name], capsys)


@pytest.mark.samples
def test_add_says_how_large_an_open_input_must_be_told(
    sample_model: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["model", "add", str(sample_model("melspectrogram")), "--url", "mqtt://127.0.0.1:1"]
    _assert_the_command_refuses(
        words, r"\? is open: say how large, as --input-shape input=", capsys
    )


@pytest.mark.parametrize(
    "name",
    [
        "running_total",
        "gated_cell",
        pytest.param("okay_nabu", marks=pytest.mark.samples),
        pytest.param("micro_hey_jarvis", marks=pytest.mark.samples),
    ],
)
def test_a_cut_through_state_is_refused_with_the_states_name(
    name: str, read_sample: ReadSample
) -> None:
    model = read_model(read_sample(name))
    legal = {cut.layer for cut in cut_points(model)}
    illegal = sorted(set(range(1, len(model.layers))) - legal)
    assert illegal
    for layer in illegal:
        for make in (slice_model, stage_interface):
            with pytest.raises(UnsupportedModelError, match=r"the layers \d+ to \d+ share \w+"):
                make(model, LayerRange(start=0, stop=layer))


@pytest.mark.runtime
def test_an_operator_version_that_the_runtime_lacks_is_refused_by_name(tmp_path: Path) -> None:
    builder = ModelBuilder()
    x, y = builder.tensor("x", (1, 4)), builder.tensor("y", (1, 4))
    builder.operator("ADD", [x, x], [y], make_table("AddOptions"), version=99)
    path = tmp_path / "newer.tflite"
    path.write_bytes(builder.build({"x": x}, {"y": y}))
    model = read_model(path.read_bytes())

    with pytest.raises(UnsupportedModelError, match=r"'?ADD'?.* version '?99"):
        detect_runtime().load(
            path, inputs=model.inputs, outputs=model.outputs, threads=1, timeout_s=60
        )
