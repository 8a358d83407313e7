"""What the controls say of a table: whether it can see a difference at all, and how finely.

A study that finds no difference may be right, or blind. Clinical trials call the distinction assay
sensitivity (ICH E10): a control that is *known* to be worse is measured along with the variants, and where
the table does not tell it from the reference either, its other null results say nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cmae_ablate.report.effects import Comparison, span_of
from cmae_ablate.report.stats import ALPHA, Paired, holm, paired
from cmae_ablate.report.wording import Metric

POSITIVE, RANDOM_INIT = "positive control", "random init"
RAW_PIXELS, FROM_SCRATCH = "raw pixels", "from scratch"
CONTROLS = (POSITIVE, RANDOM_INIT, RAW_PIXELS, FROM_SCRATCH)


@dataclass(frozen=True)
class ControlEffect:
    """The reference against one of its controls: `paired.delta` is reference minus control."""

    control: str
    paired: Paired
    p_holm: float = math.nan


@dataclass(frozen=True)
class Sensitivity:
    """Whether a study tells its positive control from its reference, and what it gains over no training.

    Attributes:
        sensitive: None where it cannot be said: no positive control, or fewer than two paired seeds.
        control: The reference against the positive control, where there is one.
        gain: The reference against the same encoder before any training, where it was measured; read after
            fine-tuning, which trains any encoder, against the same one trained with labels from scratch.
        benefit: How much better than that the reference reads: `gain`, or of a loss its opposite; negative
            where it reads worse, NaN where it was not measured.
    """

    sensitive: bool | None
    control: ControlEffect | None
    gain: ControlEffect | None
    benefit: float

    def resolution(self, low: float, high: float) -> float:
        """Half the width of a 95 % interval over the benefit of pretraining; NaN where there is none."""
        return (high - low) / 2 / self.benefit if self.benefit > 0 else math.nan

    @property
    def reads_backwards(self) -> bool:
        """Whether the control that is known to be worse reads detectably better."""
        return self.sensitive is False and self.control is not None and self.control.paired.p < ALPHA


def control_effects(comparison: Comparison, controls: pd.DataFrame | None) -> tuple[ControlEffect, ...]:
    """The reference against each of its controls, paired by seed; Holm's correction covers these tests.

    A control without a seed, such as raw pixels, is set against each seed's value.
    """
    found = []
    reference = comparison.description.reference
    for name in _names(controls):
        values = control_values(controls, name, reference, comparison.metric)
        if len(values):
            found.append(ControlEffect(name, against_control(comparison, reference, values)))
    adjusted = holm([effect.paired.tested_p for effect in found]) if found else []
    return tuple(replace(effect, p_holm=p) for effect, p in zip(found, adjusted, strict=True))


def control_table(effects: tuple[ControlEffect, ...]) -> pd.DataFrame:
    """`control_effects.csv`: reference minus control."""
    columns = ("control", "n", "delta", "ci_low", "ci_high", "p", "p_holm")
    rows = [
        (
            e.control,
            e.paired.n,
            e.paired.delta,
            e.paired.ci_low,
            e.paired.ci_high,
            e.paired.tested_p,
            e.p_holm,
        )
        for e in effects
    ]
    return pd.DataFrame(rows, columns=list(columns))


def sensitivity(comparison: Comparison, effects: tuple[ControlEffect, ...]) -> Sensitivity:
    """What the positive control and the untrained encoder say of the study."""
    by_name = {effect.control: effect for effect in effects}
    control, gain = by_name.get(POSITIVE), by_name.get(RANDOM_INIT) or by_name.get(FROM_SCRATCH)
    sign = -1 if comparison.metric.lower_is_better else 1
    benefit = math.nan if gain is None else sign * gain.paired.delta
    return Sensitivity(_is_sensitive(control, comparison.metric), control, gain, benefit)


def _is_sensitive(control: ControlEffect | None, metric: Metric) -> bool | None:
    if control is None or control.paired.n < 2:
        return None
    result = control.paired
    if result.noiseless:
        # The very same numbers are no detected difference; a constant difference leaves no noise to test by.
        return False if result.delta == 0 else None
    return result.p < ALPHA and (result.delta < 0) is metric.lower_is_better


def control_values(
    controls: pd.DataFrame | None, control: str, variant: str, metric: Metric
) -> pd.Series[float]:
    """A control's values for a variant, indexed by seed; one value at index -1 holds for every seed.

    A row that names the variant goes before one that names none and holds for all.
    """
    nothing = pd.Series(dtype="float64")
    if controls is None or metric.name not in controls.columns:
        return nothing
    owners = controls["variant"] if "variant" in controls.columns else pd.Series("", index=controls.index)
    owners = owners.fillna("").astype(str)
    own, shared = (controls[(controls["control"] == control) & (owners == each)] for each in (variant, ""))
    rows = pd.concat([own, shared])
    rows = rows.assign(**{metric.name: pd.to_numeric(rows[metric.name])}).dropna(subset=[metric.name])
    seeds = rows["seed"] if "seed" in rows.columns else pd.Series(math.nan, index=rows.index)
    if not len(rows):
        return nothing
    if seeds.isna().all() or (control == RAW_PIXELS and seeds.nunique() < 2):
        return pd.Series([float(rows[metric.name].mean())], index=[-1])
    values = pd.Series(rows[metric.name].to_numpy(dtype=np.float64), index=seeds.astype("int64"))
    return values[~values.index.duplicated()]


def against_control(comparison: Comparison, variant: str, values: pd.Series[float]) -> Paired:
    """A variant minus a control, over the seeds that both have."""
    known = variant in comparison.values
    ours = comparison.values[variant].dropna() if known else pd.Series(dtype="float64")
    if (rule := comparison.description.rule) is not None:
        ours = ours[ours.index < rule.looks.first]  # how many more there are depends on what they showed
    if list(values.index) == [-1]:
        values = pd.Series(float(values.iloc[0]), index=ours.index)
    seeds = [seed for seed in ours.index if seed in values.index]
    both = pd.DataFrame({"ours": ours[seeds], "theirs": values[seeds]}).astype("float64")
    span = span_of(comparison.metric, both)
    return paired(both["ours"].to_numpy(dtype=np.float64), both["theirs"].to_numpy(dtype=np.float64), span)


def _names(controls: pd.DataFrame | None) -> list[str]:
    """The kinds of control that there are, the positive one first."""
    if controls is None or not len(controls):
        return []
    known = list(dict.fromkeys(controls["control"].astype(str)))
    return [*(c for c in CONTROLS if c in known), *(c for c in known if c not in CONTROLS)]
