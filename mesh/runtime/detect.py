"""Chooses the installed interpreter package and names its kernel class; nothing native is imported.

A kernel class is what decides the last bits of a result: package and version, delegate,
architecture, and the vector extensions by which XNNPACK picks its kernels.
"""

import importlib.metadata
import importlib.util
from collections.abc import Callable, Collection
from pathlib import Path

from mesh.device.board import Board
from mesh.device.processor import process_machine, vector_extensions
from mesh.errors import DeviceError
from mesh.runtime.control import Package
from mesh.runtime.interpreter import InterpreterRuntime
from mesh.runtime.port import RuntimeInfo

_CHOICES = {"litert": Package.LITERT, "tflite": Package.TFLITE}
_DISTRIBUTIONS = {Package.LITERT: "ai-edge-litert", Package.TFLITE: "tflite-runtime"}

VersionOf = Callable[[str], "str | None"]
"""The installed version of a distribution, or None."""


def detect_runtime(
    choice: str = "auto",
    *,
    use_xnnpack: bool = True,
    memory_bytes: int = 0,
    versions_folder: Path | None = None,
    version_of: VersionOf | None = None,
) -> InterpreterRuntime:
    """The runtime asked for ("litert", "tflite"), or for "auto" the first installed of these.

    `memory_bytes` = what a slice may take at most; 0 = what is free when it is loaded. What the
    package knows of operators is kept in `versions_folder`.
    Raises: DeviceError naming what to install.
    """
    look_up = version_of or installed_version
    package = choose_package(choice, look_up)
    info = runtime_info(
        package,
        version=look_up(_DISTRIBUTIONS[package]) or "unknown",
        machine=process_machine(),
        extensions=vector_extensions(),
        use_xnnpack=use_xnnpack,
    )
    board = Board()
    return InterpreterRuntime(
        package,
        info,
        use_xnnpack=use_xnnpack,
        free_bytes=lambda: memory_bytes or board.memory_available_bytes() or None,
        versions_folder=None if info.version == "unknown" else versions_folder,
    )


def choose_package(choice: str, version_of: VersionOf) -> Package:
    """Which package to use. Raises: DeviceError."""
    candidates = list(_CHOICES.values()) if choice == "auto" else [_CHOICES[choice]]
    present = [each for each in candidates if version_of(_DISTRIBUTIONS[each]) is not None]
    if not present:
        names = " or ".join(_DISTRIBUTIONS[each] for each in candidates)
        raise DeviceError(f"no TFLite interpreter is installed: pip install {names}")
    package = present[0]
    numpy_major = (version_of("numpy") or "0").partition(".")[0]
    # Built against NumPy 1: its first Interpreter() fails with a bare SystemError under NumPy 2.
    if package is Package.TFLITE and numpy_major.isdigit() and int(numpy_major) >= 2:
        raise DeviceError('tflite-runtime does not work with NumPy 2: pip install "numpy<2"')
    return package


def runtime_info(
    package: Package,
    *,
    version: str,
    machine: str,
    extensions: Collection[str],
    use_xnnpack: bool = True,
) -> RuntimeInfo:
    """Name the kernel class. The element type is left out: a model's tensors say it."""
    name = next(name for name, each in _CHOICES.items() if each is package)
    kernels = "xnnpack" if use_xnnpack else "builtin"
    architecture = "+".join((machine, *sorted(extensions)))
    return RuntimeInfo(
        name=name, version=version, kernel_class=f"{name}-{version}/{kernels}/{architecture}"
    )


def installed_version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        pass
    module = distribution.replace("-", "_")  # a distribution's package without pip's metadata
    return "unknown" if importlib.util.find_spec(module) else None
