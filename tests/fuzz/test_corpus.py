from pathlib import Path

import pytest

from tests.fuzz.reading import read_hostile

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
MAX_CORPUS_BYTES = 300 << 10


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_the_reader_bears_every_file_of_the_corpus(path: Path) -> None:
    assert read_hostile(path.read_bytes()).violations == ()


def test_the_corpus_stays_small() -> None:
    assert 0 < sum(path.stat().st_size for path in CORPUS) <= MAX_CORPUS_BYTES
