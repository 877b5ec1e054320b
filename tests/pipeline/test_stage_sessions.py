import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.config import Config
from mesh.errors import MeshError, OverloadedError, SessionLostError
from mesh.ids import SessionKey
from mesh.model.tensor import DataType, StageInterface, StatePair, TensorSpec
from mesh.pipeline.stage_sessions import (
    MAX_GONE,
    PATIENCE,
    SessionLimits,
    SessionRoom,
    StageSessions,
)
from mesh.wire.frame import SessionStep


def spec(index: int, size: int) -> TensorSpec:
    return TensorSpec(index=index, name=f"t{index}", data_type=DataType.UINT8, shape=(size,))


KEEPING = StageInterface(
    received=(spec(0, 1),),
    consumed=(spec(0, 1), spec(1, 3)),
    produced=(spec(5, 1), spec(6, 3)),
    sent=(spec(5, 1),),
    state=(StatePair(input=spec(1, 3), output=spec(6, 3)),),
)
HIDING = StageInterface(
    received=(spec(0, 1),),
    consumed=(spec(0, 1),),
    produced=(spec(5, 1),),
    sent=(spec(5, 1),),
    keeps_hidden_state=True,
)
LIMITS = SessionLimits(max_sessions=2, max_interpreters=1, max_state_bytes=6, idle_s=10.0)
A, B, C = (SessionKey(letter * 16) for letter in (b"a", b"b", b"c"))


def sessions(interface: StageInterface = KEEPING, room: SessionRoom | None = None) -> StageSessions:
    return StageSessions(interface, room or SessionRoom(LIMITS))


def step(number: int, key: SessionKey = A, *, ends: bool = False) -> SessionStep:
    return SessionStep(key=key, number=number, ends=ends)


def test_a_session_begins_with_zeros_and_goes_on_with_what_was_left() -> None:
    kept = sessions()
    assert kept.take(step(0), now_s=0.0) == (bytes(3),)
    kept.done(step(0), (b"abc",), now_s=1.0)
    assert kept.take(step(1), now_s=2.0) == (b"abc",)


def test_sessions_do_not_mix() -> None:
    kept = sessions()
    for key in (A, B):
        kept.take(step(0, key), now_s=0.0)
        kept.done(step(0, key), (key[:3],), now_s=0.0)
    assert [kept.take(step(1, key), now_s=1.0) for key in (A, B)] == [(b"aaa",), (b"bbb",)]


@pytest.mark.parametrize("number", [0, 1])
def test_a_step_that_comes_twice_is_not_computed_again(number: int) -> None:
    kept = sessions()
    for one in range(number + 1):
        kept.take(step(one), now_s=0.0)
        with pytest.raises(SessionLostError, match="twice"):
            kept.take(step(one), now_s=0.0)
        kept.done(step(one), (b"abc",), now_s=0.0)
    with pytest.raises(SessionLostError, match="twice"):
        kept.take(step(number), now_s=0.0)
    assert kept.take(step(number + 1), now_s=0.0) == (b"abc",)


def test_a_step_after_one_that_is_missing_is_refused() -> None:
    kept = sessions()
    kept.take(step(0), now_s=0.0)
    kept.done(step(0), (b"abc",), now_s=0.0)
    with pytest.raises(SessionLostError, match="1 is the next"):
        kept.take(step(2), now_s=0.0)
    assert kept.take(step(1), now_s=0.0) == (b"abc",)


def test_a_step_of_an_unknown_session_is_refused() -> None:
    with pytest.raises(SessionLostError):
        sessions().take(step(3), now_s=0.0)


def test_a_session_that_was_dropped_does_not_come_back() -> None:
    """Its first step may come by a longer way than the word that it is over."""
    kept = sessions()
    assert not kept.drop(A)
    with pytest.raises(SessionLostError):
        kept.take(step(0), now_s=0.0)
    for number in range(MAX_GONE):
        kept.drop(SessionKey(number.to_bytes(16, "little")))
    kept.take(step(0), now_s=0.0)


def test_the_last_step_leaves_nothing() -> None:
    room = SessionRoom(LIMITS)
    kept = sessions(room=room)
    kept.take(step(0, ends=True), now_s=0.0)
    assert (len(kept), room.state_bytes) == (1, 3)
    kept.done(step(0, ends=True), (b"abc",), now_s=0.0)
    assert (len(kept), room.state_bytes) == (0, 0)


def test_a_session_dropped_while_it_is_computed_stays_dropped() -> None:
    kept = sessions()
    kept.take(step(0), now_s=0.0)
    assert kept.drop(A)
    kept.done(step(0), (b"abc",), now_s=0.0)
    assert len(kept) == 0


def test_sessions_are_bounded_by_number_by_bytes_and_by_interpreters() -> None:
    room = SessionRoom(LIMITS)
    one, other, hiding = sessions(room=room), sessions(room=room), sessions(HIDING, room)
    one.take(step(0, A), now_s=0.0)
    one.take(step(0, B), now_s=0.0)
    with pytest.raises(OverloadedError, match="max_sessions"):
        one.take(step(0, C), now_s=0.0)
    with pytest.raises(OverloadedError, match="max_session_bytes"):
        other.take(step(0, A), now_s=0.0)
    hiding.take(step(0, A), now_s=0.0)
    with pytest.raises(OverloadedError, match="max_session_interpreters"):
        hiding.take(step(0, B), now_s=0.0)
    one.clear()
    hiding.drop(A)
    other.take(step(0, A), now_s=0.0)
    hiding.take(step(0, C), now_s=0.0)


def test_a_session_that_nobody_goes_on_with_expires() -> None:
    kept = sessions()
    patience_s = PATIENCE * LIMITS.idle_s
    for key in (A, B):
        kept.take(step(0, key), now_s=0.0)
    kept.done(step(0, A), (b"abc",), now_s=0.0)  # B is still being computed
    assert kept.expire(now_s=patience_s - 0.1) == ()
    assert kept.expire(now_s=patience_s) == (A,)
    assert len(kept) == 1


def test_limits_come_from_the_configuration() -> None:
    config = Config(
        max_sessions=1, max_session_bytes=2, max_session_interpreters=3, session_idle_s=4.0
    )
    assert SessionLimits.of(config) == SessionLimits(
        max_sessions=1, max_state_bytes=2, max_interpreters=3, idle_s=4.0
    )


keys = st.sampled_from((A, B, C))
events = st.lists(
    st.one_of(
        st.tuples(st.just("take"), keys, st.integers(0, 3)),
        st.tuples(st.just("done"), keys, st.integers(0, 3)),
        st.tuples(st.just("drop"), keys, st.just(0)),
        st.tuples(st.just("expire"), keys, st.just(0)),
    ),
    max_size=40,
)


@given(events)
def test_whatever_comes_no_step_is_computed_twice_or_out_of_turn(
    events: list[tuple[str, SessionKey, int]],
) -> None:
    room = SessionRoom(LIMITS)
    kept = sessions(room=room)
    computed: dict[SessionKey, list[int]] = {A: [], B: [], C: []}
    under_way: set[SessionKey] = set()
    for now_s, (event, key, number) in enumerate(events):
        if event == "take":
            try:
                state = kept.take(step(number, key), now_s=now_s)
            except MeshError:
                continue
            assert number == len(computed[key])
            assert key not in under_way
            assert state == ((bytes(3),) if number == 0 else (key[:2] + bytes([number]),))
            computed[key].append(number)
            under_way.add(key)
        elif event == "done" and key in under_way:
            last = computed[key][-1]
            kept.done(step(last, key), (key[:2] + bytes([last + 1]),), now_s=now_s)
            under_way.remove(key)
        elif event == "drop":
            kept.drop(key)
        elif event == "expire":
            kept.expire(now_s=now_s)
        assert room.state_bytes == 3 * len(kept) <= LIMITS.max_state_bytes
