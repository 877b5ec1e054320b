from pathlib import Path

from mesh.device.load import piece_loads
from mesh.device.rate_fit import fit_rates
from mesh.model import read_model
from mesh.runtime.measuring import Effort
from mesh.runtime.reference_timing import CHUNKS, time_model
from mesh.testing.models import residual_cnn
from mesh.testing.runtime import FakeRuntime

QUICK = Effort(budget_s=0.0, min_runs=1, warm_up_runs=0)


def test_the_whole_and_its_chunks_are_timed(tmp_path: Path) -> None:
    model, told = read_model(residual_cnn("float32")), list[tuple[int, int]]()
    timings = time_model(
        "cnn",
        model,
        FakeRuntime(compute_s=0.25),
        folder=tmp_path,
        passes=2,
        effort=QUICK,
        on_slice=lambda done, total: told.append((done, total)),
    )
    (load,) = piece_loads(model, (0, len(model.layers)))
    assert timings.whole.seconds == 0.25
    assert timings.whole.load == load
    assert 1 < len(timings.chunks) <= CHUNKS
    slices = len(timings.chunks) + 1
    assert told == [(done, 2 * slices) for done in range(1, 2 * slices + 1)]
    assert list(tmp_path.iterdir()) == []
    assert fit_rates([timings], source="a test")
