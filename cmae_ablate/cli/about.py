"""The commands to begin with: what there is to choose from, a first study file, whether it works here."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cmae_ablate.cli.shared import AsJson, complete_study
from cmae_ablate.cli.targets import check_target
from cmae_ablate.terminal import open_console, say_json

app = typer.Typer()


@app.command()
def components(
    name: Annotated[str | None, typer.Argument(help="A component, or a slot.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """List every component, or every option of one: type, range, default and source."""
    from cmae_ablate.cli.catalogue import option_rows, show_components

    if as_json:
        say_json([asdict(row) for row in option_rows(name)])
    else:
        show_components(name, open_console())


@app.command()
def studies(
    name: Annotated[
        str | None,
        typer.Argument(help="A study, to print its file.", show_default=False, autocompletion=complete_study),
    ] = None,
) -> None:
    """List the studies that can be called by name, with question and cost; or print one's file."""
    from cmae_ablate.cli.listing import print_study, show_studies

    if name is None:
        show_studies(open_console())
    else:
        print_study(name)


@app.command()
def schema(
    scale: Annotated[bool, typer.Option("--scale", help="Of scales instead of studies.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it here, beside the studies whose first line names it."),
    ] = None,
) -> None:
    """Print the JSON Schema of study files, for editors, with all components that are installed."""
    if out is not None:
        check_target(out)
    from cmae_ablate.study.schema import scale_schema, study_schema, write_schema

    found = scale_schema() if scale else study_schema()
    if out is None:
        say_json(found)
    else:
        write_schema(found, out)


@app.command()
def init(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="The study: its name, or the file to write.")
    ] = "my_study",
    data: Annotated[
        str | None, typer.Option(metavar="NAME", help="A data set: folder, tiny_imagenet, ...")
    ] = None,
    source: Annotated[str | None, typer.Option(metavar="PATH", help="Where its files lie.")] = None,
) -> None:
    """Write a commented study file to begin with; nothing is overwritten."""
    from cmae_ablate.cli.init import write_study

    write_study(name, data, source, open_console())


@app.command()
def doctor(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where studies would keep their state.")] = Path(
        "runs"
    ),
) -> None:
    """Check versions, devices, write access, free disk, memory and threads, and say what to do."""
    from cmae_ablate.cli.doctor import examine

    raise typer.Exit(examine(out, open_console()))
