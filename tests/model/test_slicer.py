"""Slices run in turn give the whole model's answer, bit for bit."""

import itertools
import random
import zipfile
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh.model import (
    LayerRange,
    Limits,
    Model,
    cut_points,
    read_model,
    slice_model,
    slice_pieces,
    stage_interface,
)
from mesh.model.decoder import decode
from mesh.model.encoder import encode
from mesh.model.table import make_table
from mesh.testing.evaluator import evaluate
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import residual_cnn, tiny_dense
from mesh.testing.plausible import plausible_inputs
from mesh.testing.random_graphs import random_graph
from mesh.testing.sequence_models import gated_cell, running_total, variable_filter
from mesh.testing.staged import Run, Staged, Whole

pytestmark = pytest.mark.runtime

_FILES = {
    "float32": residual_cnn("float32"),
    "int8": residual_cnn("int8"),
    "fp16": residual_cnn("fp16"),
    "dense": tiny_dense(),
}

RunModel = Callable[[bytes, Sequence[Any]], list[Any]]


Check = Callable[[bytes, Sequence[Sequence[int]]], None]


def _ways(file: bytes, stages: int) -> list[tuple[int, ...]]:
    layers = [cut.layer for cut in cut_points(read_model(file))]
    return list(itertools.combinations(layers, stages - 1))


@pytest.mark.parametrize("name", _FILES)
def test_the_whole_model_as_one_slice(name: str, assert_same_bits: Check) -> None:
    assert_same_bits(_FILES[name], [()])


@pytest.mark.parametrize("name", _FILES)
def test_every_cut_in_two(name: str, assert_same_bits: Check) -> None:
    assert_same_bits(_FILES[name], _ways(_FILES[name], 2))


@pytest.mark.parametrize("stages", [3, 4])
@pytest.mark.parametrize("name", ["float32", "int8", "fp16"])
def test_some_cuts_in_more(name: str, stages: int, assert_same_bits: Check) -> None:
    ways = random.Random(stages).sample(_ways(_FILES[name], stages), 8)
    assert_same_bits(_FILES[name], ways)


def test_a_stage_for_each_layer(assert_same_bits: Check) -> None:
    assert_same_bits(
        _FILES["fp16"], [[cut.layer for cut in cut_points(read_model(_FILES["fp16"]))]]
    )


@pytest.mark.samples
@pytest.mark.parametrize(
    "name",
    [
        "hand_landmark_full",
        "pose_landmark_full",
        "palm_detection_full",
        "face_detection_short_range",
        "embedding_model",
    ],
)
def test_every_cut_of_a_real_model(
    name: str, sample_model: Callable[[str], Path], assert_same_bits: Check
) -> None:
    file = sample_model(name).read_bytes()
    assert_same_bits(file, _ways(file, 2))
    assert_same_bits(file, random.Random(name).sample(_ways(file, 3), 3))


_CHANCE = st.randoms(use_true_random=False)


def _evaluator(pieces: Sequence[bytes | memoryview]) -> Run:
    part = read_model(b"".join(pieces))
    return lambda inputs: evaluate(part, inputs)


def _some_cuts(model: Model, chance: random.Random) -> list[int]:
    layers = [cut.layer for cut in cut_points(model)]
    return sorted(chance.sample(layers, chance.randint(0, min(len(layers), 5))))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(chance=_CHANCE)
def test_stages_of_any_graph_give_the_whole(chance: random.Random, assert_same_bits: Check) -> None:
    file = random_graph(chance)
    assert_same_bits(file, [_some_cuts(read_model(file), chance)])


@settings(max_examples=300, deadline=None)
@given(chance=_CHANCE)
def test_what_is_sent_at_a_cut_is_what_crosses_it(chance: random.Random) -> None:
    file = random_graph(chance)
    model = read_model(file)
    cuts = _some_cuts(model, chance)
    inputs = plausible_inputs(model, 1)
    live_bytes = {cut.layer: cut.live_bytes for cut in cut_points(model)}

    staged = Staged(model, cuts, _evaluator)
    outputs = staged.step(inputs)

    whole = Whole(model, file, _evaluator).step(inputs)
    assert [found.tobytes() for found in outputs] == [wanted.tobytes() for wanted in whole]
    assert staged.sent_bytes[:-1] == [live_bytes[cut] for cut in cuts]


@settings(max_examples=100, deadline=None)
@given(chance=_CHANCE)
def test_each_layer_lies_in_exactly_one_stage(chance: random.Random) -> None:
    model = read_model(random_graph(chance))
    bounds = (0, *_some_cuts(model, chance), len(model.layers))
    parts = [
        read_model(slice_model(model, LayerRange(start=start, stop=stop)))
        for start, stop in itertools.pairwise(bounds)
    ]

    def layers(one: Model) -> list[tuple[str, list[str]]]:
        """Each layer with the names of what it makes, which are unique here."""
        return [(op.name, [one.tensors[at].name for at in op.outputs]) for op in one.layers]

    assert [layer for part in parts for layer in layers(part)] == layers(model)
    copies = {op.name for part in parts for op in part.copied}
    assert copies <= {op.name for op in model.copied}


def _operators(file: bytes) -> list[tuple[int, int, dict[str, object]]]:
    """(code, version, options) of each operator, as the generated schema reads them."""
    generated = pytest.importorskip("ai_edge_litert.schema_py_generated")
    model = generated.ModelT.InitFromPackedBuf(file)
    codes = [(code.builtinCode, code.version) for code in model.operatorCodes]
    return [
        (*codes[operator.opcodeIndex], _plain(operator.builtinOptions))
        for operator in model.subgraphs[0].operators
    ]


def _plain(options: object) -> dict[str, object]:
    if options is None:
        return {}
    return {name: np.asarray(value).tolist() for name, value in vars(options).items()}


@pytest.mark.parametrize("name", ["float32", "int8"])
def test_each_operator_is_in_one_slice_with_its_options(name: str) -> None:
    model = read_model(_FILES[name])
    half = len(model.layers) // 2
    parts = [
        slice_model(model, layers)
        for layers in (
            LayerRange(start=0, stop=half),
            LayerRange(start=half, stop=len(model.layers)),
        )
    ]

    assert _operators(parts[0]) + _operators(parts[1]) == _operators(_FILES[name])


def test_inputs_and_outputs_lie_in_the_interfaces_order() -> None:
    model = read_model(_FILES["float32"])
    layers = LayerRange(start=4, stop=9)
    interface = stage_interface(model, layers)

    part = read_model(slice_model(model, layers))

    assert [spec.name for spec in part.inputs] == [spec.name for spec in interface.consumed]
    produced = [model.tensors[spec.index].name for spec in interface.produced]
    assert [part.tensors[spec.index].name for spec in part.outputs] == produced


def test_a_slice_carries_only_what_it_needs() -> None:
    model = read_model(_FILES["fp16"])
    part = read_model(slice_model(model, LayerRange(start=0, stop=1)))

    assert [operator.name for operator in part.operators] == ["DEQUANTIZE", "DEQUANTIZE", "CONV_2D"]
    assert len(part.tensors) == 6
    assert len(part.root.tables("operator_codes")) == 2
    assert len(part.buffers) == 3  # the empty one, weights and bias


def _sharing() -> Model:
    """Two operators whose weights are two tensors in one buffer."""
    builder = ModelBuilder()
    x, y, z = (builder.tensor(name, (1, 64)) for name in "xyz")
    weights = builder.constant("w", np.ones((1, 64), np.float32))
    twin = builder.tensor("twin", (1, 64))
    builder.operator("ADD", [x, weights], [y], make_table("AddOptions"))
    builder.operator("ADD", [y, twin], [z], make_table("AddOptions"))
    root = decode(memoryview(builder.build({"x": x}, {"z": z})), Limits())
    main = root.tables("subgraphs")[0]
    tensors = list(main.tables("tensors"))
    tensors[twin] = tensors[twin].replace(buffer=tensors[weights].integer("buffer"))
    return read_model(encode(root.replace(subgraphs=(main.replace(tensors=tuple(tensors)),))))


def test_shared_weights_stay_shared(run_model: RunModel) -> None:
    part = slice_model(_sharing(), LayerRange(start=0, stop=2))

    assert len(read_model(part).buffers) == 2
    assert run_model(part, [np.zeros((1, 64), np.float32)])[0][0, 0] == 2.0


def test_weights_beside_the_flatbuffer_are_taken_in(run_model: RunModel) -> None:
    file = tiny_dense()
    root = decode(memoryview(file), Limits())
    contents = [table.raw("data") for table in root.tables("buffers")]
    # The flatbuffer's size does not depend on the offsets' values, so lay it out twice.
    start = 0
    for _ in range(2):
        buffers, at = [make_table("Buffer")], start
        for content in contents[1:]:
            buffers.append(make_table("Buffer", offset=at or 2, size=len(content)))
            at += len(content) + -len(content) % 16
        head = encode(root.replace(buffers=tuple(buffers)))
        start = len(head) + -len(head) % 16
    tail = b"".join(bytes(content) + bytes(-len(content) % 16) for content in contents[1:])
    outside = head.ljust(start, b"\0") + tail

    part = slice_model(read_model(outside), LayerRange(start=0, stop=3))

    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(1, 8)
    assert run_model(part, [x])[0].tobytes() == run_model(file, [x])[0].tobytes()
    assert run_model(outside, [x])[0].tobytes() == run_model(file, [x])[0].tobytes()


def test_files_packed_after_the_model_stay_behind() -> None:
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("labels.txt", "cat\ndog\n")
    layers = LayerRange(start=1, stop=2)

    plain = slice_model(read_model(tiny_dense()), layers)

    assert slice_model(read_model(tiny_dense() + archive.getvalue()), layers) == plain


def test_metadata_that_changes_numbers_goes_along() -> None:
    root = decode(memoryview(tiny_dense()), Limits())
    count = len(root.tables("buffers"))
    extra = tuple(make_table("Buffer", data=content) for content in (b"fp16", b"labels"))
    names = ("reduced_precision_support", "TFLITE_METADATA")
    metadata = tuple(
        make_table("Metadata", name=name, buffer=count + at) for at, name in enumerate(names)
    )
    model = read_model(
        encode(root.replace(buffers=root.tables("buffers") + extra, metadata=metadata))
    )

    part = read_model(slice_model(model, LayerRange(start=1, stop=3)))

    assert part.metadata_names == ("reduced_precision_support",)
    carried = part.buffers[part.root.tables("metadata")[0].integer("buffer")]
    assert carried is not None
    assert bytes(carried) == b"fp16"


def test_pieces_are_the_file_with_the_weights_uncopied() -> None:
    file = _FILES["float32"]
    model = read_model(file)
    layers = LayerRange(start=0, stop=5)

    pieces = slice_pieces(model, layers)

    assert b"".join(pieces) == slice_model(model, layers)
    assert all(piece.obj is file for piece in pieces if isinstance(piece, memoryview))


def test_a_slice_of_a_slice_is_the_slice() -> None:
    model = read_model(_FILES["int8"])
    part = read_model(slice_model(model, LayerRange(start=2, stop=8)))

    again = slice_model(part, LayerRange(start=1, stop=4))

    assert _operators(again) == _operators(slice_model(model, LayerRange(start=3, stop=6)))


CheckSteps = Callable[[bytes, Sequence[int], Sequence[Sequence[Any]]], None]


@pytest.mark.parametrize("make", [gated_cell, running_total, variable_filter])
def test_state_advances_in_stages_as_in_the_whole(
    make: Callable[[], bytes], assert_same_steps: CheckSteps
) -> None:
    file = make()
    random_state = np.random.default_rng(3)
    steps = [[random_state.uniform(-1, 1, (1, 8)).astype(np.float32)] for _ in range(8)]
    cuts = [cut.layer for cut in cut_points(read_model(file))]

    for way in ([], *([cut] for cut in cuts), cuts):
        assert_same_steps(file, way, steps)


@pytest.mark.samples
def test_a_real_model_that_streams_gives_the_same_bits_at_every_step(
    sample_model: Callable[[str], Path], assert_same_steps: CheckSteps
) -> None:
    file = sample_model("okay_nabu").read_bytes()
    random_state = np.random.default_rng(5)
    steps = [[random_state.integers(-40, 40, (1, 3, 40)).astype(np.int8)] for _ in range(20)]
    cuts = [cut.layer for cut in cut_points(read_model(file))]

    assert len(cuts) == 6
    for way in (*([cut] for cut in cuts), cuts):
        assert_same_steps(file, way, steps)


def test_a_slice_sets_only_the_variables_that_it_uses() -> None:
    model = read_model(running_total())
    without, within = (
        read_model(slice_model(model, LayerRange(start=start, stop=stop)))
        for start, stop in ((0, 1), (1, 4))
    )

    assert len(without.root.tables("subgraphs")) == 1
    assert not without.keeps_hidden_state
    assert len(within.root.tables("subgraphs")) == 2
    assert [operator.name for operator in within.initialisers[0].operators] == [
        "VAR_HANDLE",
        "ASSIGN_VARIABLE",
    ]


def test_a_tensor_that_is_two_outputs_leaves_the_slice_once(assert_same_bits: Check) -> None:
    root = decode(memoryview(_FILES["dense"]), Limits())
    main = root.tables("subgraphs")[0]
    twice = make_table("SubGraph", outputs=main.integers("outputs") * 2).values
    file = encode(root.replace(subgraphs=(main.replace(**twice),)))
    model = read_model(file)

    interface = stage_interface(model, LayerRange(start=2, stop=3))

    assert len(interface.sent) == 2
    assert len(interface.produced) == 1
    assert len(read_model(slice_model(model, LayerRange(start=2, stop=3))).outputs) == 1
