"""Progress inside the trainings: whether a variant that leads learns faster, or more.

Accuracies on validation images after some epochs, paired by seed as the table's are. A lead early on says
'faster', a lead at the end 'more' (within these epochs, whatever longer trainings would bring). Holm's
correction covers all leads and all changes of a lead, so that many curves with many points claim no more
than one does; bands and intervals are plain, one point at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cmae_ablate.report.frame import Pair, StudyDescription
from cmae_ablate.report.stats import ALPHA, Paired, Values, holm, paired, t_interval
from cmae_ablate.report.wording import Metric, listing, quoted

COLUMNS = ("variant", "seed", "epoch", "metric", "value")


@dataclass(frozen=True)
class Point:
    """One variant after some epochs: mean over seeds, with the plain 95 % t interval.

    Attributes:
        n: Number of seeds; with one there is no interval (NaN).
    """

    variant: str
    epoch: int
    n: int
    mean: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class Lead:
    """One variant before another after some epochs, or how much more it leads then than earlier.

    Attributes:
        since: The earlier epoch, of a change; None of a lead.
        paired: The differences seed by seed; of a change, the differences of differences.
        p_holm: Adjusted over all leads and changes.
    """

    variant: str
    against: str
    epoch: int
    since: int | None
    paired: Paired
    p_holm: float = math.nan

    @property
    def is_detected(self) -> bool:
        """Whether it differs detectably from 0, all leads and changes considered."""
        return self.p_holm < ALPHA


@dataclass(frozen=True)
class Progress:
    """What was measured on the way.

    Attributes:
        metric: What was measured, on validation images.
        cells: `progress.csv`: columns `COLUMNS`.
        points: Every variant at every epoch, in table order.
        leads: Every compared pair at every epoch that both have; then the changes of their leads.
        sentences: What the leads say, as far as they do.
    """

    metric: Metric
    cells: pd.DataFrame
    points: tuple[Point, ...]
    leads: tuple[Lead, ...]
    sentences: tuple[str, ...]

    @property
    def table(self) -> pd.DataFrame:
        """`progress_effects.csv`: one row a compared pair and epoch; `since` marks a change of its lead."""
        rows = [
            {
                "variant": lead.variant,
                "against": lead.against,
                "epoch": lead.epoch,
                "since": lead.since,
                "n": lead.paired.n,
                "delta": lead.paired.delta,
                "ci_low": lead.paired.ci_low,
                "ci_high": lead.paired.ci_high,
                "p": lead.paired.p,
                "p_holm": lead.p_holm,
            }
            for lead in self.leads
        ]
        return pd.DataFrame(rows).astype({"since": "Int64"}) if rows else pd.DataFrame(rows)


def progress(
    measured: pd.DataFrame | None, study: StudyDescription, sensitive: bool | None = None
) -> Progress | None:
    """Compare the variants' progress; None where none was measured.

    Args:
        measured: Columns `COLUMNS`; one metric, whose rows of the first one count where there are several.
        study: Whose declared pairs are compared; without any, all variants with the reference.
        sensitive: Whether the study tells its positive control; where not, no lead is spoken of.
    """
    if measured is None:
        return None
    ours = measured[measured["variant"].isin(study.variants)].dropna(subset=["value"])
    if study.rule is not None:  # how many further seeds there are depends on what they showed
        ours = ours[ours["seed"] < study.rule.looks.first]
    if ours.empty:
        return None
    metric = Metric.named(str(ours["metric"].iloc[0]))
    cells = ours[ours["metric"] == metric.name].reset_index(drop=True)
    values = cells.pivot(index=["variant", "epoch"], columns="seed", values="value")
    points = [_point(variant, epoch, values, metric) for variant, epoch in _in_order(values, study)]
    pairs = study.family or study.against_reference
    leads = [lead for pair in pairs for lead in _leads(pair, values, metric)]
    adjusted = holm([lead.paired.p for lead in leads])
    known = tuple(replace(lead, p_holm=p) for lead, p in zip(leads, adjusted, strict=True))
    told = (*_sentences(known, metric, sensitive), *_unmeasured(study, cells))
    return Progress(metric, cells, tuple(points), known, told)


def _unmeasured(study: StudyDescription, cells: pd.DataFrame) -> Iterator[str]:
    """The variants without a curve: nothing is left out in silence."""
    without = [quoted(variant) for variant in study.variants if variant not in set(cells["variant"])]
    if without:
        yield f"Progress: nothing was measured of {listing(without)}."


def _in_order(values: pd.DataFrame, study: StudyDescription) -> list[tuple[str, int]]:
    return sorted(values.index.tolist(), key=lambda at: (study.variants.index(at[0]), at[1]))


def _point(variant: str, epoch: int, values: pd.DataFrame, metric: Metric) -> Point:
    rows = values.loc[[(variant, epoch)]]
    own = rows.to_numpy(dtype=float).ravel()
    own = own[~np.isnan(own)]
    n, mean = len(own), float(own.mean())
    if n < 2:
        return Point(variant, epoch, n, mean, math.nan, math.nan)
    lowest, highest = metric.possible
    interval = t_interval(mean, float(own.std(ddof=1)) / math.sqrt(n), n - 1)
    return Point(variant, epoch, n, mean, max(interval[0], lowest), min(interval[1], highest))


def _leads(pair: Pair, values: pd.DataFrame, metric: Metric) -> Iterator[Lead]:
    """A lead for each epoch that both have; then its changes from each of them to the last."""
    ours, theirs = (values.loc[label] if label in values.index else pd.DataFrame() for label in pair)
    shared = sorted(set(ours.index) & set(theirs.index))
    differences: dict[int, pd.Series] = {}
    for epoch in shared:
        both = pd.DataFrame({"own": ours.loc[epoch], "against": theirs.loc[epoch]}).dropna()
        differences[epoch] = both["own"] - both["against"]
        found = paired(_array(both["own"]), _array(both["against"]), metric.span)
        yield Lead(*pair, epoch, None, found)
    for epoch in shared[:-1]:
        both = pd.DataFrame({"then": differences[shared[-1]], "since": differences[epoch]}).dropna()
        yield Lead(*pair, shared[-1], epoch, paired(_array(both["then"]), _array(both["since"])))


def _array(series: pd.Series) -> Values:
    return series.to_numpy(dtype=float)


def _sentences(leads: Sequence[Lead], metric: Metric, sensitive: bool | None) -> Iterator[str]:
    """One sentence a pair that says anything, and one for all those that do not."""
    by_pair: dict[Pair, list[Lead]] = {}
    for lead in leads:
        by_pair.setdefault((lead.variant, lead.against), []).append(lead)
    if leads and all(lead.paired.n < 2 for lead in leads):
        yield "Progress: not tested, as no compared pair was measured under two seeds."
        return
    compared = {pair: own for pair, own in by_pair.items() if any(lead.since is not None for lead in own)}
    if not compared:
        return
    if sensitive is False:
        yield "Progress: insensitive, as the study is; its curves say nothing about its variants."
        return
    silent = []
    for pair, own in compared.items():
        told = _sentence(own, metric)
        if told:
            yield told
        else:
            silent.append(pair)
    for against in dict.fromkeys(against for _, against in silent):
        labels = [quoted(variant) for variant, other in silent if other == against]
        yield (
            f"Progress: {listing(labels)} {'does' if len(labels) == 1 else 'do'} not differ detectably from "
            f"{quoted(against)} after any of the measured epochs: neither faster nor more is shown."
        )


def _sentence(leads: Sequence[Lead], metric: Metric) -> str:
    """What one pair's leads show; nothing where none is detected."""
    *early, last = [lead for lead in leads if lead.since is None]
    first = next((lead for lead in early if lead.is_detected), None)
    name, other, ahead = quoted(last.variant), quoted(last.against), _is_ahead(last, metric)
    end, amount = _after(last, metric), "more" if ahead else "less"
    if first is None:
        if not last.is_detected:
            return ""
        return (
            f"Progress: {name} {_way(ahead)} {other} only {end}: it learns {amount} in these epochs; whether "
            f"it learns {_speed(ahead)} is not shown."
        )
    was_ahead = _is_ahead(first, metric)
    begins = f"Progress: {name} {_way(was_ahead)} {other} {_after(first, metric)}"
    speed, change = f"it learns {_speed(was_ahead)}", _change(leads, first)
    if not last.is_detected:
        amount = "more" if was_ahead else "less"
        return (
            f"{begins} and not detectably {end}: {speed}; {change}; whether it learns {amount} is not shown."
        )
    if was_ahead is not ahead:
        return f"{begins} and {_way(ahead)} {end}: {speed} at first, and {amount} in all."
    return f"{begins} and {end}: {speed}, and {amount} in these epochs; {change}."


def _change(leads: Sequence[Lead], first: Lead) -> str:
    """Whether the distance of `first` is larger or smaller at the last epoch."""
    change = next(lead for lead in leads if lead.since == first.epoch)
    if not change.is_detected:
        return "whether the distance grows or shrinks is not shown"
    grows = (change.paired.delta > 0) is (first.paired.delta > 0)
    return f"the distance {'grows' if grows else 'shrinks'} on the way"


def _is_ahead(lead: Lead, metric: Metric) -> bool:
    return (lead.paired.delta > 0) is not metric.lower_is_better


def _way(ahead: bool) -> str:
    return "leads" if ahead else "trails"


def _speed(ahead: bool) -> str:
    return "faster" if ahead else "more slowly"


def _after(lead: Lead, metric: Metric) -> str:
    result = lead.paired
    size = f"{metric.signed(result.delta)}{metric.unit}"
    return f"after epoch {lead.epoch} ({size}, {metric.confidence(result.ci_low, result.ci_high)})"
