import mmap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model import (
    DataType,
    LayerRange,
    Limits,
    metadata_content,
    read_model,
    stage_interface,
)
from mesh.model.decoder import decode
from mesh.model.encoder import encode
from mesh.model.table import Table, make_table
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import residual_cnn, tiny_dense
from mesh.testing.sequence_models import gated_cell, running_total, variable_filter


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

    with pytest.raises(UnsupportedModelError, match=r"'x' has shape \[0, 4\] and so no content"):
        read_model(builder.build({"x": x}, {"y": y}))


@pytest.mark.samples
def test_a_real_image_model_has_its_metadata(sample_model: Callable[[str], Path]) -> None:
    model = read_model(sample_model("hand_landmark_full").read_bytes())

    assert model.has_image_metadata
    assert [spec.shape for spec in model.inputs] == [(1, 224, 224, 3)]
    assert len(model.outputs) == 4
    assert metadata_content(model, "TFLITE_METADATA")


def test_texts_cannot_be_inputs() -> None:
    builder = ModelBuilder()
    x, y = builder.tensor("x", (1,), "string"), builder.tensor("y", (1, 4))
    builder.operator("RELU", [x], [y])

    with pytest.raises(UnsupportedModelError, match="'x' has type STRING, which requests"):
        read_model(builder.build({"x": x}, {"y": y}))


def test_one_tensor_may_be_two_outputs() -> None:
    builder = ModelBuilder()
    x, y = builder.tensor("x", (1, 4)), builder.tensor("y", (1, 4))
    builder.operator("RELU", [x], [y])
    main = _decoded(builder.build({"x": x}, {"y": y}))
    subgraph = main.tables("subgraphs")[0].replace(outputs=_indices(y, y))

    model = read_model(encode(main.replace(subgraphs=(subgraph,))))

    assert [spec.index for spec in model.outputs] == [y, y]
    assert len({spec.name for spec in model.outputs}) == 2


def test_declared_state_is_kept_from_clients() -> None:
    model = read_model(gated_cell())

    assert [spec.name for spec in model.inputs] == ["x"]
    assert [spec.name for spec in model.outputs] == ["y"]
    assert [(pair.input.name, pair.output.name) for pair in model.state] == [
        ("h", "next_h"),
        ("c", "next_c"),
    ]
    assert [spec.name for spec in model.graph_inputs] == ["x", "h", "c"]
    assert [spec.name for spec in model.graph_outputs] == ["y", "next_h", "next_c"]
    assert not model.keeps_hidden_state


def test_without_a_declaration_state_is_an_input_and_an_output() -> None:
    model = read_model(gated_cell(declares_state=False))

    assert [spec.name for spec in model.inputs] == ["x", "h", "c"]
    assert not model.state


def test_a_model_is_more_than_its_state() -> None:
    builder = ModelBuilder()
    h, kept = builder.tensor("h", (1, 4)), builder.tensor("kept", (1, 4))
    builder.operator("RELU", [h], [kept])
    builder.metadata("edge_mesh.state", b'[["h", "kept"]]')

    with pytest.raises(UnsupportedModelError, match="no inputs beside its state"):
        read_model(builder.build({"h": h}, {"kept": kept}))


@pytest.mark.parametrize("make", [variable_filter, running_total])
def test_hidden_state_is_told(make: Callable[[], bytes]) -> None:
    model = read_model(make())

    assert model.keeps_hidden_state
    assert not model.state


def test_state_is_not_given_out_as_it_came() -> None:
    builder = ModelBuilder()
    x, h, kept = (builder.tensor(name, (1, 4)) for name in ("x", "h", "kept"))
    builder.operator("ADD", [x, h], [kept], make_table("AddOptions"))
    builder.metadata("edge_mesh.state", b'[["h", "kept"]]')

    with pytest.raises(UnsupportedModelError, match="state input 'h' is an output as it is"):
        read_model(builder.build({"x": x, "h": h}, {"y": h, "kept": kept}))


def test_an_output_may_be_state_as_well() -> None:
    builder = ModelBuilder()
    x, h, y = (builder.tensor(name, (1, 4)) for name in ("x", "h", "y"))
    builder.operator("ADD", [x, h], [y], make_table("AddOptions"))
    builder.metadata("edge_mesh.state", b'[["h", "kept"]]')

    root = _decoded(builder.build({"x": x, "h": h}, {"kept": y}))
    main = root.tables("subgraphs")[0].replace(outputs=_indices(y, y))
    maps = [make_table("TensorMap", name=name, tensor_index=y) for name in ("y", "kept")]
    signature = root.tables("signature_defs")[0].replace(outputs=tuple(maps))
    model = read_model(encode(root.replace(subgraphs=(main,), signature_defs=(signature,))))

    assert [spec.name for spec in model.outputs] == ["y"]
    assert [pair.output.name for pair in model.state] == ["kept"]
    interface = stage_interface(model, LayerRange(start=0, stop=1))
    assert [spec.index for spec in interface.produced] == [y]
