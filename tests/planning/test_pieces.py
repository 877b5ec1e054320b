from itertools import combinations, pairwise

import pytest

from mesh.model import LayerRange, Model, cut_points, read_model, stage_interface, stage_memory
from mesh.model.kernel_memory import KERNEL_MEMORY
from mesh.planning.pieces import MAX_PIECES, PieceMemory, Pieces, pieces_of
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import residual_cnn, tiny_dense
from mesh.testing.network import NumberFormat
from mesh.testing.sequence_models import gated_cell

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
    assert len(pieces) == len(pieces.boundaries) - 1 <= MAX_PIECES
    assert pieces.memory.keys() == KERNEL_MEMORY.keys()
    assert all(len(memory.piece_bytes) == len(pieces) for memory in pieces.memory.values())


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


def test_state_counts_where_it_is_kept() -> None:
    """It crosses no boundary, and a cache of keys and values may be most of what a stage holds."""
    model = read_model(gated_cell())
    without = read_model(gated_cell(declares_state=False))
    kept_bytes = sum(pair.input.size_bytes + pair.output.size_bytes for pair in model.state)

    one, other = (
        pieces_of(each, max_boundary_bytes=NO_LIMIT_BYTES).memory["litert"].piece_bytes
        for each in (model, without)
    )

    assert kept_bytes > 0
    assert sum(one) - sum(other) == 2 * kept_bytes


@pytest.mark.parametrize("runtime", KERNEL_MEMORY)
@pytest.mark.parametrize("data_type", ["float32", "fp16", "int8"])
def test_the_parts_of_a_stage_bound_its_memory(runtime: str, data_type: NumberFormat) -> None:
    model = read_model(residual_cnn(data_type))
    pieces = pieces_of(model, max_boundary_bytes=NO_LIMIT_BYTES)
    memory = pieces.memory_in([runtime])
    for start, stop in combinations(range(len(pieces) + 1), 2):
        stage = stage_memory(
            model, pieces.layer_range(LayerRange(start=start, stop=stop)), runtime=runtime
        )
        ends_bytes = pieces.boundary_bytes[start] + pieces.boundary_bytes[stop]
        bound_bytes = sum(memory.piece_bytes[start:stop]) + memory.stage_bytes + 2 * ends_bytes
        # Tensors lie at multiples of 64 bytes.
        assert stage.total_bytes <= bound_bytes + 64 * (stop - start + 8)


def test_of_several_runtimes_the_larger_need_counts() -> None:
    pieces = Pieces(
        boundaries=(0, 1, 2),
        boundary_bytes=(1, 1, 1),
        memory={
            "one": PieceMemory(piece_bytes=(1, 5), stage_bytes=7),
            "other": PieceMemory(piece_bytes=(2, 4), stage_bytes=6),
        },
    )
    assert pieces.memory_in(["one"]) == pieces.memory["one"]
    both = PieceMemory(piece_bytes=(2, 5), stage_bytes=7)
    assert pieces.memory_in(["one", "other"]) == both
    assert pieces.memory_in(["one", "unheard of"]) == both
    assert pieces.memory_in([]) == both


def test_consecutive_pieces_are_consecutive_layers() -> None:
    model = read_model(tiny_dense())
    pieces = pieces_of(model, max_boundary_bytes=NO_LIMIT_BYTES)
    assert len(pieces) == 3
    assert pieces.layer_range(LayerRange(start=0, stop=3)) == whole(model)
    assert pieces.layer_range(LayerRange(start=1, stop=2)) == LayerRange(start=1, stop=2)


def test_of_too_many_cuts_the_cheapest_stay() -> None:
    chain = a_chain(MAX_PIECES + 20)
    pieces = pieces_of(chain, max_boundary_bytes=NO_LIMIT_BYTES)
    check_sound(pieces, chain)
    assert len(pieces) == MAX_PIECES
    assert pieces.boundaries == (*range(MAX_PIECES), len(chain.layers))


def test_a_cut_whose_tensors_fit_no_message_is_left_out() -> None:
    chain = a_chain(10)
    pieces = pieces_of(chain, max_boundary_bytes=4 * 8)
    check_sound(pieces, chain)
    assert pieces.boundaries == (0, 1, 2, 3, 4, 10)


def test_a_model_of_one_layer_is_one_piece() -> None:
    pieces = pieces_of(a_chain(1), max_boundary_bytes=NO_LIMIT_BYTES)
    assert pieces.boundaries == (0, 1)
    assert len(pieces) == 1
