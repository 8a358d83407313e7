"""Which cells count, and a sentence for every one that does not: nothing is dropped or averaged silently."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from cmae_ablate.report.conditions import MACHINE_COSTS, Conditions, machine_notes
from cmae_ablate.report.foreign_rows import foreign_notes
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.selection import consistent
from cmae_ablate.report.trials import check_trials
from cmae_ablate.report.wording import (
    ADDING_SEEDS,
    Metric,
    counted,
    in_quotes,
    listing,
    ratio,
    seeds_of,
    seeds_words,
)

COMPLETE = "COMPLETE"
SECONDS, MEDIAN = "seconds.pretrain", "the median of its seeds is"
SAME_FOR_ALL_SEEDS = ("params.encoder", "params.decoder", "flops.pretrain_image")
MOST_UNEQUAL_SECONDS = 3.0
"""A loaded machine may take twice as long; three times is another training."""
MOST_UNEQUAL = 1.3
"""Times this far from the reference's are no equal time: whole epochs and loads explain less."""


@dataclass(frozen=True)
class Cells:
    """The rows of the study's own variants.

    Attributes:
        rows: Checked rows, every state, in the study's variant order and then by seed.
        notes: What was left out, is missing, was added later or is unlike the study.
    """

    description: StudyDescription
    rows: pd.DataFrame
    notes: tuple[str, ...]
    _pivots: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    def by_seed(self, column: str) -> pd.DataFrame:
        """Finite values of complete cells: one row a seed, one column a variant, NaN where there is none."""
        if column not in self._pivots:
            self._pivots[column] = self._pivot(column)
        return self._pivots[column]

    def _pivot(self, column: str) -> pd.DataFrame:
        variants = list(self.description.variants)
        if column not in self.rows.columns or not pd.api.types.is_numeric_dtype(self.rows[column]):
            return pd.DataFrame(columns=variants, dtype="float64")
        finite = self.complete[np.isfinite(self.complete[column].astype("float64"))]
        return finite.pivot(index="seed", columns="variant", values=column).reindex(columns=variants)

    @property
    def complete(self) -> pd.DataFrame:
        """The rows of complete cells."""
        return self.rows[self.rows["state"] == COMPLETE]

    @cached_property
    def conditions(self) -> Conditions:
        """On what each complete cell was trained."""
        return Conditions.of(self.complete)

    @property
    def added_seeds(self) -> frozenset[int]:
        """Seeds with a complete cell that the study did not plan."""
        return frozenset(int(s) for s in self.complete["seed"] if s >= self.description.seeds)

    def of_planned_seeds(self) -> Cells:
        """The same without seeds that were added later."""
        return Cells(self.description, self.rows[self.rows["seed"] < self.description.seeds], ())


def sort_out(trials: pd.DataFrame, description: StudyDescription) -> Cells:
    """Check the table, keep the study's variants, and note everything a reader must know.

    Raises:
        UserError: As `trials.check_trials` does.
    """
    checked, read_at = consistent(check_trials(trials, description))
    ours = checked[checked["variant"].isin(description.variants)]
    order = {variant: index for index, variant in enumerate(description.variants)}
    ours = ours.sort_values(["variant", "seed"], key=lambda c: c.map(order) if c.name == "variant" else c)
    cells = Cells(description, ours.reset_index(drop=True), ())
    unequal = _unequal_time(cells)
    if unequal:
        kept = tuple(note for note in description.notes if note != description.budget_note)
        cells = replace(cells, description=replace(description, notes=(*kept, unequal)))
    notes = [
        *foreign_notes(checked["variant"], description.variants),
        *_not_asked(cells.description),
        *_incomplete(cells),
        *_unpaired(cells),
        *_without_further(cells),
        *_added(cells),
        *_unlike(cells),
        *_unnamed(cells),
        *_trained_otherwise(cells),
        *_fractions(cells),
        *([unequal] if unequal else []),
        *machine_notes(cells.complete, cells.description.pairs),
        *read_at,
    ]
    return Cells(cells.description, cells.rows, tuple(notes))


def _not_asked(study: StudyDescription) -> Iterator[str]:
    left_out = 0 if study.rule else study.seeds - len(study.expected_seeds)
    if left_out:
        planned = counted(study.seeds, "planned seed")
        yield f"{left_out} of the {planned} not asked for: this run has {counted(study.asked or 0, 'seed')}"


def _incomplete(cells: Cells) -> Iterator[str]:
    """Planned or present cells without a usable number, one line a variant."""
    study = cells.description
    values = cells.by_seed(study.metric)
    states: dict[str, dict[int, str]] = {variant: {} for variant in study.variants}
    for variant, seed, state in zip(*(cells.rows[c] for c in ("variant", "seed", "state")), strict=True):
        states[variant][int(seed)] = state
    for variant, own in states.items():
        if not own:
            yield f"{in_quotes(variant)} has no row at all"
            continue
        usable = set(values.index[values[variant].notna()].tolist())
        reasons: dict[str, list[int]] = defaultdict(list)
        for seed in sorted(({*study.expected_seeds} | set(own)) - usable):
            state = own.get(seed, "missing")
            reasons[f"complete but without {study.metric}" if state == COMPLETE else state].append(seed)
        if reasons:
            told = "; ".join(f"{seeds_words(seeds)} {reason}" for reason, seeds in reasons.items())
            yield f"{in_quotes(variant)} is incomplete: {told}"


def _unpaired(cells: Cells) -> Iterator[str]:
    """Complete cells whose partner is not there, so that no difference can be taken."""
    values = cells.by_seed(cells.description.metric)
    if cells.description.rule is not None:  # some variants have more seeds than others, as planned
        values = values[values.index < cells.description.rule.looks.first]
    for variant, against in cells.description.pairs:
        if variant not in values or against not in values:
            continue
        alone = values.index[values[variant].notna() & values[against].isna()]
        if len(alone):
            yield (
                f"{seeds_of(variant, alone)} unpaired: {in_quotes(against)} has no complete cell "
                "there; not used against it"
            )


def _without_further(cells: Cells) -> Iterator[str]:
    """Cells of the table that lack a further metric, whose means are then over fewer seeds than it says."""
    study, usual = cells.description, cells.by_seed(cells.description.metric)
    for metric in dict.fromkeys(study.report):
        if metric not in cells.rows.columns:
            continue
        values = cells.by_seed(metric).reindex(usual.index)
        for variant in study.variants:
            lacking = usual.index[usual[variant].notna() & values[variant].isna()]
            if len(lacking):
                seeds = seeds_words(lacking)
                yield f"{in_quotes(variant)} {seeds} without {metric}: what is shown of it leaves them out"


def _added(cells: Cells) -> Iterator[str]:
    if cells.added_seeds:
        yield (
            f"{seeds_words(sorted(cells.added_seeds))} added later, beyond the "
            f"{counted(cells.description.seeds, 'planned seed')}; {ADDING_SEEDS}"
        )


def _unlike(cells: Cells) -> Iterator[str]:
    """Contrasts, levels and fingerprints that are not the study's."""
    study = cells.description
    for variant, against in study.contrasts:
        if not {variant, against} <= set(study.variants):
            pair = f"{in_quotes(variant)} against {in_quotes(against)}"
            yield f"contrast {pair} left out: not both are variants of this study"
    for factor in study.factors:
        if factor not in cells.rows.columns:
            continue
        expected = cells.rows["variant"].map(lambda v, f=factor: study.levels.get(v, {}).get(f, ""))
        other = cells.rows.loc[cells.rows[factor].astype(str) != expected, "variant"]
        if len(other):
            yield f"'{factor}' has other levels than in the study for {listing([*dict.fromkeys(other)])}"
    if study.fingerprints and "fingerprint" in cells.rows.columns:
        unlike: dict[str, list[int]] = defaultdict(list)
        for variant, seed, fingerprint in zip(
            *(cells.rows[c] for c in ("variant", "seed", "fingerprint")), strict=True
        ):
            if study.fingerprints.get((variant, int(seed)), fingerprint) != fingerprint:
                unlike[variant].append(int(seed))
        for variant, seeds in unlike.items():
            yield f"{seeds_of(variant, seeds)}: not the study's fingerprint, trained otherwise"


def _unnamed(cells: Cells) -> Iterator[str]:
    """Complete cells without a fingerprint: nothing shows which training they are of."""
    complete = cells.complete
    if "fingerprint" not in complete.columns:
        if len(complete):
            yield "no column 'fingerprint': nothing shows how the cells were trained"
        return
    empty = complete[complete["fingerprint"].fillna("").astype(str).str.strip() == ""]
    for variant, rows in empty.groupby("variant", sort=False):
        yield f"{seeds_of(variant, rows['seed'])} without a fingerprint: nothing shows how trained"


def _trained_otherwise(cells: Cells) -> Iterator[str]:
    """Seeds of one variant whose costs show that they are not of one training recipe."""
    if cells.description.tunes_each_seed:
        return
    for column in (*SAME_FOR_ALL_SEEDS, SECONDS):
        values = cells.by_seed(column)
        for variant in values.columns if len(values) else ():
            own = values[variant].dropna()
            # Of an even number, what must be the same is what a seed has, and no middle of two.
            timed = column == SECONDS
            if timed and not cells.conditions.one_machine(variant):
                continue
            middle = own.quantile(0.5, "midpoint" if timed else "lower") if len(own) else math.nan
            usual, words = float(middle), MEDIAN if timed else "its other seeds have"
            most = MOST_UNEQUAL_SECONDS if timed else 1 + 1e-6
            odd = own[(own > usual * most) | (own * most < usual)]
            if len(odd):
                found = listing([f"{value:,.0f}" for value in odd], 3)
                told = f"{seeds_of(variant, odd.index)}: {column} is {found} where {words} {usual:,.0f}"
                yield f"{told}; trained otherwise?"


def _fractions(cells: Cells) -> Iterator[str]:
    """Accuracies that may be fractions: percent are expected, and nothing in the file says otherwise."""
    study = cells.description
    for metric in dict.fromkeys((study.metric, *study.report)):
        values = cells.by_seed(metric)
        found = values.to_numpy().ravel()
        found = found[np.isfinite(found)] if len(values) else found
        if Metric.named(metric).is_accuracy and len(found) and 0 < found.max() <= 1:
            yield (
                f"every {metric} lies between 0 and 1: accuracies are read as percent; multiply fractions "
                "by 100"
            )


def _unequal_time(cells: Cells) -> str:
    """Why a study of equal time is none after all, or cannot be known to be one; or nothing."""
    study = cells.description
    if study.budget != "time":
        return ""
    others = [v for v in study.variants if v != study.reference]
    apart = [in_quotes(v) for v in others if not cells.conditions.alike(v, study.reference)]
    ratios = {v: cost_ratio(cells, SECONDS, v, study.reference) for v in others}
    unequal = [
        f"{in_quotes(v)} {ratio(r)}"
        for v, r in ratios.items()
        if not (math.isnan(r) or 1 / MOST_UNEQUAL < r < MOST_UNEQUAL)
    ]
    if unequal:
        return (
            f"the study asks for equal time, yet the cells took otherwise: {listing(unequal)} the "
            "reference's pretraining time; this is no comparison at equal time"
        )
    if apart:
        return (
            f"the study asks for equal time, yet {listing(apart)} and the reference were not trained on the "
            "same machine; whether they had equal time cannot be said"
        )
    return ""


def cost_ratio(cells: Cells, column: str, variant: str, against: str) -> float:
    """How many times the cost of another variant one has; NaN where unknown, or of different machines."""
    if column in MACHINE_COSTS and not cells.conditions.alike(variant, against):
        return math.nan
    ours, theirs = (cost_of(cells, column, each) for each in (variant, against))
    return ours / theirs if theirs > 0 else math.nan


def cost_of(cells: Cells, column: str, variant: str) -> float:
    """Median of a cost over the variant's complete cells; NaN without any.

    A cell that waited for others makes a mean of five seeds twice as long, and changes their median little.
    """
    values = cells.by_seed(column)
    return float(values[variant].median()) if len(values) and values[variant].notna().any() else math.nan
