import mmap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model import DataType, Limits, metadata_content, read_model
from mesh.model.decoder import decode
from mesh.model.encoder import encode
from mesh.model.table import Table, make_table
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import residual_cnn, tiny_dense


def _decoded(file: bytes) -> Table:
    return decode(memoryview(file), Limits())


def _with_main(**changes: object) -> bytes:
    root = _decoded(tiny_dense())
    main = root.tables("subgraphs")[0]
    return encode(root.replace(subgraphs=(main.replace(**changes),)))  # type: ignore[arg-type]


def _indices(*values: int) -> memoryview:
    return memoryview(np.array(values, "<i4").tobytes())


def test_inputs_and_outputs_bear_the_signatures_names() -> None:
    model = read_model(residual_cnn("int8"))

    assert [
        (spec.name, spec.data_type, spec.shape) for spec in (*model.inputs, *model.outputs)
    ] == [
        ("image", DataType.INT8, (1, 32, 32, 3)),
        ("scores", DataType.INT8, (1, 10)),
        ("boxes", DataType.INT8, (1, 256, 4)),
    ]


def test_operators_have_names_and_versions() -> None:
    model = read_model(residual_cnn("int8", blocks=1))

    found = {(operator.name, operator.version) for operator in model.operators}
    assert {("CONV_2D", 3), ("ADD", 2), ("SOFTMAX", 2), ("RESHAPE", 1)} <= found
    assert model.description == "edge-mesh test model"


def test_weights_behind_dequantize_are_no_layers() -> None:
    float32, fp16 = read_model(residual_cnn("float32")), read_model(residual_cnn("fp16"))

    assert len(fp16.layers) == len(float32.layers) == len(float32.operators)
    assert {operator.name for operator in fp16.copied} == {"DEQUANTIZE"}


@pytest.mark.parametrize("wrap", [bytes, memoryview, bytearray])
def test_any_buffer_is_read(wrap: Callable[[bytes], memoryview]) -> None:
    assert read_model(wrap(tiny_dense())) == read_model(tiny_dense())


def test_a_mapped_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_dense())
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    assert read_model(mapped).inputs == read_model(tiny_dense()).inputs


def test_metadata_is_found_by_name() -> None:
    root = _decoded(tiny_dense())
    file = encode(
        root.replace(
            buffers=(*root.tables("buffers"), make_table("Buffer", data=b"labels")),
            metadata=(
                make_table("Metadata", name="TFLITE_METADATA", buffer=len(root.tables("buffers"))),
                make_table("Metadata", name="astray", buffer=999),
            ),
        )
    )
    model = read_model(file)

    assert model.has_image_metadata
    content = metadata_content(model, "TFLITE_METADATA")
    assert content is not None
    assert bytes(content) == b"labels"
    assert metadata_content(model, "astray") is None
    assert metadata_content(model, "min_runtime_version") is None


@pytest.mark.parametrize(
    ("file", "error", "message"),
    [
        (encode(make_table("Model", version=2)), UnsupportedModelError, "schema version 2"),
        (encode(make_table("Model", version=3)), InvalidModelError, "no subgraph"),
        (_with_main(inputs=None), UnsupportedModelError, "no inputs"),
        (_with_main(outputs=_indices()), UnsupportedModelError, "no outputs"),
        (_with_main(inputs=_indices(99)), InvalidModelError, "inputs name a tensor"),
        (_with_main(inputs=_indices(0, 0)), UnsupportedModelError, "twice"),
    ],
)
def test_a_model_without_sound_ends_is_refused(
    file: bytes, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_model(file)


def test_an_input_that_cannot_travel_is_refused() -> None:
    builder = ModelBuilder()
    x, y = builder.tensor("x", (0, 4)), builder.tensor("y", (0, 4))
    builder.operator("RELU", [x], [y])

    with pytest.raises(UnsupportedModelError, match="'x' has type FLOAT32 and 0 bytes"):
        read_model(builder.build({"x": x}, {"y": y}))


@pytest.mark.samples
def test_a_real_image_model_has_its_metadata(sample_model: Callable[[str], Path]) -> None:
    model = read_model(sample_model("hand_landmark_full").read_bytes())

    assert model.has_image_metadata
    assert [spec.shape for spec in model.inputs] == [(1, 224, 224, 3)]
    assert len(model.outputs) == 4
    assert metadata_content(model, "TFLITE_METADATA")
