from functools import partial
from typing import Any

import pytest

from mesh.cli.profile_networks import MOBILENET, RESNET, Network
from mesh.cli.profile_rates import Rates, measure_rates
from mesh.errors import DeviceError, UnsupportedModelError
from mesh.testing.models import residual_cnn, tiny_dense
from mesh.testing.runtime import FakeRuntime

RESIDUAL = Network(name=MOBILENET, size_bytes=1000, build=partial(residual_cnn, "float32"))
DENSE = Network(name=RESNET, size_bytes=1000, build=tiny_dense)


def measured(*networks: Network, **changes: Any) -> Rates:
    wishes: dict[str, Any] = {
        "available_bytes": 1 << 30,
        "source": "a test",
        "on_step": lambda _name, _done, _total: None,
        "runtime": FakeRuntime(compute_s=0.0071234),
    }
    wishes |= changes
    return measure_rates(networks, wishes.pop("runtime"), **wishes)


def test_rates_are_fitted_and_say_where_they_are_from() -> None:
    rates = measured(RESIDUAL, DENSE)
    assert {rate.source for rate in rates.reference} == {"a test"}
    assert {rate.data_type for rate in rates.reference} == {"float32"}
    assert all(rate.seconds_per_unit > 0 for rate in rates.reference)
    assert rates.passed_over == ()


def test_numbers_have_three_figures() -> None:
    rates = measured(RESIDUAL, DENSE)
    assert rates.anchor is not None
    assert rates.anchor.one_thread_mobilenet_v2_s == 0.00712
    for rate in rates.reference:
        assert rate.seconds_per_unit == float(f"{rate.seconds_per_unit:.3g}")


def test_without_one_of_the_two_there_is_no_anchor() -> None:
    large = Network(name=RESNET, size_bytes=1 << 30, build=tiny_dense)
    rates = measured(RESIDUAL, large)
    assert rates.anchor is None
    assert rates.passed_over == (f"{RESNET}: too large for the memory that is free",)


def test_each_chunk_is_told_of() -> None:
    steps: list[tuple[str, int, int]] = []
    measured(RESIDUAL, on_step=lambda *step: steps.append(step))
    assert [done for _, done, _ in steps] == list(range(1, steps[0][2] + 1))
    assert {name for name, _, _ in steps} == {MOBILENET}


def test_where_nothing_can_be_timed_it_says_why() -> None:
    runtime = FakeRuntime()
    runtime.next_load_error = UnsupportedModelError("it lacks CONV_2D")
    with pytest.raises(DeviceError, match=r"nothing could be timed .*: it lacks CONV_2D"):
        measured(RESIDUAL, runtime=runtime)
