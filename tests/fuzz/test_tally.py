import pytest

from mesh.cli.canvas import Canvas
from tests.fuzz.children import Fate
from tests.fuzz.tally import Tally, draw, draw_one, end_of_child
from tests.fuzz.trial import Verdict


def _verdict(
    fate: Fate, seed: int = 0, said: str = "", violations: tuple[str, ...] = ()
) -> Verdict:
    return Verdict(
        model="dense",
        seed=seed,
        kind="shapes",
        changes="shape set to [0]",
        fate=fate,
        said=said,
        read_s=seed / 1000,
        violations=violations,
    )


def _tally(*verdicts: Verdict) -> Tally:
    tally = Tally()
    for verdict in verdicts:
        tally.add(verdict)
    return tally


@pytest.mark.parametrize(
    ("said", "end"),
    [
        ("whole: the process died of SIGSEGV during the loading of piece.tflite", "SIGSEGV, load"),
        ("whole: the process died of SIGABRT during an invoke, saying: no", "SIGABRT, run"),
        ("the process ended with exit status 1 during an invoke", "exit status 1, run"),
        ("it did not finish an invoke within 5 s and was ended", "killed at the deadline, run"),
    ],
)
def test_how_a_child_ended_is_read_from_the_error(said: str, end: str) -> None:
    assert end_of_child(said) == end


def test_the_table_counts_models_by_outcome() -> None:
    tally = _tally(
        *(_verdict(Fate.RAN, seed) for seed in range(1200)),
        _verdict(Fate.REFUSED_BY_READER),
        _verdict(Fate.DIED, said="died of SIGSEGV during an invoke"),
    )

    text = draw(tally, Canvas(), runtime="litert 2.3.0", took_s=100)

    lines = text.splitlines()
    assert lines[0] == "1,202 mutants on litert 2.3.0, 100 s, 12.0 mutants/s"
    (row,) = (line.split() for line in lines if line.startswith("dense"))
    assert row == ["dense", "1", "1,200", "·", "·", "·", "1", "1,202"]
    (cause,) = (line for line in lines if line.startswith("child died"))
    assert cause.split()[2:] == ["SIGSEGV,", "run", "shapes", "1"]
    assert "violations    none" in lines
    assert "slowest read  1199 ms (dense, seed 1199)" in lines


def test_a_violation_is_shown_with_the_command_that_replays_it() -> None:
    tally = _tally(_verdict(Fate.RAN, 77, violations=("the reader passed its memory bound",)))

    text = draw(tally, Canvas(), runtime="fake 1", took_s=1)

    assert "the reader passed its memory bound" in text
    assert "scripts/fuzz --model dense --seed 77" in text


def test_one_mutant_is_told_in_words() -> None:
    text = draw_one(_verdict(Fate.REFUSED_BY_RUNTIME, 3, said="whole: no"), Canvas())

    assert "shapes: shape set to [0]" in text
    assert "refused by runtime, whole: no" in text
