"""A grid's answer in words."""

from __future__ import annotations

from dataclasses import replace

from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.effects import compare
from cmae_ablate.report.factorial import MAIN, Term
from cmae_ablate.report.term_words import answer_by_terms
from tests.report.conftest import METRIC, Build
from tests.report.sentences import grid, grid_study

TERM = Term(
    *("contrastive", ("contrastive",), MAIN, ("on",), ("off",)),
    estimate=0.29,
    ci_low=0.03,
    ci_high=0.55,
    p=0.03,
    p_holm=0.09,
    n=3,
)


def line_of(term: Term, build: Build) -> str:
    study, trials = build(grid(0.0), **grid_study())
    cells = sort_out(trials, study)
    other = replace(term, name="crop", factors=("crop",), levels=("box",), base=("plain",), p=0.5, p_holm=1.0)
    return answer_by_terms([term, other, other], compare(cells, METRIC), cells)[1][0]


def test_a_term_below_five_percent_alone_is_inconclusive_among_so_many(build: Build) -> None:
    assert "inconclusive among 3 terms, +0.29 points, 95 % CI +0.03 to +0.55" in line_of(TERM, build)
    assert ": inconclusive, +0.29" in line_of(replace(TERM, p=0.06, ci_low=-0.01), build)


def test_a_level_whose_cells_were_trained_elsewhere_has_no_ratio_of_time(build: Build) -> None:
    told = []
    for imported in ({}, {("on + box", 0): "1"}):
        study, trials = build(grid(0.0), imported, **grid_study())
        cells = sort_out(trials, study)
        told.append(answer_by_terms([TERM], compare(cells, METRIC), cells)[1][0])
    # Seconds 200, 230, 260 and 290, each plus the seed's number: (260 + 290 + 3) / (200 + 230 + 3).
    assert told[0].endswith(", at 1.3\u00d7 the pretraining time.")
    assert told[1] == told[0].replace(", at 1.3\u00d7 the pretraining time", "")
