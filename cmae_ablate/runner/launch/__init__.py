"""Starting workers. They all run the same `cmae-ablate worker`; launchers only start it."""

from collections.abc import Sequence

from cmae_ablate.errors import UserError, suggest
from cmae_ablate.runner.launch.slurm_options import sbatch_options

LAUNCHERS = ["local", "ray", "slurm"]
WHOLE_GPU = 1.0
"""What a worker of Ray takes of the GPUs, unless it is told otherwise."""


def check_launcher(
    launcher: str, slurm: Sequence[str] = (), *, no_wait: bool = False, gpus_per_worker: float = WHOLE_GPU
) -> None:
    """Say which launchers there are, and what is wrong with the options of one.

    Raises:
        UserError: There is no such launcher, or an option is malformed or another launcher's.
    """
    if launcher not in LAUNCHERS:
        raise UserError(f"--launcher {launcher}: there is no such launcher; {suggest(launcher, LAUNCHERS)}")
    if launcher != "slurm" and (slurm or no_wait):
        option = f"--slurm {slurm[0]}" if slurm else "--no-wait"
        raise UserError(f"{option}: only with --launcher slurm; add that, or leave it out")
    if launcher != "ray" and gpus_per_worker != WHOLE_GPU:
        option = f"--gpus-per-worker {gpus_per_worker:g}"
        raise UserError(f"{option}: only with --launcher ray; add that, or leave it out")
    sbatch_options(slurm)
