"""What several commands share: the console, and the options of the study commands."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from cmae_ablate.errors import UserError
from cmae_ablate.runner.launch import WHOLE_GPU, check_launcher
from cmae_ablate.runner.watchdog import STALL_MINUTES
from cmae_ablate.study.finding import find_study, study_names
from cmae_ablate.terminal import complain

if TYPE_CHECKING:
    from cmae_ablate.runner.options import Options


def complete_study(incomplete: str) -> list[str]:
    """The studies whose names begin so, for the shell; paths are completed by the shell itself."""
    return [name for name in study_names() if name.startswith(incomplete)]


STUDY_HELP = "A study file, or the name of one: see `cmae-ablate studies`."
StudyFile = Annotated[
    Path,
    typer.Argument(metavar="STUDY", help=STUDY_HELP, show_default=False, autocompletion=complete_study),
]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where to compute.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="A fixed change to every trial, as training.epochs=2."),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON for programs; what is said beside it goes to stderr.")
]


@dataclass(frozen=True)
class StudyOptions:
    """The options that `run`, `plan`, `worker`, `status` and `report` share, as typed."""

    scale: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Another scale: cpu, hour, tiny, gpu, paper, or a file."),
    ] = None
    settings: Settings = None
    seeds: Annotated[
        int | None, typer.Option(metavar="N", help="Seeds 0 to N-1 instead of the study's number.")
    ] = None
    dataset: Annotated[
        str | None,
        typer.Option(metavar="LABEL", help="Of a study on several data sets: this one alone."),
    ] = None
    workers: Annotated[str, typer.Option(metavar="N|auto", help="Processes that train side by side.")] = (
        "auto"
    )
    device: Device = "auto"
    out: Annotated[Path, typer.Option(metavar="DIR", help="Holds all state, tables and figures.")] = Path(
        "runs"
    )
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL", envvar="CMAE_ABLATE_STORAGE", help="Optuna storage; SQLite in --out by default."
        ),
    ] = None
    tracking: Annotated[
        str | None,
        typer.Option(
            "--tracking-uri",
            metavar="URI",
            envvar="CMAE_ABLATE_TRACKING_URI",
            help="MLflow store; SQLite in --out by default.",
        ),
    ] = None
    launcher: Annotated[str, typer.Option(metavar="local|ray|slurm", help="Who starts the workers.")] = (
        "local"
    )
    slurm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="With slurm: any option of sbatch, as time=04:00:00 or gres=gpu:1."
        ),
    ] = None
    no_wait: Annotated[
        bool,
        typer.Option("--no-wait", help="With slurm: return once the job is submitted; the job goes on."),
    ] = False
    gpus_per_worker: Annotated[
        float, typer.Option(metavar="G", help="With ray on GPUs: what a worker takes; 0.5 puts two on one.")
    ] = WHOLE_GPU
    stall_minutes: Annotated[
        float,
        typer.Option(
            metavar="M",
            envvar="CMAE_ABLATE_STALL_MINUTES",
            help="Name a cell that has taken no step for so long; it is left alone.",
        ),
    ] = STALL_MINUTES

    def of(self, study: Path) -> Options:
        """Check the study with these options, before anything slow is imported or created.

        Raises:
            UserError: An option or the study is wrong.
        """
        from cmae_ablate.runner.options import Options

        check_device(self.device)
        if self.workers != "auto" and (not self.workers.isdecimal() or int(self.workers) < 1):
            raise UserError(f"--workers {self.workers}: a number from 1, or auto, is expected")
        if not 0 < self.gpus_per_worker <= 64:
            raise UserError(f"--gpus-per-worker {self.gpus_per_worker:g}: a number above 0 is expected")
        check_launcher(
            self.launcher, self.slurm or (), no_wait=self.no_wait, gpus_per_worker=self.gpus_per_worker
        )
        if self.device == "cpu" and self.gpus_per_worker != WHOLE_GPU:
            raise UserError(
                f"--gpus-per-worker {self.gpus_per_worker:g}: no worker takes a GPU with --device cpu; "
                "leave one of them out"
            )
        if not 0 < self.stall_minutes < 1e6:
            raise UserError(
                f"--stall-minutes {self.stall_minutes:g}: a number of minutes above 0 is expected"
            )
        read: dict[str, Any] = {
            "settings": tuple(self.settings or ()),
            "workers": None if self.workers == "auto" else int(self.workers),
            "slurm": tuple(self.slurm or ()),
        }
        options = Options(find_study(study), **{**vars(self), **read})
        options.check()
        return options


def with_study_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's parameter `shared` by the study options themselves, for typer to read."""
    hints = get_type_hints(StudyOptions, include_extras=True)
    own = inspect.signature(command, eval_str=True).parameters.values()
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[name])
        for name, field in StudyOptions.__dataclass_fields__.items()
    ]
    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in own
        if parameter.name != "shared"
    ]
    # The study first, then what all commands share, then what this one adds.
    ordered = [*parameters[:1], *options, *parameters[1:]]

    def called(**values: object) -> None:
        chosen = {name: values.pop(name) for name in hints}
        command(shared=StudyOptions(**chosen), **values)  # type: ignore[arg-type]

    called.__doc__, called.__name__ = command.__doc__, command.__name__
    called.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in ordered}
    return called


RESUMING = ("run", "worker")
"""The commands that go on where they stopped; all others begin again."""


def ending_in_words(command: Callable[..., None] | None, name: str) -> Callable[..., None] | None:
    """Let no component or plug-in end the command, and let Ctrl-C end it with a word, which typer leaves out.

    Commands themselves end by `typer.Exit` alone. What trains says itself that it was interrupted.

    Args:
        command: What typer calls; None where it calls nothing.
        name: As it is typed, the group's name before it.
    """
    if command is None:
        return None

    @functools.wraps(command)
    def guarded(*arguments: object, **options: object) -> None:
        try:
            command(*arguments, **options)
        except SystemExit as error:
            raise ended(error) from error
        except KeyboardInterrupt:
            resumes = name in RESUMING and not options.get("cell")
            remedy = "goes on from the last checkpoint" if resumes else "begins again"
            complain(f"interrupted; the same command {remedy}")
            raise typer.Exit(130) from None

    return guarded


def ended(error: SystemExit) -> UserError:
    """What to say of a component or plug-in that tried to end the program."""
    return UserError(
        f"a component or plug-in tried to end the program (SystemExit: {error.code}); fix or uninstall it"
    )


def check_device(device: str) -> None:
    """Refuse what is no device.

    Raises:
        UserError: It is none.
    """
    if device not in {"auto", "cpu", "cuda"}:
        raise UserError(f"--device {device}: choose auto, cpu or cuda")


def require_device(device: str) -> None:
    """Refuse, of a command that computes, a GPU that is not there: before anything slow is imported.

    Raises:
        UserError: It is not there, or is no device.
    """
    check_device(device)
    if device == "cuda":
        from cmae_ablate.runtime import pick_device

        pick_device(device)
