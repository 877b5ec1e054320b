import pytest

from mesh.planning.wording import duration, exact_size, rate, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 µs"), (4.2e-5, "42 µs"), (0.0123, "12.3 ms"), (1.5, "1.5 s"), (1234.0, "1234 s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_sizes() -> None:
    assert [size(1), size(900), size(1536), size(3 << 20), size(5 << 30)] == [
        "1 byte",
        "900 bytes",
        "1.5 KiB",
        "3 MiB",
        "5 GiB",
    ]
    assert exact_size(1536) == "1.5 KiB (1,536 bytes)"


def test_rates() -> None:
    assert rate(51.28) == "51.3 requests/s"
