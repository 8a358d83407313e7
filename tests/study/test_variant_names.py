"""Names that a study's tables could not tell apart are refused before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.study import design
from cmae_ablate.study.loading import load

STUDY = """\
question: Which decoder?
scale: tiny
design: one_factor
factors:
  {factor}:
    path: decoder
    levels:
      depth 1: {{name: transformer, depth: 1}}
      {label}: {{name: linear}}
reference: {{{factor}: depth 1}}
seeds: 2
metric: knn.top1
"""


def refused(path: Path, factor: str = "decoder", label: str = "linear", contrasts: str = "") -> str:
    """What is said of a study with these names."""
    path.write_text(STUDY.format(factor=factor, label=label) + contrasts)
    with pytest.raises(UserError) as caught:
        design.variants(load(path))
    return str(caught.value)


@pytest.mark.parametrize("label", ["random init", "raw pixels", "positive control", "Random Init"])
def test_a_variant_is_not_called_as_a_control(tiny_study: Path, label: str) -> None:
    said = refused(tiny_study, label=label)
    assert f"factors: '{label}' is what every table calls one of its controls; rename the level" in said


def test_a_contrast_compares_two_variants(tiny_study: Path) -> None:
    said = refused(tiny_study, contrasts="contrasts:\n  - [linear, depth 1]\n  - [linear, linear]\n")
    assert "contrasts.1: 'linear' is compared with itself; name two variants" in said
    assert ":15:" in said  # the line of the contrast


def test_a_contrast_counts_once_whichever_way_round(tiny_study: Path) -> None:
    said = refused(tiny_study, contrasts="contrasts: [[linear, depth 1], [depth 1, linear]]\n")
    assert "contrasts.1: 'linear' is compared with 'depth 1' already, the other way round" in said


def test_a_contrast_names_variants(tiny_study: Path) -> None:
    said = refused(tiny_study, contrasts="contrasts: [[linaer, depth 1]]\n")
    assert "contrasts.0: no variant is called 'linaer'; did you mean 'linear'" in said


@pytest.mark.parametrize("factor", ["knn.top1", "pretrain.loss", "seconds.pretrain", "knn.validation_top1"])
def test_a_factor_is_not_called_as_a_column_of_measurements(tiny_study: Path, factor: str) -> None:
    said = refused(tiny_study, factor=factor)
    assert f"trials.csv has what is measured in a column '{factor}'; call the factor otherwise" in said


def test_a_factor_may_be_called_by_its_path(tiny_study: Path) -> None:
    tiny_study.write_text(STUDY.format(factor="decoder.name", label="linear"))
    assert len(design.variants(load(tiny_study))) == 2
