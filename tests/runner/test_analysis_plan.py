"""The recorded plan, and what is said where a study has changed since."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.seed_rule import Looks, SeedRule
from cmae_ablate.runner import results
from cmae_ablate.runner.analysis_plan import PLAN_FILE, as_begun, read_plan, record_plan, with_plan
from cmae_ablate.study import design
from cmae_ablate.study.loading import Study, load

STUDY = """\
question: How small can the decoder be?
scale: tiny
design: one_factor
factors:
  decoder:
    path: decoder
    levels: {depth 2: {depth: 2}, depth 1: {depth: 1}, narrow: {dim: 32}}
reference: {decoder: depth 2}
seeds: 3
metric: knn.top1
"""


@pytest.fixture
def study(tiny_study: Path) -> Study:
    path = tiny_study.parent / "decoder_size.yaml"
    path.write_text(STUDY)
    return load(path)


def described(study: Study) -> StudyDescription:
    levels = {variant.label: variant.levels for variant in design.variants(study)}
    return results.describe(study, levels, design.reference_label(study))


def changed(study: Study, folder: Path, **changes: object) -> StudyDescription:
    """The study with other keys, in the light of the plan of what it was."""
    record_plan(study, described(study), folder)
    other = replace(study, **changes)
    return with_plan(described(other), other, read_plan(folder / PLAN_FILE))


def test_the_plan_holds_what_the_contract_lists(study: Study, tmp_path: Path) -> None:
    record_plan(study, described(study), tmp_path)
    plan = json.loads((tmp_path / "analysis_plan.json").read_text())
    assert plan["question"] == "How small can the decoder be?"
    assert plan["metric"] == "knn.top1"
    assert plan["reference"] == "depth 2"
    assert plan["contrasts"] == [["depth 1", "depth 2"], ["narrow", "depth 2"]]
    assert (plan["margin"], plan["seeds"], plan["positive_control"]) == (None, 3, None)
    assert plan["time"].endswith("+00:00")
    text = json.dumps(plan["study"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert plan["study_sha256"] == hashlib.sha256(text.encode()).hexdigest()


def test_a_recorded_plan_is_never_written_anew(study: Study, tmp_path: Path) -> None:
    record_plan(study, described(study), tmp_path)
    before = (tmp_path / PLAN_FILE).read_bytes()
    later = replace(study, planned_seeds=9)
    record_plan(later, described(later), tmp_path)
    assert (tmp_path / PLAN_FILE).read_bytes() == before


def test_an_unchanged_study_has_no_changes(study: Study, tmp_path: Path) -> None:
    found = changed(study, tmp_path)
    assert found.plan is not None
    assert found.plan.changes == ()
    assert found.family == (("depth 1", "depth 2"), ("narrow", "depth 2"))


def test_a_contrast_declared_after_looking_is_exploratory_and_leaves_the_family(
    study: Study, tmp_path: Path
) -> None:
    found = changed(study, tmp_path, contrasts=(("narrow", "depth 1"),))
    assert found.family == (("depth 1", "depth 2"), ("narrow", "depth 2"))
    assert found.added_contrasts == (("narrow", "depth 1"),)
    assert found.plan is not None
    added, removed = found.plan.changes
    assert (
        added == "contrasts added, and therefore exploratory: \u2018narrow\u2019 against \u2018depth 1\u2019"
    )
    assert removed.startswith("contrasts no longer declared, though still counted: ")


def test_narrowing_the_family_after_looking_changes_no_correction(study: Study, tmp_path: Path) -> None:
    # Two comparisons planned; declaring only the better one must not halve its p.
    found = changed(study, tmp_path, contrasts=(("narrow", "depth 2"),))
    assert len(found.family) == 2
    assert found.added_contrasts == ()


def test_editing_seeds_does_not_erase_the_mark_of_those_added_later(study: Study, tmp_path: Path) -> None:
    found = changed(study, tmp_path, planned_seeds=6, seeds=6)
    assert found.seeds == 3
    assert found.plan is not None
    assert found.plan.changes == ("3 seeds planned, now 6",)


def test_seeds_that_the_first_command_asks_for_are_planned(study: Study, tmp_path: Path) -> None:
    wider = replace(study, seeds=5)
    record_plan(wider, described(wider), tmp_path)
    found = with_plan(described(wider), wider, read_plan(tmp_path / PLAN_FILE))
    assert found.seeds == 5
    assert found.plan is not None
    assert found.plan.changes == ()


def test_a_change_of_planned_seeds_names_the_number_asked_for_not_the_file_s(
    study: Study, tmp_path: Path
) -> None:
    first, later = replace(study, seeds=5), replace(study, seeds=7)  # the file says 3
    record_plan(first, described(first), tmp_path)
    found = with_plan(described(later), later, read_plan(tmp_path / PLAN_FILE))
    assert found.seeds == 5
    assert found.plan is not None
    assert found.plan.changes == ("5 seeds planned, now 7",)


def test_seeds_that_a_later_command_asks_for_are_not(study: Study, tmp_path: Path) -> None:
    found = changed(study, tmp_path, seeds=5)
    assert found.seeds == 3
    assert found.plan is not None
    assert found.plan.changes == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"metric": "linear_probe.top1"},
            "the metric was \u2018knn.top1\u2019 and is \u2018linear_probe.top1\u2019",
        ),
        ({"equivalence_margin": 2.0}, "the margin of equivalence was none and is 2.0"),
        (
            {"question": "Why?"},
            "the question was \u2018How small can the decoder be?\u2019 and is \u2018Why?\u2019",
        ),
    ],
)
def test_what_decides_an_answer_is_said_where_it_changed(
    changes: dict[str, object], said: str, study: Study, tmp_path: Path
) -> None:
    record_plan(study, described(study), tmp_path)
    other = replace(study, **changes)
    found = with_plan(replace(described(study)), other, read_plan(tmp_path / PLAN_FILE))
    assert found.plan is not None
    assert said in found.plan.changes


def test_another_setting_is_named(study: Study, tmp_path: Path) -> None:
    record_plan(study, described(study), tmp_path)
    other = load(study.path, settings=["training.base_lr=0.002"])
    found = with_plan(described(other), other, read_plan(tmp_path / PLAN_FILE))
    assert found.plan is not None
    [change] = found.plan.changes
    assert change.startswith("settings: training.base_lr was ")


def test_without_a_plan_nothing_is_known_of_one(study: Study, tmp_path: Path) -> None:
    assert read_plan(tmp_path / PLAN_FILE) is None
    assert with_plan(described(study), study, None).plan is None


CUT_SHORT = "it is no whole plan: cut short, or of another program"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", CUT_SHORT),
        ("[]", CUT_SHORT),
        ('{"question": "How sm', CUT_SHORT),
        ("\x00", CUT_SHORT),
        ("{}", "its key 'question' is missing"),
        ('{"question": 3}', "its key 'question' is not what a plan has there"),
        ('{"question": "", "metric": NaN}', "its key 'metric' is not what a plan has there"),
    ],
)
def test_a_file_that_is_no_plan_is_refused_with_what_to_do(text: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / PLAN_FILE
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_plan(path)
    assert str(caught.value) == (
        f"{path}: damaged ({fault}); restore it from a copy, or move it aside: `report` then says that "
        "nothing is known of a plan, and `run` records one of today"
    )


RULE = SeedRule(Looks(3, 1, 9), precision=1.0)


def test_the_rule_for_adding_seeds_is_recorded_before_the_first_cell(study: Study, tmp_path: Path) -> None:
    ruled = replace(study, rule=RULE, seeds=9, planned_seeds=9)
    record_plan(ruled, described(ruled), tmp_path)
    plan = json.loads((tmp_path / "analysis_plan.json").read_text())
    assert plan["rule"] == {
        "seeds": 3,
        "block": 1,
        "max_seeds": 9,
        "precision": 1.0,
        "smallest_effect": None,
        "sharing": "correlation",
    }
    found = with_plan(described(ruled), ruled, read_plan(tmp_path / PLAN_FILE))
    assert found.plan is not None
    assert (found.rule, found.plan.changes) == (RULE, ())


def test_a_rule_recorded_before_correlations_counted_keeps_to_bonferronis_shares_and_is_no_change(
    study: Study, tmp_path: Path
) -> None:
    ruled = replace(study, rule=RULE, seeds=9, planned_seeds=9)
    record_plan(ruled, described(ruled), tmp_path)
    path = tmp_path / PLAN_FILE
    content = json.loads(path.read_text())
    del content["rule"]["sharing"]
    path.write_text(json.dumps(content))
    plan = read_plan(path)
    found = with_plan(described(ruled), ruled, plan)
    assert found.plan is not None
    assert (found.rule, found.plan.changes) == (replace(RULE, sharing="bonferroni"), ())
    assert as_begun(ruled, plan).rule == found.rule
    assert as_begun(ruled, None) is ruled


def test_a_rule_that_is_changed_after_looking_is_said_and_the_recorded_one_counts(
    study: Study, tmp_path: Path
) -> None:
    ruled = replace(study, rule=RULE, seeds=9, planned_seeds=9)
    more = replace(RULE, looks=Looks(3, 1, 20))
    found = changed(ruled, tmp_path, rule=more, seeds=20, planned_seeds=20)
    assert found.plan is not None
    [change] = found.plan.changes
    assert change == f"the rule for adding seeds was {RULE.words} and is {more.words}"
    assert (found.rule, found.seeds) == (RULE, 9)


def test_a_rule_that_comes_after_a_fixed_number_makes_the_further_seeds_added_ones(
    study: Study, tmp_path: Path
) -> None:
    found = changed(study, tmp_path, rule=RULE, seeds=9, planned_seeds=9)
    assert found.plan is not None
    assert found.plan.changes == (f"the rule for adding seeds was none, with 3 seeds and is {RULE.words}",)
    assert (found.rule, found.seeds) == (None, 3)


def test_a_plan_that_was_recorded_before_there_were_rules_is_read(study: Study, tmp_path: Path) -> None:
    record_plan(study, described(study), tmp_path)
    path = tmp_path / PLAN_FILE
    content = {key: value for key, value in json.loads(path.read_text()).items() if key != "rule"}
    path.write_text(json.dumps(content))
    found = with_plan(described(study), study, read_plan(path))
    assert found.plan is not None
    assert (found.rule, found.plan.changes) == (None, ())
