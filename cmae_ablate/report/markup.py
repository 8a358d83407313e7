"""What all pages share: the template engine, and figures as inlined pictures."""

from __future__ import annotations

import base64
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from cmae_ablate.errors import printable
from cmae_ablate.report.theme import FigureJob


@dataclass(frozen=True)
class Picture:
    """An inlined figure; `dark` is empty where there is only one version."""

    name: str
    title: str
    alt: str
    light: str
    dark: str


def page_from(template: str, **content: object) -> str:
    """A page's HTML. Every label is escaped by the template engine, and shown without control characters."""
    environment = Environment(
        loader=PackageLoader("cmae_ablate.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(content)


def _shown(value: object) -> object:
    # HTML that is made, not told, has a type of its own and stays.
    return printable(value) if type(value) is str else value


def picture(job: FigureJob, light: str, dark: str) -> Picture:
    """A figure as two inlined SVG addresses; base64, because `srcset` splits at blanks and commas."""
    addresses = (_data_url("image/svg+xml", text.encode()) for text in (light, dark))
    caption = f"{job.title}. {job.legend}" if job.legend else job.title
    return Picture(job.name, caption, job.alt, *addresses)


def photograph(path: Path, title: str, alt: str) -> Picture:
    """A picture file, inlined as it is."""
    kind = mimetypes.guess_type(path.name)[0] or "image/png"
    return Picture("", title, alt, _data_url(kind, path.read_bytes()), "")


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
