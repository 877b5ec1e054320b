from collections.abc import Callable

from mesh.ids import ModelId
from mesh.node.busy import Busy
from mesh.node.loop import Loop
from mesh.wire.documents import Activity

ONE, OTHER = ModelId("1" * 64), ModelId("2" * 64)
RunUntil = Callable[[Loop, Callable[[], bool]], None]


def test_what_is_done_is_told_by_model_with_how_far_it_is(run_until: RunUntil) -> None:
    loop = Loop()
    busy = Busy(loop)
    busy.begin("fetching", OTHER, "b")
    progress = busy.begin("measuring", ONE, "a")
    progress(3, 7)
    run_until(loop, lambda: busy.activities()[0].done == 3)
    assert busy.activities() == (
        Activity(kind="measuring", model_name="a", done=3, total=7),
        Activity(kind="fetching", model_name="b", done=0, total=0),
    )


def test_what_has_ended_is_told_no_more(run_until: RunUntil) -> None:
    loop = Loop()
    busy = Busy(loop)
    progress = busy.begin("measuring", ONE, "a")
    assert ONE in busy
    busy.end(ONE)
    busy.end(ONE)
    progress(3, 7)
    seen: list[bool] = []
    loop.post(lambda: seen.append(ONE in busy))
    run_until(loop, lambda: bool(seen))
    assert seen == [False]
    assert busy.activities() == ()
