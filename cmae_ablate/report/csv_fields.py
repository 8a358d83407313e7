"""The fields of a CSV as they are written: read, and refused where they cannot be what they must be."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from cmae_ablate.errors import UserError
from cmae_ablate.files import read_regular
from cmae_ablate.report.wording import Metric

MAX_BYTES, MAX_COLUMNS = 64 * 2**20, 10_000
"""A study of a thousand cells has 2 MB and some hundred columns."""

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,5})?", re.ASCII)
"""Python's own reading also takes `23_5`, `inf`, `nan` and digits of other scripts."""

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_fields(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and rows as written, each row with its line number.

    Rows of blank fields, which spreadsheets leave at a table's end, are no rows.

    Raises:
        UserError: It is no CSV.
    """
    try:
        text = read_regular(path, MAX_BYTES).decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(reader, [])
        _check_header(path, header)
        rows = [(reader.line_num, row) for row in reader if any(field.strip() for field in row)]
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{path}: cannot be read ({reason}); give the path of a trials.csv") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text; save it as 'CSV UTF-8, comma-separated'") from error
    except csv.Error as error:
        raise UserError(f"{path}: is not a CSV file ({error}); separate fields with commas") from error
    for line, row in rows:
        if len(row) != len(header):
            raise UserError(
                f"{path}:{line}: {len(row)} fields where the header has {len(header)}; "
                "put labels that contain a comma into double quotes, and write decimals with a point"
            )
    return header, rows


def _check_header(path: Path, header: Sequence[str]) -> None:
    if not header:
        raise UserError(f"{path}: is empty; the first line names the columns: variant,seed,state,...")
    if len(header) > MAX_COLUMNS:
        raise UserError(f"{path}:1: more than {MAX_COLUMNS:,} columns; give the trials.csv of one study")
    for separator, words in SEPARATORS.items():
        if len(header) == 1 and separator in header[0]:
            raise UserError(
                f"{path}:1: fields are separated by {words}; separate them by commas, with a decimal point "
                "(in a spreadsheet: save as 'CSV UTF-8, comma-separated')"
            )
    for place, name in enumerate(header, start=1):
        if not name.strip():
            raise UserError(
                f"{path}:1: column {place} has no name; name or delete it (pandas: to_csv(index=False))"
            )
        if header.count(name) > 1:
            raise UserError(f"{path}:1: column '{name[:40]}' stands there twice; remove or rename one")


def need_columns(path: Path, header: Sequence[str], columns: Iterable[str]) -> None:
    """Raises `UserError` where a column is missing."""
    for column in columns:
        if column not in header:
            raise UserError(f"{path}:1: {no_column(column, header)}")


def no_column(column: str, header: Sequence[str]) -> str:
    there = ", ".join(name[:40] for name in header[:20]) + (", ..." if len(header) > 20 else "")
    return f"no column '{column}' (there are: {there}); add it, or name a metric that the file has"


def whole_field(path: Path, line: int, column: str, field: str) -> int:
    """A field that must be a whole number from 0. Raises `UserError` where it is not."""
    value = finite_number(field)
    if not (value is not None and value >= 0 and value.is_integer() and value < 2**63):
        raise UserError(f"{path}:{line}: {column} is '{field[:40]}'; give a whole number from 0")
    return int(value)


def number_field(path: Path, line: int, column: str, field: str) -> float:
    """A field that must be a number, or empty (NaN). Raises `UserError` where it is neither."""
    if not field.strip():
        return math.nan
    value = finite_number(field)
    if value is None:
        raise UserError(
            f"{path}:{line}: {column} is '{field[:40]}', not a number; write 12.5, or leave the field empty"
        )
    if Metric.named(column).is_accuracy and not 0 <= value <= 100:
        raise UserError(
            f"{path}:{line}: {column} is {field.strip()[:40]}, and an accuracy is from 0 to 100 percent; "
            "correct the field"
        )
    return value


def finite_number(field: str) -> float | None:
    """A finite number, written with ASCII digits and a decimal point; None for anything else."""
    text = field.strip()
    value = float(text) if NUMBER.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None


def is_formula(text: str) -> bool:
    """Whether a spreadsheet that opens a CSV would compute such a field instead of showing it."""
    return text.startswith(_FORMULA) and not NUMBER.fullmatch(text.removesuffix("%"))
