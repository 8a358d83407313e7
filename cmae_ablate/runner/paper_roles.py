"""Which variants of a study are what the paper calls MAE and CMAE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cmae_ablate.components.protocols import StrengthensViews
from cmae_ablate.study.design import Variant
from cmae_ablate.study.trial_spec import TrialSpec

if TYPE_CHECKING:
    import pandas as pd


def roles_of(variants: Sequence[Variant], reference: str, trials: pd.DataFrame) -> dict[str, str]:
    """`MAE` and `CMAE` by variant's label; empty where not both are there.

    MAE is a reference without any further objective, view or augmentation and with the plain crop; CMAE has
    the contrastive and the position objective, ContrastiveCrop, and a decoder smaller than the reference's.

    Args:
        variants: Of the study.
        reference: Label of the reference variant.
        trials: As in `trials.csv`; `params.decoder` tells which decoder is smaller.
    """
    sizes = _decoder_sizes(trials)
    if not any(v.label == reference and _is_mae(v.spec) for v in variants) or reference not in sizes:
        return {}
    found = [
        v.label
        for v in variants
        if _is_cmae(v.spec) and sizes.get(v.label, sizes[reference]) < sizes[reference]
    ]
    return {reference: "MAE", found[0]: "CMAE"} if len(found) == 1 else {}


def _decoder_sizes(trials: pd.DataFrame) -> Mapping[str, float]:
    """The decoder's parameters by variant, of those that have run."""
    if "params.decoder" not in trials:
        return {}
    known = trials.dropna(subset=["params.decoder"])
    return dict(zip(known["variant"].astype(str), known["params.decoder"].astype(float), strict=True))


def _is_mae(spec: TrialSpec) -> bool:
    augmentation = spec["augmentation"].build()
    strong = augmentation.strong_views if isinstance(augmentation, StrengthensViews) else ()
    is_plain = spec["crop"].name == "random_resized" and spec.training.num_views == 1 and 0 not in strong
    return is_plain and not spec.objectives


def _is_cmae(spec: TrialSpec) -> bool:
    return {"contrastive", "position"} <= set(spec.objectives) and spec["crop"].name == "contrastive"
