"""A contrast over data sets: its name in tables and sentences, and its numbers or the word for none."""

from __future__ import annotations

from cmae_ablate.report.pooled import OnDataSet, OverDataSets, PooledStudy
from cmae_ablate.report.random_effects import RandomEffects
from cmae_ablate.report.wording import ALIKE, Metric, one_line, quoted


def name(each: OverDataSets, study: PooledStudy) -> str:
    """The contrast in a table: the variant, with what it is compared with where that is not the reference.

    Of a grid's term, what is subtracted from what.
    """
    if each.term is not None:
        return one_line(f"{each.term.name} ({each.term.contrast})")
    reference = study.parts[0].comparison.description.reference
    return one_line(each.variant if each.against == reference else f"{each.variant} against {each.against}")


def on_data_set(on: OnDataSet, metric: Metric) -> str:
    """Difference and interval on one data set, or the word in their place: as a study's own table has it."""
    result = on.paired
    if not result.n:
        return "no paired seed"
    alike = result.noiseless and not on.identical
    interval = f"({ALIKE})" if alike else metric.interval(result.ci_low, result.ci_high)
    return f"{metric.signed(result.delta)} {interval or '(one seed)'}"


def over_data_sets(found: RandomEffects, metric: Metric) -> str:
    """Pooled difference and interval, or the word in their place."""
    interval = "(alike on every data set)" if found.alike else metric.interval(*found.interval)
    return f"{metric.signed(found.mean)} {interval}".strip()


def named(each: OverDataSets, study: PooledStudy) -> str:
    """The contrast in a sentence."""
    if each.term is not None:
        return name(each, study)
    return f"{quoted(each.variant)} against {quoted(each.against)}"


def within(study: PooledStudy) -> str:
    """The margin of equivalence, with the blank before it; nothing where none is declared."""
    margin = study.parts[0].comparison.description.equivalence_margin
    return "" if margin is None else f" {study.metric.within(margin)}"
