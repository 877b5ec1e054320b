"""Figures keep their width and say when they are missing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.cli import figures
from mesh.ids import NodeId


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.0, "0.00 ms"),
        (1e-7, "<0.01 ms"),
        (0.00123, "1.23 ms"),
        (0.009996, "10.0 ms"),
        (0.0123, "12.3 ms"),
        (0.09996, "100 ms"),
        (12.5, "12,500 ms"),
    ],
)
def test_milliseconds(seconds: float | None, text: str) -> None:
    assert figures.milliseconds(seconds) == text


@given(st.floats(0, 999))
def test_milliseconds_are_short(seconds: float) -> None:
    assert len(figures.milliseconds(seconds)) <= 10


@pytest.mark.parametrize(
    ("size_bytes", "short", "mib"),
    [
        (None, "–", "–"),
        (0, "0 MiB", "–"),
        (612 << 20, "612 MiB", "612 MiB"),
        (31 << 20, "31 MiB", "31.0 MiB"),
        (1 << 30, "1.0 GiB", "1,024 MiB"),
        (3_200 << 20, "3.1 GiB", "3,200 MiB"),
    ],
)
def test_memory(size_bytes: int | None, short: str, mib: str) -> None:
    assert figures.memory(size_bytes) == short
    assert figures.mebibytes(size_bytes) == mib


def test_layers_are_counted_inclusively() -> None:
    assert (figures.layers(0, 42), figures.layers(7, 8)) == ("0–41", "7")


def test_rates() -> None:
    assert figures.rate(figures.per_second(0.0125)) == "80 requests/s"
    assert figures.rate(figures.per_second(None)) == "–"
    assert figures.per_second(0.0) is None


def test_words() -> None:
    assert figures.count(1, "node") == "1 node"
    assert figures.count(1200, "request") == "1,200 requests"
    assert figures.count(2, "copy", "copies") == "2 copies"
    assert figures.temperature(51.6) == "52 °C"
    assert figures.size(6 << 20) == "6 MiB"


def test_nodes_are_named() -> None:
    node_id = NodeId("a" * 16)
    text = figures.with_names(f"compute on {node_id}", {node_id: "pi5"})
    assert text == "compute on pi5"


def test_a_share_that_is_not_nothing_is_not_shown_as_nothing() -> None:
    shares = [figures.share(part) for part in (0, 0.001, 0.0099, 0.314, 1)]
    assert shares == ["0%", "<1%", "<1%", "31%", "100%"]
