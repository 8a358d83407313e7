"""What one test image is worth, and when two encoders are the same."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from cmae_ablate.report.resolution import one_image, same_weights


def table(*values: float) -> pd.DataFrame:
    return pd.DataFrame({"a": list(values)})


def test_kept_predictions_say_how_many_images_there_are() -> None:
    assert one_image(table(12.0, 37.0), 250) == 0.4


@pytest.mark.parametrize("images", [12, 250, 3_200, 10_000])
def test_the_numbers_themselves_show_their_step(images: int) -> None:
    hits = np.random.default_rng(images).integers(0, images, 12)
    assert one_image(table(*(100 * hits / images))) == pytest.approx(100 / images)


def test_numbers_without_a_common_step_show_none() -> None:
    assert math.isnan(one_image(table(math.pi, math.e, 34.123456789)))
    assert math.isnan(one_image(table(math.nan)))
    assert math.isnan(one_image(table(0.0)))


def weights(**by_variant: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        [(v, seed, sha) for v, own in by_variant.items() for seed, sha in enumerate(own)],
        columns=["variant", "seed", "weights_sha256"],
    )


def test_the_same_weights_under_every_seed_are_the_same_encoder() -> None:
    rows = weights(a=["x", "y"], b=["x", "y"], c=["x", "z"])
    assert same_weights(rows, "a", "b", (0, 1))
    assert same_weights(rows, "a", "c", (0,))
    assert not same_weights(rows, "a", "c", (0, 1))


def test_unknown_weights_are_never_the_same() -> None:
    assert not same_weights(weights(a=["", ""], b=["", ""]), "a", "b", (0, 1))
    assert not same_weights(weights(a=["x"], b=["x"]), "a", "b", (0, 1))
    assert not same_weights(weights(a=["x"], b=["x"]), "a", "b", ())
    assert not same_weights(pd.DataFrame({"variant": ["a"], "seed": [0]}), "a", "a", (0,))
