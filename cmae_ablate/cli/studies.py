"""The commands that take a study file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmae_ablate.cli.shared import (
    AsJson,
    StudyFile,
    StudyOptions,
    complete_study,
    require_device,
    with_study_options,
)
from cmae_ablate.errors import UserError
from cmae_ablate.terminal import open_console, say, say_json

if TYPE_CHECKING:
    from cmae_ablate.runner.options import Options

app = typer.Typer()


@app.command()
@with_study_options
def run(
    study: StudyFile,
    shared: StudyOptions,
    cell: Annotated[
        str | None,
        typer.Option(metavar="VARIANT:SEED", help="Repeat this cell alone and compare its weights."),
    ] = None,
    imported: Annotated[
        list[Path] | None,
        typer.Option(
            "--import",
            metavar="TRIALS.csv",
            help="Count matching complete rows as done; several machines' too.",
        ),
    ] = None,
) -> None:
    """Train what is missing of a study, then write its tables; run again, it goes on where it stopped."""
    if cell is not None:
        _check_cell_is_alone(cell, shared, imported or ())
    fresh = "torch" not in sys.modules
    if shared.launcher != "slurm":  # the nodes that train are others
        require_device(shared.device)
    _check_csvs(*(imported or ()))
    options = shared.of(study)
    for given, name in ((cell, "--cell"), (imported, "--import")):
        if given:
            options.alone(name)
    from cmae_ablate.runner.data_sets import run_data_sets
    from cmae_ablate.runner.repeat_cell import repeat_cell
    from cmae_ablate.runner.stopping import second_ends

    if cell:
        with second_ends():
            raise typer.Exit(repeat_cell(options, cell, open_console()))
    with _workers_at_hand(options) if fresh else nullcontext(), second_ends():
        raise typer.Exit(run_data_sets(options, open_console(), imported or (), owns_process=True))


def _check_cell_is_alone(cell: str, shared: StudyOptions, imported: Sequence[Path]) -> None:
    """Refuse what says who trains a whole study: one cell is trained by this process, from nothing.

    Raises:
        UserError: Something does.
    """
    typed = {
        **{f"--import {file}": True for file in imported},
        f"--launcher {shared.launcher}": shared.launcher != "local",
        f"--workers {shared.workers}": shared.workers not in ("auto", "1"),
    }
    for option, is_given in typed.items():
        if is_given:
            raise UserError(
                f"--cell {cell}: this process trains the one cell again, from nothing, so that {option} "
                "would change nothing; leave one of them out"
            )


def _workers_at_hand(options: Options) -> AbstractContextManager[None]:
    """Let workers be forked from this process, once it has imported all that they need."""
    from cmae_ablate.components.loading import import_components
    from cmae_ablate.runner.launch.forking import ready_to_fork
    from cmae_ablate.runner.launch.local import keep_memory
    from cmae_ablate.tracking import backend_of

    if options.workers == 1 or options.launcher != "local":
        return nullcontext()
    import_components()
    keep_memory()
    # Whatever is wrong with the tracker is said where runs are told to it, and keeps no cell from training.
    with suppress(ImportError):
        backend_of(options.tracking or "sqlite:").load()
    return ready_to_fork()


def _check_csvs(*files: Path) -> None:
    """Refuse what is no table of cells before the study is looked at."""
    for file in files:
        from cmae_ablate.report.trials import check_trials_file

        check_trials_file(file)


@app.command()
@with_study_options
def plan(study: StudyFile, shared: StudyOptions, as_json: AsJson = False) -> None:
    """Check everything and list the cells with parameters, FLOPs, memory and hours; trains nothing."""
    require_device(shared.device)
    options = shared.of(study)
    if as_json:
        from cmae_ablate.cli.as_json import plan_records

        say_json(plan_records(options, open_console(stderr=True)))
        return
    from cmae_ablate.cli.plan import show_plans

    show_plans(options, open_console())


@app.command()
@with_study_options
def worker(study: StudyFile, shared: StudyOptions) -> None:
    """Join a study as one more worker, from any machine that reaches its storage.

    Takes the options of `run`, but is one process; start several as you like.

    One cell on several devices: torchrun --nproc-per-node 2 -m cmae_ablate worker STUDY ...
    """
    require_device(shared.device)
    options = shared.of(study)
    from cmae_ablate.runner.data_sets import work_on_data_sets

    raise typer.Exit(work_on_data_sets(options, open_console()))


@app.command()
@with_study_options
def status(
    study: StudyFile,
    shared: StudyOptions,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on until nothing is left; Ctrl-C ends it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say where each cell stands: state, worker, failures and log."""
    if watch and as_json:
        raise UserError("status --watch --json: only one of them; call it with --json as often as you like")
    options = shared.of(study)
    if as_json:
        from cmae_ablate.cli.as_json import status_records

        say_json(status_records(options, open_console(stderr=True)))
        return
    from cmae_ablate.cli.status import show_status, watch_status

    try:
        for part in options.parts:
            if len(options.parts) > 1:
                say(f"data set {part.dataset}:", open_console(), style="bold")
            (watch_status if watch else show_status)(part, open_console())
    except KeyboardInterrupt:
        raise typer.Exit(130) from None  # nothing was interrupted but the looking


@app.command()
@with_study_options
def report(
    studies: Annotated[
        list[Path],
        typer.Argument(
            metavar="STUDY...",
            help="A study, or several to sum up; files or names.",
            show_default=False,
            autocompletion=complete_study,
        ),
    ],
    shared: StudyOptions,
    trials: Annotated[
        Path | None, typer.Option(metavar="TRIALS.csv", help="Report from this file alone, into --out.")
    ] = None,
) -> None:
    """Write tables and figures again, from what is complete or from a CSV; or sum several studies up."""
    if len(studies) > 1 and trials is not None:
        raise UserError("report --trials: one study's CSV is expected; leave the other studies out")
    _check_csvs(*([] if trials is None else [trials]))
    options = [shared.of(study) for study in studies]
    from cmae_ablate.runner.across import report_across
    from cmae_ablate.runner.data_sets import report_data_sets
    from cmae_ablate.runner.reporting import report_csv

    if trials is not None:
        raise typer.Exit(report_csv(options[0].alone("--trials"), trials, open_console()))
    if len(options) > 1:
        parts = [part for each in options for part in each.parts]
        raise typer.Exit(report_across(parts, open_console()))
    raise typer.Exit(report_data_sets(options[0], open_console()))
