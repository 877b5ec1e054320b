"""The demo's deeds that need no mesh; the others are done for real by test_demo.py."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mesh.cli import demo_acts
from mesh.cli.steps import Steps, steps_for
from mesh.cli.terminal import Terminal
from mesh.demo.whole import WholeModel
from mesh.errors import UnknownModelError
from mesh.testing.models import residual_cnn
from mesh.wire.control import StatusReply

Shown = Callable[[], str]


@pytest.fixture
def shown() -> tuple[Steps, Shown]:
    err = io.StringIO()
    return steps_for(Terminal(io.StringIO(), err, {}), quiet=False), err.getvalue


def test_the_victim_runs_the_last_stage_that_is_not_asked(status: StatusReply) -> None:
    status = replace(status, models=(replace(status.models[0], name=demo_acts.MODEL_NAME),))
    first, second = status.models[0].replicas
    assert demo_acts.victim_of(replace(status, asked=first.node_id)) == second.node_name
    assert demo_acts.victim_of(replace(status, asked=second.node_id)) == first.node_name


def test_the_epoch_of_the_live_plan(status: StatusReply) -> None:
    [model] = status.models
    assert demo_acts.epoch_of(status) == model.epoch
    assert demo_acts.epoch_of(replace(status, models=(replace(model, epoch=None),))) == 0
    with pytest.raises(UnknownModelError):
        demo_acts.epoch_of(replace(status, models=()))


def test_a_question_has_the_whole_models_answer(tmp_path: Path) -> None:
    file = tmp_path / "residual.tflite"
    file.write_bytes(residual_cnn("float32"))
    with WholeModel(file) as whole:
        asked = demo_acts.question(whole, 3)
        assert asked.expected == whole.answer(asked.inputs)
        assert asked.outputs == tuple(spec.name for spec in whole.outputs)
        assert demo_acts.question(whole, 3, outputs=1).outputs == asked.outputs[:1]
        assert demo_acts.question(whole, 4).expected != asked.expected


def test_bytes_are_shown(shown: tuple[Steps, Shown]) -> None:
    steps, text = shown
    with demo_acts.bytes_shown(steps, "uploading x") as on_progress:
        for done in (1, 2, 4):
            on_progress(done << 20, 4 << 20)
    assert text() == "uploading x 1 MiB of 4 MiB\nuploading x 4 MiB of 4 MiB\n"


def test_what_has_no_measure_is_shown(shown: tuple[Steps, Shown]) -> None:
    steps, text = shown
    with demo_acts.busy_shown(steps, "starting 3 nodes"):
        pass
    assert text() == "starting 3 nodes\n"
