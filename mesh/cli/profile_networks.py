"""The networks that `mesh profile` times, and how: whole, to hold them against published times."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mesh.device.profile import Typical
from mesh.errors import MeshError
from mesh.model import read_model
from mesh.model.tensor import LayerRange
from mesh.runtime.measuring import Effort, SliceTimer
from mesh.runtime.port import Runtime
from mesh.testing.models import residual_cnn
from mesh.testing.network import NumberFormat
from mesh.testing.published_networks import mobilenet_v2, resnet_50

MOBILENET, RESNET = "MobileNetV2 float32", "ResNet-50 float32"
_EFFORT = Effort(budget_s=0.2, min_runs=3, max_runs=50, warm_up_runs=1)
_MEMORY_FACTOR = 3
"""An interpreter with a 102 MB float model takes about 225 MB, and the file is in memory as well."""

OnStep = Callable[[str, int, int], None]
"""Called with the network that is timed, slices done, and how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """`size_bytes` of its file, roughly, to see beforehand whether it fits."""

    name: str
    size_bytes: int
    build: Callable[[], bytes]

    def fits(self, available_bytes: int) -> bool:
        return self.size_bytes * _MEMORY_FACTOR <= available_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Seconds of one inference; None where there are none, which `reason` explains."""

    name: str
    threads: int
    seconds: float | None
    published_s: float | None = None
    reason: str = ""


def compared_networks() -> tuple[Network, ...]:
    """Those that others publish times of, the small first."""
    return (_mobilenet("float32"), _mobilenet("int8"), _resnet())


def fitted_networks() -> tuple[Network, ...]:
    """Those that rates by kind of operator are fitted to: more number formats, the small first."""
    residual = (
        _residual("float32"),
        _residual("int8"),
        _residual("dynamic"),
        _residual("int16x8"),
    )
    return (*residual, _mobilenet("dynamic"), *compared_networks())


def time_whole(
    networks: Sequence[Network],
    threads: Sequence[int],
    runtime: Runtime,
    *,
    available_bytes: int,
    typical: Typical,
    on_step: OnStep,
) -> tuple[Timed, ...]:
    """Each network with each number of threads."""
    timed = []
    for network in networks:
        for done, count in enumerate(threads):
            on_step(network.name, done, len(threads))
            timed.append(_time(network, count, runtime, available_bytes, typical))
        on_step(network.name, len(threads), len(threads))
    return tuple(timed)


def published_s(typical: Typical, name: str, threads: int) -> float | None:
    """Only one thread compares: all cores are not as many everywhere."""
    if threads != 1:
        return None
    times = {
        MOBILENET: typical.one_thread_mobilenet_v2_s,
        RESNET: typical.one_thread_resnet_50_s,
    }
    return times.get(name)


def _time(
    network: Network, threads: int, runtime: Runtime, available_bytes: int, typical: Typical
) -> Timed:
    none = partial(Timed, name=network.name, threads=threads, seconds=None)
    if not network.fits(available_bytes):
        return none(reason="too large for the memory that is free")
    try:
        with tempfile.TemporaryDirectory(prefix="mesh-profile-") as folder:
            model = read_model(network.build())
            timer = SliceTimer(model, runtime, threads=threads, folder=Path(folder), effort=_EFFORT)
            timing = timer(LayerRange(start=0, stop=len(model.layers)))
    except OSError as error:
        return none(reason=f"no room for its file: {error.strerror or error}")
    except MeshError as error:
        return none(reason=str(error))
    return Timed(
        name=network.name,
        threads=threads,
        seconds=timing.compute_s,
        published_s=published_s(typical, network.name, threads),
    )


def _residual(number_format: NumberFormat) -> Network:
    size_bytes = 160_000 if number_format == "float32" else 60_000
    build = partial(residual_cnn, number_format, width=64, blocks=6)
    return Network(name=f"residual {number_format}", size_bytes=size_bytes, build=build)


def _mobilenet(number_format: NumberFormat) -> Network:
    size_bytes = 14_000_000 if number_format == "float32" else 3_600_000
    build = partial(mobilenet_v2, number_format)
    return Network(name=f"MobileNetV2 {number_format}", size_bytes=size_bytes, build=build)


def _resnet() -> Network:
    return Network(name=RESNET, size_bytes=102_000_000, build=partial(resnet_50, "float32"))
