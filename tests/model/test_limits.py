import dataclasses

import pytest

from mesh.config import Config
from mesh.errors import UnsupportedModelError
from mesh.model import Limits, cut_points, read_model, uncuttable_reason
from mesh.model.limits import model_limits
from mesh.testing.models import residual_cnn


@pytest.mark.parametrize(
    "limits",
    [
        Limits(max_file_bytes=1000),
        Limits(max_tensor_bytes=4000),
        Limits(max_activation_bytes=20_000),
        Limits(max_subgraphs=0),
        Limits(max_tensors=10),
        Limits(max_operators=10),
        Limits(max_buffers=10),
        Limits(max_rank=3),
        Limits(max_name_bytes=5),
        Limits(max_tables=50),
        Limits(max_fields=50),
        Limits(max_indices=50),
    ],
)
def test_a_model_beyond_a_limit_is_refused(limits: Limits) -> None:
    with pytest.raises(UnsupportedModelError, match=r"limit|more than|longer|larger"):
        read_model(residual_cnn("float32"), limits)


def test_a_cut_with_too_many_tensors_is_no_cut() -> None:
    model = read_model(residual_cnn("float32"))
    limits = Limits(max_live_tensors=1)

    assert all(len(cut.live) == 1 for cut in cut_points(model, limits))
    assert "limit" in (uncuttable_reason(model, Limits(max_live_tensors=0)) or "")


def test_every_limit_is_positive() -> None:
    assert all(value > 0 for value in dataclasses.asdict(Limits()).values())


def test_a_configuration_sets_limits() -> None:
    config = Config(max_model_bytes=5, max_tensor_bytes=6, max_activation_bytes=7, max_operators=8)

    limits = model_limits(config)

    assert limits == Limits(
        max_file_bytes=5, max_tensor_bytes=6, max_activation_bytes=7, max_operators=8
    )
    assert model_limits(Config()) == Limits()
