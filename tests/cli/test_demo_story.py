"""What the demo says where it needs no mesh; the whole of it is told for real by test_demo.py."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mesh.cli.demo_speed import Speed
from mesh.cli.demo_story import Story, Wishes
from mesh.demo.samples import samples
from mesh.errors import MeshError
from mesh.testing.local_mesh import LocalMesh
from mesh.wire.infer import Timing

Told = tuple[Story, io.StringIO, io.StringIO]


@pytest.fixture
def told(cli: Any, tmp_path: Path) -> Callable[..., Told]:
    """A story with what it says on standard output and on standard error."""

    def make(*, as_json: bool = False, keep: bool = False) -> Told:
        out, err = io.StringIO(), io.StringIO()
        wishes = Wishes(
            sample=samples()["pose_landmark_full"],
            photo=samples()["astronaut"],
            names=("node-1", "node-2"),
            cache_dir=Path("downloads"),
            keep=keep,
        )
        mesh = LocalMesh(tmp_path / "nodes")
        return Story(wishes, cli.session(out, err), mesh, tmp_path, as_json=as_json), out, err

    return make


def speed(label: str, requests_per_s: float, hops: int) -> Speed:
    timing = Timing(total_s=0.03, transfer_s=0.01, stages=())
    return Speed(label=label, timing=timing, hops=hops, requests_per_s=requests_per_s)


def test_a_promise_that_is_kept_is_told(told: Callable[..., Told]) -> None:
    story, out, err = told()
    story._judge(True, "20 of 20 equal")
    assert (out.getvalue(), err.getvalue()) == ("  ✓ 20 of 20 equal\n", "")


def test_a_broken_promise_ends_the_demo_with_the_nodes_logs(
    told: Callable[..., Told], tmp_path: Path
) -> None:
    log = tmp_path / "nodes" / "node-1" / "log.txt"
    log.parent.mkdir(parents=True)
    log.write_text("WARNING it went wrong\n")
    story, out, err = told()
    with pytest.raises(MeshError, match=r"the demo failed: 19 of 20 .*logs are above"):
        story._judge(False, "19 of 20 equal")
    assert out.getvalue() == ""
    assert err.getvalue() == "--- node-1\nWARNING it went wrong\n\n"


def test_what_one_machine_shows_is_not_held_for_more(told: Callable[..., Told]) -> None:
    story, _, _ = told()
    story._figures.predicted_requests_per_s = 111.0
    said = story._verdict(speed("pipeline", 40.0, 3), speed("alone", 50.0, 0))
    assert "0.80× as many requests as one node" in said
    assert "a figure of this machine, not of boards: 2 nodes, their brokers and this" in said
    assert "111 requests/s were predicted" in said


@pytest.mark.parametrize("as_json", [False, True])
def test_the_end(told: Callable[..., Told], as_json: bool) -> None:
    story, out, _ = told(as_json=as_json)
    story._end()
    if as_json:
        assert '"status": "ok"' in out.getvalue()
        assert "Clean up" not in out.getvalue()
    else:
        assert "1. Clean up" in out.getvalue()
        assert "only the downloads stay, in downloads." in " ".join(out.getvalue().split())
