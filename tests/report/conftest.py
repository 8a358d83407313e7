"""Constructed studies: a table of metrics in, a description and its trials out."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cmae_ablate.report import StudyDescription

METRIC = "linear_probe.top1"
Study = tuple[StudyDescription, pd.DataFrame]
Build = Callable[..., Study]


def build_study(
    values: Mapping[str, Mapping[int, float] | Sequence[float]],
    imported: Mapping[tuple[str, int], str] | None = None,
    **changes: Any,
) -> Study:
    """A one-factor study whose first variant is the reference.

    Args:
        values: Per variant its metric by seed, or one number for each of the seeds 0, 1, ...
        imported: Of which file each cell was imported; the others were trained here.
        changes: Fields of the description to set otherwise.
    """
    rows = []
    for index, (variant, own) in enumerate(values.items()):
        by_seed = own if isinstance(own, Mapping) else dict(enumerate(own))
        for seed, value in by_seed.items():
            rows.append(
                {
                    "variant": variant,
                    "seed": seed,
                    "state": "COMPLETE",
                    "decoder": variant,
                    METRIC: value,
                    "knn.top1": value / 2,
                    "params.encoder": 452_000.0,
                    "params.decoder": 100_000.0 * (index + 1),
                    "flops.pretrain_image": 2e7 * (index + 5),
                    "seconds.pretrain": 200.0 + 30 * index + seed,
                    "fingerprint": f"{index}{seed}" * 16,
                }
            )
    labels = tuple(values)
    fields: dict[str, Any] = {
        "name": "decoder_size",
        "question": "How small can the decoder be?",
        "scale": "cpu",
        "variants": labels,
        "reference": labels[0],
        "factors": {"decoder": labels},
        "levels": {label: {"decoder": label} for label in labels},
        "seeds": max(len(own) for own in values.values()),
        "metric": METRIC,
        "report": ("knn.top1",),
        "protocols": {METRIC: "Linear probe on the mean patch token after the final norm."},
    }
    trials = pd.DataFrame(rows)
    if imported is not None:
        cells = zip(trials["variant"], trials["seed"], strict=True)
        trials["imported"] = [imported.get((variant, int(seed)), "") for variant, seed in cells]
    return StudyDescription(**{**fields, **changes}), trials


@pytest.fixture(scope="session", autouse=True)
def _cheap_collection() -> Iterator[None]:
    """statsmodels collects garbage for every correction: spare it what other tests have imported."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def build() -> Build:
    return build_study


@pytest.fixture
def noisy() -> Callable[[int, int], dict[str, list[float]]]:
    """Metrics with a seed effect that pairing removes: `noisy(variants, seeds)`."""

    def make(variants: int, seeds: int) -> dict[str, list[float]]:
        rng = np.random.default_rng(variants * 100 + seeds)
        base = 34 + rng.normal(0, 1.5, seeds)
        return {
            f"depth {8 - index}": list(base - index + rng.normal(0, 0.6, seeds)) for index in range(variants)
        }

    return make
