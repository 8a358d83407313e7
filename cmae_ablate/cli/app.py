"""The command line. `--help` must not wait for torch: commands import what they do when they are called."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from cmae_ablate import __version__
from cmae_ablate.cli import about, cache, datasets, studies
from cmae_ablate.cli.shared import keeping_the_exit_status
from cmae_ablate.cli.weights import commands
from cmae_ablate.errors import DeviceError, DivergedError, NoRoomError, StorageError, UserError
from cmae_ablate.files import is_full

app = typer.Typer(
    name="cmae-ablate",
    help="Paired ablation studies of masked image modelling: which of CMAE's changes to MAE earns its cost?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(studies.app)
app.add_typer(about.app)
app.add_typer(datasets.app, name="data")
app.add_typer(cache.app, name="cache")
app.add_typer(commands.app)
for group in (app, *(each.typer_instance for each in app.registered_groups)):
    for command in group.registered_commands if group is not None else ():
        command.callback = keeping_the_exit_status(command.callback)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        print(f"cmae-ablate {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point: a mistake of the user ends with one line and exit status 2, a diverged loss with 1."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        app()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except (DeviceError, DivergedError, NoRoomError, StorageError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if not is_full(error):
            raise
        print(f"no room left on a disk ({error}); free some, and the same command goes on", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
