"""Holds the documents to the code: whatever one of them lists, the other has, no more and no less."""

import argparse
import dataclasses
import hashlib
import importlib
import inspect
import json
import re
import struct
import types
import zlib
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from mesh import config
from mesh.config import Config
from mesh.errors import MeshError
from mesh.fleet import discovery, txt
from mesh.fleet.discovery import Announcement
from mesh.ids import BootId, Epoch, ModelId, NodeId, PlanId, RequestKey
from mesh.model.tensor import DataType, TensorSpec
from mesh.node.delivery import _KINDS as KINDS_BY_LANE
from mesh.node.publisher import Publisher
from mesh.planning.problem import Objective
from mesh.planning.wishes import Wishes
from mesh.runtime.golden import golden_inputs
from mesh.store import catalogue, golden, http_connection, http_server, manifest
from mesh.store.http_request import Collection
from mesh.transport.port import Message
from mesh.wire import (
    beliefs,
    codec,
    control,
    documents,
    frame,
    infer,
    measured,
    oip_reply,
    planned,
    refusal,
)
from mesh.wire.control import AddModelRequest, Verb
from mesh.wire.documents import MAX_DOCUMENT_BYTES, Advert
from mesh.wire.frame import Frame, FrameKind, FrameTensor, StageTime
from mesh.wire.infer import ErrorReply, InferRequest, InferResponse, PayloadLimits, SessionUse
from mesh.wire.payload import parse_request
from mesh.wire.topics import (
    TOPIC_VERSION,
    Fact,
    FactTopic,
    Lane,
    RequestTopic,
    Service,
    TopicSpace,
)

ROOT = Path(__file__).parents[1]
PROTOCOL = (ROOT / "PROTOCOL.md").read_text(encoding="utf-8")
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(
    path
    for folder in ("", "docs", "firmware_notes", "device_profiles")
    for path in (ROOT / folder).glob("*.md")
)

Row = Mapping[str, str]


# Reading Markdown


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next of the same level or a higher one."""
    match = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert match is not None, f"there is no heading {heading!r}"
    rest = text[match.end() :]
    end = re.search(rf"^#{{1,{len(match[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def tables(text: str) -> list[list[Row]]:
    """The tables of a text, each row by column heads."""
    found: list[list[Row]] = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines()]
        assert all(len(line) == len(lines[0]) for line in lines), block
        found.append([dict(zip(lines[0], line, strict=True)) for line in lines[2:]])
    return found


def table(text: str, *columns: str) -> list[Row]:
    """The one table with these among its columns."""
    matching = [one for one in tables(text) if set(columns) <= one[0].keys()]
    assert len(matching) == 1, f"{len(matching)} tables have the columns {columns}"
    return matching[0]


def listed(rows: Iterable[Row], column: str) -> list[str]:
    """The column without its code marks; nothing may come twice."""
    names = [row[column].replace("`", "") for row in rows]
    assert len(set(names)) == len(names)
    return names


def example(text: str, name: str) -> str:
    match = re.search(rf"^```\w+ example={name}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert match is not None, f"there is no example {name!r}"
    return match[1]


def hex_example(name: str) -> bytes:
    """The bytes of a dump; what stands behind three blanks is for people."""
    lines = example(PROTOCOL, name).splitlines()
    return bytes.fromhex(" ".join(line.partition("   ")[0] for line in lines))


# Names, topics, discovery


def test_discovery_names_the_service_and_every_txt_key() -> None:
    said = section(PROTOCOL, "Discovery")
    announced = txt.encode(
        Announcement(
            node_id=NodeId("0" * 16),
            boot_id=BootId("0" * 8),
            name="a",
            mesh_name="default",
            broker_url="mqtt://a:1883",
        )
    )
    assert listed(table(said, "TXT key"), "TXT key") == list(announced)
    facts = {row["what"]: row["value"] for row in table(said, "what", "value")}
    assert facts["service type"] == f"`{discovery.SERVICE_TYPE}`"
    assert f"protocol version, decimal: `{discovery.PROTOCOL_VERSION}`" in said


def test_the_version_is_the_same_everywhere() -> None:
    assert discovery.PROTOCOL_VERSION == TOPIC_VERSION
    assert PROTOCOL.startswith(f"# Protocol, version {TOPIC_VERSION}\n")
    assert f"`{TopicSpace.of(Config().base_topic).base}` unless configured" in PROTOCOL


def _all_topics() -> set[str]:
    topics = TopicSpace("{base}")
    node = NodeId("{node}")
    found = {
        topics.fact(
            FactTopic(
                node_id=node,
                fact=fact,
                model_id=ModelId("{model}") if fact is Fact.CAPABILITY else None,
            )
        )
        for fact in Fact
    }
    found |= {topics.frame(node, lane) for lane in Lane}
    targets = {Service.INFER: "{model}", Service.CONTROL: "{verb}"}
    for service in Service:
        for reply_id in (None, "{reply}"):
            topic = RequestTopic(service=service, target=targets[service], reply_id=reply_id)
            found |= {topics.request(topic), topics.response(topic)}
    return found


def test_every_topic_is_listed() -> None:
    assert set(listed(table(section(PROTOCOL, "Topics"), "topic", "QoS"), "topic")) == _all_topics()


def test_documents_are_retained_as_listed() -> None:
    said: list[Message] = []
    publisher = Publisher(
        TopicSpace("{base}"),
        me=NodeId("{node}"),
        publish=lambda message: not said.append(message),  # type: ignore[func-returns-value]
        learn=lambda _topic, _payload: None,
    )
    for fact in Fact:
        model_id = ModelId("{model}") if fact is Fact.CAPABILITY else None
        publisher.say(fact, documents.PeersDocument(peers=()), model_id=model_id)
    rows = {row["topic"].strip("`"): row for row in table(PROTOCOL, "topic", "QoS")}
    for message in said:
        if not message.topic.endswith("/heartbeat"):
            row = rows[message.topic]
            assert (row["QoS"], row["retained"]) == (str(message.qos), "yes"), message.topic
            assert message.retain


def test_every_subscription_is_listed() -> None:
    topics = TopicSpace("{base}")
    for topic_filter in (
        topics.all_frames(NodeId("{node}")),
        topics.all_requests(shared=False),
        topics.all_requests(shared=True),
        topics.all_facts(),
        topics.all_responses("{client}"),
    ):
        assert f"`{topic_filter}`" in PROTOCOL


# Documents, field by field


def _values_of(module: types.ModuleType) -> list[type[Any]]:
    return [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and dataclasses.is_dataclass(kind)
        and kind.__module__ == module.__name__
    ]


VALUES: list[type[Any]] = [
    TensorSpec,
    Wishes,
    *(kind for module in (catalogue, manifest) for kind in _values_of(module)),
    *(
        kind
        for module in (documents, beliefs, measured, control, planned, refusal)
        for kind in _values_of(module)
    ),
]
ENUMS = [
    kind
    for module in (documents, measured, manifest)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Enum) and kind.__module__ == module.__name__
] + [Objective]
TYPE_NAMES: Mapping[Any, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "boolean",
    NodeId: "node id",
    BootId: "boot id",
    ModelId: "model id",
    PlanId: "plan id",
    Epoch: "integer",
    Path: "path",
}
UNITS = (("_bytes_per_s", "B/s"), ("_per_s", "1/s"), ("_bytes", "B"), ("_s", "s"), ("_c", "°C"))


def type_name(kind: Any) -> str:
    """What the documents call a type."""
    if get_origin(kind) in (Union, types.UnionType):
        inner = next(each for each in get_args(kind) if each is not type(None))
        return f"{type_name(inner)} or null"
    if get_origin(kind) is tuple:
        return f"list of {type_name(get_args(kind)[0])}"
    return TYPE_NAMES.get(kind) or f"`{kind.__name__}`"


def unit_of(name: str) -> str:
    """The unit is in the name."""
    return next((unit for suffix, unit in UNITS if name.endswith(suffix)), "")


def _default(field: "dataclasses.Field[Any]") -> str:
    if field.default_factory is not dataclasses.MISSING:
        return "`{}`"  # an object of defaults
    if field.default is dataclasses.MISSING:
        return "required"
    return f"`{json.dumps(codec.to_plain(field.default))}`"


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_each_document_is_listed_field_by_field(kind: type[Any]) -> None:
    hints = get_type_hints(kind)
    expected = [
        (f"`{field.name}`", type_name(hints[field.name]), unit_of(field.name), _default(field))
        for field in dataclasses.fields(kind)
    ]
    rows = tables(section(PROTOCOL, f"`{kind.__name__}`"))[0]
    assert [(r["field"], r["type"], r["unit"], r["default"]) for r in rows] == expected


def test_no_document_is_listed_that_does_not_exist() -> None:
    headings = re.findall(r"^#### `(\w+)`$", PROTOCOL, re.MULTILINE)
    assert sorted(headings) == sorted(kind.__name__ for kind in VALUES)


@pytest.mark.parametrize("kind", ENUMS, ids=[kind.__name__ for kind in ENUMS])
def test_each_closed_set_is_listed(kind: type[Enum]) -> None:
    assert listed(table(PROTOCOL, f"`{kind.__name__}`"), f"`{kind.__name__}`") == [
        member.value for member in kind
    ]


# Inference and control


def test_every_verb_is_listed() -> None:
    rows = table(section(PROTOCOL, "Control"), "verb", "request", "body")
    assert listed(rows, "verb") == [verb.value for verb in Verb]
    names = {kind.__name__ for module in (control, planned) for kind in _values_of(module)}
    for row in rows:
        for cell in (row["request"], row["body"]):
            assert re.findall(r"`(\w+)`", cell)[0] in names


def test_every_content_type_is_listed() -> None:
    expected = [value for name, value in vars(infer).items() if name.startswith("CONTENT_")]
    assert listed(table(PROTOCOL, "content type"), "content type") == expected


def test_every_data_type_is_listed_with_its_size() -> None:
    rows = table(PROTOCOL, "datatype", "bytes per element")
    assert {row["datatype"].strip("`"): int(row["bytes per element"]) for row in rows} == {
        data_type.value: data_type.itemsize_bytes for data_type in DataType
    }


PIXELS = TensorSpec(index=0, name="pixels", data_type=DataType.UINT8, shape=(1, 2, 2, 1))
SCORES = TensorSpec(index=9, name="scores", data_type=DataType.FP32, shape=(1, 2))


def _parsed(payload: bytes, content_type: str | None) -> InferRequest:
    request = parse_request(payload, content_type, [PIXELS], [SCORES], PayloadLimits())
    assert isinstance(request, InferRequest)
    return request


@pytest.mark.parametrize("content_type", [infer.CONTENT_JSON, None])
def test_the_json_request_means_what_it_says(content_type: str | None) -> None:
    request = _parsed(example(PROTOCOL, "infer-request").encode(), content_type)
    assert request == InferRequest(
        id="7", inputs=(bytes([1, 2, 3, 4]),), outputs=("scores",), timeout_s=2.0
    )


def test_the_request_of_a_session_means_what_it_says() -> None:
    request = _parsed(example(PROTOCOL, "session-request").encode(), infer.CONTENT_JSON)
    assert request == InferRequest(
        id="8",
        inputs=(bytes([1, 2, 3, 4]),),
        session=SessionUse(name="microphone 1", starts=True),
    )


@pytest.mark.parametrize("content_type", [infer.CONTENT_OIP_BINARY, None])
def test_the_binary_request_means_what_it_says(content_type: str | None) -> None:
    payload = hex_example("infer-request-binary")
    assert f"{len(payload)} bytes, content type" in PROTOCOL
    request = _parsed(payload, content_type)
    assert request == InferRequest(id="7", inputs=(bytes([1, 2, 3, 4]),), binary_output=True)


def _members(value: Any, prefix: str = "") -> set[str]:
    """The names of all members, as the tables write them: `timing.stages[].node`."""
    if isinstance(value, dict):
        return {name for key, item in value.items() for name in _members(item, f"{prefix}.{key}")}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {name for item in value for name in _members(item, f"{prefix}[]")}
    return {prefix.lstrip(".")}


def test_the_answer_is_listed_member_by_member() -> None:
    text = example(PROTOCOL, "infer-response")
    response = oip_reply.parse_response(text.encode(), PayloadLimits())
    assert isinstance(response, InferResponse)
    written = json.loads(oip_reply.encode_response(response, binary=False))
    assert written == json.loads(text)
    rows = listed(table(section(PROTOCOL, "The answer"), "member", "unit"), "member")
    assert {name for name in _members(written) if not name.startswith("outputs[]")} == (
        set(rows) - {"outputs"}
    )


def test_the_error_reply_is_listed_member_by_member() -> None:
    text = example(PROTOCOL, "error-reply")
    reply = oip_reply.parse_response(text.encode(), PayloadLimits())
    assert isinstance(reply, ErrorReply)
    written = json.loads(oip_reply.encode_error(reply))
    assert written == json.loads(text)
    rows = table(section(PROTOCOL, "The error reply"), "member", "type")
    assert _members(written) == set(listed(rows, "member"))


@pytest.mark.parametrize(
    ("name", "kind"), [("advert", Advert), ("add-model-request", AddModelRequest)]
)
def test_document_examples_can_be_read(name: str, kind: type[Any]) -> None:
    text = example(PROTOCOL, name)
    value = codec.decode(kind, text.encode(), max_bytes=MAX_DOCUMENT_BYTES)
    assert _within(json.loads(text), json.loads(codec.encode(value)))


def _within(said: Any, read: Any) -> bool:
    """Whether all that was said was understood."""
    if isinstance(said, dict):
        return all(key in read and _within(value, read[key]) for key, value in said.items())
    return bool(said == read)


def test_every_example_is_checked_here() -> None:
    own = Path(__file__).read_text(encoding="utf-8")
    names = re.findall(r"^```\w+ example=(\S+)$", PROTOCOL + CONFIGURATION, re.MULTILINE)
    assert [name for name in names if f'"{name}"' not in own] == []


# Errors


def _errors() -> list[type[MeshError]]:
    found: list[type[MeshError]] = [MeshError]
    for kind in found:
        found += kind.__subclasses__()
    return [kind for kind in found if kind.__module__ == "mesh.errors"]


def test_every_error_code_is_listed() -> None:
    rows = table(section(PROTOCOL, "Errors"), "code", "retryable")
    said = {
        (code, int(row["exit"]), row["retryable"] == "yes")
        for code, row in zip(listed(rows, "code"), rows, strict=True)
    }
    assert said == {(kind.code, kind.exit_status, kind.retryable) for kind in _errors()}
    assert all(re.fullmatch(r"[45]\d\d", row["HTTP"]) for row in rows)


def test_every_code_of_the_http_service_is_listed() -> None:
    source = inspect.getsource(http_connection)
    sent = set(re.findall(r'_RefusedError\((\d+), "(\w+)"', source))
    sent |= {("405", code) for code in re.findall(r'self\._refuse\(405, "(\w+)"', source)}
    rows = table(section(PROTOCOL, "Model files over HTTP"), "HTTP code")
    said = {(row["status"], row["HTTP code"].strip("`")) for row in rows}
    busy = json.loads(http_server._BUSY)["code"]
    assert said == sent | {("4xx, 505", "BAD_REQUEST"), ("503", busy)}
    assert '_refuse(code, "BAD_REQUEST"' in source


def test_every_http_path_is_listed() -> None:
    said = listed(table(PROTOCOL, "request", "meaning"), "request")
    methods = [name[3:] for name in vars(http_connection.Connection) if name.startswith("do_")]
    expected = {
        f"{method} /{collection.value}/<model id>"
        for method in methods
        for collection in Collection
    }
    assert set(said) == expected - {"PUT /golden/<model id>"}


# Frames and the golden file

BINARY_TYPES = {"B": "u8", "H": "u16", "I": "u32", "Q": "u64", "f": "f32", "s": "bytes"}


def _layout(entry: struct.Struct) -> list[tuple[str, str, str]]:
    """Offset, size and type of each field of a little-endian struct."""
    assert entry.format.startswith("<")
    found, offset = [], 0
    for count, code in re.findall(r"(\d*)([a-zA-Z])", entry.format[1:]):
        parts = [f"{count}{code}"] if code == "s" else [code] * int(count or 1)
        for part in parts:
            size = struct.calcsize(f"<{part}")
            found.append((str(offset), str(size), BINARY_TYPES[part[-1]]))
            offset += size
    assert offset == entry.size
    return found


@pytest.mark.parametrize(
    ("place", "entry"),
    [(0, frame._FIXED), (1, frame._TIMING), (2, frame._TENSOR), (3, frame._SESSION)],
)
def test_the_frame_is_listed_byte_by_byte(place: int, entry: struct.Struct) -> None:
    parts = [one for one in tables(section(PROTOCOL, "Frames")) if "offset" in one[0]]
    said = [(row["offset"], row["size"], row["type"]) for row in parts[place]]
    assert said == _layout(entry)
    assert f"{entry.size} bytes" in section(PROTOCOL, "Frames")


def test_every_kind_of_frame_is_listed_with_its_lane() -> None:
    rows = table(section(PROTOCOL, "Frames"), "kind", "name", "topic")
    said = {(int(row["kind"]), row["name"], row["topic"].strip("`")) for row in rows}
    lanes = {kind: lane for lane, kinds in KINDS_BY_LANE.items() for kind in kinds}
    assert said == {(kind.value, kind.name, lanes[kind].value) for kind in FrameKind}


def test_the_frame_example_is_exact() -> None:
    value = Frame(
        kind=FrameKind.ACTIVATION,
        request_key=RequestKey(bytes(range(16))),
        sender=NodeId("00112233445566aa"),
        plan_id=PlanId("fedcba9876543210"),
        epoch=Epoch(3),
        stage=1,
        attempt=1,
        time_left_s=1.5,
        timings=(StageTime(stage=0, queue_s=0.0002, compute_s=0.005),),
        tensors=(FrameTensor(index=7, data=bytes([1, 2, 3, 4])),),
    )
    assert hex_example("frame") == frame.encode(value)
    assert frame.decode(hex_example("frame"), max_bytes=1 << 20) == value


def test_the_checksum_is_the_one_described() -> None:
    assert zlib.crc32(b"123456789") == 0xCBF43926
    assert "0xCBF43926" in PROTOCOL
    payload = hex_example("frame")
    assert int.from_bytes(payload[4:8], "little") == zlib.crc32(payload[8:])


def test_the_golden_examples_are_exact() -> None:
    container = hex_example("golden")
    assert golden.decode(container) == (struct.pack("<2f", 0.25, 0.75),)
    assert container[-32:] == hashlib.sha256(container[:-32]).digest()
    spec = TensorSpec(index=0, name="x", data_type=DataType.FP32, shape=(4,))
    assert golden_inputs([spec], 0) == (hex_example("golden-input"),)


@pytest.mark.parametrize("magic", [frame.MAGIC, golden.MAGIC])
def test_magic_bytes_are_stated(magic: bytes) -> None:
    assert f"magic `{magic.hex(' ')}`" in PROTOCOL or f"| magic | `{magic.hex(' ')}`" in PROTOCOL


# Limits and configuration


def _in_code(path: str) -> Any:
    """The value of `package.module.NAME` or of a field's default `package.module.Class.field`."""
    parts = path.split(".")
    if parts[-2][0].isupper():
        kind = getattr(importlib.import_module(".".join(parts[:-2])), parts[-2])
        return next(f.default for f in dataclasses.fields(kind) if f.name == parts[-1])
    return getattr(importlib.import_module(".".join(parts[:-1])), parts[-1])


@pytest.mark.parametrize(
    "row", table(section(PROTOCOL, "Limits"), "limit"), ids=lambda row: row["in the code"]
)
def test_each_limit_is_the_codes(row: Row) -> None:
    assert float(row["value"]) == float(_in_code(row["in the code"].strip("`")))


def test_the_limit_of_a_brokers_packets_is_stated() -> None:
    most_bytes = Config().max_payload_bytes + _in_code("mesh.node.adapters.FRAME_OVERHEAD_BYTES")
    assert f"{most_bytes:,} by default" in PROTOCOL


def test_every_setting_is_listed() -> None:
    hints = get_type_hints(Config)
    expected = []
    for field in dataclasses.fields(Config):
        kind = type_name(hints[field.name]).replace("list of text", "list of texts")
        variable = f"`MESH_{field.name.upper()}`"
        expected.append((f"`{field.name}`", variable, kind, unit_of(field.name)))
    rows = table(CONFIGURATION, "key", "environment")
    assert [(r["key"], r["environment"], r["type"], r["unit"]) for r in rows] == expected


def test_every_settings_default_is_stated() -> None:
    rows = {row["key"].strip("`"): row["default"] for row in table(CONFIGURATION, "key")}
    for field in dataclasses.fields(Config):
        if field.default is not dataclasses.MISSING:
            assert rows[field.name] == f"`{json.dumps(field.default)}`"


def test_the_example_configuration_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mesh.toml"
    file.write_text(example(CONFIGURATION, "configuration"), encoding="utf-8")
    assert config.load({}, {}, file).name == "pi5-kitchen"


# The README and what all documents have in common

README = (ROOT / "README.md").read_text(encoding="utf-8")
needs_readme = pytest.mark.skipif(not README.strip(), reason="the README is not written yet")


@needs_readme
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_readme_leads_to_every_document(path: Path) -> None:
    """What a folder's README links to needs no link of its own."""
    folder = path.parent / "README.md"
    own = path == folder or path.parent in (ROOT, ROOT / "docs")
    linked = (path if own else folder).relative_to(ROOT).as_posix()
    assert linked == "README.md" or f"]({linked}" in README


def rooms() -> list[str]:
    """Folders and lone modules of the package."""
    return sorted(
        path.relative_to(ROOT).as_posix() + ("/" if path.is_dir() else "")
        for path in (ROOT / "mesh").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    )


@pytest.mark.parametrize("room", rooms())
def test_every_room_is_described_where_the_readme_sends_its_readers(room: str) -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert f"`{room}`" in text


def commands() -> list[str]:
    """Every command that can be typed, as `mesh model add`."""
    from mesh.cli import main  # noqa: PLC0415 - where there is no command line yet, there is no test

    found = []
    for entry in main.COMMANDS:
        parser, _ = main._parser(entry.name)
        found += [name for name in _leaves(parser, "mesh") if name.split()[1] == entry.name]
    return found


def _leaves(parser: argparse.ArgumentParser, name: str) -> list[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return [
                leaf
                for word, sub in action.choices.items()
                for leaf in _leaves(sub, f"{name} {word}")
            ]
    return [name]


@needs_readme
def test_the_readme_shows_every_command() -> None:
    assert [name for name in commands() if name not in README] == []


def anchors(text: str) -> set[str]:
    """The fragments that a renderer makes of headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    cleaned = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in cleaned}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_link_is_broken(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        file, _, fragment = target.partition("#")
        linked = (path.parent / file) if file else path
        assert linked.exists(), target
        if fragment:
            assert fragment in anchors(linked.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_tables_are_whole(path: Path) -> None:
    tables(path.read_text(encoding="utf-8"))


NOTES = sorted((ROOT / "firmware_notes").glob("*-*.md"))


@pytest.mark.parametrize("path", NOTES, ids=lambda path: path.stem)
def test_a_boards_page_is_of_a_profile_and_says_what_was_verified(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert (ROOT / "device_profiles" / f"{path.stem}.toml").is_file()
    assert "\nNot verified on hardware by this project.\n" in text
    assert f"({path.name})" in (ROOT / "firmware_notes" / "README.md").read_text(encoding="utf-8")


FILE = re.compile(
    r"`((?:mesh|tests|scripts|docs|device_profiles|firmware_notes|bench)/[A-Za-z_*][\w./*-]*)`"
)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named_exist(path: Path) -> None:
    for name in FILE.findall(path.read_text(encoding="utf-8")):
        assert any(ROOT.glob(name.rstrip("/"))), name
