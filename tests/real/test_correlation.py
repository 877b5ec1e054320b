"""A reply finds its request in three ways, with real clients of MQTT 5 and 3.1.1, at any node."""

import json
import threading
from typing import Any

import pytest

from mesh.testing.mosquitto_programs import mosquitto_pub, mosquitto_rr, mosquitto_sub
from mesh.testing.mqtt_client import MqttClient
from mesh.wire.infer import ErrorReply, InferResponse, PayloadLimits
from mesh.wire.oip_reply import parse_response

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

REQUEST = "mesh/1/request/infer/residual"
RESPONSE = "mesh/1/response/infer/residual"
CLIENTS = 4
REQUESTS_EACH = 12


def _outputs(payload: bytes) -> dict[str, bytes]:
    reply = parse_response(payload, PayloadLimits())
    assert isinstance(reply, InferResponse), reply
    return {output.name: output.data for output in reply.outputs}


def _json(inputs: dict[str, Any], **more: Any) -> bytes:
    image = inputs["image"]
    tensor = {"name": "image", "shape": image.shape, "datatype": "FP32"}
    return json.dumps({"inputs": [{**tensor, "data": image.ravel().tolist()}], **more}).encode()


# MQTT 5: ResponseTopic and CorrelationData


@pytest.mark.parametrize("topic", ["client/me", RESPONSE + "/elsewhere"])
def test_v5_response_topic_and_correlation_data(serving: Any, asked: str, topic: str) -> None:
    inputs = serving.whole.draw(1)
    with serving.asker(asked) as asker:
        [reply] = asker.ask(
            "infer/residual",
            inputs["image"].tobytes(),
            ResponseTopic=topic,
            CorrelationData=b"\0\xff17",
        )
    assert (reply.topic, reply.correlation_data) == (topic, b"\0\xff17")
    assert (reply.qos, reply.retain, reply.content_type) == (1, False, "application/json")
    assert _outputs(reply.payload) == serving.whole.answer(inputs)


def test_v5_correlation_data_alone_comes_back_on_the_model_s_topic(
    serving: Any, asked: str
) -> None:
    inputs = serving.whole.draw(2)
    longest = bytes(65_535)  # MQTT 5, 1.5.6
    with serving.asker(asked) as asker:
        [reply] = asker.ask("infer/residual", inputs["image"].tobytes(), CorrelationData=longest)
    assert (reply.topic, reply.correlation_data) == (RESPONSE, longest)
    assert _outputs(reply.payload) == serving.whole.answer(inputs)


def test_v5_mosquitto_rr(serving: Any, asked: str) -> None:
    inputs = serving.whole.draw(3)
    text = _json(inputs, id="rr").decode()
    correlation = ("-D", "publish", "correlation-data", "seven")
    said = mosquitto_rr(serving.url(asked), REQUEST, "client/rr", text, "-V", "5", *correlation)
    assert json.loads(said)["id"] == "rr"
    assert _outputs(said) == serving.whole.answer(inputs)


def test_v5_mosquitto_pub_and_sub(serving: Any, asked: str) -> None:
    inputs, url = serving.whole.draw(4), serving.url(asked)
    with mosquitto_sub(url, "client/pub", "-V", "5") as subscription:
        where = ("-D", "publish", "response-topic", "client/pub")
        assert not mosquitto_pub(url, REQUEST, inputs["image"].tobytes(), "-V", "5", *where)
        [printed] = subscription.take(1)
    assert _outputs(printed.payload) == serving.whole.answer(inputs)


# A reply id in the topic


@pytest.mark.parametrize("v5", [False, True], ids=["v3.1.1", "v5"])
def test_reply_id_in_the_topic(serving: Any, asked: str, v5: bool) -> None:
    inputs = serving.whole.draw(5)
    with serving.asker(asked, v5=v5) as asker:
        [reply] = asker.ask("infer/residual/me-5", inputs["image"].tobytes())
    assert reply.topic == RESPONSE + "/me-5"
    assert _outputs(reply.payload) == serving.whole.answer(inputs)


def test_v311_mosquitto_pub_and_sub_with_a_reply_id(serving: Any, asked: str) -> None:
    inputs, url = serving.whole.draw(6), serving.url(asked)
    with mosquitto_sub(url, RESPONSE + "/#", "-V", "311") as subscription:
        for reply_id in ("one", "two"):
            payload = inputs["image"].tobytes()
            assert not mosquitto_pub(url, f"{REQUEST}/{reply_id}", payload, "-V", "311")
        printed = subscription.take(2)
    assert [one.topic for one in printed] == [RESPONSE + "/one", RESPONSE + "/two"]
    assert all(_outputs(one.payload) == serving.whole.answer(inputs) for one in printed)


def test_v311_mosquitto_rr_with_a_reply_id(serving: Any, asked: str) -> None:
    inputs = serving.whole.draw(7)
    text = _json(inputs).decode()
    said = mosquitto_rr(
        serving.url(asked), REQUEST + "/rr", RESPONSE + "/rr", text, "-V", "mqttv311"
    )
    assert _outputs(said) == serving.whole.answer(inputs)


# The id in the JSON


@pytest.mark.parametrize("v5", [False, True], ids=["v3.1.1", "v5"])
def test_id_in_the_json(serving: Any, asked: str, v5: bool) -> None:
    drawn = {f"id {seed}": serving.whole.draw(seed) for seed in (8, 9)}
    with serving.asker(asked, v5=v5) as asker:
        for name, inputs in drawn.items():
            asker.client.publish(REQUEST, _json(inputs, id=name))
        replies = asker.take(2)
    assert [reply.topic for reply in replies] == [RESPONSE] * 2
    said = {json.loads(reply.payload)["id"]: _outputs(reply.payload) for reply in replies}
    assert said == {name: serving.whole.answer(inputs) for name, inputs in drawn.items()}


def test_v311_mosquitto_pub_and_sub_with_an_id_in_the_json(serving: Any, asked: str) -> None:
    inputs, url = serving.whole.draw(10), serving.url(asked)
    with mosquitto_sub(url, RESPONSE, "-V", "311") as subscription:
        assert not mosquitto_pub(url, REQUEST, _json(inputs, id="mine"), "-V", "311")
        [printed] = subscription.take(1)
    assert json.loads(printed.payload)["id"] == "mine"
    assert _outputs(printed.payload) == serving.whole.answer(inputs)


# An error goes the same three ways


def test_an_error_is_correlated_like_an_answer(serving: Any, asked: str) -> None:
    with serving.asker(asked) as asker:
        for name in ("residual", "unknown"):
            [reply] = asker.ask(
                f"infer/{name}/me",
                b'{"id": "x1", "inputs": 0}',
                ResponseTopic="client/me",
                CorrelationData=b"c",
            )
            assert (reply.topic, reply.correlation_data) == ("client/me", b"c")
            error = parse_response(reply.payload, PayloadLimits())
            assert isinstance(error, ErrorReply)
            assert (error.id, error.model_name) == ("x1", name)


def test_an_error_brings_the_id_of_a_request_too_long_to_be_read_twice(
    serving: Any, asked: str
) -> None:
    long = b'{"id": "first", "inputs": [' + b"0," * 50_000 + b"]}"
    with serving.asker(asked, v5=False) as asker:
        for name in ("residual", "unknown"):
            [reply] = asker.ask(f"infer/{name}", long)
            error = parse_response(reply.payload, PayloadLimits())
            assert isinstance(error, ErrorReply)
            assert error.id == "first"


# Many at once


def test_concurrent_clients_get_their_own_replies(serving: Any) -> None:
    """Half of them 3.1.1, at both nodes, and all with the same correlation data and JSON ids."""
    failures: list[str] = []

    def talk(number: int) -> None:
        v5, node = bool(number % 2), serving.nodes[number // 2 % 2]
        mine = f"{RESPONSE}/client-{number}"
        properties: dict[str, Any] = (
            {"ResponseTopic": mine, "CorrelationData": b"same"} if v5 else {}
        )
        drawn = [serving.whole.draw(100 * number + i) for i in range(REQUESTS_EACH)]
        with MqttClient(serving.url(node), mine, v5=v5) as client:
            for i, inputs in enumerate(drawn):
                payload = _json(inputs, id=str(i))
                client.publish(f"{REQUEST}/client-{number}", payload, **properties)
            replies = client.take(REQUESTS_EACH, timeout_s=30)
        said = {json.loads(one.payload)["id"]: _outputs(one.payload) for one in replies}
        with lock:
            expected = {str(i): serving.whole.answer(inputs) for i, inputs in enumerate(drawn)}
        if len(replies) != REQUESTS_EACH or said != expected:
            failures.append(f"client {number} heard {len(replies)} replies")

    lock = threading.Lock()  # one interpreter gives all expected answers
    threads = [threading.Thread(target=talk, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_python_client(serving: Any, asked: str) -> None:
    drawn = [serving.whole.draw(seed) for seed in range(20, 28)]
    with serving.mesh.client(asked) as client:
        futures = [client.infer_soon("residual", inputs) for inputs in drawn]
        answers = [future.result(10) for future in futures]
    for inputs, answer in zip(drawn, answers, strict=True):
        found = {name: array.tobytes() for name, array in answer.outputs.items()}
        assert found == serving.whole.answer(inputs)
