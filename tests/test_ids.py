from mesh.ids import BootId, Epoch, ModelId, NodeId, PlanId, RequestKey


def test_ids_are_plain_values_at_run_time() -> None:
    # They are sorted, hashed, formatted into topics and packed into frames without unwrapping.
    texts = (NodeId("0a" * 8), BootId("0b" * 4), ModelId("0c" * 32), PlanId("0d" * 8))
    assert all(type(text) is str for text in texts)
    assert type(Epoch(3)) is int
    assert type(RequestKey(bytes(16))) is bytes
