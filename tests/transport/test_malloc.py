import os
import platform

import pytest

from mesh.transport.malloc import BROKER_ENVIRONMENT, keep_large_blocks


def test_glibc_takes_both_settings() -> None:
    if platform.libc_ver()[0] != "glibc" or platform.architecture()[0] != "64bit":
        pytest.skip("this is not a 64-bit glibc")
    assert keep_large_blocks()


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_name: str) -> str:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", unknown)
    assert not keep_large_blocks()


def test_the_brokers_environment_has_glibcs_names() -> None:
    assert all(name.startswith("MALLOC_") and name.endswith("_") for name in BROKER_ENVIRONMENT)
