"""The command line. `--help` must not wait for torch: commands import what they do when they are called."""

from __future__ import annotations

import gc
import os
import sys
from typing import Annotated

import typer

from cmae_ablate import __version__
from cmae_ablate.cli import about, cache, datasets, studies
from cmae_ablate.cli.first_line import announced
from cmae_ablate.cli.given import refuse_empty
from cmae_ablate.cli.shared import ending_in_words
from cmae_ablate.cli.weights import commands
from cmae_ablate.errors import DeviceError, DivergedError, NoRoomError, StorageError, UserError, system_error
from cmae_ablate.terminal import complain, lasting_output, open_console, say

COLLECTED_AFTER = (10_000, 10, 10)
"""Objects made before Python looks for garbage among them, and how many such looks before it looks further.

A command imports half a million objects that live to its end. By Python's own numbers (700, 10, 10) it goes
through all of them again and again meanwhile, which is a fifth of what the imports take.
"""

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
for group in app.registered_groups:
    for command in group.typer_instance.registered_commands if group.typer_instance else ():
        own = str(command.name or getattr(command.callback, "__name__", ""))
        title = f"{group.name} {own}" if isinstance(group.name, str) else own
        command.callback = ending_in_words(announced(command.callback, title), title)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        say(f"cmae-ablate {__version__}", open_console())
        raise typer.Exit


def main() -> None:
    """Entry point: a mistake of the user ends with one line and exit status 2, a diverged loss with 1."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    gc.set_threshold(*COLLECTED_AFTER)
    with lasting_output() as lost:
        status = _status()
        error = lost()
        # Who closes a pipe, as `head` does, has read enough; a full disk holds less than was printed.
        if error is not None and not isinstance(error, BrokenPipeError):
            complain(f"standard output: {error.strerror}; what was printed is lost, what was done is kept")
            status = status or 1
    sys.exit(status)


def _status() -> int | str | None:
    """Run the command; its exit status."""
    try:
        refuse_empty(sys.argv[1:])
        app()
    except SystemExit as error:  # typer's way to end
        return error.code
    except UserError as error:
        complain(str(error))
        return 2
    except (DeviceError, DivergedError, NoRoomError, StorageError) as error:
        complain(str(error))
        return 1
    except OSError as error:
        return _told_of_the_system(error)
    except KeyboardInterrupt:
        complain("interrupted; the same command goes on from the last checkpoint")
        return 130
    return 0


def _told_of_the_system(error: OSError) -> int:
    """Say what a full disk, or a path that cannot be used, asks for; the exit status.

    Raises:
        OSError: It is neither.
    """
    fault = system_error(error)
    if fault is None:
        raise error
    complain(str(fault))
    return 1 if isinstance(fault, NoRoomError) else 2
