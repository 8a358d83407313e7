"""Reports of studies that add seeds by a rule: their intervals, their verdicts, and what they say of it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cmae_ablate.report import ReportExtras, write_report
from cmae_ablate.report.caption import caption_note
from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.effects import Comparison, compare
from cmae_ablate.report.findings import find
from cmae_ablate.report.glance import glance
from cmae_ablate.report.seed_rule import Looks, SeedRule
from cmae_ablate.report.sequential import look_level
from tests.report.conftest import METRIC, Build

RULE = SeedRule(Looks(3, 1, 8), smallest_effect=1.0)
REFERENCE, CLEAR, CLOSE = "reference", "clear", "close"


def values() -> dict[str, dict[int, float]]:
    """`clear` stopped after 5 seeds, the others went on to 8."""
    rng = np.random.default_rng(3)
    gains = {REFERENCE: 0.0, CLEAR: 6.0, CLOSE: 0.0}
    found = {v: {s: 30 + gain + float(rng.normal(0, 0.4)) for s in range(8)} for v, gain in gains.items()}
    found[CLEAR] = {s: value for s, value in found[CLEAR].items() if s < 5}
    return found


def compared(build: Build, rule: SeedRule | None = RULE, **changes: object) -> Comparison:
    description, trials = build(values(), rule=rule, seeds=8, equivalence_margin=1.0, **changes)
    return compare(sort_out(trials, description), METRIC)


def test_intervals_are_those_of_the_look_that_settled_a_contrast(build: Build) -> None:
    found = compared(build, replace(RULE, sharing="bonferroni"))
    clear = next(e for e in found.effects if e.variant == CLEAR)
    assert clear.standing is not None
    assert clear.standing.settled == "different"
    n = clear.paired.n
    assert n == len(clear.standing.seeds)
    differences = np.array([values()[CLEAR][s] - values()[REFERENCE][s] for s in range(n)])
    error = differences.std(ddof=1) / math.sqrt(n)
    for level, (low, high) in (
        (0.05, (clear.paired.ci_low, clear.paired.ci_high)),
        (0.025, clear.simultaneous),
    ):
        quantile = stats.t.ppf(1 - look_level(RULE.looks, n, level) / 2, n - 1)
        assert (low, high) == pytest.approx(
            (differences.mean() - quantile * error, differences.mean() + quantile * error)
        )


def test_simultaneous_intervals_are_those_that_settled_it_and_the_verdict_agrees_with_them(
    build: Build,
) -> None:
    found, by_bonferroni = compared(build), compared(build, replace(RULE, sharing="bonferroni"))
    for ours, wider in zip(found.declared, by_bonferroni.declared, strict=True):
        low, high = ours.simultaneous
        assert ours.standing is not None
        assert (low, high) == pytest.approx(
            (ours.paired.delta - ours.standing.half_width, ours.paired.delta + ours.standing.half_width)
        )
        assert low > wider.simultaneous[0] or ours.paired.n < wider.paired.n
        if low > 0 or high < 0:
            assert ours.p_holm < 0.05


def test_every_number_allows_for_the_looks_and_what_cannot_is_left_out(build: Build) -> None:
    by_rule, plain = compared(build), compared(build, None)
    for ours, theirs in zip(by_rule.declared, plain.declared, strict=True):
        assert ours.paired.p >= theirs.paired.p or ours.paired.n < theirs.paired.n
        assert ours.two_way is None
        assert math.isnan(ours.bootstrap[0])
        assert math.isnan(ours.required_pairs)
    close = next(e for e in by_rule.effects if e.variant == CLOSE)
    assert close.equivalence is not None
    assert close.equivalence.p == pytest.approx(close.standing.p_equal if close.standing else math.nan)


def test_a_verdict_is_the_one_that_settled_it(build: Build, tmp_path: Path) -> None:
    description, trials = build(values(), rule=RULE, seeds=8, equivalence_margin=1.0)
    files = write_report(description, trials, None, tmp_path)
    answer = json.loads((tmp_path / "answer.json").read_text())
    told = {each["variant"]: (each["verdict"], each["settled"]) for each in answer["verdicts"]}
    assert told[CLEAR] == ("higher", "different")
    assert told[CLOSE] in {("equal", "equal"), ("inconclusive", "budget")}
    assert answer["seed_rule"]["max_seeds"] == 8
    assert "optional stopping" not in files.answer
    assert not any("incomplete" in note or "unpaired" in note or "added" in note for note in files.notes)


def test_the_caption_names_the_interval_and_the_rule(build: Build) -> None:
    text = caption_note(compared(build))
    assert "repeated confidence intervals, which hold whenever a contrast stops" in text
    assert RULE.words in text
    assert "t intervals" not in text


def test_a_study_of_a_fixed_number_says_what_it_always_said(build: Build) -> None:
    text = caption_note(compared(build, None))
    assert "two-sided 95 % t intervals." in text
    assert "8 planned seeds" in text


def test_before_the_first_look_there_is_no_interval_and_no_conclusion(build: Build) -> None:
    early = {v: {s: x for s, x in own.items() if s < 2} for v, own in values().items()}
    description, trials = build(early, rule=RULE, seeds=8)
    found = compare(sort_out(trials, description), METRIC)
    assert all(math.isnan(e.paired.ci_low) and math.isnan(e.p_holm) for e in found.declared)


def test_another_metric_is_read_from_the_pairs_that_the_deciding_one_has(build: Build) -> None:
    description, trials = build(values(), rule=RULE, seeds=8)
    cells = sort_out(trials, description)
    n = {e.variant: e.paired.n for e in compare(cells, METRIC).effects if e.variant != REFERENCE}
    other = compare(cells, "knn.top1", thorough=False)
    assert {e.variant: e.paired.n for e in other.effects if e.variant != REFERENCE} == n


def test_a_csv_with_a_failed_cell_is_judged_without_it(build: Build) -> None:
    description, trials = build(values(), rule=RULE, seeds=8)
    trials.loc[(trials["variant"] == CLOSE) & (trials["seed"] == 1), "state"] = "FAILED"
    found = compare(sort_out(pd.DataFrame(trials), description), METRIC)
    close = next(e for e in found.effects if e.variant == CLOSE)
    assert 1 not in close.seeds
    assert close.standing is not None
    assert close.standing.settled is not None


def test_the_first_screen_names_the_interval_that_it_shows(build: Build) -> None:
    for rule, name in ((RULE, "95 % repeated confidence interval"), (None, "95 % t interval")):
        description, trials = build(values(), rule=rule, seeds=8)
        found = find(description, trials, None, ReportExtras())
        assert name in glance(found.answer, found.comparison, found.cells).caption


def test_before_its_first_look_a_contrast_has_no_interval_and_says_so(build: Build, tmp_path: Path) -> None:
    description, trials = build({REFERENCE: [30.0, 31.0], CLEAR: [36.0, 36.5]}, rule=RULE, seeds=8)
    files = write_report(description, trials, None, tmp_path)
    assert "+5.75 points, n = 2, at" in files.answer
    assert "; not looked at yet, which needs 3 seeds of every contrast." in files.answer
    table = (tmp_path / "table.md").read_text()
    assert "+5.75 (no interval yet)" in table
    for text in (files.answer, table):
        assert "one seed" not in text
        assert "\u2013 to" not in text
        assert "\u00b1\u2013" not in text


def test_complete_pairs_that_no_look_has_seen_are_named(build: Build) -> None:
    everything = values()
    everything[CLEAR][5] = everything[CLEAR][6] = 36.0
    description, trials = build(everything, rule=RULE, seeds=8, equivalence_margin=1.0)
    found = find(description, trials, None, ReportExtras())
    used = next(e for e in found.comparison.effects if e.variant == CLEAR).seeds
    unused = [seed for seed in range(7) if seed not in used]
    [note] = [
        note
        for note in found.notes
        if note.startswith(f"\u2018{CLEAR}\u2019 against \u2018{REFERENCE}\u2019")
    ]
    assert f": {len(unused)} complete pairs (seeds {unused[0]}-{unused[-1]}) not used" in note


def test_where_a_variant_is_missing_the_others_pairs_are_not_dropped_in_silence(build: Build) -> None:
    description, trials = build({**values(), "missing": {}}, rule=RULE, seeds=8)
    notes = find(description, trials, None, ReportExtras()).notes
    assert any(
        note.startswith(f"\u2018{CLOSE}\u2019 against \u2018{REFERENCE}\u2019: 6 complete pairs (seeds 2-7)")
        for note in notes
    )
