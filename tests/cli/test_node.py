"""`mesh node`: flags become a configuration."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mesh.cli import node
from mesh.cli.options import Parser
from mesh.config import Config


def config_of(*words: str, **environment: str) -> Config:
    parser = Parser(prog="mesh node")
    node.configure(parser)
    return node.config_of(parser.parse_args(words), environment)


def test_without_flags_the_defaults_hold() -> None:
    assert config_of() == Config()


def test_every_flag() -> None:
    found = config_of(
        *("--name", "pi5", "--data-dir", "/tmp/x", "--mesh", "lab", "--bind", "10.0.0.5"),
        *("--advertise", "pi5.lan", "--broker", "embedded", "--mqtt-port", "1884"),
        *("--http-port", "8080", "--seed", "mqtt://a", "--seed", "mqtt://b:99", "--no-mdns"),
        *("--interface", "10.0.0.5", "--runtime", "tflite", "--threads", "2"),
        *("--memory", "512MiB", "--heartbeat", "0.5", "--lost-after", "3"),
        *("--log-level", "debug", "--base-topic", "plant/mesh", "--measurements-dir", "/tmp/m"),
        *("--max-payload", "16MiB", "--max-queue", "9", "--max-in-flight", "3"),
        *("--request-timeout", "7"),
    )
    assert found == Config(
        name="pi5",
        data_dir=Path("/tmp/x"),
        mesh_name="lab",
        bind="10.0.0.5",
        advertise="pi5.lan",
        broker="embedded",
        mqtt_port=1884,
        http_port=8080,
        seeds=("mqtt://a:1883", "mqtt://b:99"),
        mdns=False,
        mdns_interfaces=("10.0.0.5",),
        runtime="tflite",
        threads=2,
        memory_bytes=512 << 20,
        heartbeat_s=0.5,
        lost_after_s=3.0,
        log_level="debug",
        base_topic="plant/mesh",
        measurements_dir="/tmp/m",
        max_payload_bytes=16 << 20,
        max_queue=9,
        max_in_flight=3,
        request_timeout_s=7.0,
    )


def test_flag_over_environment_over_file(tmp_path: Path) -> None:
    file = tmp_path / "mesh.toml"
    file.write_text('name = "file"\nthreads = 1\nmax_queue = 5\n')
    environment = {"MESH_NAME": "environment", "MESH_THREADS": "2"}
    found = config_of("--config", str(file), "--name", "flag", **environment)
    assert (found.name, found.threads, found.max_queue) == ("flag", 2, 5)


@pytest.mark.parametrize(
    "words",
    [
        ["--mqtt-port", "70000"],
        ["--heartbeat", "9"],
        ["--bind"],
        ["--log-level", "loud"],
        ["--config", "/no/such/file"],
    ],
    ids=" ".join,
)
def test_what_is_wrong_is_told(words: list[str], cli: Any) -> None:
    assert cli.run("node", *words) == 2
    assert cli.err.startswith("mesh: ")


def test_a_wrong_environment_is_told(cli: Any) -> None:
    cli.environment["MESH_LOG_LEVEL"] = "loud"
    assert cli.run("node") == 2
    assert cli.err == "mesh: log_level 'loud' is unknown: use debug, info, warning, error\n"


@pytest.mark.real
def test_a_node_started_plainly_serves_and_ends_with_status_0(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mesh", "node", "--json", "--data-dir", str(tmp_path)]
    command += ["--mesh", "plain-node-test", "--bind", "127.0.0.1", "--interface", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        up = json.loads(process.stdout.readline())
        assert (up["status"], up["pid"]) == ("ok", process.pid)
        process.terminate()
        assert process.wait(20) == 0
