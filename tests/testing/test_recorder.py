import pytest

from mesh.testing.recorder import Recorder


def test_it_waits_for_events_of_a_kind() -> None:
    recorder = Recorder[object]()
    recorder("text")
    recorder(1)
    recorder(2)
    assert recorder.wait_for(int, 2) == [1, 2]
    assert recorder.of(str) == ["text"]


def test_it_gives_up() -> None:
    with pytest.raises(TimeoutError, match="0 of 1 int came"):
        Recorder[object]().wait_for(int, timeout_s=0.01)
