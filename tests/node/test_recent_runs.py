from dataclasses import dataclass, field

from mesh.node.recent_runs import (
    FEWEST_RUNS,
    RECENT_RUNS,
    TELL_INTERVAL_S,
    TOLD_RUNS,
    RecentRuns,
    Spent,
)


@dataclass(slots=True)
class Slice:
    """Runs one after another, far enough apart that each could be told of."""

    runs: RecentRuns = field(default_factory=RecentRuns)
    now_s: float = 0.0

    def told(self, *times_s: float, every_s: float = 2 * TELL_INTERVAL_S) -> list[float]:
        """What is to be told while these runs come."""
        figures = []
        for time_s in times_s:
            self.now_s += every_s
            figures.append(self.runs.add(time_s, now_s=self.now_s))
        return [figure for figure in figures if figure is not None]


def test_the_median_is_told_once_there_are_some_runs() -> None:
    one = Slice()
    assert one.told(0.5, *[0.1] * (FEWEST_RUNS - 2)) == []
    assert one.told(0.1) == [0.1], "the slow first run does not count for much"


def test_noise_is_not_told() -> None:
    assert Slice().told(*[0.1, 0.102, 0.098] * 9) == [0.1]


def test_a_change_is_told_as_soon_as_most_of_the_last_runs_show_it() -> None:
    one = Slice()
    assert one.told(*[0.1] * RECENT_RUNS) == [0.1]
    assert one.told(*[0.3] * (TOLD_RUNS // 2)) == []
    assert one.told(0.3) == [0.3]


def test_it_is_told_about_once_a_second_at_most() -> None:
    times_s = [0.1 * 1.2**i for i in range(100)]
    figures = Slice().told(*times_s, every_s=TELL_INTERVAL_S / 10)
    assert 8 <= len(figures) <= 11


def test_under_a_quota_a_run_lasts_as_long_as_its_share_makes_it() -> None:
    runs = RecentRuns(threads=1, cores=lambda: 0.25)
    told = [
        runs.add(0.01, now_s=i * 2 * TELL_INTERVAL_S, spent=Spent(clock_s=0.011, processor_s=0.012))
        for i in range(FEWEST_RUNS)
    ]
    assert told[-1] == 0.012 / 0.25, "however short it was between two throttlings"
    assert list(runs.times_s) == [0.01] * FEWEST_RUNS


def test_without_a_quota_the_clock_counts() -> None:
    spent = Spent(clock_s=0.3, processor_s=0.1)
    assert spent.sustained_s(threads=1, cores=4.0) == 0.3
    assert Spent(clock_s=0.3).sustained_s(threads=1, cores=0.1) == 0.3, "no processor time is known"


def test_a_quota_that_changes_shows_in_the_next_figure() -> None:
    cores = [0.3]
    runs = RecentRuns(threads=1, cores=lambda: cores[0])
    spent = Spent(clock_s=0.01, processor_s=0.01)
    times_s = iter(range(100))
    for _ in range(FEWEST_RUNS):
        runs.add(0.01, now_s=2 * next(times_s), spent=spent)
    cores[0] = 0.1
    assert runs.add(0.01, now_s=2 * next(times_s), spent=spent) == 0.01 / 0.1
