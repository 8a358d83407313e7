"""What lies in the folder from an earlier report stays, and the report says that it is none of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from cmae_ablate.report import ReportExtras, write_report
from cmae_ablate.report.left_over import SOMETIMES, left_over
from tests.report.conftest import build_study
from tests.report.sentences import grid, grid_study

ALWAYS = {
    *("table.csv", "table.md", "table.tex", "table.png", "effects.csv", "effects.png"),
    *("control_effects.csv", "answer.json", "index.html"),
}


def test_what_only_an_earlier_report_could_show_stays_as_it_was_and_is_named(tmp_path: Path) -> None:
    study, trials = build_study(grid(2.0), **grid_study(), contrasts=(("on + box", "on + plain"),))
    picture = tmp_path / "crops.png"
    Image.fromarray(np.zeros((4, 8, 3), dtype=np.uint8)).save(picture)
    logged = [
        (v, 0, epoch, name, 0.3) for v in study.variants for epoch in (1, 2) for name in ("loss", "crop.iou")
    ]
    curves = pd.DataFrame(logged, columns=["variant", "seed", "epoch", "name", "value"])
    pictures = dict.fromkeys(study.variants, picture)
    whole = ReportExtras(curves=curves, crop_boxes=pictures, reconstructions=pictures)
    out = tmp_path / "report"
    first = write_report(study, trials, None, out, artifacts=whole)
    assert not any("earlier report" in note for note in first.notes)
    assert {name for name in first.paths if not name.endswith(".pdf")} <= {*ALWAYS, *SOMETIMES}
    lost = ("localisation.csv", "curves.png", "reconstructions.png", "crop_boxes.png")
    before = {name: (out / name).read_bytes() for name in lost}
    again = write_report(study, trials, None, out)
    note = again.notes[-1]
    assert note == (
        "localisation.csv, curves.png, reconstructions.png and crop_boxes.png are of an earlier report: this "
        "one has nothing to put in their place, and leaves them"
    )
    assert note in " ".join((out / "index.html").read_text().split())
    assert {name: (out / name).read_bytes() for name in lost} == before


def test_files_of_this_report_and_of_nobody_are_no_news(tmp_path: Path) -> None:
    for name in ("curves.png", "notes.txt"):
        (tmp_path / name).write_text("")
    assert left_over(tmp_path, {"curves.png"}) == ()
    assert left_over(tmp_path, set()) == (
        "curves.png is of an earlier report: this one has nothing to put in its place, and leaves it",
    )
