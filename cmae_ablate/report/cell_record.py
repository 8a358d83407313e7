"""What is recorded of a finished cell, from its training to the tables.

A worker makes a `CellRecord`, the queue keeps it, `trials.csv` has it in a row, and an import reads that row.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cmae_ablate.files import JSON, is_numbers, is_texts

if TYPE_CHECKING:
    import pandas as pd  # half a second: the queue knows these records, too

_FIRST, _LAST = ("variant", "seed", "state"), ("device", "fingerprint", "weights_sha256")
IMPORTED = "imported"
"""The column, there where any cell was imported, that says of which file: see `TrialRow`."""


@dataclass(frozen=True)
class CellRecord:
    """What one cell found.

    Attributes:
        metrics: `<evaluation>.<name>` at the cell's own best setting, and of every candidate under the names
            of `selection`; `pretrain.loss`, `pretrain.<objective>.accuracy`, `params.*`,
            `flops.*`, `seconds.pretrain`, `memory.pretrain` in bytes.
        weights_sha256: Of the pretrained parameters and buffers; empty where there are none.
        device: What the pretraining ran on; empty where nobody knows.
        folder: Holds the weights, `result.json` and the test predictions; None where they are on another
            machine, whose numbers were imported.
        protocols: One sentence an evaluation, by label.
        reused: Whether the pretraining was found finished.
        history: Pretraining metrics by epoch; only where the cell has just run, as `result.json` keeps them.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    weights_sha256: str = ""
    device: str = ""
    folder: Path | None = None
    protocols: Mapping[str, str] = field(default_factory=dict)
    reused: bool = False
    history: Sequence[Mapping[str, float]] = ()

    @classmethod
    def from_json(cls, content: Mapping[str, JSON]) -> CellRecord:
        """What `to_json` made, of this version or an earlier one; what is not known here is left out.

        Raises:
            ValueError: A value is of another kind.
        """
        metrics, protocols = content.get("metrics", {}), content.get("protocols", {})
        if not is_numbers(metrics):
            raise ValueError("a metric is no number")
        if not is_texts(protocols):
            raise ValueError("a protocol is no text")
        texts = {name: content.get(name, "") for name in ("weights_sha256", "device", "folder")}
        if not is_texts(texts):
            raise ValueError(f"one of {', '.join(texts)} is no text")
        return cls(
            metrics,
            texts["weights_sha256"],
            texts["device"],
            Path(texts["folder"]) if texts["folder"] else None,
            protocols,
            reused=content.get("reused") is True,
        )

    def to_json(self) -> dict[str, JSON]:
        """As plain data, without the history."""
        return {
            "metrics": dict(self.metrics),
            "weights_sha256": self.weights_sha256,
            "device": self.device,
            "folder": "" if self.folder is None else str(self.folder),
            "protocols": dict(self.protocols),
            "reused": self.reused,
        }


@dataclass(frozen=True)
class TrialRow:
    """One row of `trials.csv`: a cell of the design, where it stands, and what is recorded of it.

    Attributes:
        levels: Level label by factor.
        fingerprint: Of the resolved trial; empty where a file names none.
        record: Empty unless the cell is complete.
        imported: Of which file, counted from 1, it was imported by whoever wrote this one: two files may be
            of two machines. Empty where it was trained there.
    """

    variant: str
    seed: int
    state: str
    levels: Mapping[str, str]
    fingerprint: str
    record: CellRecord = field(default_factory=CellRecord)
    imported: str = ""

    @classmethod
    def read(cls, fields: Mapping[str, object], factors: Collection[str]) -> TrialRow:
        """A row as `read_trials` gives it: a filled number is a metric where it is called as metrics are.

        A column of somebody's own, as `rank`, is none: all that is recorded is `<evaluation>.<name>` or the
        like.

        Args:
            fields: By column.
            factors: Columns that hold level labels.
        """
        of_cell = {*_FIRST, IMPORTED, *_LAST, *factors}
        metrics = {
            name: value
            for name, value in fields.items()
            if "." in name and name not in of_cell
            if isinstance(value, int | float) and not math.isnan(value)
        }
        record = CellRecord(metrics, _text(fields, "weights_sha256"), _text(fields, "device"))
        levels = {factor: _text(fields, factor) for factor in factors if factor in fields}
        seed = fields["seed"]
        assert isinstance(seed, int), "read_trials makes seeds whole numbers"
        fingerprint, imported = _text(fields, "fingerprint"), _text(fields, IMPORTED)
        variant, state = _text(fields, "variant"), _text(fields, "state")
        return cls(variant, seed, state, levels, fingerprint, record, imported)

    def fields(self) -> dict[str, str | float]:
        """By column, in their order; the inverse of `read`."""
        return {
            **{"variant": self.variant, "seed": self.seed, "state": self.state},
            **self.levels,
            **self.record.metrics,
            **({IMPORTED: self.imported} if self.imported else {}),
            **{"device": self.record.device, "fingerprint": self.fingerprint},
            "weights_sha256": self.record.weights_sha256,
        }


def frame_of(rows: Iterable[TrialRow]) -> pd.DataFrame:
    """`trials.csv`; the columns of any row, where it is from, device, fingerprint and weights last."""
    import pandas as pd

    fields = [row.fields() for row in rows]
    return with_identity_last(pd.DataFrame(fields, columns=None if fields else [*_FIRST, *_LAST]))


def rows_of(trials: pd.DataFrame, factors: Collection[str]) -> list[TrialRow]:
    """The inverse of `frame_of`, for what `read_trials` has read."""
    return [
        TrialRow.read({str(name): value for name, value in fields.items()}, factors)
        for fields in trials.to_dict("records")
    ]


def with_identity_last(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the columns that say what was trained, and on what, after all others."""
    last = [name for name in (IMPORTED, *_LAST) if name in frame]
    return frame[[name for name in frame if name not in last] + last]


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
