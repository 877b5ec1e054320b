"""How figures and lists read in a sentence for people: times, rates, sizes, names."""

import math
from collections.abc import Sequence


def duration(seconds: float) -> str:
    """As "1.55 s", "12.3 ms" or "45 µs"."""
    if seconds >= 1:
        return f"{_short(seconds)} s"
    if seconds >= 1e-3:
        return f"{_short(seconds * 1e3)} ms"
    return f"{_short(seconds * 1e6)} µs"


def duration_at_least(seconds: float) -> str:
    """Rounded up to four digits, so that whoever grants this grants enough: as "60.97 ms"."""
    if not seconds > 0:
        return duration(seconds)
    unit, scale = next(
        (unit, scale) for unit, scale in _DURATIONS if seconds >= scale or unit == "µs"
    )
    digits = 3 - math.floor(math.log10(seconds / scale))
    value = math.ceil(seconds / scale * 10**digits) / 10**digits
    while value * scale < seconds:  # the last place of a float
        value += 10**-digits
    figure = f"{value:.{max(digits, 0)}f}"
    return f"{figure.rstrip('0').rstrip('.') if '.' in figure else figure} {unit}"


_DURATIONS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))


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


def bit_rate(bytes_per_s: float) -> str:
    """As networks are sold: "940 Mbit/s", powers of 1000."""
    bits_per_s = 8 * bytes_per_s
    for unit, scale in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if bits_per_s >= scale:
            return f"{_short(bits_per_s / scale)} {unit}"
    return f"{bits_per_s:.0f} bit/s"


def factor(value: float) -> str:
    """As "1.8×", and close to 1 as "1.04×"."""
    if value >= 100:
        return f"{value:.0f}×"
    return f"{value:.3g}×" if value < 1.1 else f"{value:.2g}×"


def percent(share: float) -> str:
    """As "12 %" or "0.3 %"; rounded up."""
    if share >= 0.1:
        return f"{math.ceil(share * 100)} %"
    return f"{math.ceil(share * 1000) / 10:g} %"


def listed(names: Sequence[str], *, word: str = "and", most: int = 6) -> str:
    """As "a, b and c"; of more than `most` only so many."""
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    return f" {word} ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def article(number: int) -> str:
    """As "an" before eight, eleven, eighteen and eighty-four, else "a"; for numbers up to 999."""
    return "an" if number in {11, 18} or str(number).startswith("8") else "a"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
