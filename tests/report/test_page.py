"""The page: self-contained, escaped, and clean in a real browser."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread, imsave

from cmae_ablate.report import ReportExtras, write_report
from tests.report.conftest import METRIC, build_study

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EVIL = "<script>alert(1)</script> & \"quoted\" 'label'"
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--v=0"),
]


class Elements(HTMLParser):
    """Every start tag with its attributes, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything on it: controls, curves, pictures, links, an added seed and a failed cell."""
    out = tmp_path_factory.mktemp("page")
    rng = np.random.default_rng(6)
    base = rng.normal(34, 1, 4)
    study, trials = build_study(
        {"MAE": list(base), EVIL: list(base + 2 + rng.normal(0, 0.3, 4))},
        seeds=3,
        question=f"Is {EVIL} safe?",
    )
    trials.loc[5, "state"] = "FAILED"
    logged = pd.DataFrame(
        [(v, s, e, "reconstruction", 1 / (e + 1)) for v in study.variants for s in (0, 1) for e in range(3)],
        columns=["variant", "seed", "epoch", "name", "value"],
    )
    picture = out / "reconstruction.png"
    imsave(picture, np.zeros((20, 60, 3)))
    (out / "torn.png").write_bytes(picture.read_bytes()[:40])
    extras = ReportExtras(
        curves=logged,
        reconstructions={"MAE": picture, EVIL: out / "torn.png"},
        warnings={(EVIL, 1): "features have collapsed; look at them"},
        links={("MAE", 0): "http://127.0.0.1:5000/#/runs/1", ("MAE", 1): "javascript:alert(1)"},
        environment={"python": "3.11"},
        command="cmae-ablate run studies/decoder_size.yaml",
        git="abc123 (clean)",
    )
    controls = pd.DataFrame({"control": ["raw pixels"], "variant": [""], METRIC: [14.7]})
    write_report(study, trials, controls, out, artifacts=extras)
    return out / "index.html"


@pytest.fixture(scope="module")
def elements(page: Path) -> Elements:
    parser = Elements()
    parser.feed(page.read_text())
    return parser


def test_nothing_is_fetched_from_anywhere(elements: Elements) -> None:
    sources = [image["src"] for image in elements.named("img")]
    sources += [source["srcset"] for source in elements.named("source")]
    assert sources
    assert all(address.startswith("data:image/") for address in sources)
    assert elements.named("script") == []
    assert all(link["href"].startswith("data:") for link in elements.named("link"))


def test_labels_cannot_become_markup(page: Path) -> None:
    text = page.read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "javascript:" not in text


def test_a_collapsed_encoder_is_among_the_notes(page: Path) -> None:
    assert "seed 1: features have collapsed; look at them" in page.read_text()


def test_every_picture_has_an_alternative_text(elements: Elements) -> None:
    assert all(len(image["alt"]) > 10 for image in elements.named("img"))


def test_a_screen_reader_finds_language_landmarks_and_headings_in_order(elements: Elements) -> None:
    assert elements.named("html") == [{"lang": "en"}]
    assert len(elements.named("main")) == len(elements.named("header")) == len(elements.named("h1")) == 1
    assert [nav["aria-label"] for nav in elements.named("nav")] == ["Sections"]
    identities = {attributes.get("id") for _, attributes in elements.tags}
    assert all(section["aria-labelledby"] in identities for section in elements.named("section"))
    levels = [int(tag[1]) for tag, _ in elements.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_every_header_cell_says_what_it_heads(elements: Elements) -> None:
    assert all(header.get("scope") in {"row", "col", "rowgroup"} for header in elements.named("th"))


def test_every_link_on_the_page_leads_to_something(elements: Elements, page: Path) -> None:
    identities = {attributes["id"] for _, attributes in elements.tags if "id" in attributes}
    for link in elements.named("a"):
        target = link["href"]
        if target.startswith("#"):
            assert target[1:] in identities
        elif not target.startswith("http"):
            assert (page.parent / target).is_file()


def test_identities_are_unique(elements: Elements) -> None:
    identities = [attributes["id"] for _, attributes in elements.tags if "id" in attributes]
    assert len(identities) == len(set(identities))


def test_regions_that_scroll_can_be_reached_by_keyboard_and_have_names(elements: Elements) -> None:
    regions = [attributes for tag, attributes in elements.tags if attributes.get("class") == "scroll"]
    assert regions
    assert all(region["tabindex"] == "0" and region["aria-label"] for region in regions)


def test_what_a_reader_must_know_is_said(page: Path) -> None:
    text = page.read_text()
    assert "added later" in text
    assert "FAILED" in text
    assert "cmae-ablate run studies/decoder_size.yaml" in text
    assert 'href="http://127.0.0.1:5000/#/runs/1"' in text


def test_a_damaged_picture_is_noted_and_the_others_shown(page: Path) -> None:
    text = page.read_text()
    assert "torn.png is no picture that can be read" in text
    assert 'alt="Reconstructions of MAE"' in text
    assert (page.parent / "reconstructions.pdf").is_file()


def colours(png: Path) -> tuple[float, float]:
    """Mean brightness of the top rows, and how much the whole picture varies."""
    pixels = imread(png)[..., :3]
    return float(pixels[:8].mean()), float(pixels.std())


@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")
@pytest.mark.parametrize(("scheme", "bright"), [(0, False), (1, True)], ids=["dark", "light"])
def test_a_browser_shows_it_in_light_and_dark_without_complaint(
    scheme: int, bright: bool, page: Path, tmp_path: Path
) -> None:
    shot = tmp_path / "shot.png"
    command = [
        *(str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}"),
        *(f"--blink-settings=preferredColorScheme={scheme}", "--window-size=900,1600"),
        *(f"--screenshot={shot}", page.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not re.findall(r"CONSOLE.*", done.stderr)
    brightness, variation = colours(shot)
    assert (brightness > 0.5) is bright
    assert variation > 0.05
