"""What keeps the runs of an address: the one place where MLflow is chosen, and another tracker would be."""

from __future__ import annotations

from cmae_ablate.database import with_small_scheme
from cmae_ablate.tracking.mlflow_backend import MlflowBackend
from cmae_ablate.tracking.tracker import Backend


def backend_of(uri: str) -> Backend:
    """What keeps the runs of an address of `--tracking-uri`.

    Args:
        uri: An address of MLflow's, or what nobody knows: `check` of the result refuses it.
    """
    return MlflowBackend(with_small_scheme(uri))
