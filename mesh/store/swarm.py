"""Moves the pieces of one model from several peers at once: a thread per peer, one that watches them.

Which piece goes to whom, `pieces` decides; whether the bytes are right, `fetch`.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mesh.errors import StoreError
from mesh.ids import ModelId
from mesh.store.disk import Progress
from mesh.store.http_client import Download, PeerError
from mesh.store.http_request import ByteRange, Collection, Resource
from mesh.store.partial import PartialModel
from mesh.store.pieces import Piece, PieceBoard

_TICK_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """How much is asked at once, and how long a peer may take."""

    piece_bytes: int = 4 << 20  # held in memory, per peer
    max_peers: int = 4
    silence_s: float = 5.0
    least_bytes_per_s: float = 32_768.0
    overdue_s: float = 3.0  # after this another peer may try the same piece


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """The caller's side: told of progress and asked whether to go on, on its own thread."""

    on_progress: Progress
    is_cancelled: Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One piece under way from one peer."""

    piece: Piece
    download: Download
    started_s: float

    def is_too_slow(self, now_s: float, options: FetchOptions) -> bool:
        size_bytes = self.piece.stop - self.piece.start
        allowance_s = options.silence_s + size_bytes / options.least_bytes_per_s
        return now_s - self.started_s > allowance_s


class Swarm:
    """Fills a partial model; `_changed` guards the board and everything else that threads share."""

    def __init__(
        self,
        model_id: ModelId,
        urls: Mapping[str, str],
        board: PieceBoard,
        partial: PartialModel,
        options: FetchOptions,
    ) -> None:
        self.digests: dict[int, bytes] = {}
        self.received_bytes = dict.fromkeys(urls, 0)
        self._resource = Resource(collection=Collection.MODELS, model_id=model_id)
        self._urls = urls
        self._board = board
        self._partial = partial
        self._options = options
        self._changed = threading.Condition()
        self._tasks: dict[str, _Task] = {}
        self._stopped = False
        self._error: StoreError | None = None

    def download(self, watcher: Watcher) -> None:
        """Fetch all missing pieces from the peers that the board lets work.

        Raises: StoreError with every peer's problem, or because the disk is full, or on cancel.
        """
        self._stopped = False
        workers = [
            threading.Thread(target=self._work, args=(peer,), name="mesh-fetch", daemon=True)
            for peer in self._urls
            if not self._board.is_over_for(peer)
        ]
        for worker in workers:
            worker.start()
        try:
            while any(worker.is_alive() for worker in workers):
                self._watch()
                watcher.on_progress(self._board.done_bytes, self._board.size_bytes)
                if watcher.is_cancelled():
                    self._stop(StoreError("The fetch was cancelled; start it again to go on"))
        finally:
            self._stop(None)
            for worker in workers:
                worker.join()
        self._check()

    @property
    def is_stopped(self) -> bool:
        """Stopped by the caller or the disk: asking other peers would not help."""
        return self._error is not None

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if not self._board.is_complete:
            raise StoreError(
                f"Model {self._resource.model_id:.12} could not be fetched whole, what came is kept: "
                f"{self._board.problems()}"
            )

    def _watch(self) -> None:
        """Wait a tick, then cut what is too slow or no longer wanted."""
        with self._changed:
            self._changed.wait(_TICK_S)
            now_s = time.monotonic()
            for task in self._tasks.values():
                if now_s - task.started_s > self._options.overdue_s:
                    self._board.call_overdue(task.piece.index)
                    self._changed.notify_all()
                is_wanted = self._board.is_wanted(task.piece.index)
                if not is_wanted or task.is_too_slow(now_s, self._options):
                    task.download.cut()

    def _stop(self, error: StoreError | None) -> None:
        with self._changed:
            self._stopped = True
            self._error = self._error or error
            for task in self._tasks.values():
                task.download.cut()
            self._changed.notify_all()

    def _work(self, peer: str) -> None:
        """One peer's thread: fetch pieces until there are none for it."""
        try:
            while (task := self._next_task(peer)) is not None:
                self._run(peer, task)
        except StoreError as error:
            self._stop(error)

    def _next_task(self, peer: str) -> _Task | None:
        with self._changed:
            while not self._stopped and not self._board.is_over_for(peer):
                piece = self._board.claim(peer)
                if piece is not None:
                    self._tasks[peer] = self._task(peer, piece)
                    return self._tasks[peer]
                self._changed.wait(_TICK_S)
        return None

    def _task(self, peer: str, piece: Piece) -> _Task:
        options = self._options
        download = Download(self._urls[peer], self._resource, silence_s=options.silence_s)
        return _Task(piece=piece, download=download, started_s=time.monotonic())

    def _run(self, peer: str, task: _Task) -> None:
        part = ByteRange(start=task.piece.start, stop=task.piece.stop)
        try:
            data = b"".join(task.download.read(part, self._board.size_bytes))
        except PeerError as error:
            self._failed(peer, task, error)
        else:
            self._delivered(peer, task, data)

    def _failed(self, peer: str, task: _Task, error: PeerError) -> None:
        with self._changed:
            del self._tasks[peer]
            if self._board.is_wanted(task.piece.index) and not self._stopped:
                self._board.fail(peer, str(error), final=error.is_final)
            else:
                self._board.give_back(peer)
            self._changed.notify_all()

    def _delivered(self, peer: str, task: _Task, data: bytes) -> None:
        """Only the first to deliver writes: two peers' bytes never mix within a piece."""
        with self._changed:
            del self._tasks[peer]
            is_first = self._board.deliver(peer, task.piece.index)
            if is_first:
                self.digests[task.piece.index] = hashlib.sha256(data).digest()
                self.received_bytes[peer] += len(data)
            self._changed.notify_all()
        if is_first:
            self._partial.write(task.piece, data)
