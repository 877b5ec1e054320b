from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mesh.demo.whole import WholeModel
from mesh.errors import InvalidModelError
from mesh.model import LayerRange
from mesh.runtime.golden import golden_inputs
from mesh.testing.models import residual_cnn


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeModel]:
    file = tmp_path_factory.mktemp("model") / "residual.tflite"
    file.write_bytes(residual_cnn("float32"))
    with WholeModel(file) as model:
        yield model


def test_it_gives_every_output_by_name(whole: WholeModel) -> None:
    [image] = golden_inputs(whole.inputs)
    outputs = whole.run([image])
    assert {name: len(data) for name, data in outputs.items()} == {
        spec.name: spec.size_bytes for spec in whole.outputs
    }
    assert np.frombuffer(outputs["scores"], "<f4").sum() == pytest.approx(1.0, abs=1e-5)
    assert whole.run([image]) == outputs


def test_arrays_are_the_same_inputs(whole: WholeModel) -> None:
    raw = golden_inputs(whole.inputs, 3)
    arrays = whole.arrays(raw)
    assert arrays["image"].shape == (1, 32, 32, 3)
    assert arrays["image"].tobytes() == raw[0]
    assert whole.answer(arrays) == whole.run(raw)


def test_what_a_stage_takes_in(whole: WholeModel) -> None:
    assert whole.received_bytes(LayerRange(start=0, stop=2)) == 32 * 32 * 3 * 4
    assert whole.received_bytes(LayerRange(start=1, stop=2)) > 0


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    file = tmp_path / "junk.tflite"
    file.write_bytes(b"junk")
    with pytest.raises(InvalidModelError):
        WholeModel(file)
