"""The first sentence of an answer, by the module that writes it."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.effects import compare
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.headline import headline, name_of

MAE = [34.10, 33.40, 35.20, 34.60]
OPEN = [34.60, 32.70, 36.30, 34.10]


def headline_of(study: StudyDescription, trials: pd.DataFrame) -> str:
    return headline(compare(sort_out(trials, study), study.metric))


def test_a_lower_value_is_called_lower(build: Callable) -> None:
    assert "is lower than" in headline_of(*build({"MAE": MAE, "CMAE": [31.0, 30.5, 31.9, 31.5]}))


def test_a_null_result_counts_only_what_was_compared(build: Callable) -> None:
    found = headline_of(*build({"MAE": MAE, "CMAE": OPEN, "linear": {}}))
    assert found == (
        "Inconclusive (4 seeds): \u2018CMAE\u2019 does not differ detectably from \u2018MAE\u2019 "
        "in linear probe top-1; \u2018linear\u2019 is incomplete."
    )
    again = {"again": [value + 0.01 * seed for seed, value in enumerate(OPEN)]}
    found = headline_of(*build({"MAE": MAE, "CMAE": OPEN, **again, "linear": {}}))
    assert "none of 2 variants differs detectably" in found
    assert found.endswith("\u2018linear\u2019 is incomplete.")


def test_contrasts_show_a_difference_where_variants_differ(build: Callable) -> None:
    values = {"MAE": MAE, "CMAE": OPEN, "linear": [33.0, 35.0, 34.1, 33.9]}
    found = headline_of(*build(values, contrasts=(("CMAE", "MAE"), ("linear", "CMAE"))))
    assert found == (
        "Inconclusive (4 seeds): none of 2 contrasts shows a detectable difference in linear probe top-1."
    )


def test_a_variant_that_is_lower_than_several_is_named_once(build: Callable) -> None:
    mae = [34.0, 35.0, 36.0]
    values = {
        "MAE": mae,
        "two views": [34.4, 35.1, 36.2],
        "CMAE": [24.0, 25.1, 26.2],
        "b": [24.1, 25.0, 26.1],
    }
    every = (("CMAE", "MAE"), ("CMAE", "two views"))
    found = headline_of(*build(values, contrasts=every))
    assert found == (
        "\u2018CMAE\u2019 is lower than \u2018MAE\u2019 and \u2018two views\u2019 "
        "(linear probe top-1, 3 seeds)."
    )
    both = (*every, ("b", "MAE"), ("b", "two views"))
    assert headline_of(*build(values, contrasts=both)).startswith(
        "\u2018CMAE\u2019 and \u2018b\u2019 are lower than \u2018MAE\u2019 and \u2018two views\u2019 ("
    )
    apart = (*every, ("b", "MAE"))  # b is not compared with two views, so that nothing is said of that
    assert headline_of(*build(values, contrasts=apart)).startswith(
        "\u2018CMAE\u2019 and \u2018b\u2019 are lower than \u2018MAE\u2019; "
        "\u2018CMAE\u2019 is lower than \u2018two views\u2019 ("
    )


def test_a_comparison_is_named_by_what_it_is_with_unless_that_is_the_reference(build: Callable) -> None:
    values = {"MAE": MAE, "CMAE": OPEN, "linear": [33.0, 35.0, 34.1, 33.9]}
    study, trials = build(values, contrasts=(("CMAE", "MAE"), ("linear", "CMAE")))
    comparison = compare(sort_out(trials, study), study.metric)
    assert [name_of(effect, comparison) for effect in comparison.declared] == [
        "\u2018CMAE\u2019",
        "\u2018linear\u2019 against \u2018CMAE\u2019",
    ]


def test_more_variants_of_a_verdict_than_a_headline_names_are_counted(build: Callable) -> None:
    others = {f"open {i}": [v + i / 10 for v in OPEN] for i in range(4)}
    said = headline_of(*build({"MAE": MAE, "CMAE": [37.2, 36.3, 38.5, 37.6], **others}))
    assert said == (
        "\u2018CMAE\u2019 is higher than \u2018MAE\u2019; 4 comparisons are inconclusive "
        "(linear probe top-1, 4 seeds)."
    )
