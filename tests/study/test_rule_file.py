"""What a study file may say of seeds that are added by a rule, and what is said where it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.report.seed_rule import Looks, SeedRule
from cmae_ablate.study.loading import load
from cmae_ablate.study.resolved import resolved_file
from tests.tiny import TINY_STUDY

RULE = "max_seeds: 8\nblock: 2\nprecision: 1.5\nsmallest_effect: 1\n"


def test_the_keys_are_one_rule_and_the_smallest_effect_is_the_margin(tiny_study: Path) -> None:
    tiny_study.write_text(TINY_STUDY + RULE)
    study = load(tiny_study)
    assert study.rule == SeedRule(Looks(2, 2, 8), precision=1.5, smallest_effect=1.0)
    assert (study.seeds, study.planned_seeds, study.equivalence_margin) == (8, 8, 1.0)


def test_a_study_without_an_aim_has_its_number_of_seeds(tiny_study: Path) -> None:
    study = load(tiny_study)
    assert (study.rule, study.seeds) == (None, 2)


def test_the_resolved_file_says_the_same_rule(tiny_study: Path) -> None:
    tiny_study.write_text(TINY_STUDY + RULE)
    study = load(tiny_study)
    again = tiny_study.with_name("again.yaml")
    again.write_text(resolved_file(study))
    assert load(again).rule == study.rule


@pytest.mark.parametrize(
    ("lines", "key", "words"),
    [
        ("precision: 1\n", "precision", "say how many seeds there may be at most, as max_seeds: 10"),
        ("max_seeds: 8\n", "max_seeds", "give precision or smallest_effect, too"),
        ("block: 2\n", "block", "give precision or smallest_effect, too"),
        ("max_seeds: 8\nprecision: 0\n", "precision", "a positive number of points is expected"),
        ("max_seeds: 101\nprecision: 1\n", "max_seeds", "a number of seeds from 3 to 100 is expected"),
        ("max_seeds: 8\nblock: 0\nprecision: 1\n", "block", "1 seed or more at a time is expected"),
        ("max_seeds: 8\nprecision: 1\nvariance: pooled\n", "variance", "use variance: paired"),
    ],
)
def test_what_does_not_go_together_is_said_at_its_key(
    lines: str, key: str, words: str, tiny_study: Path
) -> None:
    tiny_study.write_text(TINY_STUDY + lines)
    with pytest.raises(UserError) as caught:
        load(tiny_study)
    assert f": {key}: " in str(caught.value)
    assert words in str(caught.value)


def test_a_rule_needs_more_than_one_seed_to_begin_with(tiny_study: Path) -> None:
    tiny_study.write_text(TINY_STUDY.replace("seeds: 2", "seeds: 1") + RULE)
    with pytest.raises(UserError, match="seeds: a variance needs 2 seeds or more"):
        load(tiny_study)


def test_a_number_on_the_command_line_is_refused_as_the_rule_decides(tiny_study: Path) -> None:
    tiny_study.write_text(TINY_STUDY + RULE)
    with pytest.raises(UserError, match="--seeds 4: this study adds its seeds by a rule, from 2 to 8"):
        load(tiny_study, seeds=4)
