"""Starting the workers of a study: which command, how many, and by which launcher."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.launch import slurm
from cmae_ablate.runner.launch.local import run_workers
from cmae_ablate.runner.launch.slurm_options import sbatch_options
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.unchanged import BegunWith
from cmae_ablate.runtime import gpu_names, pick_device, worker_count
from cmae_ablate.terminal import say

SEARCH_ONLY = "CMAE_ABLATE_SEARCH_ONLY"
"""Set for workers that a search's command starts: once the tuning is over, that command goes on."""


def launch(
    experiment: Experiment,
    options: Options,
    workers: int,
    logs: Path,
    is_done: Callable[[], bool],
    tell: Callable[[str], None],
) -> list[int]:
    """Start workers and wait for them; their exit statuses."""
    command, environment = _command(options), _environment(experiment, options)
    environment |= {SEARCH_ONLY: "1"} if experiment.is_tuning else {}
    if options.launcher == "slurm":
        return slurm.run_workers(_array(experiment, options, workers, logs, environment), is_done, tell)
    if options.launcher == "ray":
        from cmae_ablate.runner.launch import ray

        threads, gpus = _threads(experiment), _gpus_per_worker(options)
        return ray.run_workers(
            command, workers, environment=environment, log_dir=logs, threads=threads, gpus=gpus
        )
    devices = _devices(options.device, workers)
    return run_workers(command, workers, devices=devices, log_dir=logs, environment=environment)


def submit(experiment: Experiment, options: Options, workers: int, logs: Path, console: Console) -> None:
    """Leave everything to workers of Slurm, a search's tuning and the table after it alike."""
    job = _array(experiment, options, workers, logs, _environment(experiment, options)).submit()
    for text in (
        f"submitted Slurm job {job} (workers: {workers}); {slurm.how_to_follow(job)}",
        f"cells: {options.command_line('status')} --watch",
        f"once nothing is left, the tables: {options.command_line('report')}",
    ):
        say(text, console)


def _array(
    experiment: Experiment, options: Options, workers: int, logs: Path, environment: dict[str, str]
) -> slurm.ArrayJob:
    arguments = sbatch_options(options.slurm)
    return slurm.ArrayJob(_command(options), workers, arguments, environment, logs, _threads(experiment))


def _command(options: Options) -> list[str]:
    return [sys.executable, "-m", "cmae_ablate", "worker", *options.arguments()]


def _environment(experiment: Experiment, options: Options) -> dict[str, str]:
    return options.environment() | BegunWith.of(options.load(), experiment).environment()


def default_workers(experiment: Experiment, options: Options) -> int:
    """One worker a GPU; on CPUs as many as their cores bear at the threads a cell takes; of Slurm's a few."""
    threads = _threads(experiment)
    if options.launcher == "ray":
        from cmae_ablate.runner.launch import ray

        return ray.worker_count(threads, _gpus_per_worker(options), experiment.folder / "logs")
    if options.launcher == "slurm":
        return slurm.MOST_WORKERS
    return worker_count(pick_device(options.device), threads)


def _threads(experiment: Experiment) -> int:
    return max(variant.spec.training.threads for variant in experiment.variants)


def _gpus_per_worker(options: Options) -> float:
    return 0.0 if options.device == "cpu" else options.gpus_per_worker


def _devices(device: str, workers: int) -> Sequence[str] | None:
    if pick_device(device).type != "cuda":
        return None
    names = gpu_names()
    return [names[index % len(names)] for index in range(workers)]
