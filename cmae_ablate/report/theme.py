"""How figures look: light for paper, light and dark for the page, in colours that the colour-blind can tell.

Figures are made without pyplot, so that a report never touches the state of a caller's own plots.
"""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from cmae_ablate.report.wording import shortened

COLUMN_INCHES = 3.3
"""Width of one column of a two-column paper: figures are drawn at the size they are printed."""
FONT = 7.0
SMALL = 6.0
PNG_DPI = 250
SVG_DPI = 72


@dataclass(frozen=True)
class Theme:
    """Colours of one mode; `palette` is Okabe and Ito's (2008), without what the background swallows."""

    name: str
    ink: str
    faint: str
    grid: str
    paper: str
    palette: tuple[str, ...]

    @property
    def colours(self) -> tuple[str, ...]:
        """All of them, as SVG writes them; those of two themes at the same place mean the same."""
        return tuple(each.lower() for each in (self.ink, self.faint, self.grid, self.paper, *self.palette))

    def colour(self, index: int) -> str:
        """The colour of the index-th thing; colours repeat, so that markers or lines must differ too."""
        return self.palette[index % len(self.palette)]


LIGHT = Theme(
    "light",
    ink="#1a1a1a",
    faint="#5c5c5c",
    grid="#d9d9d9",
    paper="#ffffff",
    palette=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#010101"),
)
"""Its last colour is black but for a shade: what is quite black Matplotlib leaves out of an SVG."""
DARK = Theme(
    "dark",
    ink="#ececec",
    faint="#b0b0b0",
    grid="#454545",
    paper="#16181c",
    palette=("#56B4E9", "#E69F00", "#2BC79A", "#E6A3C6", "#F0E442", "#F0783C", "#FFFFFF"),
)

_IN_DARK = dict(zip(LIGHT.colours, DARK.colours, strict=True))
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
Draw = Callable[[Theme], Figure]
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
DASHES: tuple[tuple[float, tuple[float, ...]], ...] = (
    (0, ()),
    (0, (4, 1.5)),
    (0, (1, 1)),
    (0, (4, 1, 1, 1)),
)


@dataclass(frozen=True)
class FigureJob:
    """A figure before it is drawn.

    Attributes:
        name: File stem.
        title: Heading on the page.
        alt: What it shows, for those who cannot see it, with the numbers that matter.
        draw: Draws it in a theme.
        legend: What its marks, lines and colours mean, for the caption.
    """

    name: str
    title: str
    alt: str
    draw: Draw
    legend: str = ""


@contextmanager
def styled(theme: Theme) -> Iterator[None]:
    """Matplotlib settings for one figure, put back afterwards."""
    settings = {
        "font.family": ["DejaVu Sans"],
        "font.size": FONT,
        "axes.titlesize": FONT + 0.5,
        "axes.labelsize": FONT,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": FONT,
        "legend.fontsize": SMALL,
        "legend.title_fontsize": SMALL,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "pdf.fonttype": 42,
        "ps.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "cmae-ablate",
        "text.parse_math": False,
        "axes.unicode_minus": True,
        "axes.formatter.useoffset": False,
        "figure.facecolor": theme.paper,
        "savefig.facecolor": theme.paper,
        "axes.facecolor": theme.paper,
        "text.color": theme.ink,
        "axes.edgecolor": theme.faint,
        "axes.labelcolor": theme.ink,
        "axes.titlecolor": theme.ink,
        "xtick.color": theme.faint,
        "ytick.color": theme.faint,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "grid.color": theme.grid,
        "grid.linewidth": 0.5,
        "legend.frameon": False,
    }
    # A label in a script that DejaVu lacks is drawn as boxes, and whole in table.csv: no reason to fail.
    with mpl.rc_context(mpl.RcParams(settings)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        yield


@dataclass(frozen=True)
class Drawn:
    """A figure's files, and its SVG text for light and dark pages."""

    paths: tuple[Path, ...]
    light: str
    dark: str


def draw(job: FigureJob, out: Path) -> Drawn:
    """The figure in every form that a report shows it."""
    with styled(LIGHT):
        figure = job.draw(LIGHT)
        paths = _files(figure, job, out)
        light = _svg(figure)
    return Drawn(paths, light, on_dark(light))


def save(job: FigureJob, out: Path) -> tuple[Path, ...]:
    """Write `NAME.png` and, as vectors with embedded TrueType fonts, `NAME.pdf`; light, for paper."""
    with styled(LIGHT):
        return _files(job.draw(LIGHT), job, out)


def _files(figure: Figure, job: FigureJob, out: Path) -> tuple[Path, Path]:
    png, pdf = out / f"{job.name}.png", out / f"{job.name}.pdf"
    _lay_out(figure, FigureCanvasAgg, PNG_DPI)
    figure.savefig(png, dpi=PNG_DPI, metadata={"Software": None, "Description": job.alt[:500]})
    figure.savefig(pdf, metadata={"CreationDate": None, "Producer": None, "Title": job.title})
    return png, pdf


def _lay_out(figure: Figure, canvas: type[FigureCanvasBase], dpi: float) -> None:
    """Find the layout once for all formats, without the drawing that `savefig` makes to find it."""
    engine = figure.get_layout_engine()
    if engine is None:
        return
    canvas(figure)
    before = figure.get_dpi()
    figure.set_dpi(dpi)
    engine.execute(figure)
    figure.set_dpi(before)
    figure.set_layout_engine(None)


def as_svg(job: FigureJob, theme: Theme) -> str:
    """Draw as SVG text alone; the same input gives the same text."""
    with styled(theme):
        figure = job.draw(theme)
        _lay_out(figure, FigureCanvasSVG, SVG_DPI)
        return _svg(figure)


def on_dark(light: str) -> str:
    """A figure's SVG in the light theme, as the dark one shows it: only colours differ."""
    return _COLOUR.sub(lambda found: _IN_DARK.get(found.group(), found.group()), light)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def number_x(axes: Axes) -> None:
    """A few numbers along the x axis of a narrow figure: five at most, and three, as two show no scale."""
    axes.locator_params(axis="x", nbins=5, min_n_ticks=3)


def wrapped(label: str, width: int, lines: int = 3) -> str:
    """A label broken into at most `lines` lines of `width` characters; of a longer one the middle goes."""
    label = " ".join(label.split())
    for kept in range(len(label), width, -1):
        parts = textwrap.wrap(shortened(label, kept), width)
        if len(parts) <= lines:
            return "\n".join(parts)
    return shortened(label, width)
