"""`mesh status`: once, as JSON, and again and again through failures."""

import json
from collections import deque
from typing import Any

from mesh.errors import DeadlineExceededError, NoNodesError
from mesh.wire import codec
from mesh.wire.control import StatusReply


def test_as_text(cli: Any) -> None:
    assert cli.run("status") == 0
    assert cli.out.startswith("mesh lab · 2 nodes ready")
    assert "\x1b" not in cli.out
    cli.is_tty = True
    cli.run("status")
    assert "\x1b[1mmesh lab\x1b[0m" in cli.out
    cli.environment["NO_COLOR"] = "1"
    cli.run("status")
    assert "\x1b[32m" not in cli.out


def test_as_json(cli: Any, status: StatusReply) -> None:
    assert cli.run("status", "--json") == 0
    assert cli.out.count("\n") == 1
    found = json.loads(cli.out)
    assert (found["schema_version"], found["status"]) == (1, "ok")
    assert codec.from_plain(StatusReply, found) == status
    stage = found["models"][0]["stages"][0]
    assert set(stage) == {"start", "stop", "replicas"}
    assert set(stage["replicas"][0]) == {
        "node_id",
        "node_name",
        "share",
        "compute_s",
        "transfer_s",
        "measured_compute_s",
        "resident_bytes",
        "state",
    }


def test_watching_without_a_terminal_prints_again(cli: Any) -> None:
    cli.pauses_until_interrupt = 3
    assert cli.run("status", "--watch", "2") == 130
    assert cli.out.count("mesh lab · ") == 3
    assert cli.pauses == [2.0, 2.0, 2.0]
    assert len(cli.whereabouts) == 1


def test_watching_as_json_prints_lines(cli: Any, status: StatusReply) -> None:
    cli.mesh.statuses = deque([status, DeadlineExceededError("no answer"), status])
    cli.pauses_until_interrupt = 3
    assert cli.run("status", "--watch", "--json") == 130
    states = [json.loads(line)["status"] for line in cli.out.splitlines()]
    assert states == ["ok", "error", "ok"]


def test_a_watch_outlives_the_node_it_asked(cli: Any, status: StatusReply) -> None:
    cli.mesh.statuses = deque([status, DeadlineExceededError("no answer"), status])
    cli.pauses_until_interrupt = 3
    cli.run("status", "--watch")
    assert cli.err == "mesh: no answer\n"
    assert len(cli.whereabouts) == 2  # it searched again
    assert cli.out.count("mesh lab · ") == 2


def test_a_watch_in_a_terminal_is_redrawn(cli: Any, status: StatusReply) -> None:
    cli.is_tty = True
    cli.mesh.statuses = deque([status, DeadlineExceededError("no answer")])
    cli.pauses_until_interrupt = 3
    assert cli.run("status", "--watch") == 130
    assert "\x1b[?1049h" in cli.out  # the alternate screen, and back
    assert cli.out.endswith("\x1b[?1049l")
    assert "no answer now: no answer" in cli.out


def test_a_watch_that_finds_nobody_at_first_ends(cli: Any) -> None:
    def connect(_where: Any) -> Any:
        raise NoNodesError("nobody")

    cli.connect = connect
    assert cli.run("status", "--watch") == 9
    assert cli.err == "mesh: nobody\n"
