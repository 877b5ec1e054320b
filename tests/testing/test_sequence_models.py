from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mesh.model import cut_points, read_model
from mesh.runtime.control import Package
from mesh.testing.exact_worker import Interpreters
from mesh.testing.sequence_models import gated_cell, running_total, transformer, variable_filter
from mesh.testing.staged import Array, Whole


@pytest.fixture
def interpreters(tmp_path: Path) -> Interpreters:
    return Interpreters(tmp_path, Package.LITERT.value, use_xnnpack=True)


def _steps(interpreters: Interpreters, file: bytes, inputs: Sequence[Array]) -> list[list[Array]]:
    whole = Whole(read_model(file), file, interpreters.load)
    return [whole.step([content]) for content in inputs]


ONES = np.ones((1, 8), np.float32)


@pytest.mark.parametrize("file", [gated_cell(), running_total(), variable_filter()])
def test_the_same_input_gives_another_answer_the_second_time(
    file: bytes, interpreters: Interpreters
) -> None:
    first, second = _steps(interpreters, file, [ONES, ONES])

    assert first[0].tobytes() != second[0].tobytes()


def test_state_is_declared_or_hidden_or_neither() -> None:
    cell = read_model(gated_cell())
    assert [(pair.input.name, pair.output.name) for pair in cell.state] == [
        ("h", "next_h"),
        ("c", "next_c"),
    ]
    assert not cell.keeps_hidden_state
    assert len(read_model(gated_cell(declares_state=False)).inputs) == 3
    for file in (running_total(), variable_filter()):
        assert read_model(file).keeps_hidden_state


def test_state_leaves_cuts_beside_it() -> None:
    for file in (gated_cell(), running_total(), variable_filter()):
        assert 2 <= len(cut_points(read_model(file))) < len(read_model(file).layers)


def test_every_block_of_the_transformer_reads_the_mask() -> None:
    model = read_model(transformer(blocks=3))
    (mask,) = (spec.index for spec in model.inputs if spec.name == "mask")

    assert sum(mask in layer.reads for layer in model.layers) == 3
    assert all(mask in {spec.index for spec in cut.live} for cut in cut_points(model)[:60])


def test_a_masked_token_does_not_matter_to_the_others(interpreters: Interpreters) -> None:
    file = transformer()
    whole = Whole(read_model(file), file, interpreters.load)
    mask = np.zeros((1, 1, 1, 12), np.float32)
    mask[..., -1] = -1e9
    states = []
    for last in (3, 50):
        ids = np.arange(12, dtype=np.int32).reshape(1, 12)
        ids[0, -1] = last
        states.append(whole.step([ids, mask])[0])

    np.testing.assert_array_equal(states[0][:, :-1], states[1][:, :-1])
    assert not np.array_equal(states[0][:, -1], states[1][:, -1])
