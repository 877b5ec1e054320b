from pathlib import Path

import pytest

from mesh.errors import StoreError
from mesh.node.draining import DrainMark
from mesh.wire.documents import NodeState


def test_a_mark_lasts(tmp_path: Path) -> None:
    assert DrainMark(tmp_path).state is NodeState.READY
    for _ in range(2):
        DrainMark(tmp_path).put(is_set=True)
        assert DrainMark(tmp_path).is_set
    assert DrainMark(tmp_path).state is NodeState.DRAINING
    for _ in range(2):
        DrainMark(tmp_path).put(is_set=False)
        assert not DrainMark(tmp_path).is_set


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="see to the data directory"):
        DrainMark(tmp_path / "missing").put(is_set=True)
