"""Brings models and golden files from peers into the store, and finds out who sent wrong bytes.

Only the hash of the whole is known. So when a mix of several peers' pieces is wrong, one peer after
the other must show that it has the model alone: the first that can proves which pieces of the mix
were wrong. How bytes move, `swarm` knows.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mesh.errors import IntegrityError, StoreError
from mesh.ids import ModelId
from mesh.store.disk import ModelStore, Progress, no_progress
from mesh.store.http_client import Download, PeerError, ask_size_bytes
from mesh.store.http_request import ByteRange, Collection, Resource
from mesh.store.manifest import Golden, ModelManifest
from mesh.store.partial import PartialModel
from mesh.store.pieces import PieceBoard
from mesh.store.swarm import FetchOptions, Swarm, Watcher

MAX_GOLDEN_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchReport:
    """How it went: what each peer gave, and the peers that sent wrong bytes."""

    bytes_by_peer: Mapping[str, int]
    liars: tuple[str, ...] = ()


def fetch_model(
    store: ModelStore,
    model_id: ModelId,
    size_bytes: int,
    peers: Mapping[str, str],
    *,
    on_progress: Progress = no_progress,
    options: FetchOptions | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> FetchReport:
    """Bring a model into the store from `peers` (name → `http://host:port`); goes on where it ended.

    `on_progress` and `is_cancelled` are called on the caller's thread. Raises: IntegrityError
    naming the peers that sent wrong bytes, StoreError when no peer could give it all (what came is
    kept) or on cancel, UsageError for an address that is none.
    """
    if store.has(model_id):
        return FetchReport(bytes_by_peer={})
    if not peers:
        raise StoreError(f"Nobody has model {model_id:.12}: there is no peer to fetch it from")
    options = options or FetchOptions()
    chosen = dict(list(peers.items())[: options.max_peers])
    board = PieceBoard(size_bytes=size_bytes, piece_bytes=options.piece_bytes, peers=tuple(chosen))
    partial = PartialModel(store, model_id, board)
    try:
        swarm = Swarm(model_id, chosen, board, partial, options)
        watcher = Watcher(on_progress=on_progress, is_cancelled=is_cancelled)
        return _Fetch(model_id, board, partial, swarm, watcher).run()
    finally:
        partial.close()


def fetch_uploaded(store: ModelStore, model_id: ModelId, peers: Mapping[str, str]) -> FetchReport:
    """Bring a model whose size nobody has told yet from those of `peers` that have it.

    Raises: as `fetch_model`; StoreError when nobody has it.
    """
    resource = Resource(collection=Collection.MODELS, model_id=model_id)
    sizes_bytes = {}
    for name, url in peers.items():
        with contextlib.suppress(PeerError):
            sizes_bytes[name] = ask_size_bytes(url, resource)
    if not sizes_bytes:
        raise StoreError(f"model {model_id:.12} was uploaded neither to this node nor to another")
    size_bytes = next(iter(sizes_bytes.values()))
    holders = {name: peers[name] for name, size in sizes_bytes.items() if size == size_bytes}
    return fetch_model(store, model_id, size_bytes, holders)


class _Fetch:
    """The order of events of one fetch."""

    def __init__(
        self,
        model_id: ModelId,
        board: PieceBoard,
        partial: PartialModel,
        swarm: Swarm,
        watcher: Watcher,
    ) -> None:
        self._model_id = model_id
        self._board = board
        self._partial = partial
        self._swarm = swarm
        self._watcher = watcher

    def run(self) -> FetchReport:
        self._swarm.download(self._watcher)
        if self._partial.is_sound():
            return self._finish(set())
        return self._find_honest()

    def _finish(self, liars: Iterable[str]) -> FetchReport:
        self._partial.keep()
        received_bytes = self._swarm.received_bytes
        return FetchReport(bytes_by_peer=received_bytes, liars=tuple(sorted(liars)))

    def _find_honest(self) -> FetchReport:
        """Fetch from each peer alone, keeping the pieces that it gave already."""
        mixed = list(zip(self._board.sources, self._digests(), strict=True))
        contributors = {source for source, _ in mixed}
        liars = {source for source in contributors if source and len(contributors) == 1}
        for peer in self._board.peers:
            if peer in liars or not self._fetch_alone_from(peer):
                continue
            if self._partial.is_sound():
                pairs = zip(mixed, self._digests(), strict=True)
                return self._finish(
                    liars | {who for (who, was), now in pairs if who and was != now}
                )
            liars.add(peer)
        self._partial.discard()
        raise IntegrityError(
            f"Model {self._model_id:.12} could not be fetched: {', '.join(sorted(liars))} sent wrong "
            "bytes; add the model there again"
        )

    def _digests(self) -> list[bytes | None]:
        return [self._swarm.digests.get(index) for index in range(len(self._board.sources))]

    def _fetch_alone_from(self, peer: str) -> bool:
        self._board.only_from(peer)
        self._partial.forget(self._board)
        try:
            self._swarm.download(self._watcher)
        except StoreError:
            if self._swarm.is_stopped:
                raise
            return False
        return True


def is_complete(store: ModelStore, manifest: ModelManifest) -> bool:
    """Whether the model's file and its golden outputs are here."""
    return store.has(manifest.model_id) and (
        manifest.golden is None or store.golden_path(manifest.model_id).is_file()
    )


def fetch_golden(
    store: ModelStore,
    model_id: ModelId,
    golden: Golden,
    peers: Mapping[str, str],
    *,
    options: FetchOptions | None = None,
) -> None:
    """Bring a golden file into the store. Raises: StoreError when no peer has the right one."""
    if golden.size_bytes > MAX_GOLDEN_BYTES:
        raise StoreError(f"A golden file of {golden.size_bytes} bytes is too large to be fetched")
    problems = []
    silence_s = (options or FetchOptions()).silence_s
    resource = Resource(collection=Collection.GOLDEN, model_id=model_id)
    for name, url in peers.items():
        problem = _take_golden(
            store, golden, Download(url, resource, silence_s=silence_s), model_id
        )
        if problem is None:
            return
        problems.append(f"{name}: {problem}")
    raise StoreError(f"No peer gave the golden file of model {model_id:.12}: {'; '.join(problems)}")


def _take_golden(
    store: ModelStore, golden: Golden, download: Download, model_id: ModelId
) -> str | None:
    """Return what is wrong with the peer; None when the file is in the store."""
    whole = ByteRange(start=0, stop=golden.size_bytes)
    try:
        container = b"".join(download.read(whole, golden.size_bytes))
    except PeerError as error:
        return str(error)
    if hashlib.sha256(container).hexdigest() != golden.sha256:
        return "it sent wrong bytes"
    store.write_golden_file(model_id, container)
    return None
