"""The status as it looks in 80 columns."""

from dataclasses import replace
from typing import Any

import pytest

from mesh.cli.canvas import Canvas
from mesh.cli.status_view import render
from mesh.wire.control import StatusReply

WHOLE = """\
mesh lab · 2 nodes ready, 1 not · 1 model · asked pi5-kitchen

NODE  *plans   BOARD            STATE  LOAD    TEMP     FREE  BROKER     RUNTIME
pi5-kitchen *  Raspberry Pi 5   ready  0.42   52 °C  3.1 GiB  mosquitto  litert
pi4-hall       Raspberry Pi 4…  ready  0.42  82 °C!  3.1 GiB  amqtt      litert
zero           Raspberry Pi 4…  lost      –       –        –  mosquitto  litert

running
  pi4-hall  measuring pose  ############........  7/12
  pi4-hall  fetching lens  ##########..........  3 MiB of 6 MiB

pose  serving · epoch 3 · 6.1 MiB, held by 3 nodes
  STAGE  NODE         LAYERS  COMPUTE               WAY IN  RESIDENT  STATE
      1  pi5-kitchen    0–41  12.3 ms  ##########  0.40 ms  31.0 MiB  ready
      2  pi4-hall     42–138  6.20 ms  #####.....  1.21 ms  31.0 MiB  ready
  bottleneck   compute on pi5-kitchen, 12.3 ms
  predicted    81.3 requests/s, answers in 25.1 ms
  single node  42.9 requests/s; this is 1.9× that
  measured     79.4 requests/s, p50 25.1 ms, p95 31.0 ms
  requests     4,812 answered, 0 failed, 4 in flight, 0 queued

note  lost: zero; forgotten in 10 minutes unless seen again
note  pi4-hall is throttled: cool it or give it a better power supply"""


def test_the_whole(status: StatusReply) -> None:
    assert render(status, Canvas()) == WHOLE
    assert max(map(len, WHOLE.splitlines())) == 80


def test_no_models(status: StatusReply) -> None:
    text = render(replace(status, models=(), notes=(), nodes=status.nodes[:1]), Canvas())
    assert text.startswith("mesh lab · 1 node ready · 0 models · asked pi5-kitchen")
    assert text.endswith("\n\nno models yet; add one: mesh model add FILE.tflite")


def test_with_room_there_are_versions(status: StatusReply) -> None:
    text = render(status, Canvas(width=100))
    assert "mosquitto 2.0.11  litert 2.3.0" in text
    assert "Raspberry Pi 4 Model B" in text


def test_a_node_that_has_said_nothing(status: StatusReply) -> None:
    silent = replace(
        status.nodes[2], state="unheard", board="", broker_kind="", runtime="", name="c" * 16
    )
    text = render(replace(status, nodes=(status.nodes[0], silent)), Canvas())
    (line,) = (line for line in text.splitlines() if line.startswith("cccc"))
    assert line.split() == ["c" * 16, "–", "unheard", "–", "–", "–", "–", "–"]
    assert "1 node ready, 1 not" in text


def test_why_this_is_not_the_newest(status: StatusReply) -> None:
    text = render(status, Canvas(), trouble="the node did not answer within 5 s")
    assert text.startswith("no answer now: the node did not answer within 5 s\nmesh lab")


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("copies", [0, 1, 20])
def test_it_fits(width: int, copies: int, status: StatusReply, model_status: Any) -> None:
    long = replace(model_status, name="m" * 64, stages=model_status.stages * copies)
    nodes = tuple(replace(node, name="n" * 32) for node in status.nodes)
    text = render(replace(status, nodes=nodes, models=(long,) * copies), Canvas(width=width))
    assert max(map(len, text.splitlines())) <= width


def test_colours_say_the_same_words(status: StatusReply) -> None:
    styled = render(status, Canvas(is_styled=True, has_colour=True))
    assert "\x1b[32mready\x1b[0m" in styled
    assert "\x1b[1;31m82 °C!\x1b[0m" in styled
    assert "#" not in styled
