"""Starting workers. They all run the same `cmae-ablate worker`; launchers only start it."""

from cmae_ablate.errors import UserError, suggest

LAUNCHERS = ["local", "ray"]


def check_launcher(launcher: str) -> None:
    """Say which launchers there are.

    Raises:
        UserError: The launcher is not built yet, or does not exist.
    """
    if launcher == "slurm":
        raise UserError(
            "--launcher slurm: not built yet; start the worker yourself, on a storage that all nodes reach: "
            "sbatch --array=0-7 --wrap 'cmae-ablate worker STUDY.yaml --storage postgresql://... --out DIR'"
        )
    if launcher not in LAUNCHERS:
        raise UserError(f"--launcher {launcher}: there is no such launcher; {suggest(launcher, LAUNCHERS)}")
