"""Numbers as a reader sees them: never a zero that is none, never a p that belies its verdict."""

from __future__ import annotations

import math

import pytest

from cmae_ablate.report.wording import Metric, json_number, p_phrase, p_value, significant

LOSS = Metric.named("pretrain.loss")


@pytest.mark.parametrize(
    ("value", "level", "difference"),
    [
        (5.1e-7, "5.10e\u221207", "+5.10e\u221207"),
        (-4.2e-5, "\u22124.20e\u221205", "\u22124.20e\u221205"),
        (0.0, "0.0000", "0.0000"),
        (0.25, "0.2500", "+0.2500"),
        (-0.0012, "\u22120.0012", "\u22120.0012"),
        (1234.5, "1234.5000", "+1234.5000"),
        (5e16, "5.00e+16", "+5.00e+16"),
        (math.nan, "\u2013", "\u2013"),
    ],
)
def test_a_number_that_fixed_decimals_would_hide_is_a_power_of_ten(
    value: float, level: str, difference: str
) -> None:
    assert LOSS.text(value) == level
    assert LOSS.signed(value) == difference


def test_an_accuracy_keeps_its_two_decimals() -> None:
    assert Metric.named("knn.top1").text(0.0004) == "0.00"


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.04996, "0.0499"), (0.0495, "0.0495"), (0.0494, "0.049"), (0.05, "0.050"), (0.0502, "0.050")],
)
def test_a_p_below_five_percent_never_reads_as_five_percent(p: float, text: str) -> None:
    assert p_value(p) == text
    assert p_phrase(p) == f"= {text}"


@pytest.mark.parametrize(
    ("name", "lower"),
    [
        ("pretrain.loss", True),
        ("representation.alignment", True),
        ("representation.uniformity", True),
        ("representation.collapsed", True),
        ("representation.effective_rank", False),
        ("knn.top1", False),
        ("pretrain.position.accuracy", False),
    ],
)
def test_which_way_a_metric_is_better(name: str, lower: bool) -> None:
    assert Metric.named(name).lower_is_better is lower


def test_json_has_no_number_that_is_none() -> None:
    assert [json_number(v) for v in (1.5, math.nan, math.inf, -math.inf, None)] == [
        1.5,
        None,
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fine_tune.top1", "fine-tuned top-1"),
        ("fine_tune.validation_top1", "fine-tuned validation top-1"),
        ("from_scratch.top1", "from-scratch top-1"),
    ],
)
def test_metrics_of_training_with_labels_read_as_adjectives(name: str, words: str) -> None:
    assert Metric.named(name).words == words


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.997, 2, "1.0"),
        (1.016, 2, "1.0"),
        (0.994, 2, "0.99"),
        (9.996, 3, "10.0"),
        (99.97, 3, "100"),
        (999.9, 3, "1,000"),
        (0.00999, 2, "0.010"),
        (-0.0452, 3, "\u22120.0452"),
        (12345.0, 3, "12,345"),
    ],
)
def test_what_is_rounded_up_to_a_power_of_ten_has_no_digit_more(value: float, digits: int, text: str) -> None:
    assert significant(value, digits) == text
