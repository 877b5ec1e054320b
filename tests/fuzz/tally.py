"""Counts verdicts and draws what came of a campaign; pure."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.console import RenderableType

from mesh.cli.canvas import Canvas, Column, labelled, paragraph, table
from tests.fuzz.children import Fate
from tests.fuzz.trial import Verdict

MAX_CAUSES = 12


@dataclass(slots=True)
class Tally:
    """What is kept of the verdicts."""

    fates: Counter[tuple[str, Fate]] = field(default_factory=Counter)
    causes: Counter[tuple[Fate, str, str]] = field(default_factory=Counter)
    violations: list[Verdict] = field(default_factory=list)
    slowest: Verdict | None = None

    def add(self, verdict: Verdict) -> None:
        self.fates[verdict.model, verdict.fate] += 1
        if verdict.fate in (Fate.DIED, Fate.HUNG):
            self.causes[verdict.fate, end_of_child(verdict.said), verdict.kind] += 1
        if verdict.violations:
            self.violations.append(verdict)
        if self.slowest is None or verdict.read_s > self.slowest.read_s:
            self.slowest = verdict

    @property
    def total(self) -> int:
        return sum(self.fates.values())


def end_of_child(said: str) -> str:
    """How a child ended and when, out of the error's sentence: "SIGSEGV, load"."""
    how = re.search(r"died of (\w+)|(exit status \d+)", said)
    when = "load" if "the loading of" in said else "run"
    return f"{how[1] or how[2] if how else 'killed at the deadline'}, {when}"


def draw(tally: Tally, canvas: Canvas, *, runtime: str, took_s: float) -> str:
    """The tables of a finished campaign."""
    return canvas.draw(_parts(tally, runtime, took_s))


def _parts(tally: Tally, runtime: str, took_s: float) -> Iterator[RenderableType]:
    pace = tally.total / took_s if took_s > 0 else 0.0
    yield paragraph(
        f"{tally.total:,} mutants on {runtime}, {took_s:.0f} s, {pace:.1f} mutants/s", style="bold"
    )
    yield ""
    yield _fates(tally)
    if tally.causes:
        yield ""
        yield _causes(tally)
    yield ""
    yield labelled(_verdict_lines(tally))


def _fates(tally: Tally) -> RenderableType:
    fates = [
        fate for fate in Fate if fate is not Fate.READ or any(f is fate for _, f in tally.fates)
    ]
    columns = [
        Column(title="MODEL"),
        *(Column(title=fate.value.upper(), is_number=True, wraps=True) for fate in fates),
        Column(title="ALL", is_number=True),
    ]
    models = list(dict.fromkeys(sorted(model for model, _ in tally.fates)))
    rows = [
        [
            model,
            *(_figure(tally.fates[model, fate]) for fate in fates),
            f"{sum(tally.fates[model, fate] for fate in fates):,}",
        ]
        for model in models
    ]
    sums = [sum(tally.fates[model, fate] for model in models) for fate in fates]
    rows.append(["all", *map(_figure, sums), f"{tally.total:,}"])
    return table(columns, rows)


def _causes(tally: Tally) -> RenderableType:
    columns = [
        Column(title="CHILD"),
        Column(title="ENDED BY"),
        Column(title="MUTATION"),
        Column(title="MUTANTS", is_number=True),
    ]
    common = tally.causes.most_common()
    rows = [
        [fate.value, how, kind, f"{count:,}"] for (fate, how, kind), count in common[:MAX_CAUSES]
    ]
    left = sum(count for _, count in common[MAX_CAUSES:])
    if left:
        rows.append(["others", "", "", f"{left:,}"])
    return table(columns, rows)


def _verdict_lines(tally: Tally) -> Iterator[tuple[str, str]]:
    if tally.slowest is not None:
        slowest = tally.slowest
        yield (
            "slowest read",
            f"{1000 * slowest.read_s:.0f} ms ({slowest.model}, seed {slowest.seed})",
        )
    yield "violations", f"{len(tally.violations):,}" if tally.violations else "none"
    for verdict in tally.violations:
        yield "", f"{'; '.join(verdict.violations)}"
        yield "", f"scripts/fuzz --model {verdict.model} --seed {verdict.seed}"


def _figure(count: int) -> str:
    return f"{count:,}" if count else "·"


def draw_one(verdict: Verdict, canvas: Canvas) -> str:
    """One mutant in words, for a replay."""
    lines = [
        ("mutant", f"{verdict.model}, seed {verdict.seed}"),
        ("mutation", f"{verdict.kind}: {verdict.changes}"),
        ("outcome", verdict.fate.value + (f", {verdict.said}" if verdict.said else "")),
        ("read in", f"{1000 * verdict.read_s:.1f} ms"),
        ("violations", "; ".join(verdict.violations) or "none"),
    ]
    return canvas.draw([labelled(lines)])
