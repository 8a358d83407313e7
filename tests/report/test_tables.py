"""The table has the whole answer in every rendering: what is compared with others than the reference, too."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.effects import compare
from cmae_ablate.report.latex import latex
from cmae_ablate.report.markdown import markdown
from cmae_ablate.report.shown import shown_in_parts
from cmae_ablate.report.table_picture import table_picture
from cmae_ablate.report.tables import Table, make_table
from tests.report.conftest import METRIC, build_study

VALUES = {
    "MAE": [30.0, 31.0, 32.5, 31.5],
    "two views": [31.0, 31.5, 33.5, 32.0],
    "CMAE": {0: 33.0, 1: 34.0, 3: 35.0},
}
CONTRASTS = (("two views", "MAE"), ("CMAE", "two views"))
CONTROLS = pd.DataFrame({"control": "random init", "variant": "", "seed": range(4), METRIC: 20.0})
# By hand: CMAE - two views is 2.0, 2.5 and 3.0 (seed 2 is missing): mean 2.5, deviation 0.5, standard error
# 0.288675, t(0.975, 2) = 4.302653, so 2.5 -+ 1.242; t = 8.660, p = 0.0131. The other: 1.0, 0.5, 1.0 and 0.5,
# t = 5.196 with 3 degrees of freedom, p = 0.0138. Holm: the smaller doubled, the larger not below it.
SHOWN = ("CMAE against two views", "3", "\u2013", "+2.50 [+1.26, +3.74]", "0.026")


def table(**changes: object) -> Table:
    study, trials = build_study(VALUES, **{"contrasts": CONTRASTS, **changes})
    cells = sort_out(trials, study)
    return make_table(compare(cells, METRIC), (compare(cells, "knn.top1", thorough=False),), cells, CONTROLS)


def test_a_contrast_between_others_than_the_reference_has_its_row_between_variants_and_controls() -> None:
    found = table()
    assert [line[0] for line in found.lines] == [*VALUES, SHOWN[0], "random init"]
    assert (found.variants, found.contrasts, found.controls) == (3, 1, 1)
    assert found.lines[3][:5] == SHOWN
    assert set(found.lines[3][5:]) == {"\u2013"}, "a contrast has no level of a further metric, and no cost"


def test_every_rendering_has_the_contrast() -> None:
    found = table()
    assert "| CMAE against two views " in markdown(found)
    assert "+2.50 \\[+1.26, +3.74]" in markdown(found)
    tex = latex(found, "s")
    assert tex.count("CMAE against two views") == 1, "in the table of differences, not in that of costs"
    assert "+2.50 {[}+1.26, +3.74{]} & 0.026" in tex
    first, *rest = shown_in_parts(found)
    assert [row[:5] for row in first.contrasts] == [SHOWN]
    assert not any(part.contrasts for part in rest)
    assert table_picture(found).alt.endswith("3 variants, 1 contrast, 1 control.")


def test_the_unrounded_table_has_it_by_kind() -> None:
    [row] = table().full.query("kind == 'contrast'").to_dict("records")
    assert (row["variant"], row["n"]) == ("CMAE against two views", 3)
    assert row["delta"] == pytest.approx(2.5, abs=1e-12)
    assert row["ci_low"] == pytest.approx(2.5 - 4.302653 * 0.5 / math.sqrt(3), abs=1e-6)
    assert math.isnan(row["mean"])


def test_the_caption_says_that_a_row_may_be_compared_with_another_variant() -> None:
    assert "paired by seed, and from \u2018MAE\u2019 unless a row says otherwise." in table().title
    assert "otherwise" not in table(contrasts=()).title
    assert table(contrasts=()).contrasts == 0


def test_a_contrast_added_after_the_plan_is_marked_as_exploratory() -> None:
    found = table(planned_family=CONTRASTS[:1])
    assert found.lines[3][:5] == (*SHOWN[:3], f"{SHOWN[3]}\u2020", "\u2013")
    assert "\u2020 exploratory" in found.note


def test_short_names_say_what_is_compared_by_names_of_the_same_table() -> None:
    labels = [
        f"{a} + {b}"
        for a in ("MAE's own decoder", "a small decoder")
        for b in ("no objective at all", "contrastive objective")
    ]
    levels = {label: dict(zip(("decoder", "objective"), label.split(" + "), strict=True)) for label in labels}
    factors = {"decoder": (labels[0][:17], labels[2][:15]), "objective": (labels[0][20:], labels[1][20:])}
    study, trials = build_study(
        {label: [30.0 + i, 31.5 + i, 32.0 + i + 0.1 * i * i] for i, label in enumerate(labels)},
        factors=factors,
        levels=levels,
        contrasts=((labels[3], labels[2]),),
    )
    cells = sort_out(trials, study)
    found = make_table(compare(cells, METRIC), (), cells, None)
    assert [line[0] for line in found.lines] == [
        labels[0],
        "contrastive objective",
        "a small decoder",
        "a small decoder + contrastive objective",
        "against a small decoder, with contrastive objective",
    ]


def test_seconds_and_memory_of_another_machine_than_the_references_are_shown_and_marked() -> None:
    study, trials = build_study(VALUES, imported={("MAE", s): "1" for s in range(4)})
    trials["memory.pretrain"] = 2.0**30
    cells = sort_out(trials, study)
    found = make_table(compare(cells, METRIC), (), cells, CONTROLS)
    assert found.header[-2:] == ("seconds", "memory (MiB)")
    # Seconds 200 to 203; 230 to 233; 260, 261 and 263.
    of_variants = [line[-2:] for line in found.lines[:3]]
    assert of_variants == [("202", "1,024"), ("232\u2021", "1,024\u2021"), ("261\u2021", "1,024\u2021")]
    words = (
        "\u2021 trained elsewhere or on another device than the reference: seconds and memory do not compare "
        "with its"
    )
    assert found.cost_marks == words
    assert found.caption.endswith(f" {words}.")
    assert found.full["seconds.pretrain"].tolist()[:2] == [201.5, 231.5]
    assert r"232$\ddagger$" in latex(found, "s")
    assert "\u2021" not in markdown(table())
