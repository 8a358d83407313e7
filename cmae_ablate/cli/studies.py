"""The commands that take a study file."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from cmae_ablate.cli.shared import (
    AsJson,
    StudyFile,
    StudyOptions,
    complete_study,
    console,
    print_json,
    with_study_options,
)
from cmae_ablate.errors import UserError

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
    fresh = "torch" not in sys.modules
    options = shared.of(study)
    from cmae_ablate.runner.run import repeat_cell, run_study
    from cmae_ablate.runner.stopping import second_ends

    if cell:
        with second_ends():
            raise typer.Exit(repeat_cell(options, cell, console()))
    with _workers_at_hand(options) if fresh else nullcontext(), second_ends():
        raise typer.Exit(run_study(options, console(), imported or (), owns_process=True))


def _workers_at_hand(options: Options) -> AbstractContextManager[None]:
    """Let workers be forked from this process, which has checked the study and so imported all components."""
    from cmae_ablate.runner.launch.forking import ready_to_fork
    from cmae_ablate.runner.launch.local import keep_memory
    from cmae_ablate.tracking import load_mlflow

    if options.workers == 1 or options.launcher != "local":
        return nullcontext()
    keep_memory()
    load_mlflow(options.tracking or "sqlite:")
    return ready_to_fork()


@app.command()
@with_study_options
def plan(study: StudyFile, shared: StudyOptions, as_json: AsJson = False) -> None:
    """Check everything and list the cells with parameters, FLOPs, memory and hours; trains nothing."""
    options = shared.of(study)
    if as_json:
        from cmae_ablate.cli.as_json import plan_record

        print_json(plan_record(options, Console(stderr=True)))
        return
    from cmae_ablate.cli.plan import show_plan

    show_plan(options, console())


@app.command()
@with_study_options
def worker(study: StudyFile, shared: StudyOptions) -> None:
    """Join a study as one more worker, from any machine that reaches its storage.

    One cell on several devices: torchrun --nproc-per-node 2 -m cmae_ablate worker STUDY ...
    """
    options = shared.of(study)
    from cmae_ablate.distributed import is_one_of_many
    from cmae_ablate.runner.launch.local import follows_parent
    from cmae_ablate.runner.stopping import StopFlag, catching_signals
    from cmae_ablate.runner.workers import work

    flag = StopFlag()
    with catching_signals(flag, follows=follows_parent() or is_one_of_many()):
        raise typer.Exit(work(options, console(), flag))


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
        from cmae_ablate.cli.as_json import status_record

        print_json(status_record(options, Console(stderr=True)))
        return
    from cmae_ablate.cli.status import show_status, watch_status

    try:
        (watch_status if watch else show_status)(options, console())
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
    options = [shared.of(study) for study in studies]
    from cmae_ablate.runner.reporting import report_across, report_again, report_csv

    if trials is not None:
        raise typer.Exit(report_csv(options[0], trials, console()))
    if len(options) > 1:
        raise typer.Exit(report_across(options, console()))
    raise typer.Exit(report_again(options[0], console()))
