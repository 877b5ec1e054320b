from dataclasses import replace
from pathlib import Path

import pytest

from mesh.device.capability import Capability, Conditions
from mesh.device.capability_cache import CapabilityCache
from mesh.errors import DeviceError
from mesh.ids import ModelId

CONDITIONS = Conditions(
    model_id=ModelId("ab" * 32),
    kernel_class="litert-2.3.0/xnnpack/aarch64",
    device_profile="jetson-orin-nano",
    power_mode="15W",
    threads=4,
)
CAPABILITY = Capability(
    conditions=CONDITIONS, threads=4, boundaries=(0, 3, 5), layer_s=(0.1, 0.2), stage_s=0.01
)


@pytest.fixture
def cache(tmp_path: Path) -> CapabilityCache:
    return CapabilityCache(tmp_path / "capabilities")


def only_file(tmp_path: Path) -> Path:
    (file,) = (tmp_path / "capabilities").iterdir()
    return file


def test_what_was_put_is_there_after_a_restart(cache: CapabilityCache, tmp_path: Path) -> None:
    assert cache.get(CONDITIONS, (0, 3, 5)) is None
    cache.put(CAPABILITY)
    assert CapabilityCache(tmp_path / "capabilities").get(CONDITIONS, (0, 3, 5)) == CAPABILITY


@pytest.mark.parametrize(
    "change",
    [
        {"model_id": ModelId("cd" * 32)},
        {"kernel_class": "litert-2.4.0/xnnpack/aarch64"},
        {"device_profile": "raspberry-pi-5"},
        {"power_mode": "25W"},
        {"threads": 2},
        {"most_threads": 2},
    ],
)
def test_other_conditions_are_another_measurement(
    cache: CapabilityCache, change: dict[str, object]
) -> None:
    cache.put(CAPABILITY)
    others = replace(CONDITIONS, **change)  # type: ignore[arg-type]
    assert cache.get(others, (0, 3, 5)) is None
    assert cache.get(CONDITIONS, (0, 3, 5)) == CAPABILITY


def test_other_boundaries_are_measured_again(cache: CapabilityCache) -> None:
    cache.put(CAPABILITY)
    assert cache.get(CONDITIONS, (0, 5)) is None


def test_the_newer_replaces_the_older(cache: CapabilityCache, tmp_path: Path) -> None:
    cache.put(CAPABILITY)
    cache.put(replace(CAPABILITY, stage_s=0.5))
    assert only_file(tmp_path).exists()
    found = cache.get(CONDITIONS, (0, 3, 5))
    assert found is not None
    assert found.stage_s == 0.5


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[" * 100_000, b"{}", b" " * (2 << 20)],
    ids=["empty", "cut", "binary", "deep", "other", "long"],
)
def test_a_damaged_file_is_removed(cache: CapabilityCache, tmp_path: Path, content: bytes) -> None:
    cache.put(CAPABILITY)
    file = only_file(tmp_path)
    file.write_bytes(content)
    assert cache.get(CONDITIONS, (0, 3, 5)) is None
    assert not file.exists()


def test_a_file_of_other_conditions_is_removed(cache: CapabilityCache, tmp_path: Path) -> None:
    cache.put(CAPABILITY)
    file = only_file(tmp_path)
    file.write_text(file.read_text().replace("15W", "25W"))
    assert cache.get(CONDITIONS, (0, 3, 5)) is None
    assert not file.exists()


def test_a_disk_that_refuses_is_a_device_error(tmp_path: Path) -> None:
    (tmp_path / "capabilities").touch()
    with pytest.raises(DeviceError, match="cannot be kept"):
        CapabilityCache(tmp_path / "capabilities").put(CAPABILITY)
