from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.config import Config, default_data_dir, load
from mesh.errors import UsageError


def written(folder: Path, text: str) -> Path:
    file = folder / "mesh.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_flag_over_environment_over_file_over_default(tmp_path: Path) -> None:
    file = written(tmp_path, 'name = "file"\nmqtt_port = 1\nhttp_port = 2\n')
    config = load({"name": "flag"}, {"MESH_NAME": "env", "MESH_MQTT_PORT": "3"}, file)
    assert (config.name, config.mqtt_port, config.http_port) == ("flag", 3, 2)
    assert config.base_topic == "mesh"


def test_every_kind_of_field_from_the_environment() -> None:
    environment = {
        "MESH_DATA_DIR": "/somewhere",
        "MESH_BROKER": "mqtt://a:1883",
        "MESH_SEEDS": "mqtt://a:1,mqtt://b:2,",
        "MESH_MDNS": "no",
        "MESH_THREADS": "3",
        "MESH_HEARTBEAT_S": "0.5",
    }
    config = load({}, environment)
    assert config.data_dir == Path("/somewhere")
    assert config.broker == "mqtt://a:1883"
    assert config.seeds == ("mqtt://a:1", "mqtt://b:2")
    assert config.mdns is False
    assert config.threads == 3
    assert config.heartbeat_s == 0.5


def test_every_kind_of_field_from_a_file(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        'data_dir = "/somewhere"\nseeds = ["mqtt://a:1"]\nmdns = false\nlost_after_s = 5\n',
    )
    config = load({}, {}, file)
    assert config.data_dir == Path("/somewhere")
    assert config.seeds == ("mqtt://a:1",)
    assert config.mdns is False
    assert config.lost_after_s == 5.0
    assert isinstance(config.lost_after_s, float)


@pytest.mark.parametrize("text", ["1", "true", "YES"])
def test_ways_to_say_yes(text: str) -> None:
    assert load({}, {"MESH_MDNS": text}).mdns is True


def test_other_variables_are_left_alone() -> None:
    assert load({}, {"MESH_UNKNOWN": "x", "NAME": "y"}) == Config()


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("MESH_MDNS", "perhaps", "use 1 or 0"),
        ("MESH_THREADS", "many", "not a valid int"),
        ("MESH_HEARTBEAT_S", "", "not a valid float"),
        ("MESH_HEARTBEAT_S", "nan", "heartbeat_s"),
        ("MESH_LOST_AFTER_S", "0.5", "less than lost_after_s"),
        ("MESH_REQUEST_TIMEOUT_S", "nan", "request_timeout_s"),
        ("MESH_REQUEST_TIMEOUT_S", "inf", "request_timeout_s"),
        ("MESH_REQUEST_TIMEOUT_S", "0", "request_timeout_s"),
        ("MESH_MQTT_PORT", "65536", "mqtt_port"),
        ("MESH_HTTP_PORT", "-1", "http_port"),
        ("MESH_RUNTIME", "torch", "use auto, litert or tflite"),
        ("MESH_MAX_QUEUE", "0", "max_queue"),
        ("MESH_MAX_SESSIONS", "0", "max_sessions"),
        ("MESH_SESSION_IDLE_S", "0", "session_idle_s"),
        ("MESH_MAX_SESSION_BYTES", "-1", "max_session_bytes"),
        ("MESH_MAX_SESSION_INTERPRETERS", "-1", "max_session_interpreters"),
        ("MESH_MAX_IN_FLIGHT", "-1", "max_in_flight"),
        ("MESH_THREADS", "-2", "threads"),
        ("MESH_MEMORY_BYTES", "-1", "memory_bytes"),
        ("MESH_NAME", "", "letters, digits"),
        ("MESH_NAME", "-x", "starting with a letter"),
        ("MESH_MESH_NAME", "a/b", "mesh_name"),
        ("MESH_BASE_TOPIC", "mesh/#", "base_topic"),
        ("MESH_BASE_TOPIC", "mesh/+/x", "base_topic"),
        ("MESH_BASE_TOPIC", "/mesh", "base_topic"),
        ("MESH_BASE_TOPIC", "mesh\n", "base_topic"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(variable: str, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load({}, {variable: text})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", "cannot be read"),
        ("threds = 2\nbind = 1\n", "unknown keys: threds"),
        ('threads = "2"\n', "expected int"),
        ("threads = true\n", "expected int"),
        ("mdns = 1\n", "expected bool"),
        ('seeds = "mqtt://a:1"\n', "seeds"),
        ("heartbeat_s = true\n", "expected float"),
        ("data_dir = 3\n", "expected Path"),
        ("[name]\nx = 1\n", "expected str"),
    ],
)
def test_a_file_with_a_mistake_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load({}, {}, written(tmp_path, text))


def test_a_file_that_is_missing_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load({}, {}, tmp_path / "missing.toml")
    file = tmp_path / "binary.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        load({}, {}, file)


def test_the_name_of_any_host_is_a_usable_default() -> None:
    assert replace(Config(), name=Config().name) == Config()


@given(
    name=st.sampled_from([one.name for one in fields(Config)]),
    text=st.text(max_size=20) | st.floats().map(str) | st.integers().map(str),
)
def test_any_environment_gives_a_configuration_or_a_usage_error(name: str, text: str) -> None:
    try:
        config = load({}, {f"MESH_{name.upper()}": text})
    except UsageError:
        return
    assert isinstance(config, Config)


TOML_VALUES: st.SearchStrategy[Any] = st.one_of(
    st.booleans().map(lambda flag: str(flag).lower()),
    st.integers(-(2**63), 2**63 - 1).map(str),
    st.floats(allow_nan=True).map(lambda number: str(number) if "e" not in str(number) else "1.5"),
    st.text("abc/.:-", max_size=8).map(lambda text: f'"{text}"'),
    st.just("[]"),
    st.just('["a", 1]'),
    st.just("1979-05-27"),
    st.just("{a = 1}"),
)


@given(name=st.sampled_from([one.name for one in fields(Config)]), value=TOML_VALUES)
def test_any_file_gives_a_configuration_or_a_usage_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: str
) -> None:
    file = written(tmp_path_factory.mktemp("config"), f"{name} = {value}\n")
    try:
        config = load({}, {}, file)
    except UsageError:
        return
    assert isinstance(config, Config)


def test_data_lies_where_the_user_may_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_data_dir() == Path("/var/lib/edge-mesh")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_data_dir() == Path("/data/edge-mesh")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert default_data_dir() == Path.home() / ".local" / "share" / "edge-mesh"


@pytest.mark.parametrize(
    ("broker", "url"),
    [("", ""), ("mosquitto", ""), ("embedded", ""), ("mqtt://a:1883", "mqtt://a:1883")],
)
def test_only_a_url_names_a_broker_that_runs_elsewhere(broker: str, url: str) -> None:
    assert load({}, {"MESH_BROKER": broker}).broker_url == url
