"""LaTeX that compiles, whatever a label holds, and fits an article's column."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.effects import compare
from cmae_ablate.report.latex import latex
from cmae_ablate.report.tables import Table, make_table

needs_pdflatex = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="needs Debian's texlive-latex-recommended"
)
NASTY = "50% & $x_1$ #2 {a} \\input{/etc/passwd} ~^ <b> | [c] é \u2265 基"
BEGINNINGS = [
    *(
        "[a] b",
        "[",
        "*star",
        "* two",
        "\\\\ line",
        "\\",
        "%",
        "&",
        "#1",
        "_x",
        "$y$",
        "^z",
        "~w",
        "{",
        "}",
        "[]*",
    ),
    *(
        "\u03b1-weighted",
        "\u0391\u03c1\u03c7\u03ae",
        "\u043c\u0430\u043b\u044b\u0439",
        "\u57fa\u6e96",
        "\u5c0f",
    ),
    *(
        "\u0639\u0631\u0628\u064a",
        "\u05e2\u05d1\u05e8",
        "\u0939\u093f\u0928\u094d\u0926\u0940",
        "\ud55c\uad6d",
    ),
    *(
        "\U0001f600 smile",
        "\U0001f44d\U0001f3fd",
        "\u0301combining",
        "a\u0338 struck",
        "\u01b5 stroke",
        "\ufb01t",
    ),
    *(
        "--- dashes",
        "?` ligature",
        "`quoted'",
        '"quoted"',
        "<tag>",
        "|bar|",
        "x\u2212y \u00d7 2 \u2264 3",
        "\u200b",
    ),
    *(
        "\u0105\u0119\u017c\u00f3\u0142\u0107",
        "na\u00efve \u00e6on \u00f0orn",
        "\u20ac \u00bd \u00b2",
        "\x07 bell",
    ),
    *("W" * 80, "random_resized_crop_with_a_very_long_name_" * 3, "\u57fa" * 40, "a" * 30 + "-" + "b" * 30),
    *(r"\end{tabular}", r"\newpage", r"\write18{touch x}", "^^41", "%\\relax", "\\[4pt]", "\\*"),
]


def built(build: Callable, *labels: str, **changes: str) -> Table:
    values = {label: [34.0 + i, 35.0 + i / 2, 36.0 - i] for i, label in enumerate(labels)}
    study, trials = build(values, **changes)
    controls = pd.DataFrame(
        {"control": ["raw pixels", "[odd] control"], "variant": ["", ""], "linear_probe.top1": [14.7, 15.0]}
    )
    cells = sort_out(trials, study)
    further = tuple(compare(cells, metric, thorough=False) for metric in study.report)
    return make_table(compare(cells, study.metric), further, cells, controls)


def compiled(folder: Path, *tables: str) -> str:
    """The log of an article of these tables, each on a page of its own."""
    pages = "\\clearpage\n".join(tables)
    text = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{pages}\end{{document}}"
    (folder / "paper.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=100)
    log = (folder / "paper.log").read_text(encoding="latin-1")
    assert done.returncode == 0, re.findall(r"^!.*\n.*\n.*\n", log, flags=re.MULTILINE)
    return log


def test_booktabs_rules_frame_the_rows_and_part_the_controls(build: Callable) -> None:
    first, *_ = latex(built(build, "MAE", NASTY), "decoder_size").split("\\end{table}")
    lines = first.splitlines()
    rules = [line for line in lines if line.endswith("rule")]
    assert rules == ["\\toprule", "\\midrule", "\\midrule", "\\bottomrule"]
    assert lines[lines.index("\\bottomrule") - 2].startswith("{raw pixels}")
    assert lines[lines.index("\\bottomrule") - 3] == "\\midrule"


def test_cost_has_a_table_of_its_own_without_the_controls_that_cost_nothing(build: Callable) -> None:
    first, *_, cost, _ = latex(built(build, "MAE", "CMAE"), "decoder_size").split("\\end{table}")
    assert "seconds" not in first.partition("\\bottomrule")[0]
    assert r"\caption{Cost, for the variants in Table~\ref{tab:decoder-size}.}" in cost
    assert "seconds" in cost
    assert "raw pixels" not in cost


def test_the_caption_is_short_and_the_protocol_a_note_below(build: Callable) -> None:
    question = "How small can the decoder be before the representation suffers?"
    text = latex(built(build, "depth 4", "depth 2", question=question), "decoder_size")
    [caption] = re.findall(r"\\caption\{(.*)\}", text.split("\\end{table}")[0])
    # Two lines of about 75 letters in article, of which `Table 1: ` is the beginning.
    assert caption.startswith(question)
    assert len(caption) < 2 * 75 - len("Table 1: ")
    assert "Linear probe on the mean patch token" in text.partition("\\end{tabular}\n\\par")[2]


def test_the_first_line_says_what_it_needs(build: Callable) -> None:
    assert latex(built(build, "MAE", "CMAE"), "x").startswith("% Needs \\usepackage{booktabs}")


def test_every_character_that_is_set_otherwise_is_named_in_a_comment(build: Callable) -> None:
    text = latex(built(build, "MAE", "\u57fa", "\u043b"), "x")
    comments = [line for line in text.splitlines() if line.startswith("%")]
    assert "% pdflatex has no glyph for U+57FA CJK UNIFIED IDEOGRAPH-57FA: set as {[}U+57FA{]}" in comments
    assert "% pdflatex has no glyph for U+043B CYRILLIC SMALL LETTER EL: set as l" in comments


def test_a_column_that_is_wider_than_the_page_still_leaves_every_column_somewhere(build: Callable) -> None:
    table = built(build, "MAE", "CMAE", report=("knn.top1",))
    text = latex(replace(table, header=(*table.header[:-1], "unbroken" * 8)), "x")
    for title in ("n", "GFLOPs/", "unbroken" * 8):
        assert re.search(rf"[&{{ ]{re.escape(title)}[}} ]", text), title


@needs_pdflatex
def test_tables_compile_and_fit_whatever_begins_a_row(build: Callable, tmp_path: Path) -> None:
    many = built(build, "MAE", *BEGINNINGS[: len(BEGINNINGS) // 2])
    others = built(build, *BEGINNINGS[len(BEGINNINGS) // 2 :], question="100% of $ & _? " + NASTY)
    log = compiled(tmp_path, latex(many, "a study: 50%"), latex(others, "b"))
    assert re.findall(r"Overfull \\hbox.*", log) == []
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000
    assert not (tmp_path / "x").exists()


@needs_pdflatex
def test_wide_numbers_many_metrics_and_long_headers_fit_too(build: Callable, tmp_path: Path) -> None:
    values = {
        "MAE": [1234.5, 2345.6, 3456.7],
        "a variant with several words in its label": [0.0, -9999.0, 1.0],
    }
    study, trials = build(values, contrasts=(("a variant with several words in its label", "MAE"),))
    trials["seconds.pretrain"] *= 1e6
    names = [f"evaluation_{i}.an_uncommonly_long_name" for i in range(9)]
    trials = trials.assign(**{name: trials["seed"] * 1000.0 for name in names})
    cells = sort_out(trials, study)
    table = make_table(compare(cells, study.metric), [compare(cells, name) for name in names], cells, None)
    assert re.findall(r"Overfull \\hbox.*", compiled(tmp_path, latex(table, "wide"))) == []
