"""The forest plot over data sets: a line each, and the pool below."""

from __future__ import annotations

from cmae_ablate.report.across import analyse
from cmae_ablate.report.pooled import PooledStudy, pooled_study
from cmae_ablate.report.pooled_forest import NEW, POOLED, pooled_forest
from cmae_ablate.report.theme import LIGHT, styled
from tests.report.pooling import BY_DATA_SET, part


def study(*labels: str) -> PooledStudy:
    return pooled_study("blocks", [analyse(label, part(label, BY_DATA_SET[label])) for label in labels])


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
