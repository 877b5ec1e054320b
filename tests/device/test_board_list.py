import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.device.board_list import MAX_BOARDS, UNKNOWN_MEMORY_BYTES, SupposedBoard, read_boards
from mesh.device.profile_files import load_profiles
from mesh.errors import UsageError

PROFILES = load_profiles()
GIB = 1 << 30


def boards(*words: str) -> tuple[SupposedBoard, ...]:
    return read_boards(words, PROFILES)


def test_boards_are_numbered_by_kind() -> None:
    names = [board.name for board in boards("pi4:2", "pi5", "raspberry-pi-4b@8gb")]
    assert names == ["pi4-1", "pi4-2", "pi5-1", "pi4-3"]


def test_memory_is_the_smallest_sold_unless_given() -> None:
    small, large = boards("pi4", "pi4@8gb")
    assert (small.memory_bytes, small.is_smallest) == (1 * GIB, True)
    assert (large.memory_bytes, large.is_smallest) == (8 * GIB, False)
    assert boards("zero2w")[0].is_smallest is False  # there is but one
    assert boards("pi4@512MiB")[0].memory_bytes == 512 << 20
    assert boards("pi4@1.5g")[0].memory_bytes == 3 * GIB // 2


def test_memory_that_nobody_knows_is_supposed() -> None:
    (board,) = boards("x86")
    assert (board.memory_bytes, board.is_guessed) == (UNKNOWN_MEMORY_BYTES, True)
    assert boards("x86@16gb")[0].is_guessed is False


def test_an_unknown_board_is_told_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match=r"no device profile 'pi9'; there are: .*pi5.*zero2w"):
        boards("pi9")


@pytest.mark.parametrize(
    "word", ["", "pi4:", "pi4:0", f"pi4:{MAX_BOARDS + 1}", "pi4@", "pi4@big", "pi4@0gb", "pi4:2:2"]
)
def test_words_that_say_nothing(word: str) -> None:
    with pytest.raises(UsageError, match=r"names no board|supposes 1 to|no memory size"):
        boards(word)


def test_boards_are_bounded_in_all() -> None:
    with pytest.raises(UsageError, match="in all"):
        boards("pi4:60", "pi5:5")


@given(st.text(max_size=30))
def test_any_word_is_read_or_refused(word: str) -> None:
    try:
        found = boards(word)
    except UsageError:
        return
    assert 1 <= len(found) <= MAX_BOARDS
