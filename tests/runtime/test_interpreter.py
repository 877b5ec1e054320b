"""What only the real runtime does; the contract is in test_port.py."""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from mesh.device.processor import process_machine
from mesh.errors import (
    ChildDiedError,
    ChildHungError,
    DeviceError,
    InvokeError,
    UnsupportedModelError,
)
from mesh.model.tensor import DataType, TensorSpec
from mesh.runtime.control import Package
from mesh.runtime.detect import detect_runtime
from mesh.runtime.interpreter import InterpreterRuntime, InterpreterSlice
from mesh.runtime.syscall_filter import ABIS
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import residual_cnn, tiny_dense

LONG_S = 60.0
Load = Callable[[Any], InterpreterSlice]


def index_bytes(index: int) -> tuple[bytes]:
    return (np.array([index], "<i4").tobytes(),)


def test_an_interpreter_error_is_quoted_and_the_slice_stays(lookup: Any, load: Load) -> None:
    loaded = load(lookup)
    with pytest.raises(InvokeError, match="gather index out of bounds"):
        loaded.invoke(index_bytes(99), timeout_s=LONG_S)
    run = loaded.invoke(index_bytes(7), timeout_s=LONG_S)
    assert np.frombuffer(run.outputs[0], "<f4") == 7.0


@pytest.mark.parametrize("data_type", ["float32", "int8", "fp16"])
def test_every_data_type_is_run(data_type: Any, write_slice: Any, load: Load) -> None:
    file = write_slice(residual_cnn(data_type))
    loaded = load(file)
    inputs = [bytes(spec.size_bytes) for spec in file.inputs]
    run = loaded.invoke(inputs, timeout_s=LONG_S)
    assert [len(output) for output in run.outputs] == [spec.size_bytes for spec in file.outputs]
    assert run.outputs == loaded.invoke(inputs, timeout_s=LONG_S).outputs


def test_other_tensors_than_named_are_refused(subtraction: Any, load: Load) -> None:
    a, b = subtraction.inputs
    longer = TensorSpec(index=a.index, name="a", data_type=DataType.FP32, shape=(1, 6))
    with pytest.raises(UnsupportedModelError, match=r"input 0 is float32 \[1, 5\]"):
        load(replace(subtraction, inputs=(longer, b)))
    whole = replace(b, data_type=DataType.INT32)
    with pytest.raises(UnsupportedModelError, match="where INT32"):
        load(replace(subtraction, inputs=(a, whole)))
    with pytest.raises(UnsupportedModelError, match="has 2 outputs where 1 were expected"):
        load(replace(subtraction, outputs=(a,)))


def test_a_file_whose_names_are_no_text_is_refused(write_slice: Any, load: Load) -> None:
    file = tiny_dense().replace(b"\x01\x00\x00\x00x\x00", b"\x01\x00\x00\x00\xe9\x00")
    with pytest.raises(UnsupportedModelError, match="can't decode byte 0xe9"):
        load(write_slice(file))


def test_tensors_beyond_all_memory_are_refused(subtraction: Any, load: Load) -> None:
    huge = TensorSpec(index=0, name="a", data_type=DataType.FP64, shape=(1 << 62,))
    with pytest.raises(UnsupportedModelError, match="do not fit"):
        load(replace(subtraction, inputs=(huge,)))


def test_more_tensors_than_a_message_holds_are_refused(subtraction: Any, load: Load) -> None:
    with pytest.raises(UnsupportedModelError, match="9000 inputs"):
        load(replace(subtraction, inputs=subtraction.inputs[:1] * 9000))


def test_a_load_that_does_not_end_is_ended(subtraction: Any, runtime: InterpreterRuntime) -> None:
    with pytest.raises(ChildHungError, match=r"loading of slice\.tflite within 0 s"):
        runtime.load(
            subtraction.path,
            inputs=subtraction.inputs,
            outputs=subtraction.outputs,
            threads=1,
            timeout_s=0.0,
        )


def test_a_package_that_is_missing_is_named(
    subtraction: Any, runtime: InterpreterRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = subtraction.path.parent  # an empty package there hides a real one that is installed
    (folder / "tflite_runtime").mkdir()
    (folder / "tflite_runtime" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    absent = InterpreterRuntime(Package.TFLITE, runtime.info())
    with pytest.raises(DeviceError, match=r"tflite_runtime\.interpreter cannot be imported"):
        absent.load(
            subtraction.path,
            inputs=subtraction.inputs,
            outputs=subtraction.outputs,
            threads=1,
            timeout_s=LONG_S,
        )


@pytest.fixture
def half_a_gibibyte(write_slice: Any) -> Any:
    """A slice that needs 512 MiB for its tensors."""
    builder = ModelBuilder()
    x, y = builder.tensor("x", (1, 64 << 20)), builder.tensor("y", (1, 64 << 20))
    builder.operator("ADD", [x, x], [y])
    return write_slice(builder.build({"x": x}, {"y": y}))


@pytest.mark.parametrize("use_xnnpack", [True, False])
def test_a_slice_that_takes_more_memory_than_there_is_is_refused(
    half_a_gibibyte: Any, use_xnnpack: bool
) -> None:
    file = half_a_gibibyte
    runtime = detect_runtime(memory_bytes=256 << 20, use_xnnpack=use_xnnpack)
    with pytest.raises(UnsupportedModelError, match="needs more than the 256 MiB of memory"):
        runtime.load(
            file.path, inputs=file.inputs, outputs=file.outputs, threads=1, timeout_s=LONG_S
        )


def test_a_slice_that_takes_far_more_memory_than_predicted_is_refused(
    half_a_gibibyte: Any, runtime: InterpreterRuntime
) -> None:
    file = half_a_gibibyte
    predicted = {"inputs": file.inputs, "outputs": file.outputs, "threads": 1}
    with pytest.raises(UnsupportedModelError, match="needs more than the 84 MiB of memory"):
        runtime.load(file.path, **predicted, timeout_s=LONG_S, memory_bytes=10 << 20)


def test_the_exit_signal_is_named(subtraction: Any, load: Load) -> None:
    loaded = load(subtraction)
    os.kill(loaded.pid, signal.SIGSEGV)
    with pytest.raises(ChildDiedError, match="died of SIGSEGV during an invoke"):
        loaded.invoke([bytes(20)] * 2, timeout_s=LONG_S)


def test_the_child_outlives_the_thread_that_started_it(subtraction: Any, load: Load) -> None:
    loaded: list[InterpreterSlice] = []
    starter = threading.Thread(target=lambda: loaded.append(load(subtraction)))
    starter.start()
    starter.join()
    assert len(loaded[0].invoke([bytes(20)] * 2, timeout_s=LONG_S).outputs) == 2


def test_the_child_is_gone_after_close(subtraction: Any, load: Load) -> None:
    loaded = load(subtraction)
    assert psutil.pid_exists(loaded.pid)
    loaded.close()
    assert not psutil.pid_exists(loaded.pid)


def test_nothing_native_reaches_the_terminal(
    subtraction: Any, load: Load, capfd: pytest.CaptureFixture[str]
) -> None:
    load(subtraction).invoke([bytes(20)] * 2, timeout_s=LONG_S)
    assert capfd.readouterr() == ("", "")


def test_the_child_is_the_one_that_the_kernel_would_take(subtraction: Any, load: Load) -> None:
    pid = load(subtraction).pid
    with open(f"/proc/{pid}/oom_score_adj", encoding="ascii") as file:  # noqa: PTH123
        assert int(file.read()) >= 500


def test_xnnpack_is_used_only_where_it_is_wished(write_slice: Any) -> None:
    file = write_slice(residual_cnn("float32"))
    printed = {}
    for wish in (True, False):
        loaded = detect_runtime(use_xnnpack=wish).load(
            file.path, inputs=file.inputs, outputs=file.outputs, threads=1, timeout_s=LONG_S
        )
        loaded.invoke([bytes(spec.size_bytes) for spec in file.inputs], timeout_s=LONG_S)
        printed[wish] = loaded._process._tail
        loaded.close()
    assert b"XNNPACK delegate" in printed[True]
    assert b"XNNPACK delegate" not in printed[False]


def test_a_child_that_hangs_is_ended_within_a_second_of_its_deadline(
    subtraction: Any, load: Load
) -> None:
    loaded = load(subtraction)
    os.kill(loaded.pid, signal.SIGSTOP)
    started_s = time.monotonic()
    with pytest.raises(ChildHungError):
        loaded.invoke([bytes(20)] * 2, timeout_s=0.5)
    assert 0.5 <= time.monotonic() - started_s < 1.5
    assert not psutil.pid_exists(loaded.pid)


def test_what_runs_without_a_filter_is_told_and_logged_once(
    subtraction: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = detect_runtime()
    assert runtime.unfiltered() == ""
    monkeypatch.setattr(InterpreterSlice, "load", lambda _slice, **_bounds: "no seccomp")
    for _ in range(2):
        runtime.load(
            subtraction.path,
            inputs=subtraction.inputs,
            outputs=subtraction.outputs,
            threads=1,
            timeout_s=LONG_S,
        ).close()
    assert runtime.unfiltered() == "no seccomp"
    assert [one.getMessage() for one in caplog.records if one.levelname == "WARNING"] == [
        "interpreters run without a filter of system calls (no seccomp)"
    ]


@pytest.mark.skipif(process_machine() not in ABIS, reason="no filter is known for this machine")
def test_the_child_is_filtered_before_it_reads_a_model_and_its_threads_too(
    write_slice: Any,
) -> None:
    file = write_slice(residual_cnn("float32"))
    runtime = detect_runtime()
    loaded = runtime.load(
        file.path, inputs=file.inputs, outputs=file.outputs, threads=2, timeout_s=LONG_S
    )
    assert runtime.unfiltered() == ""
    loaded.invoke([bytes(spec.size_bytes) for spec in file.inputs], timeout_s=LONG_S)
    tasks = list(Path(f"/proc/{loaded.pid}/task").iterdir())
    states = [(task / "status").read_text() for task in tasks]
    loaded.close()
    assert len(states) >= 2
    for state in states:
        assert "\nSeccomp:\t2\n" in state
        assert "\nNoNewPrivs:\t1\n" in state
