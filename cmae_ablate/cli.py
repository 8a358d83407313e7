"""The commands. What they do is elsewhere, imported when it is needed: `--help` must not wait for torch."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from cmae_ablate import __version__
from cmae_ablate.errors import DivergedError, UserError

if TYPE_CHECKING:
    from cmae_ablate.options import Options

app = typer.Typer(
    name="cmae-ablate",
    help="Paired ablation studies of masked image modelling: which of CMAE's changes to MAE earns its cost?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(help="Prepare data sets, and look at what is prepared.", no_args_is_help=True)
app.add_typer(data_app, name="data")

LOG_COLUMNS = 140

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="The study file.", show_default=False)]
Scale = Annotated[
    str | None, typer.Option(metavar="NAME|FILE", help="Another scale: cpu, gpu, paper, or a file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="A fixed change to every trial, as training.epochs=2."),
]
Seeds = Annotated[int | None, typer.Option(metavar="N", help="Seeds 0 to N-1 instead of the study's number.")]
Workers = Annotated[str, typer.Option(metavar="N|auto", help="Processes that train side by side.")]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where to train.")]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Holds all state, tables and figures.")]
Storage = Annotated[
    str | None, typer.Option(metavar="URL", help="Optuna storage; SQLite in --out by default.")
]
Tracking = Annotated[
    str | None,
    typer.Option("--tracking-uri", metavar="URI", help="MLflow store; SQLite in --out by default."),
]
Launcher = Annotated[str, typer.Option(metavar="local|ray|slurm", help="Who starts the workers.")]
Checkpoint = Annotated[
    Path,
    typer.Argument(
        metavar="CHECKPOINT",
        help="OUT/cache/pretrain/FINGERPRINT, its model.safetensors, or an MAE file (.pth, .safetensors).",
        show_default=False,
    ),
]


def _options(
    study: Path,
    scale: str | None,
    settings: list[str] | None,
    seeds: int | None,
    workers: str,
    device: str,
    out: Path,
    storage: str | None,
    tracking: str | None,
    launcher: str,
) -> Options:
    from cmae_ablate.launch import refuse_launcher

    if device not in {"auto", "cpu", "cuda"}:
        raise UserError(f"--device {device}: choose auto, cpu or cuda")
    if workers != "auto" and (not workers.isdecimal() or int(workers) < 1):
        raise UserError(f"--workers {workers}: a number from 1, or auto, is expected")
    refuse_launcher(launcher)
    # Before the queue, MLflow and matplotlib are imported: a mistake is said within seconds.
    from cmae_ablate import design
    from cmae_ablate.study_file import load

    design.variants(load(study, scale=scale, settings=settings or (), seeds=seeds))
    from cmae_ablate.options import Options

    count = None if workers == "auto" else int(workers)
    return Options(
        study, scale, tuple(settings or ()), seeds, count, device, out, storage, tracking, launcher
    )


def _console() -> Console:
    # A log file has no width of its own; 80 columns would fold every table.
    return Console() if sys.stdout.isatty() else Console(width=LOG_COLUMNS)


@app.command()
def run(
    study: StudyFile,
    scale: Scale = None,
    settings: Settings = None,
    seeds: Seeds = None,
    workers: Workers = "auto",
    device: Device = "auto",
    out: Out = Path("runs"),
    storage: Storage = None,
    tracking: Tracking = None,
    launcher: Launcher = "local",
    cell: Annotated[
        str | None,
        typer.Option(metavar="VARIANT:SEED", help="Repeat this cell alone and compare its weights."),
    ] = None,
    imported: Annotated[
        Path | None,
        typer.Option("--import", metavar="TRIALS.csv", help="Count matching complete rows as done."),
    ] = None,
) -> None:
    """Train what is missing of a study, then write its tables; run again, it goes on where it stopped."""
    from cmae_ablate.run import repeat_cell, run_study

    options = _options(study, scale, settings, seeds, workers, device, out, storage, tracking, launcher)
    console = _console()
    status = repeat_cell(options, cell, console) if cell else run_study(options, console, imported)
    raise typer.Exit(status)


@app.command()
def plan(
    study: StudyFile,
    scale: Scale = None,
    settings: Settings = None,
    seeds: Seeds = None,
    workers: Workers = "auto",
    device: Device = "auto",
    out: Out = Path("runs"),
    storage: Storage = None,
    tracking: Tracking = None,
    launcher: Launcher = "local",
) -> None:
    """Check everything and list the cells with parameters, FLOPs, memory and hours; trains nothing."""
    from cmae_ablate.plan import show_plan

    show_plan(
        _options(study, scale, settings, seeds, workers, device, out, storage, tracking, launcher), _console()
    )


@app.command()
def worker(
    study: StudyFile,
    scale: Scale = None,
    settings: Settings = None,
    seeds: Seeds = None,
    workers: Workers = "auto",
    device: Device = "auto",
    out: Out = Path("runs"),
    storage: Storage = None,
    tracking: Tracking = None,
    launcher: Launcher = "local",
) -> None:
    """Join a study as one more worker, from any machine that reaches its storage."""
    from cmae_ablate.run import work
    from cmae_ablate.worker import StopFlag, catching_signals

    options = _options(study, scale, settings, seeds, workers, device, out, storage, tracking, launcher)
    flag = StopFlag()
    with catching_signals(flag):
        raise typer.Exit(work(options, _console(), flag))


@app.command()
def status(
    study: StudyFile,
    scale: Scale = None,
    settings: Settings = None,
    seeds: Seeds = None,
    workers: Workers = "auto",
    device: Device = "auto",
    out: Out = Path("runs"),
    storage: Storage = None,
    tracking: Tracking = None,
    launcher: Launcher = "local",
) -> None:
    """Say where each cell stands: state, worker, failures and log."""
    from cmae_ablate.plan import show_status

    show_status(
        _options(study, scale, settings, seeds, workers, device, out, storage, tracking, launcher), _console()
    )


@app.command()
def report(
    study: StudyFile,
    scale: Scale = None,
    settings: Settings = None,
    seeds: Seeds = None,
    workers: Workers = "auto",
    device: Device = "auto",
    out: Out = Path("runs"),
    storage: Storage = None,
    tracking: Tracking = None,
    launcher: Launcher = "local",
    trials: Annotated[
        Path | None, typer.Option(metavar="TRIALS.csv", help="Report from this file alone, into --out.")
    ] = None,
) -> None:
    """Write tables and figures again from what is complete, or from a CSV alone."""
    options = _options(study, scale, settings, seeds, workers, device, out, storage, tracking, launcher)
    if trials is not None:
        from cmae_ablate.reporting import report_csv

        raise typer.Exit(report_csv(options, trials, _console()))
    from cmae_ablate.reporting import report_again

    raise typer.Exit(report_again(options, _console()))


@app.command()
def components(
    name: Annotated[str | None, typer.Argument(help="A component, or a slot.", show_default=False)] = None,
) -> None:
    """List every component, or every option of one: type, range, default and source."""
    from cmae_ablate.catalogue import show_components

    show_components(name, _console())


@app.command()
def schema() -> None:
    """Print the JSON Schema of study files, for editors."""
    import json

    from cmae_ablate.catalogue import study_schema

    print(json.dumps(study_schema(), indent=2))


@app.command()
def doctor() -> None:
    """Check versions, devices, write access, free disk and threads, and say what to do."""
    from cmae_ablate.doctor import examine

    raise typer.Exit(examine(_console()))


@data_app.command("list")
def data_list() -> None:
    """List the data sets, and where their files come from."""
    from cmae_ablate.catalogue import show_components

    show_components("dataset", _console())


@data_app.command("prepare")
def data_prepare(
    name: Annotated[str, typer.Argument(help="A data set.", show_default=False)],
    source: Annotated[str | None, typer.Option(metavar="PATH", help="Its files.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="OPTION=VALUE")] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch the files first.")] = False,
) -> None:
    """Prepare a data set once; studies then find it."""
    from cmae_ablate.prepare import prepare_data

    prepare_data(name, source, settings or [], download, _console())


@data_app.command("show")
def data_show(
    name: Annotated[str, typer.Argument(help="A data set.", show_default=False)],
    source: Annotated[str | None, typer.Option(metavar="PATH", help="Its files.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="OPTION=VALUE")] = None,
    picture: Annotated[Path, typer.Option(metavar="PNG", help="Where to draw it.")] = Path("data.png"),
) -> None:
    """Draw images of a data set with their boxes, and say how many there are."""
    from cmae_ablate.prepare import show_data

    show_data(name, source, settings or [], picture, _console())


@app.command()
def evaluate(
    checkpoint: Checkpoint,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="As evaluations.knn.k=5, or dataset.name=folder."),
    ] = None,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where to compute.")] = "auto",
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write the numbers here too.")] = None,
) -> None:
    """Evaluate pretrained weights: by their own trial's evaluations, or those set. No cache is written."""
    from cmae_ablate.checkpoints import evaluate_checkpoint

    if device not in {"auto", "cpu", "cuda"}:
        raise UserError(f"--device {device}: choose auto, cpu or cuda")
    evaluate_checkpoint(checkpoint, settings or [], device, out, _console())


@app.command()
def reconstruct(
    checkpoint: Checkpoint,
    count: Annotated[int, typer.Option(metavar="N", help="Images, 1 to 64.")] = 8,
    split: Annotated[str, typer.Option(metavar="NAME", help="train, validation or test.")] = "validation",
    boxes: Annotated[
        bool, typer.Option("--boxes", help="Heat maps, their boxes and the known ones too.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="As masking.ratio=0.5, or dataset.name=folder."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="PNG", help="Where to draw.")] = Path("reconstructions.png"),
) -> None:
    """Draw images as they are, masked, and reconstructed; warn of features that collapsed."""
    from cmae_ablate.checkpoints import reconstruct_checkpoint

    reconstruct_checkpoint(checkpoint, settings or [], count, split, boxes, out, _console())


@app.command()
def export(
    checkpoint: Checkpoint,
    form: Annotated[
        str,
        typer.Option("--format", metavar="timm|mae|safetensors", help="Whose layout.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(metavar="PATH", help="The file to write.", show_default=False)],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="For MAE files of unusual width: backbone.heads=4."),
    ] = None,
) -> None:
    """Write pretrained weights for other programs."""
    from cmae_ablate.checkpoints import export_checkpoint

    export_checkpoint(checkpoint, settings or [], form, out, _console())


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
    except DivergedError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
