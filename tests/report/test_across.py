"""Several studies side by side, and the paper's numbers apart from ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.report import ReportFiles, StudyPart, combine
from cmae_ablate.report.across import summary_table
from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.effects import compare
from cmae_ablate.report.effects_table import effects_table
from cmae_ablate.report.study_part import analyse
from cmae_ablate.report.table_picture import table_picture
from cmae_ablate.report.theme import LIGHT
from tests.report.conftest import build_study


def part(name: str, dataset: str, variants: tuple[str, ...], seed: int) -> StudyPart:
    rng = np.random.default_rng(seed)
    study, trials = build_study({v: list(rng.normal(34, 1, 3)) for v in variants}, name=name)
    return StudyPart(study, trials, dataset)


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[StudyPart], ReportFiles]:
    parts = [
        part("cmae_vs_mae", "scenes", ("MAE", "CMAE"), 1),
        part("components", "tiny_imagenet", ("MAE", "contrastive", "CMAE"), 2),
    ]
    return parts, combine(parts, tmp_path_factory.mktemp("summary"))


def test_every_study_keeps_its_own_statistics(summary: tuple[list[StudyPart], ReportFiles]) -> None:
    parts, files = summary
    written = pd.read_csv(files.paths["summary.csv"])
    for item in parts:
        own = effects_table(compare(sort_out(item.trials, item.description), item.description.metric))
        rows = written[written["study"] == item.description.name].reset_index(drop=True)
        for column in ("n", "mean", "delta", "ci_low", "p_holm"):
            assert rows[column].tolist() == pytest.approx(own[column].tolist(), rel=1e-12, nan_ok=True)


def test_rows_are_the_union_of_the_variants_with_dashes_where_a_study_has_none(
    summary: tuple[list[StudyPart], ReportFiles],
) -> None:
    _, files = summary
    rows = {line[0]: line for line in files.table[1:]}
    assert list(rows) == ["MAE", "CMAE", "contrastive"]
    assert rows["contrastive"][1:3] == ("\u2013", "\u2013")


def test_the_papers_numbers_stand_in_a_labelled_column_of_their_own(
    summary: tuple[list[StudyPart], ReportFiles],
) -> None:
    _, files = summary
    header, *lines = files.table
    assert "not measured here" in header[-1]
    assert {line[0]: line[-1] for line in lines} == {"MAE": "62.95", "CMAE": "65.84", "contrastive": "\u2013"}
    assert "arXiv 2205.10546" in files.paths["summary.md"].read_text()


def test_columns_name_data_and_scale_only_where_these_differ(
    summary: tuple[list[StudyPart], ReportFiles], tmp_path: Path
) -> None:
    _, files = summary
    assert files.table[0][1].startswith("scenes, scale cpu, cmae_vs_mae: ")
    alike = [part("cmae_vs_mae", "scenes", ("MAE", "CMAE"), 1), part("crop", "scenes", ("MAE", "crop"), 2)]
    files = combine(alike, tmp_path)
    assert files.table[0][1].startswith("cmae_vs_mae: ")
    assert files.table[0][3].startswith("crop: ")
    text = files.paths["summary.md"].read_text()
    assert "All studies: scenes, scale cpu." in text
    assert "Within a study variants have equal epochs; its own table has what they cost." in text


def test_marks_in_the_table_are_explained_below_it(tmp_path: Path) -> None:
    one = part("first", "scenes", ("MAE", "CMAE", "crop"), 1)
    declared = replace(one.description, contrasts=((one.description.variants[1], "MAE"),), seeds=2)
    marked = combine([replace(one, description=declared)], tmp_path / "marked")
    text = marked.paths["summary.md"].read_text()
    assert "\N{DAGGER}" in marked.table[3][2]
    assert "\N{DAGGER} exploratory" in text
    assert "includes seeds added later" in text
    plain = combine([one], tmp_path / "plain").paths["summary.md"].read_text()
    assert "exploratory" not in plain
    assert "added later" not in plain


def test_studies_without_the_papers_variants_show_no_paper_column(tmp_path: Path) -> None:
    files = combine([part("decoder_size", "scenes", ("depth 8", "depth 1"), 3)], tmp_path)
    assert "paper" not in files.table[0][-1]


def test_the_same_study_twice_is_refused(tmp_path: Path) -> None:
    twice = part("decoder_size", "scenes", ("depth 8", "depth 1"), 3)
    with pytest.raises(UserError, match="given twice"):
        combine([twice, twice], tmp_path)


def test_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least one study"):
        combine([], tmp_path)


def test_a_name_stays_as_it_is_in_headings_and_in_the_header_of_the_picture(tmp_path: Path) -> None:
    labels = ("MAE", "CMAE", "MAE with strong augmentation")
    parts = [part(name, "tiny_imagenet", labels, seed) for seed, name in enumerate(("a", "b", "tiny_study"))]
    parts[0] = replace(parts[0], dataset="scenes")
    page = combine(parts, tmp_path).paths["index.html"].read_text()
    assert "Tiny_" not in page
    assert "<h3>Study tiny_imagenet, scale cpu, " in page
    figure = table_picture(summary_table([analyse(p.dataset, p) for p in parts])).draw(LIGHT)
    header = "\n".join(text.get_text() for text in figure.texts if text.get_fontweight() == "bold")
    assert "tiny_imagenet:" in header.split()
