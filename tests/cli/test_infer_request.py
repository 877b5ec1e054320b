"""What is sent, from files good and bad."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.cli import infer_request
from mesh.cli.infer_request import (
    ArrayRequest,
    PayloadRequest,
    random_arrays,
    read_arrays,
    read_payload,
    write_arrays,
)
from mesh.errors import OverloadedError, UsageError
from mesh.model.tensor import DataType, TensorSpec


def test_arrays_come_back_under_any_name(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    arrays = {
        "file": np.arange(6, dtype=np.int8).reshape(2, 3),
        "a/b:0": np.float32(1.5).reshape(()),
        "../up": np.zeros((0, 2), np.float16),
    }
    write_arrays(path, arrays)
    found = read_arrays(path)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def _npz(**members: bytes) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return raw.getvalue()


def _pickled() -> bytes:
    raw = io.BytesIO()
    np.save(raw, np.array([{"x": 1}], dtype=object), allow_pickle=True)
    return raw.getvalue()


def _npy() -> bytes:
    raw = io.BytesIO()
    np.save(raw, np.zeros(3))
    return raw.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"PK\x03\x04damaged", _npz(x=b"no array"), _npz(x=_pickled()), _npy()],
    ids=["empty", "text", "damaged", "no array", "pickle", "npy"],
)
def test_bad_arrays(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"numpy\.savez"):
        read_arrays(path)


def test_an_unknown_compression_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=np.zeros(4))
    content = bytearray(path.read_bytes())
    # PKWARE's APPNOTE 4.3.7 and 4.3.12: where headers say the method; 99 is none that zipfile has.
    for magic, method_at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.index(magic) + method_at] = 99
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"compression.*numpy\.savez"):
        read_arrays(path)


def test_arrays_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infer_request, "MAX_FILE_BYTES", 1 << 20)
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, x=np.zeros(1 << 20, np.uint8))
    with pytest.raises(UsageError, match="holds more than 1 MiB"):
        read_arrays(path)


def test_payloads_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.bin"
    with pytest.raises(UsageError, match="cannot be read"):
        read_payload(path)
    path.write_bytes(b"")
    with pytest.raises(UsageError, match="is empty"):
        read_payload(path)
    path.write_bytes(b"12")
    assert read_payload(path) == b"12"
    monkeypatch.setattr(infer_request, "MAX_FILE_BYTES", 1)
    with pytest.raises(UsageError, match="has more than 0 MiB"):
        read_payload(path)


def test_writing_where_one_may_not(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write_arrays(tmp_path / "none" / "x.npz", {})


@pytest.mark.parametrize("data_type", list(DataType))
def test_random_inputs(data_type: DataType) -> None:
    spec = TensorSpec(index=0, name="x", data_type=data_type, shape=(2, 300))
    (one,) = random_arrays((spec,), 1).values()
    (same,) = random_arrays((spec,), 1).values()
    (other,) = random_arrays((spec,), 2).values()
    assert one.shape == (2, 300)
    assert one.tobytes() == same.tobytes() != other.tobytes()


def test_both_kinds_answer_alike(cli: Any, answer: Any) -> None:
    by_bytes = PayloadRequest(payload=b"x", content_type="image/png").submit(cli.mesh, "pose")
    inputs = {"image": np.zeros(1)}
    by_array = ArrayRequest(inputs=inputs, outputs=("scores",), timeout_s=1).submit(
        cli.mesh, "pose"
    )
    for found in (by_bytes.result(0), by_array.result(0)):
        np.testing.assert_array_equal(found.outputs["scores"], answer.outputs["scores"])
        assert found.timing == answer.timing
    assert cli.mesh.inferred == [("pose", b"x", "image/png"), ("pose", inputs, ("scores",))]


def test_a_refusal_reaches_the_caller(cli: Any) -> None:
    cli.mesh.answers = lambda _count: OverloadedError("later")
    sent = PayloadRequest(payload=b"x", content_type=None).submit(cli.mesh, "pose")
    assert isinstance(sent.exception(0), OverloadedError)
