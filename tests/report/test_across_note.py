"""What stands below a table of several studies: true of those that it names."""

from __future__ import annotations

from cmae_ablate.report import StudyPart
from cmae_ablate.report.across_note import summary_note
from cmae_ablate.report.seed_rule import Looks, SeedRule
from cmae_ablate.report.study_part import analyse
from tests.report.conftest import build_study
from tests.report.pooling import BLIND, BY_DATA_SET, MAE, UNSEEN, part
from tests.report.sentences import grid, grid_study


def note(**parts: StudyPart) -> str:
    return summary_note([analyse(title, each) for title, each in parts.items()], with_paper=False)


def built(values: dict[str, list[float]], **changes: object) -> StudyPart:
    study, trials = build_study(values, report=(), **changes)
    return StudyPart(study, trials, "scenes")


def plain(**changes: object) -> StudyPart:
    return built({"MAE": MAE, "CMAE": [v + 1 for v in MAE]}, **changes)


def test_an_insensitive_study_is_named_below_the_table_of_its_differences() -> None:
    text = note(sees=part("sees", BY_DATA_SET["own"]), blind=part("blind", BLIND, UNSEEN))
    assert "blind: insensitive, so that its differences say nothing." in text
    assert "sees: insensitive" not in text


def test_budgets_that_differ_are_those_of_their_studies() -> None:
    text = note(first=plain(budget="flops"), second=plain())
    assert "Variants have equal FLOPs in first and epochs in second; each study's own table" in text
    assert "equal flops and epochs" not in text


def test_a_study_that_failed_to_give_equal_time_is_not_said_to() -> None:
    # Per build_study CMAE takes 230 + seed seconds where MAE takes 200 + seed; ten times that is unequal.
    slow = plain(budget="time", budget_note="Equal time.", notes=("Equal time.",))
    slow.trials.loc[slow.trials["variant"] == "CMAE", "seconds.pretrain"] *= 10
    text = note(slow=slow, fast=plain())
    assert "equal time in slow" not in text and "epochs in fast" in text
    assert "slow: the study asks for equal time, yet the cells took otherwise" in text


def test_what_is_declared_and_has_no_row_here_is_named_with_its_place() -> None:
    values = {"MAE": MAE, "two views": [v + 1 for v in MAE], "CMAE": [v + 3 for v in MAE]}
    declared = built(values, contrasts=(("CMAE", "two views"), ("two views", "MAE")))
    text = note(declared=declared, crossed=built(grid(2.0), **grid_study()))
    assert (
        "declared: 1 declared contrast not from the reference (\u2018CMAE\u2019 against \u2018two views\u2019"
        ") is in its answer and its own report, not in this table."
    ) in text
    assert "crossed: of a grid what is declared are main effects and interactions" in text
    assert "crossed: 1 declared" not in text and "declared: of a grid" not in text


def test_a_note_or_an_interval_of_one_study_is_not_told_of_all() -> None:
    rule = SeedRule(Looks(3, 1, 8), smallest_effect=0.5)
    text = note(
        first=plain(notes=("Frozen encoder",), rule=rule, seeds=8), second=plain(notes=("All see 64",))
    )
    assert "first: Frozen encoder. second: All see 64." in text
    assert "first: two-sided 95 % repeated confidence intervals" in text
    assert "second: two-sided 95 % t intervals" in text
    same = note(first=plain(notes=("All see 64",)), second=plain(notes=("All see 64",)))
    assert same.endswith("cost. All see 64.") and "first: two-sided" not in same
