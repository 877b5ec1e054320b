from itertools import pairwise

import pytest

from mesh.model import LayerRange, Model, cut_points, read_model, stage_interface, weight_bytes
from mesh.planning.pieces import MAX_PIECES, Pieces, pieces_of
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import residual_cnn, tiny_dense

NO_LIMIT_BYTES = 1 << 30


@pytest.fixture(scope="module")
def cnn() -> Model:
    return read_model(residual_cnn("float32"))


def a_chain(layers: int) -> Model:
    """Layers one after the other, of which the activations grow."""
    builder = ModelBuilder()
    tensors = [builder.tensor(f"t{i}", (1, 4 + i)) for i in range(layers + 1)]
    for x, y in pairwise(tensors):
        builder.operator("RELU", [x], [y])
    return read_model(builder.build({"x": tensors[0]}, {"y": tensors[-1]}))


def whole(model: Model) -> LayerRange:
    return LayerRange(start=0, stop=len(model.layers))


def check_sound(pieces: Pieces, model: Model) -> None:
    """What holds of any model's pieces."""
    legal = {cut.layer for cut in cut_points(model)}
    assert pieces.boundaries[0] == 0
    assert pieces.boundaries[-1] == len(model.layers)
    assert all(one < other for one, other in pairwise(pieces.boundaries))
    assert set(pieces.boundaries[1:-1]) <= legal
    assert len(pieces.boundary_bytes) == len(pieces.boundaries)
    assert len(pieces.weight_bytes) == len(pieces.boundaries) - 1 <= MAX_PIECES
    assert pieces.arena_bytes > 0


def test_a_model_is_divided_at_every_legal_cut(cnn: Model) -> None:
    pieces = pieces_of(cnn, max_boundary_bytes=NO_LIMIT_BYTES)
    check_sound(pieces, cnn)
    assert pieces.boundaries[1:-1] == tuple(cut.layer for cut in cut_points(cnn))


def test_what_crosses_a_boundary_is_what_a_stage_there_receives(cnn: Model) -> None:
    pieces = pieces_of(cnn, max_boundary_bytes=NO_LIMIT_BYTES)
    for start, size_bytes in zip(pieces.boundaries[:-1], pieces.boundary_bytes, strict=False):
        received = stage_interface(cnn, LayerRange(start=start, stop=len(cnn.layers))).received
        assert sum(spec.size_bytes for spec in received) == size_bytes
    assert pieces.boundary_bytes[-1] == sum(spec.size_bytes for spec in cnn.outputs)


def test_the_weights_of_the_pieces_are_those_of_the_model(cnn: Model) -> None:
    pieces = pieces_of(cnn, max_boundary_bytes=NO_LIMIT_BYTES)
    assert sum(pieces.weight_bytes) >= weight_bytes(cnn, whole(cnn))


def test_consecutive_pieces_are_consecutive_layers() -> None:
    model = read_model(tiny_dense())
    pieces = pieces_of(model, max_boundary_bytes=NO_LIMIT_BYTES)
    assert len(pieces.weight_bytes) == 3
    assert pieces.layer_range(LayerRange(start=0, stop=3)) == whole(model)
    assert pieces.layer_range(LayerRange(start=1, stop=2)) == LayerRange(start=1, stop=2)


def test_of_too_many_cuts_the_cheapest_stay() -> None:
    chain = a_chain(MAX_PIECES + 20)
    pieces = pieces_of(chain, max_boundary_bytes=NO_LIMIT_BYTES)
    check_sound(pieces, chain)
    assert len(pieces.weight_bytes) == MAX_PIECES
    assert pieces.boundaries == (*range(MAX_PIECES), len(chain.layers))


def test_a_cut_whose_tensors_fit_no_message_is_left_out() -> None:
    chain = a_chain(10)
    pieces = pieces_of(chain, max_boundary_bytes=4 * 8)
    check_sound(pieces, chain)
    assert pieces.boundaries == (0, 1, 2, 3, 4, 10)


def test_a_model_of_one_layer_is_one_piece() -> None:
    pieces = pieces_of(a_chain(1), max_boundary_bytes=NO_LIMIT_BYTES)
    assert pieces.boundaries == (0, 1)
    assert len(pieces.weight_bytes) == 1
