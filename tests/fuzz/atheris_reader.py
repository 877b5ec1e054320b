"""Coverage-guided fuzzing of the reader and slicer with atheris; CONTRIBUTING.md says how to run it.

    python -m tests.fuzz.atheris_reader CORPUS… [options of libFuzzer]

Half of the mutants change what the model says and leave the flatbuffer sound: libFuzzer alone
hardly gets past the decoder.
"""

import random
import sys

import atheris

with atheris.instrument_imports(include=["mesh.model"]):
    import mesh.model.cuts
    import mesh.model.reader  # noqa: F401 - for its instrumentation

from mesh.errors import MeshError
from mesh.model.decoder import decode
from mesh.model.encoder import encode
from mesh.model.limits import Limits
from tests.fuzz.reading import read_hostile
from tests.fuzz.table_mutators import TABLE_MUTATORS

_MAX_FILE_BYTES = 16 << 10


def read(content: bytes) -> None:
    """Raises: RuntimeError for what must never happen."""
    violations = read_hostile(content).violations
    if violations:
        raise RuntimeError("; ".join(violations))


def mutate(content: bytes, max_bytes: int, seed: int) -> bytes:
    """Atheris' custom mutator."""
    chance = random.Random(seed)
    if chance.random() < 0.5:
        try:
            root = decode(memoryview(content), Limits())
            kind = chance.choice(list(TABLE_MUTATORS))
            mutant = encode(TABLE_MUTATORS[kind](root, root, chance)[0])
        except (MeshError, LookupError, ValueError, TypeError):
            mutant = b""  # a file too damaged to be changed in this way
        if 0 < len(mutant) <= max_bytes:
            return mutant
    mutated: bytes = atheris.Mutate(content, max_bytes)
    return mutated


if __name__ == "__main__":
    atheris.Setup(
        [sys.argv[0], f"-max_len={_MAX_FILE_BYTES}", *sys.argv[1:]], read, custom_mutator=mutate
    )
    atheris.Fuzz()
