import contextlib
import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.device.capability import (
    MAX_PIECES,
    Capability,
    Conditions,
    Refusal,
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
    conditions=CONDITIONS,
    threads=4,
    boundaries=(0, 3, 5, 9),
    layer_s=(0.1, 0.2, 0.4),
    stage_s=0.01,
)
LIMITED = replace(
    CAPABILITY,
    layer_s=(0.1, None, 0.4),
    refusals=(Refusal(start=3, stop=5, reason="tflite 2.14.0 lacks GATHER_ND version 5"),),
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
        {"threads": 0},
        {"refusals": (Refusal(start=0, stop=3, reason="why"),) * 33},
    ],
)
def test_it_checks_itself(change: dict[str, Any]) -> None:
    given_: dict[str, Any] = {
        "threads": 4,
        "boundaries": CAPABILITY.boundaries,
        "layer_s": CAPABILITY.layer_s,
        "stage_s": 0.01,
    }
    with pytest.raises(ValueError, match=r"bound|seconds|pieces|thread"):
        Capability(conditions=CONDITIONS, **(given_ | change))


def test_a_stage_over_what_cannot_be_loaded_has_no_time() -> None:
    assert math.isclose(LIMITED.predict_s(LayerRange(start=5, stop=9)), 0.41)
    with pytest.raises(ValueError, match="cannot load all of layers 0–4"):
        LIMITED.predict_s(LayerRange(start=0, stop=5))


def test_a_reason_becomes_one_short_line() -> None:
    refusal = Refusal.of(0, 1, "it\nlacks \x1b[2J\n" + "x" * 999)
    assert refusal.reason.startswith("it lacks [2J xxx")
    assert len(refusal.reason) == 300


@pytest.mark.parametrize("fields", [{"start": 2}, {"start": -1}, {"reason": "\x1b"}])
def test_a_refusal_checks_itself(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"layers|reason"):
        replace(Refusal(start=0, stop=1, reason="why"), **fields)


@pytest.mark.parametrize("capability", [CAPABILITY, LIMITED])
def test_documents_survive_json(capability: Capability) -> None:
    assert from_document(json.loads(json.dumps(to_document(capability)))) == capability


@pytest.mark.parametrize(
    "change",
    [
        {"threads": "4"},
        {"threads": True},
        {"conditions": None},
        {"conditions": {"model_id": None}},
        {"conditions": to_document(CAPABILITY)["conditions"] | {"threads": True}},
        {"conditions": to_document(CAPABILITY)["conditions"] | {"kernel_class": "x" * 999}},
        {"conditions": to_document(CAPABILITY)["conditions"] | {"power_mode": "\x1b[2J"}},
        {"refusals": None},
        {"refusals": [{}] * 99},
        {"refusals": ["why"]},
        {"refusals": [{"start": 0, "stop": 1, "reason": 5}]},
        {"refusals": [{"start": 1, "stop": 1, "reason": "why"}]},
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
