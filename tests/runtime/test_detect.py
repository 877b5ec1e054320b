from collections.abc import Mapping

import pytest

from mesh.errors import DeviceError
from mesh.runtime.control import Package
from mesh.runtime.detect import choose_package, detect_runtime, installed_version, runtime_info

LITERT = {"ai-edge-litert": "2.3.0"}
TFLITE = {"tflite-runtime": "2.14.0"}


@pytest.mark.parametrize(
    ("choice", "installed", "package"),
    [
        ("auto", LITERT | {"numpy": "2.4.0"}, Package.LITERT),
        ("auto", TFLITE | {"numpy": "1.26.4"}, Package.TFLITE),
        ("auto", LITERT | TFLITE | {"numpy": "1.26.4"}, Package.LITERT),
        ("litert", LITERT, Package.LITERT),
        ("tflite", LITERT | TFLITE | {"numpy": "1.26.4"}, Package.TFLITE),
        ("tflite", TFLITE, Package.TFLITE),
    ],
)
def test_the_package_fits_the_choice(
    choice: str, installed: Mapping[str, str], package: Package
) -> None:
    assert choose_package(choice, installed.get) is package


@pytest.mark.parametrize(
    ("choice", "installed", "advice"),
    [
        ("auto", {}, "pip install ai-edge-litert or tflite-runtime"),
        ("litert", TFLITE, "pip install ai-edge-litert$"),
        ("tflite", LITERT, "pip install tflite-runtime$"),
        ("tflite", TFLITE | {"numpy": "2.0.1"}, 'NumPy 2: pip install "numpy<2"'),
        ("auto", TFLITE | {"numpy": "10.0"}, 'pip install "numpy<2"'),
    ],
)
def test_the_error_says_what_to_install(
    choice: str, installed: Mapping[str, str], advice: str
) -> None:
    with pytest.raises(DeviceError, match=advice):
        choose_package(choice, installed.get)


def test_the_kernel_class_names_all_that_decides_the_bits() -> None:
    info = runtime_info(
        Package.LITERT, version="2.3.0", machine="aarch64", extensions=("fphp", "asimddp")
    )
    assert info.kernel_class == "litert-2.3.0/xnnpack/aarch64+asimddp+fphp"
    assert (info.name, info.version) == ("litert", "2.3.0")
    plain = runtime_info(
        Package.TFLITE, version="2.14.0", machine="armv7l", extensions=(), use_xnnpack=False
    )
    assert plain.kernel_class == "tflite-2.14.0/builtin/armv7l"


def test_this_machine_has_a_runtime() -> None:
    assert detect_runtime("auto").info().name in {"litert", "tflite"}


def test_versions_of_distributions() -> None:
    assert (installed_version("numpy") or "").partition(".")[0].isdigit()
    assert installed_version("no-such-distribution") is None
