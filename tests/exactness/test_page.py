"""docs/bit-exactness.md is of the models that there are, and says of each what the code says now."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mesh.errors import ModelError
from mesh.model import read_model
from mesh.testing.exactness import Verdict
from tests.exactness.catalogue import Entry, entries, is_converted, is_servable, needs_samples
from tests.exactness.page import fact_cells, render
from tests.exactness.results import Facts, Outcome, facts_of, load, save

PAGE = (Path(__file__).parents[2] / "docs" / "bit-exactness.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
CONVERTED = set(re.findall(r"^\| `(\w+)` \| `scripts/convert` \|", PAGE, re.MULTILINE))
CATALOGUE = {name: entry for name, entry in entries().items() if not is_converted(name)}


def test_every_model_has_one_row_and_none_is_of_yesterday() -> None:
    assert sorted(set(ROWS) - CONVERTED) == sorted(CATALOGUE)
    assert len(set(ROWS)) == len(ROWS)


def test_models_converted_by_hand_are_there() -> None:
    kinds = {name.rpartition("_")[0] for name in CONVERTED}
    assert any(name.startswith("efficientnet_lite0") for name in kinds)
    assert any(name.startswith("minilm") for name in kinds)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.samples] if needs_samples(name) else [])
        for name in CATALOGUE
    ],
)
def test_layers_cuts_and_reasons_are_those_of_the_code(
    name: str, read_sample: Callable[[str], bytes]
) -> None:
    file = read_sample(name)
    if is_servable(name):
        cells = fact_cells(name, CATALOGUE[name], facts_of(read_model(file)))
        assert f"| {' | '.join(cells)} |" in PAGE
    else:
        with pytest.raises(ModelError) as refusal:
            read_model(file)
        assert f"| {refusal.value} |" in PAGE


def test_no_model_differed() -> None:
    assert "≠ " not in PAGE.replace("**≠** some", "")
    assert "## What went wrong" not in PAGE


ENTRY = Entry(name="cat", source="generated", licence="Apache-2.0")
FACTS = Facts(layers=3, cuts=2, least_live_bytes=16, most_live_bytes=6400)


def _page(xnnpack: Verdict, facts: Facts = FACTS) -> str:
    verdicts = {} if facts.refusal else {"xnnpack": xnnpack, "plain": Verdict(ways=9)}
    outcome = Outcome(facts=facts, verdicts=verdicts)
    return render({"cat": ENTRY}, {"cat": facts}, [("litert 1", {"cat": outcome})])


def test_a_row_says_what_was_found_with_each_kernels() -> None:
    page = _page(Verdict(ways=12))

    assert "| `cat` | generated | Apache-2.0 | 3 | 2 | 16 – 6,400 | = 12 | = 9 |" in page
    assert "- litert 1, XNNPACK: 1 of 1 models exact, 12 ways to cut" in page
    assert "went wrong" not in page


def test_what_differs_stands_out_and_is_told() -> None:
    page = _page(Verdict(ways=12, problems=("cut before (1,): step 0: output 'y' differs",)))

    assert "| **≠** 1 in 12 |" in page
    assert "- `cat`, litert 1, XNNPACK: cut before (1,): step 0: output 'y' differs" in page
    assert "0 of 1 models exact" in page


def test_a_refused_model_has_its_reason_in_a_table_of_its_own() -> None:
    page = _page(Verdict(ways=0), Facts(refusal="operator 1 (IF) runs other subgraphs"))
    assert "| `cat` | generated | Apache-2.0 | operator 1 (IF) runs other subgraphs |" in page


def test_a_runtime_that_a_model_was_not_run_with_is_no_success() -> None:
    outcome = Outcome(facts=FACTS, verdicts={"xnnpack": Verdict(ways=1), "plain": Verdict(ways=1)})
    results = [("litert 1", {}), ("tflite 2", {"cat": outcome})]
    page = render({"cat": ENTRY}, {"cat": FACTS}, results)

    assert "| not run | not run | = 1 | = 1 |" in page
    assert "- litert 1, XNNPACK: 0 of 0 models exact" in page


def test_results_are_kept_in_a_file(tmp_path: Path) -> None:
    verdicts = {
        "xnnpack": Verdict(ways=2, problems=("one",)),
        "plain": Verdict(ways=0, refusal="no"),
    }
    outcomes = {"cat": Outcome(facts=FACTS, verdicts=verdicts)}
    save(tmp_path / "found.json", "litert 1", outcomes)

    assert load(tmp_path / "found.json") == ("litert 1", outcomes)
