from functools import partial
from typing import Any

import pytest

from mesh.cli.profile_networks import (
    MOBILENET,
    RESNET,
    Network,
    Timed,
    compared_networks,
    fitted_networks,
    published_s,
    time_whole,
)
from mesh.device.profile import Typical
from mesh.errors import UnsupportedModelError
from mesh.model import read_model
from mesh.testing.models import tiny_dense
from mesh.testing.runtime import FakeRuntime

TINY = Network(name=MOBILENET, size_bytes=1000, build=tiny_dense)
TYPICAL = Typical(one_thread_mobilenet_v2_s=0.0164)
Steps = list[tuple[str, int, int]]


def timed(
    *networks: Network, threads: tuple[int, ...] = (1,), **changes: Any
) -> tuple[tuple[Timed, ...], Steps]:
    steps: Steps = []
    wishes: dict[str, Any] = {"available_bytes": 1 << 30, "typical": TYPICAL}
    found = time_whole(
        networks,
        threads,
        changes.pop("runtime", FakeRuntime(compute_s=0.007)),
        on_step=lambda name, done, total: steps.append((name, done, total)),
        **(wishes | changes),
    )
    return found, steps


def test_each_network_is_timed_with_each_number_of_threads() -> None:
    runtime = FakeRuntime(compute_s=0.007)
    found, steps = timed(TINY, threads=(1, 2), runtime=runtime)
    assert [(each.threads, each.seconds) for each in found] == [(1, 0.007), (2, 0.007)]
    assert [each.threads for each in runtime.slices] == [1, 2]
    assert steps == [(MOBILENET, 0, 2), (MOBILENET, 1, 2), (MOBILENET, 2, 2)]


def test_only_one_thread_is_held_against_what_was_published() -> None:
    found, _ = timed(TINY, threads=(1, 2))
    assert [each.published_s for each in found] == [0.0164, None]
    assert published_s(TYPICAL, RESNET, 1) is None
    assert published_s(TYPICAL, "MobileNetV2 int8", 1) is None


def test_what_does_not_fit_is_not_tried() -> None:
    runtime = FakeRuntime()
    found, _ = timed(TINY, runtime=runtime, available_bytes=2999)
    assert found[0].seconds is None
    assert "too large" in found[0].reason
    assert runtime.slices == []


def test_what_the_runtime_refuses_is_told() -> None:
    runtime = FakeRuntime()
    runtime.next_load_error = UnsupportedModelError("it lacks CONV_2D")
    found, _ = timed(TINY, TINY, runtime=runtime)
    assert [each.reason for each in found] == ["it lacks CONV_2D", ""]


@pytest.mark.parametrize("network", fitted_networks(), ids=lambda network: network.name)
def test_every_network_is_about_as_large_as_it_says(network: Network) -> None:
    content = network.build()
    assert len(read_model(content).layers) > 10
    assert 0.3 < len(content) / network.size_bytes < 1.1


def test_the_published_are_among_those_that_rates_are_fitted_to() -> None:
    fitted = {each.name for each in fitted_networks()}
    assert len(fitted) == len(fitted_networks())
    assert {MOBILENET, RESNET} <= {each.name for each in compared_networks()} <= fitted


def test_a_network_needs_room_for_its_file_and_its_interpreter() -> None:
    network = Network(name="n", size_bytes=10, build=partial(bytes, 1))
    assert network.fits(30)
    assert not network.fits(29)
