"""What only the real runtime does; the contract is in test_port.py."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import psutil
import pytest

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
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import residual_cnn

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


def test_a_memory_limit_stops_the_child_alone(write_slice: Any) -> None:
    builder = ModelBuilder()
    x, y = builder.tensor("x", (1, 64 << 20)), builder.tensor("y", (1, 64 << 20))
    builder.operator("ADD", [x, x], [y])
    file = write_slice(builder.build({"x": x}, {"y": y}))  # 512 MiB of tensors
    limited = detect_runtime(data_limit_bytes=256 << 20)
    with pytest.raises((UnsupportedModelError, ChildDiedError)):
        limited.load(
            file.path, inputs=file.inputs, outputs=file.outputs, threads=1, timeout_s=LONG_S
        )


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
