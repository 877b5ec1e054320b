"""One line a record, whatever is logged."""

import io
import logging
import re
from collections.abc import Iterator

import pytest

from mesh.cli import node_log
from mesh.errors import UsageError


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root, own = logging.getLogger(), logging.getLogger("mesh")
    before = (list(root.handlers), root.level, own.level)
    # basicConfig(force=True) closes the handlers that it takes away: keep pytest's out of reach.
    root.handlers = []
    yield io.StringIO()
    root.handlers, root.level, own.level = before


def test_time_level_and_area(stream: io.StringIO) -> None:
    node_log.set_up("info", stream)
    logging.getLogger("mesh.control").info("node %s is present", "a")
    logging.getLogger("mesh.control").debug("not shown")
    logging.getLogger("zeroconf").info("not shown")
    logging.getLogger("zeroconf").warning("shown")
    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} info    control: node a is present", first
    )
    assert second.endswith("warning zeroconf: shown")


def test_a_traceback_and_hostile_text_stay_on_the_line(stream: io.StringIO) -> None:
    node_log.set_up("error", stream)
    try:
        int("bad\x1b[2J\nvalue")
    except ValueError:
        logging.getLogger("mesh.node").exception("an event\nfailed")
    (line,) = stream.getvalue().splitlines()
    assert "node: an event failed | Traceback" in line
    assert line.isprintable()


def test_an_unknown_level(stream: io.StringIO) -> None:
    with pytest.raises(UsageError, match="log_level 'loud' is unknown"):
        node_log.set_up("loud", stream)
