import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.device.capability import (
    MAX_PIECES,
    Capability,
    Conditions,
    choose_threads,
    from_document,
    to_document,
)
from mesh.errors import DeviceError
from mesh.ids import ModelId
from mesh.model.tensor import LayerRange

CONDITIONS = Conditions(
    model_id=ModelId("ab" * 32),
    kernel_class="litert-2.3.0/xnnpack/aarch64",
    device_profile="raspberry-pi-5",
    power_mode="",
    threads=4,
)
CAPABILITY = Capability(
    conditions=CONDITIONS, boundaries=(0, 3, 5, 9), layer_s=(0.1, 0.2, 0.4), stage_s=0.01
)


def test_a_stage_takes_its_pieces_and_once_the_constant() -> None:
    assert math.isclose(CAPABILITY.predict_s(LayerRange(start=3, stop=9)), 0.61)
    with pytest.raises(ValueError, match="layers 0–3"):
        CAPABILITY.predict_s(LayerRange(start=0, stop=4))


@pytest.mark.parametrize(
    "change",
    [
        {"boundaries": (0, 3, 5)},
        {"boundaries": (1, 3, 5, 9)},
        {"boundaries": (0, 5, 5, 9)},
        {"boundaries": (0,), "layer_s": ()},
        {"layer_s": (0.1, -0.2, 0.4)},
        {"layer_s": (0.1, math.nan, 0.4)},
        {"stage_s": math.inf},
    ],
)
def test_it_checks_itself(change: dict[str, Any]) -> None:
    given_: dict[str, Any] = {
        "boundaries": CAPABILITY.boundaries,
        "layer_s": CAPABILITY.layer_s,
        "stage_s": 0.01,
    }
    with pytest.raises(ValueError, match=r"bound|seconds|pieces"):
        Capability(conditions=CONDITIONS, **(given_ | change))


def test_documents_survive_json() -> None:
    assert from_document(json.loads(json.dumps(to_document(CAPABILITY)))) == CAPABILITY


@pytest.mark.parametrize(
    "change",
    [
        {"threads": "4"},
        {"threads": True},
        {"model_id": None},
        {"kernel_class": "x" * 999},
        {"power_mode": "\x1b[2J"},
        {"boundaries": [0, 3.5, 5, 9]},
        {"boundaries": "0359"},
        {"layer_s": [0.1, "0.2", 0.4]},
        {"layer_s": [0.1]},
        {"layer_s": [0.0] * (MAX_PIECES + 2)},
        {"stage_s": None},
        {"stage_s": 10**400},
    ],
)
def test_unsound_documents_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DeviceError):
        from_document(to_document(CAPABILITY) | change)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.sampled_from(sorted(to_document(CAPABILITY))), json_values)
def test_any_value_is_sound_or_a_device_error(key: str, value: object) -> None:
    with contextlib.suppress(DeviceError):
        from_document(to_document(CAPABILITY) | {key: value})


@given(json_values)
def test_any_document_is_sound_or_a_device_error(document: object) -> None:
    with pytest.raises(DeviceError):
        from_document(document)


@pytest.mark.parametrize(
    ("configured", "cores", "threads"), [(0, 1, 1), (0, 4, 4), (0, 12, 4), (6, 4, 6), (0, 0, 1)]
)
def test_threads(configured: int, cores: int, threads: int) -> None:
    assert choose_threads(configured, cores) == threads
