"""Reads the speed of a link off the command line: bits as networks are sold, or bytes."""

import argparse
import re

_SPEED = re.compile(
    r"(?P<number>\d{1,9}(\.\d{1,6})?)\s*(?P<scale>[kmg]?)(?P<unit>bit|bits|bps|b)(/s|ps)?",
    re.IGNORECASE,
)
_SCALES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_MOST_BYTES_PER_S = 125e9  # a terabit


def bytes_per_s(text: str) -> float:
    """As "940mbit", "1gbit/s", "100Mbps" in bits, or "50MB/s" in bytes; K, M, G are powers of 1000.

    Raises: ArgumentTypeError.
    """
    match = _SPEED.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no speed of a link: write 940mbit, 1gbit, 300kbit or 50MB/s"
        )
    # "B" is bytes and "b" bits, as everywhere, unless "bit" is spelled out.
    unit = match["unit"]
    bits = 8.0 if unit.startswith("B") and "bit" not in unit.lower() else 1.0
    speed = float(match["number"]) * _SCALES[match["scale"].lower()] * bits / 8
    if not 1 <= speed <= _MOST_BYTES_PER_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no speed that a link has")
    return speed
