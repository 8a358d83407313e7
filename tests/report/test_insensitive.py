"""A study that does not see its positive control concludes nothing, in any of the files that it writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.report import ReportExtras, StudyPart, combine, write_report
from tests.report.conftest import METRIC, build_study
from tests.report.sentences import MAE, RANDOM, UNSEEN, Case, grid, grid_study, shifted

CONCLUDING = re.compile(
    r"\b(higher|lower|better|equal within|equivalent|beats?|differs? detectably|a hint|leads|trails|faster)\b"
)
NOT_OF_A_VARIANT = ("even the positive control",)
"""The one sentence that speaks of a difference: of the control's, that is not detected."""
CASES = {
    "declared, exploratory and within a margin": Case(
        "",
        {"MAE": MAE, "CMAE": shifted("up"), "close": [34.2, 33.3, 35.25, 34.55], "later": shifted("down")},
        (*UNSEEN, *RANDOM),
        study={
            "equivalence_margin": 1.0,
            "contrasts": (("CMAE", "MAE"), ("close", "MAE"), ("later", "CMAE")),
            "planned_family": (("CMAE", "MAE"), ("close", "MAE")),
        },
    ),
    "against the reference": Case("", {"MAE": MAE, "CMAE": shifted("up")}, (*UNSEEN, *RANDOM)),
    "a grid": Case("", grid(3.0), UNSEEN, study=grid_study()),
}


def controls_of(case: Case) -> pd.DataFrame:
    return pd.DataFrame(case.controls, columns=["control", "seed", METRIC]).assign(variant="")


def text_of(path: Path) -> str:
    """What a reader of the file sees."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".html":
        text = re.sub(r"<(style|script|svg).*?</\1>", " ", text, flags=re.DOTALL)
        text = re.sub(r"<[^>]+>", " ", text)
    return text


@pytest.mark.parametrize("name", CASES)
def test_no_file_of_an_insensitive_report_concludes_anything_of_a_variant(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    study, trials = build_study(case.values, **{"positive_control": "a quarter of the epochs", **case.study})
    progress = pd.DataFrame(
        [
            {
                "variant": variant,
                "seed": seed,
                "epoch": epoch,
                "metric": "a.validation_top1",
                "value": 9.0 * at + n,
            }
            for at, variant in enumerate(case.values)
            for epoch in (1, 2)
            for seed, n in enumerate((0.1, 0.2, 0.3 * epoch, 0.4))
        ]
    )
    files = write_report(
        study, trials, controls_of(case), tmp_path, artifacts=ReportExtras(progress=progress)
    )
    answer = json.loads((tmp_path / "answer.json").read_text(encoding="utf-8"))
    assert answer["sensitive"] is False
    assert answer["text"].startswith("Insensitive (4 seeds)")
    assert {each["verdict"] for each in answer["verdicts"]} == {"insensitive"}
    assert any(note.startswith("Progress: insensitive") for note in files.notes)
    readable = [
        path for path in files.paths.values() if path.suffix in (".html", ".md", ".tex", ".csv", ".json")
    ]
    for path in readable:
        for sentence in re.split(r"[.;:\n]\s", text_of(path)):
            if not any(words in sentence for words in NOT_OF_A_VARIANT):
                assert not CONCLUDING.search(sentence), f"{path.name}: {sentence.strip()}"


def test_a_summary_of_several_studies_concludes_nothing_either(tmp_path: Path) -> None:
    case = CASES["against the reference"]
    study, trials = build_study(case.values, positive_control="a quarter of the epochs")
    files = combine([StudyPart(study, trials, "scenes", controls=controls_of(case))], tmp_path)
    assert "insensitive" in files.paths["summary.csv"].read_text(encoding="utf-8")
    for path in files.paths.values():
        if path.suffix in (".md", ".csv"):
            assert not CONCLUDING.search(text_of(path)), path.name
