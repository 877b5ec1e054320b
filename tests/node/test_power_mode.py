from collections.abc import Callable
from dataclasses import dataclass, field

from mesh.errors import DeviceError, MeshError
from mesh.node.power_mode import POLL_S, PowerMode


@dataclass(slots=True)
class Bench:
    """A board whose mode the test sets; what takes a while is done at once."""

    mode: str = "15W"
    failure: MeshError | None = None
    asked: int = 0
    power: PowerMode = field(init=False)

    def __post_init__(self) -> None:
        self.power = PowerMode(self.read)

    def read(self) -> str:
        self.asked += 1
        return self.mode

    def run(self, work: Callable[[], str], done: Callable[[str | MeshError], None]) -> None:
        done(self.failure or work())

    def keep(self, now_s: float) -> str:
        self.power.keep(self.run, now_s=now_s)
        return self.power.now


def test_it_is_known_from_the_start_and_asked_for_rarely() -> None:
    bench = Bench()
    assert bench.power.now == "15W"
    for second in range(int(POLL_S)):
        bench.keep(100.0 + second)
    assert bench.asked == 1
    bench.keep(100.0 + POLL_S)
    assert bench.asked == 2


def test_another_mode_is_seen() -> None:
    bench = Bench()
    bench.keep(0.0)
    bench.mode = "MAXN"
    assert bench.keep(POLL_S - 1) == "15W"
    assert bench.keep(POLL_S) == "MAXN"


def test_a_command_without_an_answer_changes_nothing() -> None:
    bench = Bench()
    bench.keep(0.0)
    bench.mode = ""
    assert bench.keep(POLL_S) == "15W"
    bench.failure = DeviceError("no answer")
    assert bench.keep(3 * POLL_S) == "15W"
