import pytest

from mesh.runtime.memory_bound import FACTOR, SLACK_BYTES, bound_bytes

MIB = 1 << 20


@pytest.mark.parametrize(
    ("predicted_bytes", "free_bytes", "bound"),
    [
        (None, None, None),
        (None, 100 * MIB, 100 * MIB),
        (10 * MIB, None, FACTOR * 10 * MIB + SLACK_BYTES),
        (10 * MIB, 4096 * MIB, FACTOR * 10 * MIB + SLACK_BYTES),
        (8192 * MIB, 100 * MIB, 100 * MIB),
    ],
    ids=["nothing known", "only what is free", "only predicted", "small", "more than is free"],
)
def test_the_bound_is_what_was_predicted_with_room_but_never_more_than_is_free(
    predicted_bytes: int | None, free_bytes: int | None, bound: int | None
) -> None:
    assert bound_bytes(predicted_bytes, free_bytes) == bound
