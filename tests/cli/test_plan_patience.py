"""Whoever waits long for a plan is told what for."""

import argparse
import io
import threading
from typing import Any

import pytest

from mesh.cli import plan_patience
from mesh.cli.plan_patience import patient


class Ear(io.StringIO):
    """A stream that says when something was written."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = threading.Event()

    def write(self, text: str) -> int:
        self.heard.set()
        return super().write(text)


def arguments(**given: bool) -> argparse.Namespace:
    return argparse.Namespace(**{"json": False, "explain": False, "pareto": False, **given})


@pytest.mark.parametrize(
    ("given", "at", "told"),
    [
        ({}, "mqtt://pi:1883", "mqtt://pi:1883 works out the best plan"),
        ({}, "", "this machine works out the best plan"),
        (
            {"explain": True, "pareto": True},
            "",
            "this machine works out the best plan, its rivals and what would help, and sooner ones",
        ),
    ],
)
def test_whoever_waits_long_is_told_why(
    given: dict[str, bool], at: str, told: str, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_patience, "PATIENCE_S", 0.0)
    ear = Ear()
    with patient(arguments(**given), cli.session(io.StringIO(), ear), at=at):
        assert ear.heard.wait(20)
    assert ear.getvalue() == f"{told}\n"


def test_a_quick_answer_needs_no_word(cli: Any) -> None:
    ear = Ear()
    with patient(arguments(), cli.session(io.StringIO(), ear)):
        pass
    assert ear.getvalue() == ""
