"""The four kinds of payload, each with and without MQTT 5's content type, give the whole model's bits."""

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from mesh.testing.mosquitto_programs import mosquitto_pub, mosquitto_sub
from mesh.wire.infer import InferResponse, PayloadLimits
from mesh.wire.oip_reply import parse_response

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

Pixels = npt.NDArray[np.uint8]
Inputs = dict[str, npt.NDArray[np.float32]]

SIZE = 32
REQUEST = "mesh/1/request/infer/residual"
RESPONSE = "mesh/1/response/infer/residual"


def _reply(payload: bytes) -> InferResponse:
    reply = parse_response(payload, PayloadLimits())
    assert isinstance(reply, InferResponse), reply
    return reply


def _outputs(payload: bytes) -> dict[str, bytes]:
    return {output.name: output.data for output in _reply(payload).outputs}


def _pixels(width: int = SIZE, height: int = SIZE) -> Pixels:
    """A smooth picture: noise would not survive a JPEG, and hides nothing when resized."""
    rows, columns = np.mgrid[0:height, 0:width]
    colours = np.stack([rows * 255 // height, columns * 255 // width, (rows + columns) % 256], -1)
    return colours.astype(np.uint8)


def _file(pixels: Pixels, kind: str) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, kind)
    return data.getvalue()


def _as_input(pixels: Pixels, image: Any) -> Inputs:
    wide = pixels.astype(np.float32) * np.float32(image.scale) + np.float32(image.offset)
    return {"image": wide[np.newaxis]}


def _tensor(inputs: Inputs) -> dict[str, Any]:
    return {"name": "image", "shape": inputs["image"].shape, "datatype": "FP32"}


def _flat_json(inputs: Inputs, **more: Any) -> bytes:
    tensor = {**_tensor(inputs), "data": inputs["image"].ravel().tolist()}
    return json.dumps({"inputs": [tensor], **more}).encode()


def _nested_json(inputs: Inputs) -> bytes:
    tensor = {**_tensor(inputs), "data": inputs["image"].tolist()}
    return json.dumps({"inputs": [tensor]}, indent=0).encode() + b"\n"


def _binary(inputs: Inputs, **more: Any) -> bytes:
    data = inputs["image"].tobytes()
    tensor = {**_tensor(inputs), "parameters": {"binary_data_size": len(data)}}
    return json.dumps({"inputs": [tensor], **more}).encode() + data


def _raw(inputs: Inputs) -> bytes:
    return inputs["image"].tobytes()


TENSORS = {
    "json": (_flat_json, "application/json"),
    "nested-json": (_nested_json, "application/json; charset=utf-8"),
    "json-and-raw": (_binary, "application/x-oip"),
    "raw": (_raw, "application/octet-stream"),
}
PICTURES = {"png": ("PNG", "image/png"), "jpeg": ("JPEG", "image/jpeg")}
versions = pytest.mark.parametrize("v5", [False, True], ids=["v3.1.1", "v5"])


@versions
@pytest.mark.parametrize("kind", TENSORS)
def test_tensors(serving: Any, asked: str, kind: str, v5: bool) -> None:
    write, content_type = TENSORS[kind]
    inputs = serving.whole.draw(30)
    with serving.asker(asked, v5=v5) as asker:
        [reply] = asker.ask("infer/residual/me", write(inputs))
        assert _outputs(reply.payload) == serving.whole.answer(inputs)
        if v5:
            [reply] = asker.ask("infer/residual/me", write(inputs), ContentType=content_type)
            assert _outputs(reply.payload) == serving.whole.answer(inputs)


@versions
@pytest.mark.parametrize("kind", PICTURES)
def test_pictures(serving: Any, asked: str, kind: str, v5: bool) -> None:
    form, content_type = PICTURES[kind]
    file = _file(_pixels(), form)
    seen = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))  # JPEG loses: as decoded
    expected = serving.whole.answer(_as_input(seen, serving.image))
    with serving.asker(asked, v5=v5) as asker:
        [reply] = asker.ask("infer/residual/me", file)
        assert _outputs(reply.payload) == expected
        if v5:
            [reply] = asker.ask("infer/residual/me", file, ContentType=content_type)
            assert _outputs(reply.payload) == expected


def test_a_picture_of_another_size_is_resized(serving: Any, asked: str) -> None:
    pixels = _pixels(width=50, height=41)
    bilinear = Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    expected = serving.whole.answer(_as_input(np.asarray(bilinear), serving.image))
    with serving.asker(asked) as asker:
        [reply] = asker.ask("infer/residual", _file(pixels, "PNG"))
    assert _outputs(reply.payload) == expected


@pytest.mark.parametrize("write", [_flat_json, _binary, _raw], ids=["json", "binary", "raw"])
def test_mosquitto_pub_sends_tensors(
    serving: Any, asked: str, write: Callable[[Inputs], bytes]
) -> None:
    inputs, url = serving.whole.draw(31), serving.url(asked)
    with mosquitto_sub(url, RESPONSE + "/me", "-V", "311") as subscription:
        assert not mosquitto_pub(url, REQUEST + "/me", write(inputs), "-V", "311")
        [printed] = subscription.take(1)
    assert _outputs(printed.payload) == serving.whole.answer(inputs)


@pytest.mark.parametrize("kind", PICTURES)
def test_mosquitto_pub_sends_pictures(serving: Any, asked: str, kind: str) -> None:
    form, _ = PICTURES[kind]
    file, url = _file(_pixels(), form), serving.url(asked)
    seen = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
    with mosquitto_sub(url, RESPONSE + "/me", "-V", "311") as subscription:
        assert not mosquitto_pub(url, REQUEST + "/me", file, "-V", "311")
        [printed] = subscription.take(1)
    assert _outputs(printed.payload) == serving.whole.answer(_as_input(seen, serving.image))


def test_python_client_sends_a_picture(serving: Any, asked: str) -> None:
    expected = serving.whole.answer(_as_input(_pixels(), serving.image))
    with serving.mesh.client(asked) as client:
        reply = client.send("residual", _file(_pixels(), "PNG")).result(10)
    assert {output.name: output.data for output in reply.outputs} == expected


# What comes back


@pytest.mark.parametrize("name", ["scores", "boxes"])
def test_only_the_outputs_that_were_asked_for(serving: Any, asked: str, name: str) -> None:
    inputs = serving.whole.draw(32)
    with serving.asker(asked) as asker:
        [reply] = asker.ask("infer/residual", _flat_json(inputs, outputs=[{"name": name}]))
    assert _outputs(reply.payload) == {name: serving.whole.answer(inputs)[name]}


def test_binary_output(serving: Any, asked: str) -> None:
    inputs = serving.whole.draw(33)
    expected = serving.whole.answer(inputs)
    wishes: list[dict[str, Any]] = [
        {"parameters": {"binary_data_output": True}},
        {"outputs": [{"name": name, "parameters": {"binary_data": True}} for name in expected]},
    ]
    with serving.asker(asked) as asker:
        for wish in wishes:
            for write in (_flat_json, _binary):
                [reply] = asker.ask("infer/residual", write(inputs, **wish))
                assert reply.content_type == "application/x-oip"
                assert _outputs(reply.payload) == expected
                raw_bytes = sum(len(data) for data in expected.values())
                assert reply.payload.endswith(list(expected.values())[-1])
                assert raw_bytes < len(reply.payload) < raw_bytes + 1024


def test_a_model_with_labels_names_the_likeliest_classes(serving: Any, asked: str) -> None:
    labels = tuple(f"animal {i}" for i in range(10))
    serving.mesh.serve(serving.file, "animals", split=2, image=serving.image, labels=labels)
    inputs, url = serving.whole.draw(35), serving.url(asked)
    scores = np.frombuffer(serving.whole.answer(inputs)["scores"], np.float32)
    expected = [
        {"index": i, "label": f"animal {i}", "value": float(scores[i])}
        for i in np.argsort(-scores, kind="stable")[:5].tolist()
    ]
    with mosquitto_sub(url, "mesh/1/response/infer/animals/me", "-V", "311") as subscription:
        topic = "mesh/1/request/infer/animals/me"
        assert not mosquitto_pub(url, topic, _raw(inputs), "-V", "311")
        [printed] = subscription.take(1)
    assert json.loads(printed.payload)["classes"] == {"scores": expected}
    with serving.mesh.client(asked) as client:
        answer = client.infer("animals", inputs)
        assert [one.label for one in answer.classes["scores"]] == [one["label"] for one in expected]
        assert client.infer("residual", inputs).classes == {}


def test_a_reply_says_what_it_is_and_where_the_time_went(serving: Any, asked: str) -> None:
    inputs = serving.whole.draw(34)
    with serving.asker(asked, v5=False) as asker:
        [reply] = asker.ask("infer/residual", _flat_json(inputs, id="i"))
    said = json.loads(reply.payload)
    assert (said["status"], said["id"], said["model_name"]) == ("ok", "i", "residual")
    shapes = {one["name"]: (one["datatype"], one["shape"]) for one in said["outputs"]}
    assert shapes == {"scores": ("FP32", [1, 10]), "boxes": ("FP32", [1, 256, 4])}
    stages = said["timing"]["stages"]
    assert tuple(stage["name"] for stage in stages) == serving.nodes
    at_stages_ms = sum(stage["queue_ms"] + stage["compute_ms"] for stage in stages)
    assert at_stages_ms + said["timing"]["transfer_ms"] == pytest.approx(
        said["timing"]["total_ms"], abs=0.01
    )
