"""The study of MAE beside other objectives: it loads, and each variant is what its name says."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.study import design
from cmae_ablate.study.loading import load
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.cost import measure
from cmae_ablate.training.model import smoke

STUDY = Path(__file__).parents[2] / "analysis" / "objectives" / "mae_and_others.yaml"


@pytest.fixture(scope="module")
def specs() -> dict[str, TrialSpec]:
    return {variant.label: variant.spec for variant in design.variants(load(STUDY))}


def test_each_variant_has_its_papers_parts_and_trains(specs: dict[str, TrialSpec]) -> None:
    parts = {
        label: (spec["decoder"].name, spec["target"].name, spec["masking"].options["ratio"], *spec.objectives)
        for label, spec in specs.items()
    }
    assert parts == {
        "MAE": ("transformer", "pixels", 0.75),
        "U-MAE": ("transformer", "pixels", 0.75, "uniformity"),
        "SimMIM": ("simmim", "pixels_l1", 0.6),
        "data2vec": ("simmim", "data2vec", 0.6),
    }
    for spec in specs.values():
        smoke(spec, 48)


def test_their_encoders_have_one_architecture_and_other_costs(specs: dict[str, TrialSpec]) -> None:
    costs = {label: measure(spec, 48) for label, spec in specs.items()}
    assert len({cost.params_encoder for cost in costs.values()}) == 1
    mae, simmim, data2vec = (costs[label].flops_image for label in ("MAE", "SimMIM", "data2vec"))
    # 37 tokens in each of the encoder's blocks instead of 10, and no decoder; then one more forward pass.
    assert 2 < simmim / mae < 4
    assert data2vec > 1.2 * simmim
