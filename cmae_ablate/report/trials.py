"""Read `trials.csv` and `controls.csv`, and refuse what cannot be a table of cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cmae_ablate.errors import UserError
from cmae_ablate.report.cell_record import IMPORTED
from cmae_ablate.report.csv_fields import (
    csv_fields,
    finite_number,
    is_formula,
    need_columns,
    no_column,
    number_field,
    whole_field,
)
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.wording import Metric, listing

if TYPE_CHECKING:
    import pandas as pd  # a file that is no table is refused before

LABELS = (
    *("variant", "state", "fingerprint", "weights_sha256", "control", "hardware", "device", "dataset"),
    IMPORTED,
)
"""Columns that stay text whatever they look like: a level may well be called `none`, `NA` or `1e-3`."""

CONTROLS_FILE = "controls.csv"
DATASET = "dataset"
"""The column that says which data set a row is of, where a file has those of several."""
SURELY_PERCENT = 10.0
"""Beside a column of such values, one that never exceeds 1 holds fractions."""
LIKELY = (0.8, 1.25)
"""A variant's share of the other variants' values, once multiplied by 100, that gives away fractions."""


def read_trials(path: Path, description: StudyDescription) -> pd.DataFrame:
    """The cells of a study from its CSV.

    Labels are kept as they are written. A column is numeric where every filled field of it is a number;
    the study's metrics have to be.

    Raises:
        UserError: The file is missing, no CSV, lacks a needed column, or a field cannot be what it has to be.
    """
    header, rows = csv_fields(path)
    need_columns(path, header, ("variant", "seed", "state", description.metric))
    text = {*LABELS, *description.factors}
    return _typed(path, header, rows, text=text, numeric={description.metric, *description.report})


def check_trials_file(path: Path) -> None:
    """Refuse what is no table of cells, before anything slow is imported to read it.

    Raises:
        UserError: The file is missing, no CSV, or has no column of variants, seeds and states.
    """
    header, _ = csv_fields(path)
    need_columns(path, header, ("variant", "seed", "state"))


def read_controls(path: Path, description: StudyDescription) -> pd.DataFrame:
    """The controls of a study: `control, variant, seed` and metrics. Raises as `read_trials` does."""
    header, rows = csv_fields(path)
    need_columns(path, header, ("control",))
    return _typed(path, header, rows, text=set(LABELS), numeric={description.metric, *description.report})


def read_controls_beside(
    trials_path: Path, trials: pd.DataFrame, description: StudyDescription
) -> tuple[pd.DataFrame | None, tuple[str, ...]]:
    """The `controls.csv` in the folder of a `trials.csv`, where both are of one study.

    Args:
        trials_path: The trials' file.
        trials: What it holds.
        description: The study.

    Returns:
        The controls, or None, and a note where a file lies there and is left out.

    Raises:
        UserError: The file is no table of controls.
    """
    path = trials_path.with_name(CONTROLS_FILE)
    if not path.exists():
        return None, ()
    controls = read_controls(path, description)
    foreign = next(_unlike(controls, trials, description), None)
    if foreign is None:
        return controls, ()
    return None, (f"{path} left out, it is of another study: {foreign}",)


def _unlike(controls: pd.DataFrame, trials: pd.DataFrame, study: StudyDescription) -> Iterator[str]:
    """What shows that controls were not made with these trials."""
    unknown = [c for c in controls.columns if "." in str(c) and c not in trials.columns]
    if unknown:
        yield f"the trials have no column {listing([repr(c) for c in unknown], 3)}"
    if study.metric not in controls.columns:
        yield f"it has no column '{study.metric}'"
    if "variant" in controls.columns:
        strange = [v for v in dict.fromkeys(controls["variant"]) if v and v not in study.variants]
        if strange:
            yield f"no variant of this one is called {listing([repr(v) for v in strange], 3)}"
    if "seed" in controls.columns:
        seeds = {int(s) for s in controls["seed"].dropna()}
        other = sorted(seeds - {int(s) for s in trials["seed"]} - {*range(study.seeds)})
        if other:
            yield f"no trial has seed {listing(list(map(str, other)), 3)}"


def check_trials(trials: pd.DataFrame, description: StudyDescription) -> pd.DataFrame:
    """The same table with `variant` and `state` as text, `seed` as int64 and the metrics as float64.

    Raises:
        UserError: A needed column is missing, or a variant has a seed twice.
    """
    missing = [c for c in ("variant", "seed", "state", description.metric) if c not in trials.columns]
    # Before the first cell is complete no row has any metric, and the table says just that.
    if missing == [description.metric] and not trials["state"].eq("COMPLETE").any():
        trials, missing = trials.assign(**{description.metric: math.nan}), []
    if missing:
        raise UserError(f"trials: {no_column(missing[0], list(map(str, trials.columns)))}")
    checked = trials.reset_index(drop=True).copy()
    checked["variant"] = checked["variant"].astype(str)
    checked["state"] = checked["state"].astype(str).str.strip().str.upper()
    checked["seed"] = checked["seed"].astype("int64")
    for metric in (description.metric, *description.report):
        if metric in checked.columns:
            checked[metric] = checked[metric].astype("float64")
    twice = checked[checked.duplicated(["variant", "seed"])]
    if len(twice):
        first = twice.iloc[0]
        raise UserError(
            f"trials: variant '{first['variant']}' has seed {first['seed']} twice; "
            "keep one row for each variant and seed"
        )
    return checked


def _typed(
    path: Path, header: list[str], rows: list[tuple[int, list[str]]], *, text: set[str], numeric: set[str]
) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, pd.Series] = {}
    for index, name in enumerate(header):
        fields = [(line, row[index]) for line, row in rows]
        if name == "seed" and "control" in header:  # raw pixels know no seed
            columns[name] = pd.Series(
                [
                    whole_field(path, line, name, field) if field.strip() else math.nan
                    for line, field in fields
                ],
                dtype="float64",
            )
        elif name == "seed":
            columns[name] = pd.Series(
                [whole_field(path, line, name, field) for line, field in fields], dtype="int64"
            )
        elif name in text:
            _refuse_formulas(path, name, fields)
            columns[name] = pd.Series([field for _, field in fields], dtype="object")
        elif name in numeric or Metric.named(name).is_accuracy:
            columns[name] = pd.Series(
                [number_field(path, line, name, field) for line, field in fields], dtype="float64"
            )
        else:
            columns[name] = _number_if_possible([field for _, field in fields])
    if "control" in header:
        _refuse_mixed_seeds(path, [line for line, _ in rows], columns)
    else:
        _refuse_twice(path, [line for line, _ in rows], columns)
        _refuse_fractions(path, [line for line, _ in rows], columns)
    return pd.DataFrame(columns, columns=header)


def _refuse_formulas(path: Path, column: str, fields: Iterable[tuple[int, str]]) -> None:
    """Refuse labels that a spreadsheet would compute: tables written from this file would hold them, too."""
    for line, field in fields:
        if is_formula(field):
            raise UserError(
                f"{path}:{line}: a spreadsheet would compute the {column} '{field[:40]}'; begin it with a "
                "letter"
            )


def _refuse_twice(path: Path, lines: Sequence[int], columns: Mapping[str, pd.Series]) -> None:
    seen: dict[tuple[str, int], int] = {}
    for line, variant, seed in zip(lines, columns["variant"], columns["seed"], strict=True):
        first = seen.setdefault((variant, seed), line)
        if first != line:
            raise UserError(
                f"{path}:{line}: variant '{variant}' has seed {seed} already on line {first}; "
                f"{_keep_one('variant and seed', lines, (first, line), columns.get(DATASET, []))}"
            )


def _keep_one(of_each: str, lines: Sequence[int], twins: tuple[int, int], labels: Iterable[str]) -> str:
    """What to do about two lines of one cell; of two data sets, each has a file of its own."""
    by_line = dict(zip(lines, labels, strict=False))  # without labels: not of several data sets
    first, second = (by_line.get(line) for line in twins)
    if first == second:
        return f"keep one row for each {of_each}"
    return (
        f"the first is of the data set {first}, this one of {second}: take the file of one, in the folder "
        f"that is called as study and data set are, as STUDY-{first}"
    )


def _refuse_mixed_seeds(path: Path, lines: Sequence[int], columns: Mapping[str, pd.Series]) -> None:
    """Refuse controls that cannot be paired by seed: one seed twice, or a seed in some of their rows only."""
    if "seed" not in columns:
        return
    variants = columns.get("variant", [""] * len(lines))
    seen: dict[tuple[str, str, float], int] = {}
    seeded: dict[str, tuple[bool, int]] = {}
    for line, control, variant, seed in zip(
        lines, columns["control"], variants, columns["seed"], strict=True
    ):
        known = not math.isnan(seed)
        first = seen.setdefault((control, variant, seed), line) if known else line
        if first != line:
            raise UserError(
                f"{path}:{line}: '{control[:40]}' has seed {seed:.0f} already on line {first}; "
                f"{_keep_one('control, variant and seed', lines, (first, line), columns.get(DATASET, []))}"
            )
        had, there = seeded.setdefault(control, (known, line))
        if had != known:
            raise UserError(
                f"{path}:{line}: '{control[:40]}' has {'a' if known else 'no'} seed here and "
                f"{'a' if had else 'no'} seed on line {there}; give every row of a control a seed, or none"
            )


def _number_if_possible(fields: list[str]) -> pd.Series:
    import pandas as pd

    values = [finite_number(f) if f.strip() else math.nan for f in fields]
    if any(value is None for value in values):
        return pd.Series(fields, dtype="object")
    return pd.Series(values, dtype="float64")


def _refuse_fractions(path: Path, lines: Sequence[int], columns: Mapping[str, pd.Series]) -> None:
    """Refuse accuracies from 0 to 1 beside others from 0 to 100: by column, and by variant in a column."""
    known = {name: column for name, column in columns.items() if Metric.named(name).is_accuracy}
    filled = {name: c.dropna() for name, c in known.items() if c.dtype == "float64" and c.notna().any()}
    percent = [name for name, values in filled.items() if values.min() >= SURELY_PERCENT]
    for name, values in filled.items():
        fractions = values.max() <= 1 and values.min() > 0
        if percent and fractions:
            raise UserError(
                f"{path}:{lines[values.index[0]]}: {name} is {values.iloc[0]:g}: all of this column lies "
                f"between 0 and 1, and '{percent[0]}' between 0 and 100; write accuracies in percent"
            )
        for _, own in values.groupby(columns["variant"][values.index], sort=False):
            others = values.drop(own.index)
            if own.min() <= 0 or own.max() > 1 or not len(others) or others.min() <= 1:
                continue
            if LIKELY[0] * others.min() <= 100 * own.mean() <= LIKELY[1] * others.max():
                raise UserError(
                    f"{path}:{lines[own.index[0]]}: {name} is {own.iloc[0]:g} where other variants have "
                    f"{others.min():g} to {others.max():g}; write accuracies in percent"
                )
