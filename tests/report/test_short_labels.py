"""Short names: nothing that two variants share, and nothing that tells them apart left out."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from cmae_ablate.report import ReportExtras
from cmae_ablate.report.findings import Findings, find
from cmae_ablate.report.forest import forest
from cmae_ablate.report.frame import Pair, StudyDescription
from cmae_ablate.report.glance import glance
from cmae_ablate.report.pareto import pareto
from cmae_ablate.report.short_labels import ShortLabels, by_against
from cmae_ablate.report.tables import make_table
from cmae_ablate.report.theme import LIGHT, styled
from cmae_ablate.runner.reporting import describe_unread
from cmae_ablate.study.finding import find_study, study_names
from cmae_ablate.study.loading import load
from tests.report.conftest import build_study

FACTORS = {
    "decoder": ("MAE's decoder", "small decoder"),
    "contrastive": ("no contrastive", "contrastive"),
    "crop": ("plain crop", "ContrastiveCrop"),
}
OFF = "MAE's decoder + no contrastive + plain crop"
ON = "small decoder + contrastive + ContrastiveCrop"
WITHOUT_CROP = "small decoder + contrastive + plain crop"
SMALL = "small decoder + no contrastive + plain crop"


def study_of(factors: dict[str, tuple[str, ...]], contrasts: tuple[Pair, ...] = ()) -> StudyDescription:
    levels = {" + ".join(c): dict(zip(factors, c, strict=True)) for c in itertools.product(*factors.values())}
    return build_study(
        {variant: [34.0, 35.0] for variant in levels}, factors=factors, levels=levels, contrasts=contrasts
    )[0]


def found(study: StudyDescription) -> Findings:
    rng = np.random.default_rng(5)
    values = {variant: list(rng.normal(34, 1, 3)) for variant in study.variants}
    _, trials = build_study(values)
    trials = trials.assign(**{name: trials["knn.top1"] for name in (study.metric, *study.report)})
    return find(study, trials.drop(columns="fingerprint"), None, ReportExtras())


@pytest.mark.parametrize(
    ("variant", "against", "name"),
    [
        (SMALL, OFF, "small decoder"),
        (WITHOUT_CROP, OFF, "small decoder + contrastive"),
        (WITHOUT_CROP, ON, "plain crop"),
        (OFF, ON, OFF),  # everything differs
        (OFF, OFF, OFF),
        ("random init", OFF, "random init"),
    ],
)
def test_a_name_has_the_levels_that_differ(variant: str, against: str, name: str) -> None:
    names = ShortLabels.of(study_of(FACTORS))
    assert names.shortens
    assert names.beside(variant, against) == name


def test_short_labels_and_levels_that_two_factors_share_stay_whole() -> None:
    short = study_of({"crop": ("plain", "boxes"), "task": ("none", "moco")})
    shared = study_of(
        {"position": ("is switched off", "on"), "contrastive": ("is switched off", "two views")}
    )
    assert [ShortLabels.of(each).shortens for each in (short, shared)] == [False, False]
    for study in (short, shared):
        assert [ShortLabels.of(study).alone(v) for v in study.variants] == list(study.variants)


def test_a_label_of_a_single_factor_stays_whole() -> None:
    study, _ = build_study({"MAE": [1.0], "MAE with strong augmentation of both views": [2.0]})
    assert not ShortLabels.of(study).shortens


def texts_of(findings: Findings) -> tuple[list[str], list[str]]:
    """The forest plot's row labels and its headings, as drawn."""
    with styled(LIGHT):
        figure = forest(findings.comparison).draw(LIGHT)
        (axes,) = figure.axes
        rows = [" ".join(label.get_text().split()) for label in axes.get_yticklabels()]
        bold = [each for each in axes.findobj(Text) if each.get_fontweight() == "bold"]
        return rows, [" ".join(each.get_text().split()) for each in bold]


def test_the_forest_plot_has_each_comparison_below_what_it_is_compared_with() -> None:
    rows, headings = texts_of(found(study_of(FACTORS, ((SMALL, OFF), (WITHOUT_CROP, ON), (SMALL, ON)))))
    assert headings == [f"from {OFF}", f"from {ON}"]
    assert rows[0] == "ContrastiveCrop\N{DAGGER}"
    assert rows[-2:] == ["plain crop", "no contrastive + plain crop"]


@pytest.mark.parametrize("name", study_names())
def test_no_two_comparisons_of_a_shipped_study_look_alike(name: str) -> None:
    findings = found(describe_unread(load(find_study(name))))
    rows, headings = texts_of(findings)
    groups = by_against(findings.comparison.contrasts)
    assert len(headings) == (len(groups) if len(groups) > 1 else 0)
    sizes = [len(members) for _, members in groups]
    heads = [place for place, size in enumerate(sizes) for _ in range(size)]
    assert len(set(zip(heads, rows, strict=True))) == len(rows) == sum(sizes)
    assert "\N{HORIZONTAL ELLIPSIS}" not in "".join(rows + headings)


def test_answer_first_screen_table_and_legend_use_the_same_names() -> None:
    findings = found(study_of(FACTORS, ((SMALL, OFF), (WITHOUT_CROP, ON))))
    seen = glance(findings.answer, findings.comparison, findings.cells)
    assert [group.heading for group in seen.groups] == [f"against {OFF}, with", f"against {ON}, with"]
    assert [line[0] for line in seen.lines] == ["small decoder", "plain crop"]
    table = make_table(findings.comparison, (), findings.cells, None)
    assert {OFF, "small decoder", "small decoder + contrastive"} <= {line[0] for line in table.lines}
    assert "named by what differs from the reference" in table.note
    assert SMALL in table.full["variant"].tolist()  # data keep whole labels
    assert [line.partition(":")[0] for line in findings.answer.lines] == [
        "\u2018small decoder\u2019",
        f"\u2018{ON}\u2019 with \u2018plain crop\u2019",
    ]
    job = pareto(findings.comparison, findings.cells)
    assert job is not None
    with styled(LIGHT):
        legend = job.draw(LIGHT).legends[0]
    assert legend.get_texts()[0].get_text() == f"{OFF} (reference)"


def test_the_headline_says_with_what_a_variant_reads_otherwise() -> None:
    study = study_of(FACTORS, ((SMALL, OFF), (WITHOUT_CROP, ON)))
    base = {OFF: 30.0, SMALL: 20.0, ON: 10.0, WITHOUT_CROP: 40.0}
    noise = [0.0, 0.3, 0.5]
    values = {v: [base.get(v, 25.0) + s * (i % 3 + 1) for s in noise] for i, v in enumerate(study.variants)}
    _, trials = build_study(values)
    findings = find(study, pd.DataFrame(trials).drop(columns="fingerprint"), None, ReportExtras())
    assert findings.answer.headline.startswith(
        f"\u2018{ON}\u2019 reads higher with \u2018plain crop\u2019; "
        f"\u2018{OFF}\u2019 reads lower with \u2018small decoder\u2019 ("
    )


def test_a_long_reference_is_named_once_in_the_headline() -> None:
    without_task = "small decoder + no contrastive + ContrastiveCrop"
    study = study_of(FACTORS, ((WITHOUT_CROP, ON), (without_task, ON), (SMALL, OFF)))
    base = {OFF: 30.0, SMALL: 30.0, ON: 20.0, WITHOUT_CROP: 40.0, without_task: 10.0}
    noise = {OFF: [0.0, 0.0, 0.0], SMALL: [0.9, -1.0, 0.1]}
    values = {
        v: [base.get(v, 25.0) + x for x in noise.get(v, [0.0, 0.3 * (number % 3), 0.5])]
        for number, v in enumerate(study.variants)
    }
    _, trials = build_study(values)
    findings = find(study, pd.DataFrame(trials).drop(columns="fingerprint"), None, ReportExtras())
    assert findings.answer.headline.startswith(
        f"\u2018{ON}\u2019 reads higher with \u2018plain crop\u2019, "
        "and reads lower with \u2018no contrastive\u2019; "
        f"\u2018{OFF}\u2019 does not differ detectably with \u2018small decoder\u2019 ("
    )
