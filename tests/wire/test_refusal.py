import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import ChildDiedError, MeshError, OverloadedError, RemoteError, WrongShapeError
from mesh.wire.refusal import MAX_MESSAGE_CHARS, Refusal, decode, encode, refusal_of


def test_an_error_of_the_mesh_travels_as_it_is() -> None:
    assert refusal_of(WrongShapeError("send [1, 4]")) == Refusal(
        code="WRONG_SHAPE", message="send [1, 4]", retryable=False
    )
    assert refusal_of(OverloadedError("later")).retryable
    assert refusal_of(ChildDiedError("gone")).code == "RUNTIME_CRASHED"


def test_of_any_other_error_only_the_kind_is_told() -> None:
    told = refusal_of(ValueError("/home/someone/secret"))
    assert told.code == MeshError.code == "INTERNAL"
    assert "ValueError" in told.message
    assert "secret" not in told.message


def test_a_message_is_cut() -> None:
    assert len(refusal_of(MeshError("x" * 5000)).message) == MAX_MESSAGE_CHARS


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.integers(1, 100))
def test_what_is_told_is_understood(message: str, times: int) -> None:
    refusal = refusal_of(OverloadedError(message * times))
    assert decode(encode(refusal)) == refusal


def test_a_file_name_that_is_no_text_does_not_hide_the_error() -> None:
    # os.fsdecode gives lone surrogates for bytes that are not UTF-8.
    assert decode(encode(refusal_of(MeshError("caf\udce9 is gone")))).message == "caf? is gone"


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"[]", b'{"code": 1, "message": "", "retryable": true}', b"x" * 20_000]
)
def test_anything_else_is_a_remote_error(payload: bytes) -> None:
    with pytest.raises(RemoteError):
        decode(payload)
