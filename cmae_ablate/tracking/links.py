"""The addresses of cells' runs in MLflow's pages, for reports, which need none to be written."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from cmae_ablate.database import redact, sqlite_path
from cmae_ablate.tracking.background import Background
from cmae_ablate.tracking.connection import UI_ADDRESS, connect
from cmae_ablate.tracking.run_tree import FINGERPRINT, KIND, PAGE, SEED, VARIANT
from cmae_ablate.tracking.saved_view import run_address

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

LINK_SECONDS = 10.0
Tags = tuple[str, str, str]
"""A run's variant, seed and fingerprint, as its tags have them."""


def addresses(uri: str, study: str) -> dict[Tags, str] | None:
    """The address of each run of a cell; None where the store does not answer in time, or fails.

    Args:
        uri: The store.
        study: Name of the study, and of its experiment.
    """
    database = sqlite_path(uri)
    if database is not None and not database.is_file():
        return {}
    found: list[dict[Tags, str]] = []

    def look() -> None:
        with suppress(Exception, SystemExit):  # the tracker has said what ails the store
            found.append(_addresses(connect(uri), study, address_of(uri)))

    background = Background(f"links of {study}")
    background.do(look)
    background.wait(LINK_SECONDS)
    return found[0] if found else None


def address_of(uri: str) -> str:
    """Where a browser finds the store's pages: a server's own, or those of `ui_command`."""
    return redact(uri).rstrip("/") if uri.startswith("http") else UI_ADDRESS


def _addresses(client: MlflowClient, study: str, root: str) -> dict[Tags, str]:
    experiment = client.get_experiment_by_name(study)
    found: dict[Tags, str] = {}
    token: str | None = None
    while experiment is not None:
        place = experiment.experiment_id
        page = client.search_runs([place], f"tags.`{KIND}` = 'seed'", max_results=PAGE, page_token=token)
        for run in page:
            tags = run.data.tags
            key = (tags.get(VARIANT, ""), tags.get(SEED, ""), tags.get(FINGERPRINT, ""))
            found[key] = run_address(root, place, run.info.run_id)
        token = page.token
        if not token:
            break
    return found
