"""Where every number of README.md and of the documents below `analysis/` and `docs/` comes from: a CSV.

Run:   python -m analysis.numbers            (after a document or a CSV changed)
`numbers.csv` has a row a number: document, the words before it, the number, and file, row and column of its
cell (`what` tells a reader which row that is). The command keeps the rows that still hold, looks for a cell
for every number that has none yet, by value and by the words around it, and names those that no CSV has:
read the difference before you commit it. A test holds documents, `numbers.csv` and CSVs together.

What counts as a number: decimals, percentages, points and multiples. Not code and addresses, nor whole
numbers without such a unit (counts, sizes, years). `NO_RESULTS` is the short list of what is no result.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
ROOT = HERE.parent
LEDGER = HERE / "numbers.csv"
GENERATED = ("table.md", "sentences.md", "answers.md")
"""Written by a program; tests hold them equal to what it writes."""
ONE_BY_ONE = ("trials.csv", "controls.csv", "numbers.csv")
"""Not looked through: single cells, among which any number would be found."""

CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
ADDRESS = re.compile(r"\]\([^)]*\)|https?://\S+|arXiv:? ?\d{4}\.\d{4,5}")
NUMBER = re.compile(
    r"(?<![\w.,/:])[+\u2212-]?(?P<digits>(?:\d[\d,]*)?\.\d+|\d[\d,]*(?:e-?\d+)?)(?!\w|[.,]\d)"
)
UNIT = re.compile(r"\s?%|-? ?points?\b|\N{MULTIPLICATION SIGN}(?!\d)| times\b")
"""What makes a whole number a result; any number with a decimal point is one."""
SHARE = re.compile(r"(?:,? (?:to|and|or) [\d.]+)*\s?%")
NO_RESULTS = {
    r"Python 3\.\d+": "version",
    r"torch \d+\.\d+": "version",
    r"95 % (?:CI|t interval|interval)": "level of an interval",
    r"(?:mask(?: ratio)?|temperature|weight) \d*\.\d+": "setting",
    r"thresholds?(?: of)? \d*\.\d+(?: (?:to|and) \d\.\d+)?": "setting",
    r"Beta\(\d\.\d+\)": "setting",
    r"\*{0,2}\.\d+ to \.\d+": "setting",  # sizes of objects, as shares of the image
    r"\d\.\d million parameters": "size",
    r"over 0\.9 of the image": "setting",
    r"0\.\d+ (?:is|are) (?:wanted|aimed at)": "setting",
    r"aim of 0\.\d+|at most 0\.\d+ aimed at|where 1\.0 was asked for|plus 0\.01 times": "setting",
    r"where 1\.5 were aimed at": "setting",
}
"""Patterns of text whose numbers are no results, and what they are."""
BEFORE, NEAR, AROUND = 32, 60, 160
"""Characters: of the words that a row of the ledger keeps, and of those by which a cell is looked for."""
NOT_QUOTED = re.compile(
    r"n|seed|epochs|threshold|images|studies|standard_errors|two_way_(?:df|clusters)|required_.*"
    r"|among|effect_of_interest|planned_p|all_.*|bias|kept|datasets|sim_(low|high)|bootstrap_(low|high)"
)
"""Columns that no document quotes: settings, counts, and other intervals than those that are printed."""
OVER_IMAGES = re.compile(r"two_way_(?:low|high)")
"""Bounds that are quoted where the words around speak of images."""


@dataclass(frozen=True)
class Number:
    """A number as a document prints it.

    Attributes:
        text: Its digits, without sign.
        before: The words before it, blanks made one.
        near: The words on both sides.
        around: More of them.
        section: Its section as it is written, code and addresses too: they say whose numbers these are.
        at: Where it begins in the document, in characters from 0.
        line: Likewise, in lines from 1.
        scales: What a CSV's value may be multiplied with: a share may be kept as a fraction.
        is_bound: Whether `<` stands before it: a p value below what is printed.
        no_result: What it is, where it is no result.
    """

    text: str
    before: str
    near: str
    around: str
    section: str
    at: int
    line: int
    scales: tuple[float, ...]
    is_bound: bool
    no_result: str

    def is_rounded(self, value: float) -> bool:
        """Whether a value, rounded as this is printed, is this number, or below it where it is a bound.

        Signs stand in the words.
        """
        if self.is_bound:
            return 0 <= value < float(self.text)
        decimals = len(self.text.partition(".")[2])
        half = 0.5 * 10**-decimals * (1 + 1e-9) + 1e-12
        return abs(abs(value) - float(self.text.replace(",", ""))) <= half


@dataclass(frozen=True)
class Source:
    """A row of the ledger.

    Attributes:
        document: Path from the repository's root.
        before: As in `Number`.
        number: Its digits.
        csv: Path below `analysis/`; empty for what is no result.
        row: Of the CSV, from 0.
        column: Of the CSV.
        scale: What the cell is multiplied with.
        what: The row's labels, or what the number is instead of a result.
    """

    document: str
    before: str
    number: str
    csv: str
    row: int
    column: str
    scale: float
    what: str

    def value(self) -> float:
        """The cell, scaled. Raises `KeyError`, `IndexError` or `OSError` where it is gone."""
        return self.scale * float(_frame(HERE / self.csv)[self.column].iloc[self.row])


def documents() -> list[Path]:
    """README.md, and every document below `analysis/` and `docs/` that a person wrote."""
    found = [*sorted(HERE.rglob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    written = [path for path in found if path.name not in GENERATED and path.parent.name != "reference"]
    return [ROOT / "README.md", *written]


def numbers(text: str) -> Iterator[Number]:
    """Every number of a Markdown text that counts."""
    written = text
    for pattern in (CODE, ADDRESS):
        text = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)
    apart = {
        at: what
        for pattern, what in NO_RESULTS.items()
        for found in re.finditer(pattern, text)
        for at in range(*found.span())
    }
    start = 0
    for section in re.split(r"(?m)^(?=#{1,2} )", text):
        for found in NUMBER.finditer(section):
            at, end = start + found.start("digits"), start + found.end()
            if "." not in found["digits"] and not UNIT.match(text[end : end + 12]):
                continue
            yield Number(
                text=found["digits"],
                before=" ".join(text[max(0, at - 2 * BEFORE) : at].split())[-BEFORE:],
                near=text[max(0, at - NEAR) : end + NEAR],
                around=text[max(0, at - AROUND) : end + AROUND],
                section=written[start : start + len(section)],
                at=at,
                line=text[:at].count("\n") + 1,
                scales=(1.0, 100.0) if SHARE.match(text[end:]) else (1.0,),
                is_bound=text[:at].rstrip().endswith("<"),
                no_result=apart.get(at, ""),
            )
        start += len(section)


def problems(document: Path, text: str, ledger: list[Source]) -> list[str]:
    """What of a document's text the ledger and the CSVs do not bear out, a line each.

    Args:
        document: Its path.
        text: Its text, as it is or as it might be.
        ledger: From `read_ledger`.
    """
    known: dict[str, list[Source]] = {}
    for source in ledger:
        if source.document == _name(document):
            known.setdefault(source.before, []).append(source)
    found = []
    for number in numbers(text):
        rows = [source for source in known.get(number.before, []) if _holds(source, number)]
        if rows:
            known[number.before].remove(rows[0])
        else:
            where = f"{_name(document)}:{number.line}: ...{number.before} {number.text}"
            found.append(f"{where}: numbers.csv names no cell that says so; run python -m analysis.numbers")
    return found


def update(ledger: list[Source]) -> tuple[list[Source], list[str]]:
    """The ledger for the documents as they are, and what has no cell."""
    rows, missing, left = [], [], list(ledger)
    for document in documents():
        for number in numbers(document.read_text(encoding="utf-8")):
            source = _kept(left, document, number) or looked_up(document, number)
            if source in left:
                left.remove(source)
            if source is None:
                missing.append(
                    f"{_name(document)}:{number.line}: ...{number.before} {number.text}: in no CSV"
                )
            else:
                rows.append(replace(source, what=_labels(source)))
    return rows, missing


def _kept(left: list[Source], document: Path, number: Number) -> Source | None:
    """The ledger's row for a number; where sections share words, one of what the section speaks of."""
    held = [
        source
        for source in left
        if (source.document, source.before) == (_name(document), number.before) and _holds(source, number)
    ]
    if len(held) < 2:
        return next(iter(held), None)
    own = {path.relative_to(HERE).as_posix() for path in _files(document, number.section)}
    return next((source for source in held if not source.csv or source.csv in own), None)


def read_ledger() -> list[Source]:
    """The committed ledger; empty where there is none yet."""
    if not LEDGER.is_file():
        return []
    frame = pd.read_csv(LEDGER, dtype={"number": str}, keep_default_na=False)
    return [Source(**{str(key): value for key, value in row.items()}) for row in frame.to_dict("records")]


def _holds(source: Source, number: Number) -> bool:
    if source.number != number.text:
        return False
    if number.no_result or not source.csv:
        return not source.csv and source.what == number.no_result
    try:
        return number.is_rounded(source.value())
    except (KeyError, IndexError, OSError):
        return False


def looked_up(document: Path, number: Number) -> Source | None:
    """The cell that says so: of what the section speaks of, else of any analysis."""
    name = _name(document)
    if number.no_result:
        return Source(name, number.before, number.text, "", 0, "", 1.0, number.no_result)
    first = _files(document, number.section)
    return _best(name, number, first) or _best(name, number, _files(document, ""))


def _best(name: str, number: Number, files: list[Path]) -> Source | None:
    """Of several cells the one whose labels and column the words around speak of most."""
    near, around = _words(number.near), _words(number.around)
    best: tuple[int, Source] | None = None
    for path in files:
        frame = _frame(path)
        for column in map(str, frame.select_dtypes("number")):
            if not may_be(number, column):
                continue
            for row, value in enumerate(frame[column]):
                for scale in (*number.scales, *_units(column)):
                    if not number.is_rounded(scale * value):
                        continue
                    what = _row_labels(frame, row)
                    labels, kind = _words(what), _words(f"{column} {path.stem}")
                    score = 2 * len(near & labels) + len(around & labels) + len(around & kind)
                    if best is None or score > best[0]:
                        cell = path.relative_to(HERE).as_posix(), row, column, scale, what
                        best = score, Source(name, number.before, number.text, *cell)
    return None if best is None else best[1]


def may_be(number: Number, column: str) -> bool:
    """Whether the number's kind, and the words around it, allow it to come from that column."""
    if OVER_IMAGES.fullmatch(column) and "images" not in _words(number.around):
        return False
    return not NOT_QUOTED.fullmatch(column) and (not number.is_bound or bool(re.match(r"p(_|$)", column)))


def _labels(source: Source) -> str:
    return _row_labels(_frame(HERE / source.csv), source.row) if source.csv else source.what


def _row_labels(frame: pd.DataFrame, row: int) -> str:
    return ", ".join(str(v) for v in frame.iloc[row] if isinstance(v, str) and len(v) < 60)


def _files(document: Path, section: str) -> list[Path]:
    """What a section may speak of: its own folder's CSVs, else those it names, else all; and literature."""
    folders = [each for each in sorted(HERE.iterdir()) if each.is_dir() and any(each.glob("*.csv"))]
    own = [folder for folder in folders if folder in document.parents]
    named = [folder for folder in folders if re.search(rf"\b{folder.name}\b", section)]
    found = [path for folder in own or named or folders for path in sorted(folder.glob("*.csv"))]
    return [path for path in (*found, *sorted(HERE.glob("*.csv"))) if path.name not in ONE_BY_ONE]


def _units(column: str) -> tuple[float, ...]:
    """Costs also in the units that tables show: millions of parameters, GFLOPs."""
    return (1e-6,) if column.startswith("params.") else (1e-9,) if column.startswith("flops.") else ()


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{3,}|\d+", text.lower()))


def _name(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


@lru_cache
def _frame(path: Path) -> pd.DataFrame:
    return pd.read_csv(path)


def main() -> int:
    """Write the ledger anew; 1 where a number has no cell."""
    rows, missing = update(read_ledger())
    pd.DataFrame([asdict(row) for row in rows]).to_csv(LEDGER, index=False)
    print(f"{LEDGER}: {len(rows)} numbers")
    for line in missing:
        print(line)
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
