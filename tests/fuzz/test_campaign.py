import multiprocessing
from pathlib import Path

import pytest

from tests.fuzz.bases import all_names
from tests.fuzz.campaign import Settings, run_campaign
from tests.fuzz.children import Fate
from tests.fuzz.tally import Tally
from tests.fuzz.trial import Verdict

MUTANTS = 1000
"""The rest of 10,000 are tried by scripts/fuzz."""


@pytest.mark.real
@pytest.mark.samples
@pytest.mark.timeout(600)
def test_no_mutant_harms_the_process_that_reads_it(request: pytest.FixtureRequest) -> None:
    tally = Tally()
    settings = Settings(
        models=all_names(),
        samples_folder=request.config.getoption("--samples"),
        mutants=MUTANTS,
        pieces=1,
    )

    run_campaign(settings, tally.add)

    assert tally.violations == []
    assert tally.total == MUTANTS
    sums = {fate: sum(tally.fates[model, fate] for model in settings.models) for fate in Fate}
    assert min(sums[Fate.REFUSED_BY_READER], sums[Fate.RAN], sums[Fate.REFUSED_BY_RUNTIME]) > 50


def test_every_seed_is_tried_once_over_all_models(tmp_path: Path) -> None:
    verdicts: list[Verdict] = []
    settings = Settings(
        models=("dense", "variable"), samples_folder=tmp_path, first_seed=7, mutants=20, pieces=0
    )

    run_campaign(settings, verdicts.append)

    tried = {(verdict.model, verdict.seed) for verdict in verdicts}
    assert tried == set(settings.tasks())
    assert len(verdicts) == 20
    assert {model for model, _ in tried} == {"dense", "variable"}


def test_a_reading_process_that_dies_is_a_violation_and_the_others_go_on(tmp_path: Path) -> None:
    verdicts: list[Verdict] = []

    def kill_one_at_first(verdict: Verdict) -> None:
        if not verdicts:
            multiprocessing.active_children()[0].kill()
        verdicts.append(verdict)

    settings = Settings(models=("dense",), samples_folder=tmp_path, mutants=40, pieces=0)
    run_campaign(settings, kill_one_at_first)

    violations = [verdict.violations for verdict in verdicts if verdict.violations]
    assert violations == [("the reading process died (exit status -9)",)]
    assert sorted(verdict.seed for verdict in verdicts) == list(range(40))
