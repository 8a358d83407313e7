"""`cache list` and `cache prune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmae_ablate.terminal import open_console

app = typer.Typer(help="See and free the space that cells take.", no_args_is_help=True)

Out = Annotated[Path, typer.Option(metavar="DIR", help="The --out of the studies.")]


@app.command("list")
def list_entries(out: Out = Path("runs")) -> None:
    """List pretrained weights and checkpoints: size, state, cell, and the studies that use them."""
    from cmae_ablate.runner.housekeeping import show_cache

    show_cache(out, open_console())


@app.command()
def prune(
    out: Out = Path("runs"),
    unused: Annotated[
        bool, typer.Option("--unused", help="What no study of this --out has in its current design.")
    ] = False,
    older_than: Annotated[
        float | None, typer.Option(metavar="DAYS", help="What was of use to no cell for that long.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Remove weights and checkpoints that fit every condition given; never results, nor what is running."""
    from cmae_ablate.runner.housekeeping import prune_cache

    prune_cache(out, unused, older_than, dry_run, open_console())
