"""How figures read in a sentence for people: times, rates, sizes."""


def duration(seconds: float) -> str:
    """As "1.55 s", "12.3 ms" or "45 µs"."""
    if seconds >= 1:
        return f"{_short(seconds)} s"
    if seconds >= 1e-3:
        return f"{_short(seconds * 1e3)} ms"
    return f"{_short(seconds * 1e6)} µs"


def rate(requests_per_s: float) -> str:
    return f"{_short(requests_per_s)} requests/s"


def size(size_bytes: float) -> str:
    """As "1.5 MiB", and below a KiB in bytes."""
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes >= scale:
            return f"{_short(size_bytes / scale)} {unit}"
    return "1 byte" if size_bytes == 1 else f"{size_bytes:.0f} bytes"


def exact_size(size_bytes: int) -> str:
    """As "1.5 MiB (1,572,864 bytes)"."""
    rough = size(size_bytes)
    return rough if size_bytes < 1 << 10 else f"{rough} ({size_bytes:,} bytes)"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
