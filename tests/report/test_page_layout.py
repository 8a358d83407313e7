"""The page in a real browser: nothing is wider than screen, phone or paper, whatever stands on it."""

from __future__ import annotations

import html
import itertools
import json
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmae_ablate.report import ReportExtras
from cmae_ablate.report.findings import find
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.page import PageContent, render
from cmae_ablate.report.tables import make_table
from tests.report.conftest import METRIC, build_study

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = (1920, 1280, 390)
PAPER = 688
"""A4 between the page's own margins of 14 mm, in CSS pixels."""
LONG = "contrastive moco_v3, temperature 0.2 + position absolute cross-entropy + crop contrastive"
SCRIPTS = (
    "\u03b2\u03ac\u03c3\u03b7",
    "\u57fa\u6e96\u30e2\u30c7\u30eb",
    "\u0623\u0633\u0627\u0633",
    "\U0001f600",
)
Case = tuple[StudyDescription, pd.DataFrame]

MEASURE = """
<!doctype html><body><script>
const pages = %s, found = {};
const rest = time => new Promise(done => setTimeout(done, time));
function measure(frame, opened) {
  const page = frame.contentDocument, root = page.documentElement;
  page.querySelectorAll("details").forEach(each => each.open = opened);
  const wide = [...page.querySelectorAll("td, th, caption, dd, pre")].filter(
    each => each.offsetParent && each.getBoundingClientRect().right > frame.clientWidth + 1);
  const scrolled = [...page.querySelectorAll(".scroll")].filter(
    each => each.scrollWidth > each.clientWidth + 1);
  // A word of a cell that fits beside or below its label stands on one line; a text of several lines stands
  // below its label, and a caption below its rows.
  const torn = [...page.querySelectorAll(".cards td, .stack td")].filter(cell => {
    const text = [...cell.childNodes].find(node => node.nodeType === 3 && node.data.trim());
    if (!text || !cell.offsetParent || getComputedStyle(cell).display !== "flex") return false;
    const range = page.createRange();
    for (const word of text.data.matchAll(/\\S+/g)) {
      range.setStart(text, word.index), range.setEnd(text, word.index + word[0].length);
      const lines = [...range.getClientRects()];
      const width = lines.reduce((sum, line) => sum + line.width, 0);
      if (lines.length > 1 && width < cell.clientWidth) return true;
    }
    range.selectNodeContents(text);
    const lines = [...range.getClientRects()], top = cell.getBoundingClientRect().top;
    return lines.some(line => line.top > lines[0].bottom - 2) && lines[0].top < top + lines[0].height / 2;
  });
  const early = [...page.querySelectorAll("caption")].filter(each => each.offsetParent &&
    each.getBoundingClientRect().top < each.parentNode.tBodies[0].getBoundingClientRect().top);
  const folded = [...page.querySelectorAll("details > :not(summary)")].filter(each => !each.checkVisibility(
    {contentVisibilityAuto: true}));
  return {width: root.scrollWidth, wide: wide.map(each => each.textContent.slice(0, 60)),
          scrolled: scrolled.map(each => each.getAttribute("aria-label")), folded: folded.length,
          torn: torn.map(each => each.dataset.label + " " + each.textContent), early: early.length,
          first: Math.max(...[".verdict", ".setting", ".glance tbody tr"].map(
            each => page.querySelector(each).getBoundingClientRect().bottom))};
}
(async () => {
  for (const [name, address] of Object.entries(pages)) {
    const frame = document.createElement("iframe");
    frame.style.cssText = "border:0;height:800px;width:1280px";
    frame.src = address;
    const ready = new Promise(done => frame.onload = done);
    document.body.append(frame);
    await ready;
    for (const width of %s) {
      frame.style.width = width + "px";
      found[`${name} ${width}`] = measure(frame, true);
    }
    const style = frame.contentDocument.querySelector("style");
    style.textContent = style.textContent.replaceAll("@media print", "@media all")
      .replaceAll("@media screen", "@media print");
    frame.style.width = "%dpx";
    found[`${name} paper`] = measure(frame, false);
    frame.remove();
  }
  document.body.textContent = JSON.stringify(found);
  document.title = "measured";
})();
</script></body>
"""


def plain() -> Case:
    return build_study(
        {"depth 4": [34.0, 35.0, 36.0], "depth 2": [33.0, 34.2, 35.1], "linear": [20.0, 21, 22]}
    )


def wide() -> Case:
    """Twelve long labels and labels in other scripts, nine metrics, forty columns a cell, odd states."""
    rng = np.random.default_rng(3)
    labels = [*(f"{LONG} {index}" for index in range(8)), *SCRIPTS, "unbroken" * 9]
    further = tuple(f"evaluation_{index}.an_uncommonly_long_name" for index in range(9))
    study, trials = build_study({v: list(rng.normal(34, 1, 3)) for v in labels}, report=further)
    trials = trials.assign(**{name: trials["seed"] * 1234.5 for name in further})
    trials = trials.assign(**{f"more.{index}.column": 0.123456 for index in range(25)})
    trials.loc[4, "state"], trials.loc[7, "state"] = "FAILED", "RUNNING"
    return study, trials.drop(index=[10, 11])


def grid() -> Case:
    factors = {"crop": ("random_resized", "contrastive"), "objective": ("none", "moco_v3", "simclr")}
    levels = {" + ".join(c): dict(zip(factors, c, strict=True)) for c in itertools.product(*factors.values())}
    rng = np.random.default_rng(1)
    return build_study({v: list(rng.normal(34, 1, 3)) for v in levels}, factors=factors, levels=levels)


def one_seed() -> Case:
    return build_study({"MAE": [34.0], "CMAE": [35.0]}, report=())


CASES = {"plain": plain, "wide": wide, "grid": grid, "one seed": one_seed}


def content(case: Case) -> PageContent:
    """A page without figures, with everything else on it."""
    study, trials = case
    study = StudyDescription(
        **{
            **study.__dict__,
            "setting": {"data set": "scenes", "images": "6,400 to train", "backbone": f"vit ({LONG})"},
            "caveat": "Semi-synthetic images.",
        }
    )
    controls = pd.DataFrame({"control": ["raw pixels"], "variant": [""], METRIC: [14.7]})
    extras = ReportExtras(
        links={(study.variants[0], 0): "http://127.0.0.1:5000/#/runs/1"},
        environment={"platform": "x" * 150},
        command=f"cmae-ablate run {'very/' * 40}study.yaml",
        study_file=f"question: {'How ' * 60}\nset:\n  path: {'x' * 200}\n",
        notes=("n" * 300,),
    )
    found = find(study, trials, controls, extras)
    table = make_table(found.comparison, found.further, found.cells, controls, found.worth)
    return PageContent(
        study=study,
        answer=found.answer,
        table=table,
        comparison=found.comparison,
        cells=found.cells,
        notes=found.notes,
        figures=(),
        galleries=(),
        factorial=found.factorial,
        localised=None,
        extras=extras,
        files=("trials.csv", "table.csv"),
    )


@dataclass(frozen=True)
class Measured:
    """What the browser found at one width."""

    width: int
    wide: list[str]
    scrolled: list[str]
    folded: int
    torn: list[str]
    """Cells of cards whose label or text is broken inside a word."""
    early: int
    """Captions that stand before their rows."""
    first: float
    """Where verdict, setting and the first comparison end, in pixels from the top."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Measured]:
    """Every case at every width with everything opened, and on paper as it is folded."""
    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium")
    folder = tmp_path_factory.mktemp("layout")
    pages = {}
    for name, make in CASES.items():
        path = folder / f"{name}.html"
        path.write_text(render(content(make())), encoding="utf-8")
        pages[name] = path.as_uri()
    script = folder / "measure.html"
    script.write_text(MEASURE % (json.dumps(pages), json.dumps(WIDTHS), PAPER), encoding="utf-8")
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"),
        *("--no-first-run", "--disable-background-networking", "--virtual-time-budget=60000", "--dump-dom"),
        *(f"--user-data-dir={folder / 'profile'}", "--window-size=2000,1000", script.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
    [body] = re.findall(r"<body>(\{.*\})</body>", done.stdout, flags=re.DOTALL) or [done.stdout + done.stderr]
    return {name: Measured(**each) for name, each in json.loads(html.unescape(body)).items()}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("width", [*WIDTHS, "paper"])
def test_nothing_is_cut_with_everything_opened(
    case: str, width: int | str, measured: dict[str, Measured]
) -> None:
    found = measured[f"{case} {width}"]
    assert found.width <= (PAPER if width == "paper" else width)
    assert found.wide == []
    assert found.scrolled == []


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("width", [*WIDTHS, "paper"])
def test_numbers_and_labels_stay_whole_and_captions_come_last(
    case: str, width: int | str, measured: dict[str, Measured]
) -> None:
    found = measured[f"{case} {width}"]
    assert found.torn == []
    assert found.early == 0


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_verdict_data_and_first_comparison_fit_the_first_screen(
    width: int, height: int, measured: dict[str, Measured]
) -> None:
    assert 0 < measured[f"plain {width}"].first <= height


@pytest.mark.parametrize("case", CASES)
def test_paper_shows_what_is_folded(case: str, measured: dict[str, Measured]) -> None:
    assert measured[f"{case} paper"].folded == 0


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", page.partition("</style>")[2])))


def test_the_first_screen_says_question_answer_size_and_on_what_data() -> None:
    page = render(content(plain()))
    first = text_of(page.partition('aria-label="Caveats"')[0])
    for words in (
        *(
            "How small can the decoder be?",
            "is lower than",
            "the reference \u2018depth 4\u2019 reads 35.00 \u00b1 1.00",
        ),
        *("\u221214.00", "Sensitivity:", "data set scenes", "6,400 to train", "Semi-synthetic images."),
    ):
        assert words in first, words


def test_the_resolved_study_can_be_copied() -> None:
    assert "set:\n  path: " in html.unescape(render(content(plain())))


def test_tables_without_a_row_are_left_out() -> None:
    page = render(content(build_study({"MAE": [34.0, 35.0]}, report=())))
    tables = re.findall(r"<tbody[^>]*>(.*?)</tbody>", page, flags=re.DOTALL)
    assert all("<tr" in body for body in tables)
    assert "Conclusions" not in page


def test_the_answer_stands_on_the_first_sheet_of_paper(tmp_path: Path) -> None:
    """What is folded is opened, and longer than a sheet: it must not push the answer to the second."""
    if CHROMIUM is None or shutil.which("pdftotext") is None:
        pytest.skip("needs Debian's chromium and poppler-utils")
    page, printed = tmp_path / "index.html", tmp_path / "printed.pdf"
    given = content(wide())
    long = replace(given.answer, lines=tuple(f"Sentence {number}. {'More. ' * 60}" for number in range(20)))
    page.write_text(render(replace(given, answer=long)), encoding="utf-8")
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"),
        *("--no-first-run", "--disable-background-networking", f"--print-to-pdf={printed}", page.as_uri()),
    ]
    subprocess.run(command, capture_output=True, check=True, timeout=150)
    text = subprocess.run(
        ["pdftotext", "-l", "1", printed, "-"], capture_output=True, text=True, check=True
    ).stdout
    assert given.answer.headline.split()[0] in text
    assert "Semi-synthetic images." in text
