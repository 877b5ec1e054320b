import hashlib
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.ids import ModelId
from mesh.store.disk import ModelStore
from mesh.store.http_bounds import HttpLimits
from mesh.store.http_server import StoreServer

CONTENT = bytes(range(256)) * 2000
MODEL_ID = ModelId(hashlib.sha256(CONTENT).hexdigest())
PATH = f"/models/{MODEL_ID}"
LIMITS = HttpLimits(head_s=0.5, silence_s=0.5)
Reply = tuple[int, http.client.HTTPMessage, bytes]


@pytest.fixture
def server(store: ModelStore) -> Iterator[StoreServer]:
    server = StoreServer(store, bind="127.0.0.1", limits=LIMITS)
    server.start()
    yield server
    server.close()


@pytest.fixture
def model(store: ModelStore, tmp_path: Path) -> ModelId:
    (tmp_path / "m").write_bytes(CONTENT)
    store.write_golden(MODEL_ID, [b"out"])
    return store.add_file(tmp_path / "m")


def ask(
    server: StoreServer, method: str, path: str, body: bytes | None = None, **headers: str
) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, names)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, response.headers, content


def code(reply: Reply) -> tuple[int, str]:
    assert reply[1]["Content-Type"] == "application/json"
    content = json.loads(reply[2])
    assert set(content) == {"code", "message"}
    return reply[0], content["code"]


def raw(server: StoreServer, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(request)
        reply = b""
        while chunk := connection.recv(65536):
            reply += chunk
        return reply


def test_a_whole_model(server: StoreServer, model: ModelId) -> None:
    status, headers, content = ask(server, "GET", PATH)
    assert (status, content) == (200, CONTENT)
    assert headers["ETag"] == f'"{model}"'
    assert headers["Accept-Ranges"] == "bytes"


def test_a_range_of_it(server: StoreServer, model: ModelId) -> None:
    status, headers, content = ask(server, "GET", PATH, Range="bytes=1000-300999")
    assert (status, content) == (206, CONTENT[1000:301_000])
    assert headers["Content-Range"] == "bytes 1000-300999/512000"
    assert code(ask(server, "GET", PATH, Range="bytes=512000-")) == (416, "BAD_RANGE")


def test_a_head_has_no_body(server: StoreServer, model: ModelId) -> None:
    status, headers, content = ask(server, "HEAD", PATH)
    assert (status, headers["Content-Length"], content) == (200, "512000", b"")
    status, _, content = ask(server, "HEAD", "/models/none")
    assert (status, content) == (404, b"")


def test_a_known_etag_saves_the_body(server: StoreServer, model: ModelId) -> None:
    assert ask(server, "GET", PATH, If_None_Match=f'"{model}"')[0] == 304


def test_the_golden_file(server: StoreServer, model: ModelId, store: ModelStore) -> None:
    reply = ask(server, "GET", f"/golden/{model}")
    assert (reply[0], reply[2]) == (200, store.golden_path(model).read_bytes())


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/models/",
        "/models/..%2f..%2fcatalogue.json",
        "/models/../catalogue.json",
        "/catalogue.json",
        PATH,
    ],
)
def test_nothing_else_can_be_reached(server: StoreServer, path: str) -> None:
    assert code(ask(server, "GET", path)) == (404, "NOT_FOUND")


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS", "PATCH", "X"])
def test_other_methods_are_not_served(server: StoreServer, model: ModelId, method: str) -> None:
    reply = ask(server, method, PATH)
    assert code(reply) == (405, "NOT_ALLOWED")
    assert reply[1]["Allow"] == "GET, HEAD, PUT"


def test_an_upload_is_kept_under_its_id(server: StoreServer, store: ModelStore) -> None:
    status, _, content = ask(server, "PUT", PATH, CONTENT)
    assert (status, json.loads(content)) == (201, {"model_id": MODEL_ID})
    assert store.path(MODEL_ID).read_bytes() == CONTENT
    assert ask(server, "PUT", PATH, CONTENT)[0] == 201


def test_an_upload_with_another_hash_is_refused(server: StoreServer, store: ModelStore) -> None:
    assert code(ask(server, "PUT", PATH, CONTENT + b"x")) == (422, "WRONG_CONTENT")
    assert store.list_models() == ()


def test_an_upload_too_large_is_refused_though_unread(
    server: StoreServer, store: ModelStore
) -> None:
    assert code(ask(server, "PUT", PATH, bytes((1 << 20) + 1))) == (413, "TOO_LARGE")
    reply = raw(server, f"PUT {PATH} HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n".encode())
    assert b" 413 " in reply
    assert store.list_models() == ()


@pytest.mark.parametrize(
    "headers",
    [
        "",
        "Content-Length: many\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_an_upload_needs_a_length(server: StoreServer, headers: str) -> None:
    assert b" 411 " in raw(server, f"PUT {PATH} HTTP/1.1\r\n{headers}\r\n".encode())


def test_an_upload_that_ends_early_leaves_nothing(server: StoreServer, store: ModelStore) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(f"PUT {PATH} HTTP/1.1\r\nContent-Length: 512000\r\n\r\nabc".encode())
        connection.shutdown(socket.SHUT_WR)
        assert b" 400 " in connection.recv(4096)
    assert store.list_models() == ()


def test_an_upload_that_stalls_is_cut_and_leaves_nothing(
    server: StoreServer, store: ModelStore, tmp_path: Path
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(f"PUT {PATH} HTTP/1.1\r\nContent-Length: 512000\r\n\r\nabc".encode())
        assert connection.recv(4096) == b""
    assert not list((tmp_path / "store" / "models").iterdir())


def test_an_acceptable_upload_is_told_to_continue(server: StoreServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        head = (
            f"PUT {PATH} HTTP/1.1\r\nContent-Length: {len(CONTENT)}\r\nExpect: 100-continue\r\n\r\n"
        )
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
        connection.sendall(CONTENT)
        assert connection.recv(4096).startswith(b"HTTP/1.1 201 ")


def test_an_upload_without_room_is_refused(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "s", max_model_bytes=1 << 20, free_bytes=lambda _folder: 1000)
    server = StoreServer(store, bind="127.0.0.1", limits=LIMITS)
    server.start()
    assert code(ask(server, "PUT", PATH, CONTENT)) == (507, "STORE_FAILED")
    server.close()


def test_uploads_may_be_off_and_never_go_to_golden(store: ModelStore, server: StoreServer) -> None:
    assert code(ask(server, "PUT", f"/golden/{MODEL_ID}", b"x")) == (405, "NOT_ALLOWED")
    closed = StoreServer(store, bind="127.0.0.1", accept_uploads=False)
    closed.start()
    assert code(ask(closed, "PUT", PATH, CONTENT)) == (405, "NOT_ALLOWED")
    closed.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 3000 + b"\r\n", b" 431 "),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", b" 431 "),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b" 400 "),
        (b"GET / HTTP/9.9.9\r\n\r\n", b" 400 "),
        (b"GET /\r\n\r\n", b'"NOT_FOUND"'),
    ],
    ids=["headers", "line", "tls", "version", "0.9"],
)
def test_what_is_hardly_http_gets_an_error(
    server: StoreServer, request_bytes: bytes, status: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(request_bytes)
        assert status in connection.recv(4096)
