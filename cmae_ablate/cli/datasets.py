"""`data list`, `data prepare` and `data show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmae_ablate.terminal import open_console

app = typer.Typer(help="Prepare data sets, and look at what is prepared.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A data set.", show_default=False)]
Source = Annotated[str | None, typer.Option(metavar="PATH", help="Its files.")]
DatasetSettings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="OPTION=VALUE", help="Any option of it, as image_size=32."),
]


@app.command("list")
def list_datasets() -> None:
    """List the data sets, and where their files come from."""
    from cmae_ablate.cli.catalogue import show_components

    show_components("dataset", open_console())


@app.command()
def prepare(
    name: Name,
    source: Source = None,
    settings: DatasetSettings = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch the files first.")] = False,
) -> None:
    """Prepare a data set once; studies then find it."""
    from cmae_ablate.cli.prepare import prepare_data

    prepare_data(name, source, settings or [], download, open_console())


@app.command()
def show(
    name: Name,
    source: Source = None,
    settings: DatasetSettings = None,
    picture: Annotated[Path, typer.Option(metavar="PNG", help="Where to draw it.")] = Path("data.png"),
) -> None:
    """Draw images of a data set with their boxes, and say how many there are."""
    from cmae_ablate.cli.prepare import show_data

    show_data(name, source, settings or [], picture, open_console())
