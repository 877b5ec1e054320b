"""One line or one JSON object for every error, the right exit status, help that helps."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import mesh
from mesh import errors
from mesh.cli import failure
from mesh.cli.main import COMMANDS
from mesh.cli.terminal import Terminal
from mesh.wire.control import StatusReply

HELPS = [
    *([entry.name] for entry in COMMANDS),
    *(["model", command] for command in ("add", "ls", "rm")),
]


def all_errors(root: type[errors.MeshError] = errors.MeshError) -> Iterator[type[errors.MeshError]]:
    yield root
    yield from itertools.chain.from_iterable(map(all_errors, root.__subclasses__()))


def test_version(cli: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("--version") == 0
    assert capsys.readouterr().out == f"mesh {mesh.__version__}\n"


def test_without_a_command_the_help_is_shown(cli: Any) -> None:
    assert cli.run() == 0
    for entry in COMMANDS:
        assert f"    {entry.name:10}{entry.summary}\n" in cli.out
    assert "examples:\n  mesh node" in cli.out
    assert max(map(len, cli.out.splitlines())) <= 80


@pytest.mark.parametrize("words", HELPS, ids=" ".join)
def test_every_command_s_help_has_an_example(
    words: list[str], cli: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(*words, "--help") == 0
    text = capsys.readouterr().out
    assert f"examples:\n  mesh {' '.join(words)}" in text
    assert "--json" in text or words == ["model"]
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("kind", list(all_errors()), ids=lambda kind: kind.__name__)
def test_each_error_has_its_exit_status(kind: type[errors.MeshError], cli: Any) -> None:
    cli.mesh.statuses[0] = kind("the sentence")
    assert cli.run("status") == kind.exit_status
    assert (cli.out, cli.err) == ("", "mesh: the sentence\n")


@pytest.mark.parametrize("kind", list(all_errors()), ids=lambda kind: kind.__name__)
def test_each_error_is_json_where_json_was_asked_for(
    kind: type[errors.MeshError], cli: Any
) -> None:
    cli.mesh.statuses[0] = kind("the sentence")
    assert cli.run("status", "--json") == kind.exit_status
    assert cli.err == ""
    assert json.loads(cli.out) == {
        "schema_version": 1,
        "status": "error",
        "error": "the sentence",
        "code": kind.code,
        "retryable": kind.retryable,
    }


@pytest.mark.parametrize(
    "words",
    [
        ["no-such-command"],
        ["status", "--no-such-flag"],
        ["status", "--timeout", "soon"],
        ["status", "--timeout", "0"],
        ["status", "--url", "http://x"],
        ["status", "--mesh", "not a name"],
        ["status", "--watch", "-1"],
        ["model"],
        ["model", "add"],
        ["model", "add", "/no/such/file.tflite"],
        ["model", "rm"],
        ["plan"],
        ["plan", "pose", "--split", "0"],
        ["infer", "pose"],
        ["infer", "pose", "--random", "--count", "0"],
        ["infer", "pose", "--random", "--content-type", "image/jpeg"],
        ["node", "--memory", "much"],
        ["node", "--runtime", "none"],
        ["node", "--seed", "nonsense"],
        ["node", "--name", "-"],
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_a_line_and_status_2(words: list[str], cli: Any) -> None:
    assert cli.run(*words) == 2
    assert cli.out == ""
    assert cli.err.startswith("mesh: ")
    assert cli.err.count("\n") == 1
    assert not cli.whereabouts
    assert cli.run(*words, "--json") == 2
    assert json.loads(cli.out)["code"] == "USAGE"


def test_a_fault_is_a_line_too(cli: Any) -> None:
    def connect(_where: Any) -> Any:
        raise ZeroDivisionError("division\nby zero")

    cli.connect = connect
    assert cli.run("status") == 1
    assert cli.err == (
        "mesh: a fault in mesh itself (ZeroDivisionError: division by zero); "
        "MESH_DEBUG=1 shows where\n"
    )
    cli.environment["MESH_DEBUG"] = "1"
    assert cli.run("status", "--json") == 1
    assert "Traceback" in cli.err
    assert json.loads(cli.out)["code"] == "INTERNAL"


def test_ctrl_c_is_quiet(cli: Any) -> None:
    cli.pauses_until_interrupt = 1
    assert cli.run("status", "--watch") == failure.INTERRUPTED == 130
    assert cli.err == ""
    assert cli.mesh.is_closed


def test_a_broken_pipe_is_quiet(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_terminal: Terminal, _text: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(Terminal, "show", broken)
    assert cli.run("status") == failure.BROKEN_PIPE == 141
    assert cli.run("status", "--json") == failure.BROKEN_PIPE
    assert cli.run("bogus", "--json") == failure.BROKEN_PIPE
    assert cli.err == ""


@pytest.mark.parametrize(
    "words",
    [["status"], ["model", "ls"], ["plan", "pose"], ["infer", "pose", "--random"]],
    ids=" ".join,
)
def test_every_line_fits_and_nothing_steers_the_terminal(
    words: list[str], cli: Any, status: StatusReply
) -> None:
    evil = "\x1b[31mred\x07\n\u202egnp.exe\x9b" + "x" * 200
    nodes = tuple(replace(node, name=evil, board=evil, runtime=evil) for node in status.nodes)
    models = tuple(replace(model, problem=evil, bottleneck=evil) for model in status.models)
    cli.mesh.statuses[0] = replace(
        status, mesh_name=evil, nodes=nodes, models=models, notes=(evil,)
    )
    assert cli.run(*words) == 0
    lines = cli.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line.isprintable() for line in lines)


def test_an_error_s_text_cannot_steer_the_terminal(cli: Any) -> None:
    cli.mesh.statuses[0] = errors.NodeLostError("gone\x1b]0;title\x07\nfor good")
    cli.run("status")
    assert cli.err == "mesh: gone]0;title for good\n"
