"""MLflow as a place that keeps runs."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cmae_ablate.database import redact, sqlite_path
from cmae_ablate.tracking.connection import check_uri, load_mlflow, ui_command
from cmae_ablate.tracking.links import address_of, addresses
from cmae_ablate.tracking.mlflow_tracker import MlflowTracker
from cmae_ablate.tracking.tracker import CellId


@dataclass(frozen=True)
class MlflowBackend:
    """A `Backend`: an MLflow store.

    Args:
        uri: Of a database or a server.
    """

    uri: str

    @property
    def name(self) -> str:
        return "MLflow"

    @property
    def shown(self) -> str:
        return redact(self.uri)

    @property
    def pages(self) -> str:
        return address_of(self.uri)

    @property
    def is_at_hand(self) -> bool:
        return "mlflow" in sys.modules  # else it takes seconds to import

    @property
    def exists(self) -> bool:
        return self.database is None or self.database.is_file()

    @property
    def database(self) -> Path | None:
        return sqlite_path(self.uri)

    def check(self) -> None:
        """Refuse what cannot be an MLflow store.

        Raises:
            UserError: A file store, or no URI at all.
        """
        check_uri(self.uri)

    def load(self) -> None:
        """Import MLflow, which takes seconds."""
        load_mlflow(self.uri)

    def open(self, out: Path, study: str) -> MlflowTracker:
        """The tracker of a study, with the artifacts of a database's runs below `out`.

        Raises:
            UserError: As `check`.
        """
        return MlflowTracker(self.uri, out / "mlartifacts", study)

    def ui_command(self) -> str:
        """The command that serves a database's runs, or the address of a server."""
        return ui_command(self.uri)

    def links(self, study: str, cells: Collection[CellId]) -> dict[CellId, str] | None:
        """The addresses of those cells' runs that the store has; None where it is away."""
        found = addresses(self.uri, study)
        if found is None:
            return None
        keys = {
            (variant, str(seed), fingerprint): (variant, seed, fingerprint)
            for variant, seed, fingerprint in cells
        }
        return {keys[tags]: address for tags, address in found.items() if tags in keys}
