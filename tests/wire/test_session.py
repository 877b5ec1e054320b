from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import BadPayloadError
from mesh.wire import session
from mesh.wire.infer import SessionUse
from mesh.wire.session import MAX_NAME_CHARS, of_json, of_properties

uses = st.builds(
    SessionUse,
    name=st.text(min_size=1, max_size=MAX_NAME_CHARS),
    starts=st.booleans(),
    ends=st.booleans(),
)


@given(uses)
def test_what_is_written_is_read_wherever_it_stands(use: SessionUse) -> None:
    assert of_json(session.as_json(use), {}) == use
    assert of_json({}, session.as_json(use)) == use
    assert of_properties(session.as_properties(use)) == use


def test_most_requests_belong_to_none() -> None:
    assert of_json({"id": "7"}, {"timeout_ms": 5}) is None
    assert of_properties((("trace", "1"),)) is None


@pytest.mark.parametrize(
    "members",
    [
        {"session": ""},
        {"session": "s" * (MAX_NAME_CHARS + 1)},
        {"session": 7},
        {"session": "half a \ud83d"},
        {"session": "s", "session_start": 1},
        {"session": "s", "session_end": "yes"},
        {"session_start": True},
        {"session_end": True},
    ],
)
def test_what_names_no_session_is_refused(members: dict[str, Any]) -> None:
    for root, parameters in ((members, {}), ({}, members)):
        with pytest.raises(BadPayloadError):
            of_json(root, parameters)


@pytest.mark.parametrize("name", ["", "s" * 70_000, "half a \ud83d"])
def test_what_names_no_session_is_not_even_written(name: str) -> None:
    for write in (session.as_json, session.as_properties):
        with pytest.raises(BadPayloadError):
            write(SessionUse(name=name))


def test_two_that_differ_are_refused() -> None:
    with pytest.raises(BadPayloadError, match="differ"):
        of_json({"session": "a"}, {"session": "b"})


def test_properties_are_read_as_people_write_them() -> None:
    written = (("session", "a"), ("session_start", "True"), ("session_end", "0"))
    assert of_properties(written) == SessionUse(name="a", starts=True)
    with pytest.raises(BadPayloadError, match="true or false"):
        of_properties((("session", "a"), ("session_end", "maybe")))
