"""Each seed with images of its own: which draw is whose."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.study import design
from cmae_ablate.study.draws import drawn_anew
from cmae_ablate.study.loading import load
from tests.study.blocks import blocks
from tests.tiny import TINY_STUDY


def test_data_without_a_seed_cannot_be_drawn_anew(tiny_study: Path) -> None:
    tiny_study.write_text(TINY_STUDY + "redraw_data: true\n")
    study = load(tiny_study, settings=["dataset.name=tiny_imagenet"])
    with pytest.raises(UserError, match="'tiny_imagenet' has no seed to draw by"):
        design.variants(study)


def test_draws_of_neighbouring_data_sets_share_no_seed(tiny_study: Path) -> None:
    path = blocks(tiny_study)
    drawn = [
        {
            design.variants(load(path, dataset=x))[0].spec["dataset"].drawn_for(s).options["seed"]
            for s in range(5)
        }
        for x in ("here", "there")
    ]
    assert drawn[0] == {0, 1, 2, 3, 4}
    assert not drawn[0] & drawn[1]


def test_without_draws_nothing_is_drawn(tiny_study: Path) -> None:
    study = load(tiny_study)
    assert drawn_anew(study, design.variants(study)) == {}
