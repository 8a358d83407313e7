"""Studies from Python: what the commands do, with values instead of files to read."""

from __future__ import annotations

import csv
import io
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from cmae_ablate.cli.api_arguments import path_text, plain_text, settings_of, whole_number
from cmae_ablate.cli.catalogue import OptionRow, option_rows
from cmae_ablate.cli.shared import StudyOptions, ended
from cmae_ablate.errors import (
    DeviceError,
    DivergedError,
    Interrupted,
    NoRoomError,
    StorageError,
    UserError,
    suggest,
    system_error,
)
from cmae_ablate.files import read_regular
from cmae_ablate.report.csv_fields import MAX_BYTES, csv_fields
from cmae_ablate.report.selection import COMPLETE
from cmae_ablate.report.trials import LABELS
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.progress import NOTES, read_notes
from cmae_ablate.study.finding import ENDINGS
from cmae_ablate.terminal import open_console

CSVS = ("trials", "effects", "controls")
ANSWER = "answer.json"


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What a study has found, as its report has it.

    Attributes:
        folder: The report: `index.html` and all that lies beside it.
        trials: `trials.csv`, one row a cell.
        effects: `effects.csv`, one row a comparison.
        controls: `controls.csv`, one row a cell of a control.
        answer: `answer.json`.
    """

    folder: Path
    trials: pd.DataFrame
    effects: pd.DataFrame
    controls: pd.DataFrame
    answer: dict[str, Any]

    def __repr__(self) -> str:
        states = list(self.trials.get("state", ()))
        return f"Result({str(self.folder)!r}, {states.count(COMPLETE)} of {len(states)} cells complete)"


@dataclass(frozen=True, repr=False)
class LoadedStudy:
    """A checked study; see `load_study`."""

    _options: Options

    def __repr__(self) -> str:
        scale = self._options.parts[0].load().scale
        return f"LoadedStudy({self.name!r}, scale={scale!r}, question={self.question!r})"

    @property
    def name(self) -> str:
        """The file's stem, with the scale where it is not the file's own: the report's folder in `out`."""
        return self._options.name

    @property
    def question(self) -> str:
        """What it asks."""
        return self._options.parts[0].load().question

    def run(self, out: str | Path = "runs", workers: int | str = "auto", device: str = "auto") -> Result:
        """Train what is missing, as `cmae-ablate run` does; blocks, and shows progress.

        Interrupted, the same call goes on from the last checkpoint.

        Args:
            out: Holds all state, tables and figures.
            workers: Processes that train side by side; `auto` is one a GPU, or as many as the cores bear.
            device: `auto`, `cpu` or `cuda`.

        Raises:
            UserError: An argument or the study is wrong, or a cell failed for good; the report of the
                others is written.
            KeyboardInterrupt: After SIGINT, once checkpoints are written.
            Interrupted: After SIGTERM, likewise.
        """
        if threading.current_thread() is not threading.main_thread():
            raise UserError("run: only a process's main thread can be interrupted safely; call it from there")
        given = StudyOptions(
            workers=workers if isinstance(workers, str) else str(whole_number(workers, "workers")),
            device=plain_text(device, "device"),
            out=Path(path_text(out, "out")),
            dataset=self._options.dataset,
        ).of(self._options.study)
        options = replace(
            self._options,
            workers=given.workers,
            device=given.device,
            out=given.out,
            storage=os.environ.get("CMAE_ABLATE_STORAGE") or None,  # empty is unset, as for the commands
            tracking=os.environ.get("CMAE_ABLATE_TRACKING_URI") or None,
        )
        status = _run(options)
        folder = options.out.resolve() / options.name
        if status == 130:
            raise KeyboardInterrupt
        if status == 143:
            raise Interrupted("told to stop; the same call goes on from the last checkpoint")
        if status:
            raise _incomplete(folder)
        return _read(folder)


def load_study(
    study: str | Path,
    *,
    scale: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    seeds: int | None = None,
    dataset: str | None = None,
) -> LoadedStudy:
    """Read and check a study; nothing is created.

    Args:
        study: A path, or a name: see `cmae-ablate studies`.
        scale: Another scale: a name or a file.
        settings: Fixed changes to every trial by dotted key, as `{"training.epochs": 1}`.
        seeds: Seeds 0 to N-1 instead of the study's number.
        dataset: Of a study on several data sets: the label of one, to leave the others out.

    Raises:
        UserError: An argument, or anything in the study, is wrong.
    """
    file = Path(path_text(study, "study"))
    changes = {} if settings is None else settings_of(settings)
    options = StudyOptions(
        scale=None if scale is None else path_text(scale, "scale"),
        settings=[_assignment(key, value) for key, value in changes.items()],
        seeds=None if seeds is None else whole_number(seeds, "seeds"),
        dataset=None if dataset is None else plain_text(dataset, "dataset"),
    )
    return LoadedStudy(options.of(file))


def load_result(name: str | Path, out: str | Path = "runs") -> Result:
    """The report of what has run; trains nothing.

    Args:
        name: The study's name, with its scale where that is another (`decoder_size-hour`), or its file.
        out: Where it ran.

    Raises:
        UserError: An argument is wrong, or there is no report of it.
    """
    typed, root = path_text(name, "name"), Path(path_text(out, "out"))
    stem = Path(typed).stem if typed.endswith(ENDINGS) else typed
    if not (root / stem / ANSWER).is_file():
        known = sorted(path.parent.name for path in root.glob(f"*/{ANSWER}"))
        nearest = f"{suggest(stem, known)} Or run it first" if known else "run it first"
        raise UserError(
            f"{root}: there is no report of '{stem}'; {nearest}; of an interrupted one, "
            f"'cmae-ablate report {typed} --out {root}' writes it"
        )
    return _read((root / stem).resolve())


def list_components() -> pd.DataFrame:
    """Every option of every component: slot, name, option, type, default, range, source."""
    names = [each.name for each in fields(OptionRow)]
    return pd.DataFrame([astuple(row) for row in option_rows()], columns=names).drop(columns="meaning")


def _run(options: Options) -> int:
    """The command, with errors of one type, and none that ends the session."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from cmae_ablate.runner.data_sets import run_data_sets
    from cmae_ablate.runner.own_components import known_to_workers

    try:
        with known_to_workers():
            return run_data_sets(options, open_console())
    except SystemExit as error:
        raise ended(error) from error
    except (DeviceError, DivergedError, NoRoomError, StorageError) as error:
        raise UserError(str(error)) from error
    except OSError as error:
        fault = system_error(error)
        if fault is None:
            raise
        raise UserError(str(fault)) from error


def _incomplete(folder: Path) -> UserError:
    """What to say of a study whose cells are not all complete, with what its workers noted."""
    failed = [f"{each.title}: {each.text}" for each in read_notes(folder / NOTES) if each.phase == "failed"]
    return UserError(
        f"{folder.name}: not every cell is complete; {'; '.join(failed) or 'see what was printed'}; logs: "
        f"{folder / 'logs'}; the same call tries again, and load_result reads what is complete"
    )


def _assignment(key: str, value: Any) -> str:
    """`PATH=VALUE`, as `--set` takes it: a text stands as it is, everything else as JSON, which is YAML."""
    if isinstance(value, str | Path):
        return f"{key}={value}"
    try:
        return f"{key}={json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)}"
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(
            f"settings: {key}: {str(value)[:80]!r} cannot stand in a study; give a number, a text, True, "
            "False, None, or lists and mappings of them"
        ) from error


def _plain(value: Any) -> Any:
    """NumPy's and torch's numbers as Python's, paths as text."""
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError


def _read(folder: Path) -> Result:
    try:
        frames = {name: _frame(folder / f"{name}.csv") for name in CSVS}
        answer = json.loads(read_regular(folder / ANSWER, MAX_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{folder}: the report cannot be read ({error}); write it again by the command report"
        ) from error
    return Result(folder, **frames, answer=answer)


def _frame(path: Path) -> pd.DataFrame:
    """A CSV of a report; a level may well be called `none`, `NA` or `1e-3`."""
    header, rows = csv_fields(path)
    text = io.StringIO()
    csv.writer(text).writerows([header, *(fields for _, fields in rows)])
    frame = pd.read_csv(io.StringIO(text.getvalue()), keep_default_na=False, na_values=[""])
    labels = [name for name in (*LABELS, "against", "dataset") if name in frame and frame[name].notna().any()]
    misread = {name: str for name in labels if is_numeric_dtype(frame[name])}
    if misread:
        frame = pd.read_csv(
            io.StringIO(text.getvalue()), keep_default_na=False, na_values=[""], dtype=misread
        )
    return frame
