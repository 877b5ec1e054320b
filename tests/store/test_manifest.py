import json
from typing import Any

import pytest

from mesh.errors import RemoteError, UsageError
from mesh.ids import ModelId, NodeId
from mesh.model.tensor import DataType, TensorSpec
from mesh.planning.wishes import Wishes
from mesh.store import manifest
from mesh.store.manifest import (
    ChannelOrder,
    Golden,
    ImageOptions,
    ModelManifest,
    ResizeMode,
    check_model_id,
    check_model_name,
)

X = TensorSpec(index=0, name="x", data_type=DataType.FP32, shape=(1, 8, 8, 3))
FULL = ModelManifest(
    model_id=ModelId("a" * 64),
    name="pose-1.0_full",
    size_bytes=6_000_000,
    inputs=(X,),
    outputs=(TensorSpec(index=7, name="y", data_type=DataType.INT8, shape=(1, 2)),),
    revision=3,
    writer=NodeId("0123456789abcdef"),
    wishes=Wishes(min_stages=2, must=(NodeId("0123456789abcdef"),)),
    image=ImageOptions(
        scale=2 / 255, offset=-1, mode=ResizeMode.LETTERBOX, channels=ChannelOrder.BGR
    ),
    labels=("cat", "hot dog", "Vögel"),
    golden=Golden(kernel_class="litert-2.3-x86_64", seed=7, sha256="b" * 64, size_bytes=99),
)


def changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(manifest.encode(FULL)) | fields).encode()


def test_a_manifest_survives() -> None:
    assert manifest.decode(manifest.encode(FULL)) == FULL


def test_optional_fields_may_be_missing() -> None:
    raw = json.loads(manifest.encode(FULL))
    for name in ("image", "labels", "golden", "deleted", "wishes"):
        del raw[name]
    decoded = manifest.decode(json.dumps(raw).encode())
    assert (decoded.image, decoded.labels, decoded.golden) == (None, (), None)


def test_a_run_recorded_before_there_were_draws_has_the_first() -> None:
    golden = manifest.decode(changed(golden=GOLDEN)).golden
    assert golden is not None
    assert golden.draw == 1


IMAGE = {"scale": 1.0, "offset": 0.0, "mode": "stretch", "channels": "RGB"}
GOLDEN = {"kernel_class": "k", "seed": 1, "sha256": "b" * 64, "size_bytes": 9}
TENSOR = {"index": 0, "name": "x", "data_type": "FP32", "shape": [1]}


@pytest.mark.parametrize(
    "fields",
    [
        {"model_id": "A" * 64},
        {"model_id": "a" * 63},
        {"name": ""},
        {"name": "a/b"},
        {"name": ".."},
        {"name": "+"},
        {"name": "x" * 65},
        {"name": "a\n"},
        {"size_bytes": 0},
        {"size_bytes": 2**60},
        {"size_bytes": True},
        {"inputs": []},
        {"inputs": [TENSOR, TENSOR]},
        {"inputs": [TENSOR | {"shape": [0]}]},
        {"inputs": [TENSOR | {"shape": [-1]}]},
        {"inputs": [TENSOR | {"shape": [1] * 17}]},
        {"inputs": [TENSOR | {"shape": [2**31, 2**31]}]},
        {"inputs": [TENSOR | {"name": ""}]},
        {"inputs": [TENSOR | {"index": -1}]},
        {"inputs": [TENSOR | {"data_type": "BYTES"}]},
        {"outputs": "y"},
        {"revision": -1},
        {"revision": 1.5},
        {"writer": "me"},
        {"wishes": {"must": ["node-1"]}},
        {"wishes": {"never": ["node-1"]}},
        {"labels": ["a\x1b[2J"]},
        {"labels": ["a" * 129]},
        {"labels": ["a"] * 8193},
        {"image": IMAGE | {"scale": 0}},
        {"image": IMAGE | {"scale": "1"}},
        {"image": IMAGE | {"mode": "squash"}},
        {"golden": GOLDEN | {"sha256": "x"}},
        {"golden": GOLDEN | {"size_bytes": 0}},
        {"golden": GOLDEN | {"seed": -1}},
        {"golden": GOLDEN | {"draw": 0}},
        {"golden": GOLDEN | {"kernel_class": ""}},
        {"deleted": 1},
    ],
    ids=str,
)
def test_bad_manifests_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RemoteError):
        manifest.decode(changed(**fields))


def test_endless_manifests_are_refused() -> None:
    with pytest.raises(RemoteError):
        manifest.decode(changed(more="x" * (1 << 20)))


def test_names_and_ids_are_checked_for_people_too() -> None:
    assert check_model_name("a.b-c_D9") == "a.b-c_D9"
    with pytest.raises(UsageError, match="letters, digits"):
        check_model_name("my model")
    with pytest.raises(RemoteError, match="hexadecimal"):
        check_model_id("../../etc/passwd")
