"""Makes .tflite files from trained PyTorch weights and judges each by PyTorch's own answers.

Run by hand through `scripts/convert/run`; README.md beside it says what comes out. What is there
already and was made by these very scripts is left as it is.
"""

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wheels import ConversionError, sha256_of

HERE = Path(__file__).parent
MODELS: Mapping[str, tuple[str, ...]] = {
    "efficientnet_lite0": ("float32", "fp16", "dynamic_range", "int8", "int16x8"),
    "minilm_l6": ("float32", "fp16", "dynamic_range"),
    "silero_vad": ("float32", "dynamic_range"),
}
"""Modules of this folder, with the number types made of each."""
REPORT, LOG = "report.json", "converters.log"
MIN_COSINE = {
    "float32": 0.99999,
    "fp16": 0.9999,
    "dynamic_range": 0.9,
    "int8": 0.85,
    "int16x8": 0.9,
}
"""Against PyTorch; a file that is further away is not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One file that was made; `made_by` changes with the scripts and the pinned packages."""

    file: str
    size_bytes: int
    sha256: str
    largest_difference: float
    cosine: float
    verdict: str
    seconds: float
    made_by: str


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/convert/run", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(MODELS)}; all")
    options = parser.parse_args(arguments)
    unknown = set(options.models) - MODELS.keys()
    if unknown:
        parser.error(f"no model {', '.join(sorted(unknown))}: there are {', '.join(MODELS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        for name in options.models or MODELS:
            make(name, options.out)
    except ConversionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    results = read_report(options.out)
    files = [file_of(name, variant) for name in MODELS for variant in MODELS[name]]
    print(table([results[file] for file in files if file in results]))
    return 0


def make(name: str, out: Path) -> None:
    """Make every file of one model that is not there. Raises: ConversionError."""
    missing = [variant for variant in MODELS[name] if not is_there(file_of(name, variant), out)]
    if not missing:
        print(f"{name}: all {len(MODELS[name])} files are there")
        return
    print(f"{name}: making {', '.join(missing)}", flush=True)
    with quiet(out / LOG):  # takes seconds and talks; not needed when all files are there
        conversion_type = importlib.import_module("conversion").Conversion
        load = importlib.import_module(name).load
    conversion = conversion_type(load(out / "wheels"))
    if conversion.labels:
        (out / f"{name}_labels.txt").write_text("\n".join(conversion.labels) + "\n")
    for variant in missing:
        result = make_file(conversion, name, variant, out)
        print(f"  {result.file}: {result.seconds} s", flush=True)


def make_file(conversion: Any, name: str, variant: str, out: Path) -> Result:
    """Make one file, judge it and report it. Raises: ConversionError."""
    target = out / file_of(name, variant)
    started_s = time.monotonic()
    with quiet(out / LOG):
        distance, verdict = conversion.make(variant, out / file_of(name, "float32"), target)
    result = Result(
        file=target.name,
        size_bytes=target.stat().st_size,
        sha256=sha256_of(target),
        largest_difference=distance.largest,
        cosine=distance.cosine,
        verdict=verdict,
        seconds=round(time.monotonic() - started_s, 1),
        made_by=fingerprint(),
    )
    if not result.cosine >= MIN_COSINE[variant]:
        target.unlink()
        raise ConversionError(
            f"{target.name} is too far from PyTorch: cosine {result.cosine:.5f}, "
            f"at least {MIN_COSINE[variant]} is expected; {verdict}"
        )
    write_report(out, result)
    return result


def file_of(name: str, variant: str) -> str:
    return f"{name}_{variant}.tflite"


def is_there(file: str, out: Path) -> bool:
    result = read_report(out).get(file)
    path = out / file
    return (
        result is not None
        and result.made_by == fingerprint()
        and path.exists()
        and sha256_of(path) == result.sha256
    )


def fingerprint() -> str:
    """Of the scripts and the pinned packages: what decides what comes out."""
    content = hashlib.sha256()
    for path in sorted((*HERE.glob("*.py"), HERE / "requirements.txt")):
        content.update(path.read_bytes())
    return content.hexdigest()[:12]


def read_report(out: Path) -> dict[str, Result]:
    path = out / REPORT
    if not path.exists():
        return {}
    return {entry["file"]: Result(**entry) for entry in json.loads(path.read_text())}


def write_report(out: Path, result: Result) -> None:
    """Put one result among the others, whole or not at all."""
    results = read_report(out) | {result.file: result}
    partial = out / f"{REPORT}.partial"
    entries = [asdict(results[file]) for file in sorted(results)]
    partial.write_text(json.dumps(entries, indent=2) + "\n")
    partial.replace(out / REPORT)


def table(results: Iterable[Result]) -> str:
    """The report as a table in Markdown."""
    lines = [
        "| file | MB | largest difference | cosine | what it says | s |",
        "| --- | ---: | ---: | ---: | --- | ---: |",
    ]
    lines += [
        f"| {r.file} | {r.size_bytes / 1e6:.1f} | {r.largest_difference:.1e} | {r.cosine:.6f} "
        f"| {r.verdict} | {r.seconds:.0f} |"
        for r in results
    ]
    return "\n".join(lines)


@contextlib.contextmanager
def quiet(log: Path) -> Iterator[None]:
    """Send what the converters say, also from C++, to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with log.open("ab") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, number)
                os.close(copy)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
