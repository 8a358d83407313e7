"""The forest plot over data sets: a line each, and the pool below."""

from __future__ import annotations

from dataclasses import replace

from cmae_ablate.report.pooled import PooledStudy, pooled_study
from cmae_ablate.report.pooled_forest import NEW, POOLED, pooled_forest
from cmae_ablate.report.study_part import StudyPart, analyse
from cmae_ablate.report.theme import LIGHT, styled
from tests.report.pooling import BY_DATA_SET, UNSEEN, part


def study(*labels: str) -> PooledStudy:
    return pooled_study("blocks", [analyse(label, part(label, BY_DATA_SET[label])) for label in labels])


def one_seed(label: str) -> StudyPart:
    whole = part(label, BY_DATA_SET[label])
    return replace(whole, trials=whole.trials[whole.trials["seed"] == 0])


def rows(of: PooledStudy) -> list[str]:
    with styled(LIGHT):
        figure = pooled_forest(of).draw(LIGHT)
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_every_data_set_has_a_line_and_the_pool_two() -> None:
    assert rows(study("scenes", "tiny", "own")) == ["scenes", "tiny", "own", POOLED, NEW]


def test_two_data_sets_have_no_pool() -> None:
    found = study("scenes", "own")
    assert rows(found) == ["scenes", "own"]
    assert "pooled" not in pooled_forest(found).alt


def test_who_cannot_see_it_is_told_the_numbers() -> None:
    alt = pooled_forest(study("scenes", "tiny", "own")).alt
    assert "pooled \N{MINUS SIGN}3.00" in alt
    assert "a new data set [" in alt


def test_what_has_no_interval_has_a_word_in_its_place() -> None:
    whole = study("scenes", "tiny", "own")
    lost = part("own", BY_DATA_SET["own"])
    lost = replace(lost, trials=lost.trials[lost.trials["variant"] == "MAE"])
    assert (
        "own no paired seed" in pooled_forest(pooled_study("b", [*whole.parts[:2], analyse("own", lost)])).alt
    )
    first = [analyse(label, one_seed(label)) for label in BY_DATA_SET]
    assert "scenes \N{MINUS SIGN}3.10 (one seed); tiny" in pooled_forest(pooled_study("b", first)).alt


def test_three_data_sets_of_which_one_is_insensitive_are_not_called_two() -> None:
    parts = [analyse("scenes", part("scenes", BY_DATA_SET["scenes"])), *study("own").parts]
    parts.append(analyse("blind", part("blind", BY_DATA_SET["tiny"], UNSEEN)))
    found = pooled_study("blocks", parts)
    assert rows(found) == ["scenes", "own", "blind (insensitive)"]
    assert "two data sets" not in str(pooled_forest(found).legend)
