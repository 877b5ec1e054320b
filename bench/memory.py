"""Predicted against measured memory of whole models, each in a process of its own: python -m bench.memory FILE …

What counts as a process's: anonymous memory, pages of the model's file, and tensors shared with
this process. Where two runtimes are installed in two environments, run it in both.
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path

from mesh.errors import MeshError
from mesh.model import LayerRange, Model, read_model, stage_memory
from mesh.runtime.detect import detect_runtime
from mesh.runtime.golden import golden_inputs
from mesh.testing.models import residual_cnn, tiny_dense
from mesh.testing.network import NumberFormat

RUNS = 3
TIMEOUT_S = 120.0
FORMATS: tuple[NumberFormat, ...] = ("float32", "fp16", "int8", "dynamic", "int16x8", "sparse")


def taken_bytes(model: Model, path: Path) -> int:
    """After some runs, with what a bare interpreter has."""
    loaded = detect_runtime().load(
        path, inputs=model.inputs, outputs=model.outputs, threads=1, timeout_s=TIMEOUT_S
    )
    try:
        for _ in range(RUNS):
            loaded.invoke(golden_inputs(model.inputs), timeout_s=TIMEOUT_S)
        return resident_bytes(loaded.pid, path)
    finally:
        loaded.close()


def resident_bytes(pid: int, path: Path) -> int:
    """From proc(5), smaps: each mapping's line, then its figures in KiB."""
    found: Counter[str] = Counter()
    counts_whole = False
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
        word, *others = line.split()
        if not word.endswith(":"):
            counts_whole = line.endswith(str(path)) or "memfd" in line
        elif word == "Rss:" and counts_whole:
            found["mapped"] += int(others[0]) << 10
        elif word == "Anonymous:" and not counts_whole:
            found["anonymous"] += int(others[0]) << 10
    return found.total()


def show(name: str, content: bytes, folder: Path, bare_bytes: int) -> None:
    path = folder / "model.tflite"
    path.write_bytes(content)
    try:
        model = read_model(content)
        taken = taken_bytes(model, path) - bare_bytes
    except MeshError as error:
        print(f"{name:40} {error}")
        return
    whole = LayerRange(start=0, stop=len(model.layers))
    predicted = stage_memory(model, whole, runtime=detect_runtime().info().name).total_bytes
    print(
        f"{name:40} {len(content) / 1e6:7.2f} MB {predicted / 1e6:9.2f} MB {taken / 1e6:9.2f} MB "
        f"{predicted / taken:6.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare predicted with measured memory.")
    parser.add_argument("files", metavar="FILE", type=Path, nargs="*")
    args = parser.parse_args()
    info = detect_runtime().info()
    print(f"{info.name} {info.version}")
    print(f"{'model':40} {'file':>10} {'predicted':>12} {'measured':>12}  ratio")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tiny = folder / "tiny.tflite"
        tiny.write_bytes(tiny_dense())
        bare_bytes = taken_bytes(read_model(tiny_dense()), tiny)
        for path in args.files:
            show(path.name, path.read_bytes(), folder, bare_bytes)
        for number_format in FORMATS if not args.files else ():
            content = residual_cnn(number_format, width=512, blocks=95)
            show(f"generated {number_format}", content, folder, bare_bytes)


if __name__ == "__main__":
    main()
