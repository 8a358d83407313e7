"""Read `trials.csv` and `controls.csv`, and refuse what cannot be a table of cells."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from cmae_ablate.errors import UserError
from cmae_ablate.report.frame import StudyDescription

LABELS = ("variant", "state", "fingerprint", "weights_sha256", "control", "hardware", "device")
"""Columns that stay text whatever they look like: a level may well be called `none`, `NA` or `1e-3`."""

MAX_BYTES = 256 * 2**20


def read_trials(path: Path, description: StudyDescription) -> pd.DataFrame:
    """The cells of a study from its CSV.

    Labels are kept as they are written. A column is numeric where every filled field of it is a number;
    the study's metrics have to be.

    Raises:
        UserError: The file is missing, no CSV, lacks a needed column, or a field cannot be what it has to be.
    """
    header, rows = _fields(path)
    _need(path, header, ("variant", "seed", "state", description.metric))
    text = {*LABELS, *description.factors}
    return _typed(path, header, rows, text=text, numeric={description.metric, *description.report})


def read_controls(path: Path, description: StudyDescription) -> pd.DataFrame:
    """The controls of a study: `control, variant, seed` and metrics. Raises as `read_trials` does."""
    header, rows = _fields(path)
    _need(path, header, ("control",))
    return _typed(path, header, rows, text=set(LABELS), numeric={description.metric, *description.report})


def check_trials(trials: pd.DataFrame, description: StudyDescription, place: str = "trials") -> pd.DataFrame:
    """The same table with `variant` and `state` as text, `seed` as int64 and the metrics as float64.

    Raises:
        UserError: A needed column is missing, or a variant has a seed twice.
    """
    missing = [c for c in ("variant", "seed", "state", description.metric) if c not in trials.columns]
    # Before the first cell is complete no row has any metric, and the table says just that.
    if missing == [description.metric] and not trials["state"].eq("COMPLETE").any():
        trials, missing = trials.assign(**{description.metric: math.nan}), []
    if missing:
        raise UserError(f"{place}: {_no_column(missing[0], list(map(str, trials.columns)))}")
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
            f"{place}: variant '{first['variant']}' has seed {first['seed']} twice; "
            "keep one row for each variant and seed"
        )
    return checked


def _fields(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and rows as written, each row with its line number."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: larger than {MAX_BYTES >> 20} MiB; give the trials.csv of one study")
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            rows = [(reader.line_num, row) for row in reader if row]
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{path}: cannot be read ({reason}); give the path of a trials.csv") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text; save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise UserError(f"{path}: is not a CSV file ({error}); separate fields with commas") from error
    if not header:
        raise UserError(f"{path}: is empty; the first line names the columns: variant,seed,state,...")
    for name in header:
        if header.count(name) > 1:
            raise UserError(f"{path}:1: column '{name}' stands there twice; remove or rename one")
    for line, row in rows:
        if len(row) != len(header):
            raise UserError(
                f"{path}:{line}: {len(row)} fields where the header has {len(header)}; "
                "put labels that contain a comma into double quotes"
            )
    return header, rows


def _need(path: Path, header: Sequence[str], columns: Iterable[str]) -> None:
    for column in columns:
        if column not in header:
            raise UserError(f"{path}:1: {_no_column(column, header)}")


def _no_column(column: str, header: Sequence[str]) -> str:
    there = ", ".join(header[:20]) + (", ..." if len(header) > 20 else "")
    return f"no column '{column}' (there are: {there}); add it, or name a metric that the file has"


def _typed(
    path: Path, header: list[str], rows: list[tuple[int, list[str]]], *, text: set[str], numeric: set[str]
) -> pd.DataFrame:
    columns: dict[str, pd.Series] = {}
    for index, name in enumerate(header):
        fields = [(line, row[index]) for line, row in rows]
        if name == "seed" and "control" in header:  # raw pixels know no seed
            columns[name] = pd.Series(
                [_number(path, line, name, field) for line, field in fields], dtype="float64"
            )
        elif name == "seed":
            columns[name] = pd.Series([_seed(path, line, field) for line, field in fields], dtype="int64")
        elif name in text:
            columns[name] = pd.Series([field for _, field in fields], dtype="object")
        elif name in numeric:
            columns[name] = pd.Series(
                [_number(path, line, name, field) for line, field in fields], dtype="float64"
            )
        else:
            columns[name] = _number_if_possible([field for _, field in fields])
    if "control" not in header:
        _refuse_twice(path, rows, columns["variant"], columns["seed"])
    return pd.DataFrame(columns, columns=header)


def _refuse_twice(
    path: Path, rows: list[tuple[int, list[str]]], variants: pd.Series, seeds: pd.Series
) -> None:
    seen: dict[tuple[str, int], int] = {}
    for (line, _), variant, seed in zip(rows, variants, seeds, strict=True):
        first = seen.setdefault((variant, seed), line)
        if first != line:
            raise UserError(
                f"{path}:{line}: variant '{variant}' has seed {seed} already on line {first}; "
                "keep one row for each variant and seed"
            )


def _seed(path: Path, line: int, field: str) -> int:
    try:
        value = float(field)
    except ValueError:
        value = math.nan
    if not (value >= 0 and value.is_integer() and value < 2**63):
        raise UserError(f"{path}:{line}: seed is '{field[:40]}'; give a whole number from 0")
    return int(value)


def _number(path: Path, line: int, column: str, field: str) -> float:
    if not field.strip():
        return math.nan
    try:
        return float(field)
    except ValueError as error:
        raise UserError(
            f"{path}:{line}: {column} is '{field[:40]}', not a number; write 12.5, or leave the field empty"
        ) from error


def _number_if_possible(fields: list[str]) -> pd.Series:
    try:
        return pd.Series([float(f) if f.strip() else math.nan for f in fields], dtype="float64")
    except ValueError:
        return pd.Series(fields, dtype="object")
