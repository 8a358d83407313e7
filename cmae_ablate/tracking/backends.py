"""Which tracker an address is for: the one place that knows all of them."""

from __future__ import annotations

from cmae_ablate.tracking.mlflow_backend import MlflowBackend
from cmae_ablate.tracking.tensorboard_backend import TensorBoard
from cmae_ablate.tracking.tracker import Backend


def backend_of(uri: str) -> Backend:
    """What keeps the runs of an address of `--tracking-uri`.

    Args:
        uri: `tensorboard:DIR`, or an address of MLflow's, which also stands for what nobody knows: `check` of
            the result refuses it.
    """
    if uri.partition(":")[0] == "tensorboard":
        return TensorBoard(uri)
    return MlflowBackend(uri)
