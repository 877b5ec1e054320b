import hashlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mesh.errors import IntegrityError, StoreError
from mesh.ids import ModelId
from mesh.store.disk import ModelStore
from mesh.store.fetch import fetch_golden, fetch_model, fetch_uploaded
from mesh.store.http_server import StoreServer
from mesh.store.manifest import Golden
from mesh.store.swarm import FetchOptions

PeerMaker = Callable[[Callable[[socket.socket, int, int], None]], str]

CONTENT = bytes(range(251)) * 400
SIZE = len(CONTENT)
MODEL_ID = ModelId(hashlib.sha256(CONTENT).hexdigest())
OPTIONS = FetchOptions(piece_bytes=10_000, silence_s=0.5, overdue_s=0.2, least_bytes_per_s=1e6)


def answer(
    connection: socket.socket,
    start: int,
    stop: int,
    body: bytes,
    status: str = "206 Partial Content",
) -> None:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Length: {stop - start}\r\n"
        f"Content-Range: bytes {start}-{stop - 1}/{SIZE}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)


def honest(connection: socket.socket, start: int, stop: int) -> None:
    answer(connection, start, stop, CONTENT[start:stop])


def lying(connection: socket.socket, start: int, stop: int) -> None:
    answer(connection, start, stop, b"\xff" * (stop - start))


def truncated(connection: socket.socket, start: int, stop: int) -> None:
    answer(connection, start, stop, CONTENT[start : stop - 1])


def silent(connection: socket.socket, start: int, stop: int) -> None:
    connection.recv(1)


def stalling(connection: socket.socket, start: int, stop: int) -> None:
    answer(connection, start, stop, b"")
    connection.recv(1)


def dripping(connection: socket.socket, start: int, stop: int) -> None:
    answer(connection, start, stop, b"")
    connection.settimeout(0.05)
    while True:
        connection.sendall(b"x")
        try:
            if not connection.recv(1):
                return
        except TimeoutError:
            pass


def resetting(connection: socket.socket, start: int, stop: int) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def garbage(connection: socket.socket, start: int, stop: int) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH\r\n" * 10)


def of_another_range(connection: socket.socket, start: int, stop: int) -> None:
    answer(connection, start + 1, stop + 1, CONTENT[start:stop])


def failing(connection: socket.socket, start: int, stop: int) -> None:
    answer(connection, start, stop, b"", status="500 Oops")


def without_it(connection: socket.socket, start: int, stop: int) -> None:
    answer(connection, start, stop, b"", status="404 Not Found")


def whole_file(connection: socket.socket, start: int, stop: int) -> None:
    connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode() + CONTENT)


def endless_head(connection: socket.socket, start: int, stop: int) -> None:
    while True:
        connection.sendall(b"HTTP/1.1 206 OK\r\n" + b"X: " + b"y" * 70_000)


BROKEN = [
    truncated,
    silent,
    stalling,
    dripping,
    resetting,
    garbage,
    of_another_range,
    failing,
    without_it,
    whole_file,
    endless_head,
]


@pytest.fixture
def peer_store(tmp_path: Path) -> ModelStore:
    store = ModelStore(tmp_path / "peer", max_model_bytes=1 << 20)
    (tmp_path / "m").write_bytes(CONTENT)
    store.add_file(tmp_path / "m")
    return store


@pytest.fixture
def real_peer(peer_store: ModelStore) -> Iterator[str]:
    server = StoreServer(peer_store, bind="127.0.0.1")
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.close()


def test_from_a_real_node(store: ModelStore, real_peer: str) -> None:
    seen: list[tuple[int, int]] = []
    report = fetch_model(
        store,
        MODEL_ID,
        SIZE,
        {"n1": real_peer},
        on_progress=lambda *at: seen.append(at),
        options=OPTIONS,
    )
    assert store.path(MODEL_ID).read_bytes() == CONTENT
    assert report.bytes_by_peer == {"n1": SIZE}
    assert report.liars == ()
    assert seen[-1] == (SIZE, SIZE)
    assert not any(path.exists() for path in store.partial_paths(MODEL_ID))


def test_several_peers_share_the_work(store: ModelStore, odd_peer: PeerMaker) -> None:
    both = threading.Barrier(2, timeout=5)

    def together(connection: socket.socket, start: int, stop: int) -> None:
        if start < 20_000:
            both.wait()
        honest(connection, start, stop)

    report = fetch_model(
        store, MODEL_ID, SIZE, {"n1": odd_peer(together), "n2": odd_peer(together)}, options=OPTIONS
    )
    assert sum(report.bytes_by_peer.values()) == SIZE
    assert all(report.bytes_by_peer.values())


@pytest.mark.parametrize("behaviour", BROKEN)
def test_another_peer_makes_up_for_a_broken_one(
    store: ModelStore, odd_peer: PeerMaker, behaviour: Callable[[socket.socket, int, int], None]
) -> None:
    peers = {"bad": odd_peer(behaviour), "good": odd_peer(honest)}
    report = fetch_model(store, MODEL_ID, SIZE, peers, options=OPTIONS)
    assert store.path(MODEL_ID).read_bytes() == CONTENT
    assert report.bytes_by_peer == {"bad": 0, "good": SIZE}


@pytest.mark.parametrize("behaviour", BROKEN)
def test_broken_peers_alone_are_named(
    store: ModelStore, odd_peer: PeerMaker, behaviour: Callable[[socket.socket, int, int], None]
) -> None:
    options = FetchOptions(piece_bytes=10_000, silence_s=0.1, overdue_s=0.1, least_bytes_per_s=1e6)
    with pytest.raises(StoreError, match=r"n1: [A-Za-z]"):
        fetch_model(store, MODEL_ID, SIZE, {"n1": odd_peer(behaviour)}, options=options)
    assert not store.has(MODEL_ID)


def test_an_interrupted_fetch_goes_on(
    store: ModelStore, odd_peer: PeerMaker, real_peer: str
) -> None:
    served: list[int] = []

    def dying(connection: socket.socket, start: int, stop: int) -> None:
        if len(served) < 6:
            served.append(start)
            honest(connection, start, stop)

    with pytest.raises(StoreError, match="what came is kept"):
        fetch_model(store, MODEL_ID, SIZE, {"n1": odd_peer(dying)}, options=OPTIONS)
    again = ModelStore(store.golden_path(MODEL_ID).parent.parent, max_model_bytes=1 << 20)
    report = fetch_model(again, MODEL_ID, SIZE, {"n2": real_peer}, options=OPTIONS)
    assert report.bytes_by_peer == {"n2": SIZE - 60_000}
    assert again.path(MODEL_ID).read_bytes() == CONTENT


def test_a_liar_alone_is_named_and_nothing_stays(store: ModelStore, odd_peer: PeerMaker) -> None:
    with pytest.raises(IntegrityError, match="n1 sent wrong bytes"):
        fetch_model(store, MODEL_ID, SIZE, {"n1": odd_peer(lying)}, options=OPTIONS)
    assert not store.has(MODEL_ID)
    assert not any(path.exists() for path in store.partial_paths(MODEL_ID))


@pytest.mark.parametrize("order", [("liar", "good"), ("good", "liar")])
def test_a_liar_among_honest_peers_is_found(
    store: ModelStore, odd_peer: PeerMaker, order: tuple[str, str]
) -> None:
    lied = threading.Event()

    def lying_first(connection: socket.socket, start: int, stop: int) -> None:
        lying(connection, start, stop)
        lied.set()

    def honest_then(connection: socket.socket, start: int, stop: int) -> None:
        assert lied.wait(timeout=5)
        honest(connection, start, stop)

    urls = {"liar": odd_peer(lying_first), "good": odd_peer(honest_then)}
    report = fetch_model(
        store, MODEL_ID, SIZE, {name: urls[name] for name in order}, options=OPTIONS
    )
    assert store.path(MODEL_ID).read_bytes() == CONTENT
    assert report.liars == ("liar",)


def test_a_rotten_resumed_part_is_replaced(
    store: ModelStore, odd_peer: PeerMaker, real_peer: str
) -> None:
    with pytest.raises(StoreError):
        fetch_model(
            store, MODEL_ID, SIZE, {"n1": real_peer}, options=OPTIONS, is_cancelled=lambda: True
        )
    part, pieces = store.partial_paths(MODEL_ID)
    part.write_bytes(b"\0" * SIZE)
    pieces.write_bytes(struct.pack("<Q", 10_000) + b"\1" * 5 + b"\0" * 6)
    report = fetch_model(store, MODEL_ID, SIZE, {"n1": real_peer}, options=OPTIONS)
    assert report.liars == ()
    assert store.path(MODEL_ID).read_bytes() == CONTENT


def test_cancelling_keeps_what_came(store: ModelStore, odd_peer: PeerMaker) -> None:
    with pytest.raises(StoreError, match="cancelled"):
        fetch_model(
            store,
            MODEL_ID,
            SIZE,
            {"n1": odd_peer(silent)},
            options=OPTIONS,
            is_cancelled=lambda: True,
        )
    assert store.partial_paths(MODEL_ID)[0].exists()


def test_what_is_here_is_not_fetched(peer_store: ModelStore) -> None:
    assert fetch_model(peer_store, MODEL_ID, SIZE, {}).bytes_by_peer == {}


def test_peers_and_addresses_must_be_sound(store: ModelStore) -> None:
    with pytest.raises(StoreError, match="no peer"):
        fetch_model(store, MODEL_ID, SIZE, {})
    with pytest.raises(StoreError, match="no address"):
        fetch_model(store, MODEL_ID, SIZE, {"n1": "file:///etc/passwd"})


def test_no_room_is_seen_before(tmp_path: Path, real_peer: str) -> None:
    small = ModelStore(tmp_path / "s", max_model_bytes=1 << 20, free_bytes=lambda _folder: 99)
    with pytest.raises(StoreError, match="free some space"):
        fetch_model(small, MODEL_ID, SIZE, {"n1": real_peer}, options=OPTIONS)
    tiny = ModelStore(tmp_path / "t", max_model_bytes=SIZE - 1)
    with pytest.raises(StoreError, match="max_model_bytes"):
        fetch_model(tiny, MODEL_ID, SIZE, {"n1": real_peer}, options=OPTIONS)


def golden_of(store: ModelStore) -> Golden:
    digest = store.write_golden(MODEL_ID, [b"out" * 100])
    size = store.golden_path(MODEL_ID).stat().st_size
    return Golden(kernel_class="k", seed=1, sha256=digest, size_bytes=size)


def test_a_golden_file_comes_from_the_first_peer_that_has_it(
    store: ModelStore, peer_store: ModelStore, real_peer: str, odd_peer: PeerMaker
) -> None:
    golden = golden_of(peer_store)
    fetch_golden(
        store, MODEL_ID, golden, {"bad": odd_peer(truncated), "good": real_peer}, options=OPTIONS
    )
    assert store.read_golden(MODEL_ID) == (b"out" * 100,)


def test_a_wrong_golden_file_is_refused(
    store: ModelStore, peer_store: ModelStore, real_peer: str
) -> None:
    golden = golden_of(peer_store)
    other = Golden(kernel_class="k", seed=1, sha256="0" * 64, size_bytes=golden.size_bytes)
    with pytest.raises(StoreError, match="n1: it sent wrong bytes"):
        fetch_golden(store, MODEL_ID, other, {"n1": real_peer}, options=OPTIONS)
    huge = Golden(kernel_class="k", seed=1, sha256="0" * 64, size_bytes=1 << 30)
    with pytest.raises(StoreError, match="too large"):
        fetch_golden(store, MODEL_ID, huge, {"n1": real_peer}, options=OPTIONS)


def test_an_uploaded_model_is_found_among_the_peers(
    store: ModelStore, real_peer: str, tmp_path: Path
) -> None:
    empty = StoreServer(ModelStore(tmp_path / "empty", max_model_bytes=SIZE), bind="127.0.0.1")
    empty.start()
    try:
        peers = {"gone": "http://127.0.0.1:1", "empty": f"http://127.0.0.1:{empty.port}"}
        with pytest.raises(StoreError, match="neither to this node nor to another"):
            fetch_uploaded(store, MODEL_ID, peers)
        report = fetch_uploaded(store, MODEL_ID, {**peers, "holder": real_peer})
    finally:
        empty.close()
    assert report.bytes_by_peer == {"holder": SIZE}
    assert store.has(MODEL_ID)
