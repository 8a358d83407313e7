"""The resolved study: a file that says the same as study, scale and command line together."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from cmae_ablate.study import design
from cmae_ablate.study.loading import Study, load
from cmae_ablate.study.resolved import resolved_file

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"path", "origin", "base_changes", "name", "factors", "is_rescaled", "group", "datasets"}
"""Where values came from is lost; factors carry it, too, and are compared by what they hold."""


def read_again(study: Study, folder: Path) -> Study:
    path = folder / study.path.name
    path.write_text(resolved_file(study), encoding="utf-8")
    return load(path)


def same(one: Study, other: Study) -> None:
    for name in (field.name for field in fields(Study) if field.name not in ELSEWHERE):
        assert getattr(one, name) == getattr(other, name), name
    assert [(f.name, f.path, f.levels) for f in one.factors] == [
        (f.name, f.path, f.levels) for f in other.factors
    ]
    specs = [[(v.label, v.levels, v.spec) for v in design.variants(study)] for study in (one, other)]
    assert specs[0] == specs[1]


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_study_resolved_is_the_same_study(path: Path, tmp_path: Path) -> None:
    study = load(path)
    same(study, read_again(study, tmp_path))


def test_another_scale_and_the_command_lines_settings_are_in_the_file(tmp_path: Path) -> None:
    settings = ["training.epochs=2", "dataset.name=folder", "dataset.source=my photos #2"]
    study = load(ROOT / "studies" / "decoder_size.yaml", scale="hour", settings=settings)
    again = read_again(study, tmp_path)
    same(study, again)
    assert again.base["dataset"]["source"] == "my photos #2"


def test_labels_that_yaml_would_retype_stay_what_they_are(tmp_path: Path) -> None:
    text = (ROOT / "studies" / "decoder_size.yaml").read_text()
    path = tmp_path / "labels.yaml"
    path.write_text(
        text.replace("depth 4:", '"1.10":').replace("depth 2:", "yes:").replace("depth 4}", '"1.10"}')
    )
    study = load(path)
    same(study, read_again(study, tmp_path))
    assert list(study.factors[0].levels)[:2] == ["1.10", "yes"]
