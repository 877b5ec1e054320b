"""What a node says when it is up."""

from dataclasses import replace

import pytest

from mesh.cli.canvas import Canvas
from mesh.cli.node_view import Up, render
from mesh.ids import BootId, NodeId
from mesh.wire.documents import Advert


@pytest.fixture
def up() -> Up:
    advert = Advert(
        node_id=NodeId("a" * 16),
        boot_id=BootId("b" * 8),
        name="pi5",
        mesh_name="default",
        version="0.1.0",
        board="rpi-5",
        board_label="Raspberry Pi 5",
        runtime="litert",
        runtime_version="2.3.0",
        kernel_class="litert-2.3.0/xnnpack/aarch64",
        broker_url="mqtt://192.168.1.20:1883",
        broker_kind="mosquitto 2.0.11",
        http_url="http://192.168.1.20:41033",
        host_id="h",
        host_cores=4,
        threads=4,
        memory_bytes=1 << 30,
    )
    return Up.of(advert, pid=4711)


def test_the_greeting(up: Up) -> None:
    assert render(up, Canvas()) == (
        "pi5 is up in mesh default (node aaaaaaaaaaaaaaaa, version 0.1.0)\n"
        "  board    Raspberry Pi 5\n"
        "  runtime  litert 2.3.0, up to 4 threads\n"
        "  broker   mqtt://192.168.1.20:1883  mosquitto 2.0.11\n"
        "  files    http://192.168.1.20:41033\n"
        "  look   mesh status --watch\n"
        "  serve  mesh model add FILE.tflite\n"
        "  ask    mesh infer NAME --random\n"
        "  Ctrl-C ends it."
    )


def test_another_mesh_and_a_slow_broker(up: Up) -> None:
    changed = replace(up, mesh_name="lab", broker_kind="amqtt 0.11.3 (embedded)", threads=1)
    text = render(changed, Canvas())
    assert "mesh status --watch --mesh lab" in text
    assert "sudo apt install mosquitto" in text
    assert "litert 2.3.0, 1 thread\n" in text
    assert max(map(len, text.splitlines())) <= 80


def test_for_programs(up: Up) -> None:
    members = up.as_members()
    assert members["node_id"] == "a" * 16
    assert members["broker_url"] == "mqtt://192.168.1.20:1883"
    assert members["http_url"] == "http://192.168.1.20:41033"
    assert members["pid"] == 4711
