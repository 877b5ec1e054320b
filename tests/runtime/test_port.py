"""The contract of `Runtime` and `LoadedSlice`, held by the real adapter and by the fake."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest

from mesh.errors import (
    ChildDiedError,
    ChildHungError,
    UnsupportedModelError,
    WrongShapeError,
)
from mesh.model.model import Operator
from mesh.model.tensor import TensorSpec
from mesh.runtime.detect import detect_runtime
from mesh.runtime.port import Invocation, LoadedSlice, Runtime
from mesh.testing.runtime import FakeCall, FakeRuntime

A = np.array([[1, 2, 3, 4, 5]], "<f4")
B = np.array([[5, 5, 5, 0.5, -1]], "<f4")
INPUTS = (A.tobytes(), B.tobytes())
OUTPUTS = ((A - B).tobytes(), (A + B).tobytes())
LONG_S = 60.0


class SliceFile(Protocol):
    @property
    def path(self) -> Path: ...
    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...
    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...


def subtract_and_add(call: FakeCall) -> Sequence[bytes]:
    a, b = (np.frombuffer(buffer, "<f4") for buffer in call.buffers)
    return ((a - b).tobytes(), (a + b).tobytes())


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A runtime, and how to do its slices harm from outside."""

    runtime: Runtime
    kill: Callable[[Any], None]
    stall: Callable[[Any], None]

    def load(self, file: SliceFile) -> LoadedSlice:
        return self.runtime.load(
            file.path, inputs=file.inputs, outputs=file.outputs, threads=1, timeout_s=LONG_S
        )


def real_subject() -> Subject:
    return Subject(
        runtime=detect_runtime(),
        kill=lambda loaded: os.kill(loaded.pid, signal.SIGKILL),
        stall=lambda loaded: os.kill(loaded.pid, signal.SIGSTOP),
    )


def fake_subject() -> Subject:
    return Subject(
        runtime=FakeRuntime(subtract_and_add),
        kill=lambda loaded: loaded.die(),
        stall=lambda loaded: loaded.hang(),
    )


@pytest.fixture(params=[real_subject, fake_subject], ids=["real", "fake"])
def subject(request: pytest.FixtureRequest) -> Subject:
    made = request.param()
    assert isinstance(made, Subject)
    return made


@pytest.fixture
def loaded(subject: Subject, subtraction: SliceFile) -> Iterator[LoadedSlice]:
    one = subject.load(subtraction)
    yield one
    one.close()


@pytest.fixture
def invoking(loaded: LoadedSlice) -> Iterator[Callable[[], "Future[Invocation]"]]:
    """Starts an invoke on another thread."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda: pool.submit(loaded.invoke, INPUTS, timeout_s=LONG_S)
        loaded.close()


def test_info_names_the_runtime(subject: Subject) -> None:
    info = subject.runtime.info()
    assert info.name in info.kernel_class
    assert info.version in info.kernel_class


def test_it_knows_the_operators_that_it_runs(subject: Subject) -> None:
    known = subject.runtime.operator_versions()
    assert known.knows(Operator(index=0, name="ADD", version=1, inputs=(), outputs=()))
    assert subject.runtime.operator_versions() == known


def test_invoke_computes_in_the_order_of_the_tensors_named(loaded: LoadedSlice) -> None:
    for _ in range(3):
        run = loaded.invoke(INPUTS, timeout_s=LONG_S)
        assert run.outputs == OUTPUTS
        assert 0 <= run.compute_s < LONG_S


def test_inputs_may_be_views_of_any_format(loaded: LoadedSlice) -> None:
    views = (A.data, memoryview(b"head" + B.tobytes())[4:])
    assert loaded.invoke(views, timeout_s=LONG_S).outputs == OUTPUTS


@pytest.mark.parametrize(
    "inputs",
    [
        (),
        INPUTS[:1],
        (*INPUTS, INPUTS[0]),
        (INPUTS[0], INPUTS[1][:-1]),
        (INPUTS[0] + b"\0", INPUTS[1]),
        (A.repeat(2)[::2].data, INPUTS[1]),
    ],
    ids=["none", "too few", "too many", "short", "long", "with gaps"],
)
def test_buffers_of_the_wrong_size_are_refused_and_the_slice_stays(
    loaded: LoadedSlice, inputs: Sequence[bytes]
) -> None:
    with pytest.raises(WrongShapeError):
        loaded.invoke(inputs, timeout_s=LONG_S)
    assert loaded.invoke(INPUTS, timeout_s=LONG_S).outputs == OUTPUTS


@pytest.mark.parametrize(
    "content", [b"", b"no model", b"\x1c\0\0\0NOPE" + bytes(64)], ids=["empty", "text", "other"]
)
def test_garbage_is_refused(subject: Subject, subtraction: SliceFile, content: bytes) -> None:
    subtraction.path.write_bytes(content)
    with pytest.raises(UnsupportedModelError, match=r"slice\.tflite"):
        subject.load(subtraction)


def test_a_missing_file_is_refused(subject: Subject, subtraction: SliceFile) -> None:
    subtraction.path.unlink()
    with pytest.raises(UnsupportedModelError):
        subject.load(subtraction)


def test_a_loaded_slice_takes_memory(loaded: LoadedSlice) -> None:
    assert loaded.resident_bytes > 1 << 20


def test_close_may_be_called_again(loaded: LoadedSlice) -> None:
    loaded.close()
    loaded.close()
    assert loaded.resident_bytes == 0


def test_a_closed_slice_says_so(loaded: LoadedSlice) -> None:
    loaded.close()
    with pytest.raises(ChildDiedError):
        loaded.invoke(INPUTS, timeout_s=LONG_S)


def test_a_child_killed_while_idle_has_died(subject: Subject, loaded: LoadedSlice) -> None:
    loaded.invoke(INPUTS, timeout_s=LONG_S)
    subject.kill(loaded)
    for _ in range(2):
        with pytest.raises(ChildDiedError):
            loaded.invoke(INPUTS, timeout_s=LONG_S)


def test_a_child_killed_while_it_invokes_has_died(
    subject: Subject, loaded: LoadedSlice, invoking: Callable[[], "Future[Invocation]"]
) -> None:
    subject.stall(loaded)
    run = invoking()
    subject.kill(loaded)
    assert isinstance(run.exception(LONG_S), ChildDiedError)


def test_close_ends_an_invoke_under_way(
    subject: Subject, loaded: LoadedSlice, invoking: Callable[[], "Future[Invocation]"]
) -> None:
    subject.stall(loaded)
    run = invoking()
    loaded.close()
    assert isinstance(run.exception(LONG_S), ChildDiedError)


def test_a_child_that_does_not_answer_has_hung_and_is_gone(
    subject: Subject, loaded: LoadedSlice
) -> None:
    subject.stall(loaded)
    with pytest.raises(ChildHungError, match=r"0\.05 s"):
        loaded.invoke(INPUTS, timeout_s=0.05)
    assert loaded.resident_bytes == 0
    with pytest.raises(ChildDiedError):
        loaded.invoke(INPUTS, timeout_s=LONG_S)


def test_slices_do_not_share_their_end(subject: Subject, subtraction: SliceFile) -> None:
    one, other = subject.load(subtraction), subject.load(subtraction)
    try:
        subject.kill(one)
        assert other.invoke(INPUTS, timeout_s=LONG_S).outputs == OUTPUTS
    finally:
        one.close()
        other.close()
