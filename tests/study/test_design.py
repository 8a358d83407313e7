from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.study import design
from cmae_ablate.study.loading import Study, load

FACTORS = """\
question: Which part?
scale: tiny
design: {design}
factors:
  contrastive:
    path: objectives.contrastive
    levels: {{plain: none, contrastive: {{name: simclr}}}}
  crop:
    path: crop
    levels: {{whole: full, box: center_box}}
  depth:
    path: decoder.depth
    levels: [1, 2{third}]
reference: {{contrastive: plain, crop: whole, depth: 1}}
seeds: 2
metric: knn.top1
"""


def study_with(tiny_study: Path, kind: str, third: str = "") -> Study:
    tiny_study.write_text(FACTORS.format(design=kind, third=third))
    return load(tiny_study)


def labels(study: Study) -> list[str]:
    return [variant.label for variant in design.variants(study)]


def test_grid_crosses_all_levels(tiny_study: Path) -> None:
    found = labels(study_with(tiny_study, "grid", ", 3"))
    assert len(found) == len(set(found)) == 2 * 2 * 3
    assert found[0] == "plain + whole + 1"


def test_one_factor_varies_each_factor_alone_around_the_reference(tiny_study: Path) -> None:
    found = labels(study_with(tiny_study, "one_factor", ", 3"))
    assert found == [
        "plain + whole + 1",
        "contrastive + whole + 1",
        "plain + box + 1",
        "plain + whole + 2",
        "plain + whole + 3",
    ]


def test_add_one_and_leave_one_out_together_count_coinciding_cells_once(tiny_study: Path) -> None:
    found = labels(study_with(tiny_study, "[add_one, leave_one_out]"))
    assert found == [
        "plain + whole + 1",
        "contrastive + whole + 1",
        "plain + box + 1",
        "plain + whole + 2",
        "contrastive + box + 2",
        "plain + box + 2",
        "contrastive + whole + 2",
        "contrastive + box + 1",
    ]


def test_add_one_refuses_three_levels(tiny_study: Path) -> None:
    with pytest.raises(UserError, match="add_one needs two levels"):
        labels(study_with(tiny_study, "add_one", ", 3"))


def test_a_reference_outside_the_design_is_refused(tiny_study: Path) -> None:
    with pytest.raises(UserError, match=r"'plain . whole . 1' is no variant of design leave_one_out"):
        labels(study_with(tiny_study, "leave_one_out"))


def test_off_is_not_built(tiny_study: Path) -> None:
    first, second, *_ = design.variants(study_with(tiny_study, "one_factor"))
    assert dict(first.spec.objectives) == {}
    assert list(second.spec.objectives) == ["contrastive"]


def test_cells_are_seed_major(tiny_study: Path) -> None:
    study = study_with(tiny_study, "add_one")
    variants = design.variants(study)
    cells = design.cells(study, variants)
    assert [cell.seed for cell in cells] == [0] * 4 + [1] * 4
    assert [cell.variant.label for cell in cells[:4]] == [cell.variant.label for cell in cells[4:]]
    assert cells[5].spec.seed == 1


def test_two_names_for_one_trial_stay_two_variants(tiny_study: Path) -> None:
    text = FACTORS.format(design="one_factor", third="").replace("[1, 2]", "{1: 1, again: 1}")
    tiny_study.write_text(text)
    found = design.variants(load(tiny_study))
    same = [
        variant.spec.fingerprint("data") for variant in found if variant.label.startswith("plain + whole")
    ]
    assert len(same) == 2
    assert same[0] == same[1]
