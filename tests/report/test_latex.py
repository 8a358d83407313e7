"""LaTeX that compiles, whatever a label holds."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.effects import compare
from cmae_ablate.report.latex import latex, latex_text
from cmae_ablate.report.tables import Table, make_table, markdown

NASTY = "50% & $x_1$ #2 {a} \\input{/etc/passwd} ~^ <b> | [c] é \u2265 基"
DOCUMENT = r"\documentclass{article}\usepackage{booktabs}\begin{document}%s\end{document}"


def table_of(build: Callable, controls: pd.DataFrame | None = None) -> Table:
    study, trials = build({"MAE": [34.0, 35.0, 36.0], NASTY: [33.0, 34.2, 35.1]}, question="100% of $ & _?")
    cells = sort_out(trials, study)
    return make_table(compare(cells, study.metric), (), cells, controls)


def test_booktabs_rules_frame_the_rows_and_part_the_controls(build: Callable) -> None:
    controls = pd.DataFrame({"control": ["raw pixels"], "variant": [""], "linear_probe.top1": [14.7]})
    lines = latex(table_of(build, controls), "decoder_size").splitlines()
    rules = [line for line in lines if line.endswith("rule")]
    assert rules == ["\\toprule", "\\midrule", "\\midrule", "\\bottomrule"]
    assert lines[lines.index("\\bottomrule") - 1].startswith("raw pixels")
    assert lines[lines.index("\\bottomrule") - 2] == "\\midrule"


def test_a_label_cannot_run_latex() -> None:
    assert "\\input" not in latex_text(NASTY)
    assert latex_text("a_b") == r"a\_b"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs Debian's texlive-latex-recommended")
def test_the_table_compiles(build: Callable, tmp_path: Path) -> None:
    controls = pd.DataFrame({"control": ["raw_pixels %"], "variant": [""], "linear_probe.top1": [14.7]})
    text = latex(table_of(build, controls), "a study: 50%")
    (tmp_path / "paper.tex").write_text(DOCUMENT % text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 1_000


def test_markdown_has_one_line_a_row_and_the_same_columns_in_each(build: Callable) -> None:
    lines = [line for line in markdown(table_of(build)).splitlines() if line.startswith("|")]
    unescaped = [line.replace("\\|", "") for line in lines]
    assert len(lines) == 4
    assert len({line.count("|") for line in unescaped}) == 1
