import json
from typing import Any

import pytest

from mesh.errors import RemoteError
from mesh.ids import ModelId, NodeId
from mesh.wire.codec import decode, encode, to_plain
from mesh.wire.documents import MAX_DOCUMENT_BYTES
from mesh.wire.measured import (
    MAX_CORES,
    MAX_TIME_S,
    CapabilityDocument,
    Link,
    LinksDocument,
    check_times,
)

LINK = Link(peer=NodeId("0" * 16), goodput_bytes_per_s=1e8, message_s=1e-3)
LINKS = LinksDocument(links=(LINK,), message_cpu_s=1e-4, byte_cpu_s=1e-9, background_cores=0.1)


def read(plain: dict[str, Any]) -> LinksDocument:
    return decode(LinksDocument, json.dumps(plain).encode(), max_bytes=MAX_DOCUMENT_BYTES)


def test_links_come_back_as_they_were_said() -> None:
    assert decode(LinksDocument, encode(LINKS), max_bytes=MAX_DOCUMENT_BYTES) == LINKS


def test_what_an_older_node_does_not_say_is_not_measured() -> None:
    told = read({"links": [to_plain(LINK)]})
    assert (told.message_cpu_s, told.byte_cpu_s, told.background_cores) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("message_cpu_s", -1.0),
        ("byte_cpu_s", MAX_TIME_S * 2),
        ("background_cores", -0.1),
        ("background_cores", float(MAX_CORES)),
    ],
)
def test_costs_that_would_harm_a_plan_are_refused(field: str, value: float) -> None:
    with pytest.raises(RemoteError):
        read(to_plain(LINKS) | {field: value})


def test_layers_that_together_take_longer_than_a_day_are_refused() -> None:
    """Each time may be sound, and their sum still be more than a clock can wait for."""
    with pytest.raises(ValueError, match="between 0 and 86400 seconds"):
        CapabilityDocument(
            model_id=ModelId("0" * 64),
            kernel_class="k",
            threads=1,
            boundaries=(0, 1, 2),
            layer_s=(MAX_TIME_S * 0.6,) * 2,
            stage_s=0.0,
        )


def test_a_time_is_one_that_a_clock_can_wait_for() -> None:
    check_times("a time", (0.0, MAX_TIME_S))
    for wrong in (-1e-9, MAX_TIME_S * 1.01, float("nan")):
        with pytest.raises(ValueError, match="a time must lie"):
            check_times("a time", (wrong,))


def test_a_power_mode_is_a_name() -> None:
    with pytest.raises(ValueError, match="a power mode has at most 64 characters"):
        CapabilityDocument(
            model_id=ModelId("0" * 64),
            kernel_class="k",
            threads=1,
            boundaries=(0, 1),
            layer_s=(0.1,),
            stage_s=0.0,
            power_mode="x" * 65,
        )
