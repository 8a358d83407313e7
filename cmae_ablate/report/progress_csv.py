"""Read `progress.csv`, and refuse what cannot be the progress of a study's cells."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cmae_ablate.errors import UserError
from cmae_ablate.report.csv_fields import csv_fields, need_columns, number_field, whole_field
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.progress import COLUMNS

PROGRESS_FILE = "progress.csv"


def read_progress_beside(
    trials_path: Path, description: StudyDescription
) -> tuple[pd.DataFrame | None, tuple[str, ...]]:
    """The `progress.csv` in the folder of a `trials.csv`.

    Args:
        trials_path: The trials' file.
        description: The study.

    Returns:
        The progress, or None; and a note where a file lies there and is left out.

    Raises:
        UserError: The file is no table of progress.
    """
    path = trials_path.with_name(PROGRESS_FILE)
    if not path.is_file():
        return None, ()
    header, lines = csv_fields(path)
    need_columns(path, header, COLUMNS)
    at = {name: header.index(name) for name in COLUMNS}
    rows: dict[tuple[str, int, int, str], float] = {}
    for line, fields in lines:
        variant, metric = fields[at["variant"]], fields[at["metric"]]
        seed, epoch = (whole_field(path, line, name, fields[at[name]]) for name in ("seed", "epoch"))
        if (variant, seed, epoch, metric) in rows:
            raise UserError(
                f"{path}:{line}: '{variant}', seed {seed}, has epoch {epoch} twice; keep one row for each"
            )
        rows[variant, seed, epoch, metric] = number_field(path, line, metric, fields[at["value"]])
    if not any(variant in description.variants for variant, *_ in rows):
        return None, (f"{path} left out, it is of another study: it has none of this one's variants",)
    return pd.DataFrame([(*key, value) for key, value in rows.items()], columns=list(COLUMNS)), ()
