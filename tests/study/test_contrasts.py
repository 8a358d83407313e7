"""What a study compares: what it declares, or what its design is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.runner.results import describe
from cmae_ablate.study import design
from cmae_ablate.study.contrasts import contrasts, contrasts_note
from cmae_ablate.study.loading import Study, load
from tests.study.test_design import FACTORS, labels, study_with
from tests.tiny import TINY_STUDY


def compared(study: Study) -> list[tuple[str, str]]:
    """The study's contrasts, each label as the initials of its levels: `pw1` all off, `cb2` all on."""
    short = {label: "".join(part[0] for part in label.split(" + ")) for label in labels(study)}
    return [(short[variant], short[against]) for variant, against in contrasts(study)]


def with_reference(tiny_study: Path, kind: str, reference: str) -> Study:
    text = FACTORS.format(design=kind, third="")
    tiny_study.write_text(
        text.replace("reference: {contrastive: plain, crop: whole, depth: 1}", f"reference: {reference}")
    )
    return load(tiny_study)


ALL_ON = "{contrastive: contrastive, crop: box, depth: 2}"
ONE_OFF = "{contrastive: contrastive, crop: box, depth: 1}"


def test_what_is_left_out_is_compared_with_all_on_whatever_the_reference(tiny_study: Path) -> None:
    without_one = [("pb2", "cb2"), ("cw2", "cb2"), ("cb1", "cb2")]
    assert compared(with_reference(tiny_study, "leave_one_out", ONE_OFF)) == without_one
    # With all on as the reference that is every variant against the reference: nothing to declare.
    assert compared(with_reference(tiny_study, "leave_one_out", ALL_ON)) == []


def test_what_is_added_is_compared_with_all_off_and_what_is_left_out_with_all_on(tiny_study: Path) -> None:
    study = study_with(tiny_study, "[add_one, leave_one_out]")
    added = [("cw1", "pw1"), ("pb1", "pw1"), ("pw2", "pw1"), ("cb2", "pw1")]
    assert compared(study) == [*added, ("pb2", "cb2"), ("cw2", "cb2"), ("cb1", "cb2")]
    (note,) = contrasts_note(study)
    assert "each variant of add_one, and all on, with all off ('plain + whole + 1')" in note
    assert "each variant of leave_one_out with all on ('contrastive + box + 2')" in note


def test_of_one_factor_alone_no_pair_is_compared_twice(tiny_study: Path) -> None:
    tiny_study.write_text(TINY_STUDY.replace("design: one_factor", "design: [add_one, leave_one_out]"))
    assert contrasts(load(tiny_study)) == ()


def test_variants_of_another_design_beside_leave_one_out_are_compared_with_the_reference(
    tiny_study: Path,
) -> None:
    study = with_reference(tiny_study, "[one_factor, leave_one_out]", ONE_OFF)
    found = compared(study)
    assert found[:3] == [("pb2", "cb2"), ("cw2", "cb2"), ("cb1", "cb2")]
    assert set(found[3:]) == {("pb1", "cb1"), ("cw1", "cb1")}


@pytest.mark.parametrize("kind", ["one_factor", "add_one", "grid", "[grid, leave_one_out]"])
def test_other_designs_leave_the_comparison_to_reference_or_factors(tiny_study: Path, kind: str) -> None:
    study = study_with(tiny_study, kind)
    assert contrasts(study) == ()
    assert contrasts_note(study) == ()


def test_a_path_turns_one_factor_on_after_the_other_and_compares_each_with_the_one_before(
    tiny_study: Path,
) -> None:
    study = study_with(tiny_study, "path")
    labels = [variant.label for variant in design.variants(study)]
    assert labels == [
        "plain + whole + 1",
        "contrastive + whole + 1",
        "contrastive + box + 1",
        "contrastive + box + 2",
    ]
    assert design.path_labels(study) == tuple(labels)
    assert contrasts(study) == tuple(zip(labels[1:], labels, strict=False))
    (note,) = contrasts_note(study)
    assert "each variant of the path with the one before it" in note
    described = describe(study, {v.label: v.levels for v in design.variants(study)}, labels[0])
    assert described.path == tuple(labels)


def test_a_path_beside_leave_one_out_compares_no_pair_twice(tiny_study: Path) -> None:
    study = study_with(tiny_study, "[path, leave_one_out]")
    pairs = contrasts(study)
    assert len(pairs) == len({frozenset(pair) for pair in pairs}) == 5
    assert design.path_labels(study_with(tiny_study, "grid")) == ()


def test_declared_contrasts_are_the_only_ones(tiny_study: Path) -> None:
    text = FACTORS.format(design="[add_one, leave_one_out]", third="")
    tiny_study.write_text(f"{text}contrasts: [[contrastive + box + 2, plain + whole + 1]]\n")
    study = load(tiny_study)
    assert compared(study) == [("cb2", "pw1")]
    assert contrasts_note(study) == ()


def test_a_report_compares_what_is_left_out_with_all_on_and_says_so(tiny_study: Path) -> None:
    study = study_with(tiny_study, "[add_one, leave_one_out]")
    levels = {variant.label: variant.levels for variant in design.variants(study)}
    described = describe(study, levels, design.reference_label(study))
    assert ("contrastive + whole + 2", "contrastive + box + 2") in described.family
    assert ("contrastive + whole + 2", "plain + whole + 1") not in described.family
    assert any("with all on ('contrastive + box + 2')" in note for note in described.notes)
