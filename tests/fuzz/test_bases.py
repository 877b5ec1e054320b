from pathlib import Path

import pytest

from mesh.model.reader import read_model
from tests.fuzz.bases import GENERATED, SAMPLES, all_names, load_bases


@pytest.mark.parametrize("name", GENERATED)
def test_generated_bases_are_sound(name: str, tmp_path: Path) -> None:
    (file,) = load_bases((name,), tmp_path).values()

    assert read_model(file).layers


def test_every_base_has_one_name() -> None:
    assert len(set(all_names())) == len(GENERATED) + len(SAMPLES) >= 5
