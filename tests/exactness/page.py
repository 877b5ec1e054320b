"""Renders what the suite found as docs/bit-exactness.md; runs nothing."""

from collections.abc import Mapping, Sequence

from mesh.testing.exactness import Verdict
from tests.exactness.catalogue import Entry
from tests.exactness.results import KERNELS, Facts, Outcome

Results = Sequence[tuple[str, Mapping[str, Outcome]]]
"""For each runtime its name with version, and what was found by model."""

_HEAD = """\
# Bit-exactness

Made by `scripts/exactness`; do not edit by hand. Each model was run whole and in slices, one after \
the other as the nodes of a mesh run them: every slice in an interpreter of its own, one thread, what \
crosses a cut handed on as bytes. The outputs were compared byte by byte over two steps, the golden \
input and a random one; state went from step to step.

A cell says in how many ways the model was cut: **=** all gave the bits of the whole, **≠** some did \
not, **–** the runtime refuses the model itself. Cutting in every legal way means uncut, each cut in \
two, and twelve random ways in three to six stages; where a number is smaller than the \
model's cuts, it is a random sample of these ways. “Plain” is without XNNPACK.

{totals}

Bits are the same within one kernel class only: one runtime and version, one delegate, one processor \
architecture with its vector extensions. These were measured on x86-64.
"""
_KERNEL_NAMES = {"xnnpack": "XNNPACK", "plain": "plain"}


def render(models: Mapping[str, Entry], facts: Mapping[str, Facts], results: Results) -> str:
    """The page; `facts` as the code has them now."""
    parts = [
        _HEAD.format(totals=_totals(results, models)),
        "## Models that are cut\n\n" + _table(models, facts, results),
        "## Models that are refused\n\n" + _refusals(models, facts),
        _problems(models, results),
    ]
    return "\n".join(part for part in parts if part)


def _totals(results: Results, models: Mapping[str, Entry]) -> str:
    lines = []
    for runtime, outcomes in results:
        for kernels in KERNELS:
            verdicts = [_verdict(outcomes, name, kernels) for name in models]
            ran = [one for one in verdicts if one is not None and not one.refusal]
            exact = sum(one.is_exact for one in ran)
            ways = sum(one.ways for one in ran)
            lines.append(
                f"- {runtime}, {_KERNEL_NAMES[kernels]}: {exact} of {len(ran)} models exact, "
                f"{ways:,} ways to cut"
            )
    return "\n".join(lines)


def _table(models: Mapping[str, Entry], facts: Mapping[str, Facts], results: Results) -> str:
    columns = [f"{runtime}, {name}" for runtime, _ in results for name in _KERNEL_NAMES.values()]
    heads = ["model", "from", "licence", "layers", "cuts", "bytes crossing", *columns]
    rows = []
    for name, entry in models.items():
        if not facts[name].refusal:
            cells = [
                _cell(_verdict(outcomes, name, kernels))
                for _, outcomes in results
                for kernels in KERNELS
            ]
            rows.append([*fact_cells(name, entry, facts[name]), *cells])
    return _lines(heads, rows)


def fact_cells(name: str, entry: Entry, facts: Facts) -> list[str]:
    """The part of a model's row that needs no running."""
    crossing = f"{facts.least_live_bytes:,} – {facts.most_live_bytes:,}" if facts.cuts else ""
    return [f"`{name}`", entry.source, entry.licence, str(facts.layers), str(facts.cuts), crossing]


def _verdict(outcomes: Mapping[str, Outcome], name: str, kernels: str) -> Verdict | None:
    return outcomes[name].verdicts.get(kernels) if name in outcomes else None


def _cell(verdict: Verdict | None) -> str:
    if verdict is None:
        return "not run"
    if verdict.refusal:
        return "–"
    if verdict.problems:
        return f"**≠** {len(verdict.problems)} in {verdict.ways}"
    return f"= {verdict.ways}"


def _refusals(models: Mapping[str, Entry], facts: Mapping[str, Facts]) -> str:
    rows = [
        [f"`{name}`", entry.source, entry.licence, facts[name].refusal]
        for name, entry in models.items()
        if facts[name].refusal
    ]
    return _lines(["model", "from", "licence", "why"], rows)


def _problems(models: Mapping[str, Entry], results: Results) -> str:
    lines = [
        f"- `{name}`, {runtime}, {_KERNEL_NAMES[kernels]}: {text}"
        for runtime, outcomes in results
        for name in models
        if name in outcomes
        for kernels, verdict in outcomes[name].verdicts.items()
        for text in ([verdict.refusal] if verdict.refusal else verdict.problems[:5])
    ]
    return "## What went wrong\n\n" + "\n".join(lines) + "\n" if lines else ""


def _lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    table = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in table)
