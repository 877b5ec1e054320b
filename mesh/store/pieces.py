"""Who fetches which piece of a file next, and who may be lying: decided here, fetched elsewhere.

Pure. Pieces are claimed in order. A piece that takes too long is called overdue by whoever holds
the clock, and a peer with nothing else to do claims it too: one slow peer never delays the end.
"""

from dataclasses import dataclass, field

MAX_STRIKES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Bytes [start, stop) of the file."""

    index: int
    start: int
    stop: int


@dataclass(slots=True, kw_only=True)
class _Peer:
    working_at: int | None = None
    strikes: int = 0
    dropped: str | None = None
    last_problem: str = "it was never asked"


@dataclass(slots=True, kw_only=True)
class PieceBoard:
    """The state of one fetch from peers named by texts.

    `sources[i]` is who delivered piece i: a peer, "" for an earlier process, None while missing.
    """

    size_bytes: int
    piece_bytes: int
    peers: tuple[str, ...]
    sources: list[str | None] = field(init=False)
    _state: dict[str, _Peer] = field(init=False)
    _overdue: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.sources = [None] * -(-self.size_bytes // self.piece_bytes)
        self._state = {peer: _Peer() for peer in self.peers}

    @property
    def is_complete(self) -> bool:
        return None not in self.sources

    @property
    def done_bytes(self) -> int:
        return sum(
            self.piece(index).stop - self.piece(index).start
            for index, source in enumerate(self.sources)
            if source is not None
        )

    def piece(self, index: int) -> Piece:
        start = index * self.piece_bytes
        return Piece(index=index, start=start, stop=min(start + self.piece_bytes, self.size_bytes))

    def resume(self, index: int) -> None:
        """Take a piece over from an earlier process."""
        self.sources[index] = ""

    def claim(self, peer: str) -> Piece | None:
        """What `peer` should fetch now; None when there is nothing for it at the moment."""
        if self.is_over_for(peer):
            return None
        claimed = {other.working_at for other in self._state.values()}
        missing = [index for index, source in enumerate(self.sources) if source is None]
        free = [index for index in missing if index not in claimed]
        choice = free or [index for index in missing if index in self._overdue]
        if not choice:
            return None
        self._overdue.discard(choice[0])
        self._state[peer].working_at = choice[0]
        return self.piece(choice[0])

    def is_over_for(self, peer: str) -> bool:
        """Nothing will ever be there for this peer to do."""
        return self.is_complete or self._state[peer].dropped is not None

    def call_overdue(self, index: int) -> None:
        """Let one more peer try a piece that takes too long."""
        if sum(peer.working_at == index for peer in self._state.values()) < 2:
            self._overdue.add(index)

    def is_wanted(self, index: int) -> bool:
        return self.sources[index] is None

    def deliver(self, peer: str, index: int) -> bool:
        """Record a piece; False when somebody else was faster."""
        self._state[peer].working_at = None
        self._state[peer].strikes = 0
        if self.sources[index] is not None:
            return False
        self.sources[index] = peer
        return True

    def give_back(self, peer: str) -> None:
        """Record that `peer` was interrupted, which is no fault of it."""
        self._state[peer].working_at = None

    def fail(self, peer: str, problem: str, *, final: bool = False) -> None:
        """Record a failure; after MAX_STRIKES in a row, or a final one, the peer isn't asked again."""
        state = self._state[peer]
        state.working_at = None
        state.strikes += 1
        state.last_problem = problem
        if final or state.strikes >= MAX_STRIKES:
            state.dropped = problem

    def only_from(self, peer: str) -> None:
        """Begin again with one peer: keep what it delivered, miss the rest, ask nobody else."""
        self.sources = [source if source == peer else None for source in self.sources]
        for name, state in self._state.items():
            state.dropped = None if name == peer else "set aside"
            state.strikes = 0

    def problems(self) -> str:
        """Why peers failed, as one text."""
        return "; ".join(f"{name}: {state.last_problem}" for name, state in self._state.items())
