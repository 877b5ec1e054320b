import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mesh.errors import IntegrityError, StoreError, UsageError
from mesh.ids import ModelId
from mesh.store.disk import ModelStore
from mesh.store.http_client import Download, PeerError, ask_size_bytes, check_url, upload
from mesh.store.http_request import ByteRange, Collection, Resource
from mesh.store.http_server import StoreServer

PeerMaker = Callable[[Callable[[socket.socket, int, int], None]], str]

CONTENT = b"model" * 100_000
MODEL_ID = ModelId(hashlib.sha256(CONTENT).hexdigest())
RESOURCE = Resource(collection=Collection.MODELS, model_id=MODEL_ID)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.tflite"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def url(store: ModelStore) -> Iterator[str]:
    server = StoreServer(store, bind="127.0.0.1")
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.close()


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "host:80",
        "https://host:80",
        "file:///etc/passwd",
        "http://host",
        "http://:80",
        "http://host:80/x",
        "http://u@host:80",
        "http://host:80?x",
        "http://host:99999",
        "http://[::1:80",
        "http://ho st:80",
    ],
)
def test_only_plain_addresses_are_taken(bad: str) -> None:
    with pytest.raises(UsageError, match="http://host:port"):
        check_url(bad)


def test_addresses_of_both_families() -> None:
    assert check_url("http://pi-4.local:8080") == ("pi-4.local", 8080)
    assert check_url("http://[fe80::1]:8080/") == ("fe80::1", 8080)


def test_an_upload_arrives(url: str, store: ModelStore, model: Path) -> None:
    seen: list[tuple[int, int]] = []
    assert upload(url, model, lambda *at: seen.append(at)) == MODEL_ID
    assert store.path(MODEL_ID).read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_second_upload_sends_nothing(url: str, model: Path) -> None:
    upload(url, model)
    seen: list[tuple[int, int]] = []
    assert upload(url, model, lambda *at: seen.append(at)) == MODEL_ID
    assert seen == []


def test_a_refused_upload_says_why_and_sends_nothing(url: str, model: Path) -> None:
    model.write_bytes(bytes((1 << 20) + 1))
    seen: list[tuple[int, int]] = []
    with pytest.raises(StoreError, match="refused the model: A model has 1 to 1048576 bytes"):
        upload(url, model, lambda *at: seen.append(at))
    assert seen == []


def replying(reply: bytes) -> Callable[[], str]:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, listener:
            connection.recv(4096)
            connection.sendall(reply)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    thread = threading.Thread(target=serve)
    thread.start()

    def address() -> str:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    return address


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (b"HTTP/1.1 500 Oops\r\n\r\n", StoreError, "HTTP status 500"),
        (b"HTTP/1.1 422 No\r\n\r\n[1]", StoreError, "HTTP status 422"),
        (
            b'HTTP/1.1 422 No\r\n\r\n{"code":"WRONG_CONTENT","message":"\\u001b[2J other bytes"}',
            IntegrityError,
            r"model: \[2J other bytes",
        ),
        (b"SSH-2.0\r\n", StoreError, "is the node running"),
    ],
)
def test_odd_answers_to_an_upload(
    model: Path, reply: bytes, error: type[StoreError], words: str
) -> None:
    with pytest.raises(error, match=words):
        upload(replying(reply)(), model)


def test_nobody_there_and_nothing_to_send(model: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(StoreError, match="is the node running"):
        upload(f"http://127.0.0.1:{port}", model)
    with pytest.raises(StoreError, match="Reading"):
        upload(f"http://127.0.0.1:{port}", tmp_path / "none")


def test_a_download_can_be_cut_from_another_thread(odd_peer: PeerMaker) -> None:
    asked = threading.Event()

    def stuck(connection: socket.socket, start: int, stop: int) -> None:
        asked.set()
        connection.recv(1)

    download = Download(odd_peer(stuck), RESOURCE, silence_s=30)

    def cut() -> None:
        asked.wait(5)
        download.cut()

    thread = threading.Thread(target=cut)
    thread.start()
    with pytest.raises(PeerError, match=r"slow|closed"):
        b"".join(download.read(ByteRange(start=0, stop=10), 10))
    thread.join()


def test_a_download_cut_before_it_began_asks_nothing(odd_peer: PeerMaker) -> None:
    download = Download(odd_peer(lambda *_: None), RESOURCE, silence_s=5)
    download.cut()
    with pytest.raises(PeerError, match="slow"):
        b"".join(download.read(ByteRange(start=0, stop=10), 10))


def test_a_bad_address_is_a_final_failure() -> None:
    with pytest.raises(PeerError) as caught:
        b"".join(Download("ftp://x", RESOURCE, silence_s=1).read(ByteRange(start=0, stop=1), 1))
    assert caught.value.is_final


def test_the_size_of_a_file_is_asked_for(url: str, model: Path) -> None:
    upload(url, model)
    assert ask_size_bytes(url, RESOURCE) == len(CONTENT)


def test_a_file_that_is_not_there_has_no_size(url: str) -> None:
    with pytest.raises(PeerError, match="404"):
        ask_size_bytes(url, RESOURCE)


@pytest.mark.parametrize("bad", ["http://127.0.0.1:1", "nowhere"])
def test_nobody_there_tells_no_size(bad: str) -> None:
    with pytest.raises(PeerError):
        ask_size_bytes(bad, RESOURCE)
