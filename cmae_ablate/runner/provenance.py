"""With which study file and options the results in a study's folder were made, and what becomes of them."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from cmae_ablate.files import DamagedError, read_record, sealed, set_aside, write_atomically
from cmae_ablate.report.wording import counted
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.options import Options

RECORD = "made_with.json"
LOCK = ".report.lock"
"""Held in a study's folder while its report is written or moved: two commands may share an `--out`."""
_STATE = ("budget.json", "budget.lock", "pretraining.json", "analysis_plan.json", "search.csv")
"""Files of a study's folder that are no part of its report, beside those that begin with a dot."""


@dataclass(frozen=True)
class Provenance:
    """What decides a report.

    Attributes:
        study: The study file.
        scale: Its scale.
        settings: `--set` texts.
        seeds: How many.
        design: Digest of all that the report is of, but for the number of seeds: the question, the metric,
            the contrasts and every variant's resolved trial on its data.
        command: What to type to repeat it, without URLs.
    """

    study: str
    scale: str
    settings: tuple[str, ...]
    seeds: int
    design: str
    command: str

    @classmethod
    def of(cls, experiment: Experiment, options: Options) -> Provenance:
        """Of a study that is about to run, or to be reported."""
        study = experiment.study
        asked = {
            "question": study.question,
            "metric": study.metric,
            "reference": experiment.reference,
            "contrasts": study.contrasts,
            "variants": {v.label: experiment.fingerprint(v.spec.with_seed(0)) for v in experiment.variants},
            "search": "" if study.search is None else study.search.identity,
        }
        if study.rule is not None:
            asked["rule"] = study.rule.to_json()
        design = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
        command = shlex.join(["cmae-ablate", "run", *options.arguments()])
        path = str(options.study.resolve())
        return cls(path, study.scale, tuple(options.settings), study.seeds, design, command)

    def covers(self, older: Provenance) -> bool:
        """Whether a report of this holds all that one of `older` held: more seeds only add."""
        return self.design == older.design and self.seeds >= older.seeds

    def changes_since(self, older: Provenance) -> str:
        """What differs, in words."""
        told = []
        if self.study != older.study:
            told.append(f"the study file was {older.study}")
        if self.scale != older.scale:
            told.append(f"the scale was {older.scale}")
        told += [f"--set {text} was not there" for text in self.settings if text not in older.settings]
        told += [f"there was --set {text}" for text in older.settings if text not in self.settings]
        if self.seeds != older.seeds:
            told.append(f"there {'was' if older.seeds == 1 else 'were'} {counted(older.seeds, 'seed')}")
        return "; ".join(told) or "the study file, the data or the version of a component was another"


def read_provenance(folder: Path) -> Provenance | None:
    """What the results in a study's folder were made with; None where nobody wrote it down.

    Raises:
        DamagedError: It is not what was written.
    """
    path = folder / RECORD
    try:
        content = read_record(path)
    except FileNotFoundError:
        return None
    texts = all(isinstance(content.get(name), str) for name in ("study", "scale", "design", "command"))
    settings, seeds = content.get("settings"), content.get("seeds")
    if not texts or not isinstance(settings, list) or isinstance(seeds, bool) or not isinstance(seeds, int):
        raise DamagedError(path, "a key is missing or of another kind")
    try:
        return Provenance(**{**content, "settings": tuple(map(str, settings))})
    except TypeError as error:
        raise DamagedError(path, "it has other keys") from error


def settle_folder(experiment: Experiment, options: Options) -> list[str]:
    """Note what the results in the study's folder are of from now on; an older report of others is kept.

    It is moved into `previous-...` inside the folder, unless the new report will hold all that it held.

    Returns:
        Sentences for the user: what changed, and where the older report is.
    """
    with _held(experiment.folder):
        return _settle(experiment, options, begins=True)


@contextmanager
def report_folder(experiment: Experiment, options: Options) -> Iterator[list[str]]:
    """Hold the study's folder while its report is written, settled as by `settle_folder`.

    Another command may have written its report since this one began, and may be about to.

    Yields:
        Sentences for the user: which report of others is kept, and where.
    """
    with _held(experiment.folder):
        yield _settle(experiment, options, begins=False)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(folder / LOCK, mode=0o600):
        yield


def _settle(experiment: Experiment, options: Options, *, begins: bool) -> list[str]:
    """As `settle_folder`; `begins` says whether also to tell of others that left no report."""
    folder, now = experiment.folder, Provenance.of(experiment, options)
    told: list[str] = []
    before: Provenance | None = None
    try:
        before = read_provenance(folder)
    except DamagedError as error:
        told.append(f"{error}; kept as {set_aside(error.path).name}, written anew")
    if before is not None and not now.covers(before):
        kept = _keep_report(folder, f"previous-{before.design[:8]}-{before.seeds}-seeds")
        if kept is not None or begins:
            told.append(
                f"the results in {folder} were made otherwise ({now.changes_since(before)})"
                + (f"; that report is kept in {kept.name}/" if kept else "")
                + ("" if before.command == now.command else f", repeated by: {before.command}")
            )
    if before != now:
        write_atomically(folder / RECORD, sealed(asdict(now)))
    return told


def of_other_options(experiment: Experiment, options: Options) -> str:
    """Says that the results in the study's folder were made with other options; empty where they were not."""
    try:
        before = read_provenance(experiment.folder)
    except DamagedError as error:
        return f"{error}; the next run writes it anew"
    now = Provenance.of(experiment, options)
    if before is None or before.design == now.design:
        return ""
    text = f"the results in {experiment.folder} were made otherwise ({now.changes_since(before)})"
    if before.command == now.command:
        return text
    same = before.command.removeprefix("cmae-ablate run ")
    return f"{text}; to see where they stand: cmae-ablate status {same}"


def _keep_report(folder: Path, name: str) -> Path | None:
    """Move a report's files into a folder of their own; None where there are none."""
    files = [path for path in folder.iterdir() if path.is_file() and path.name not in (*_STATE, RECORD)]
    files = [path for path in files if not path.name.startswith(".") and path.suffix != ".lock"]
    if not files:
        return None
    place = folder / name
    place.mkdir(exist_ok=True, mode=0o700)
    for path in [*files, folder / RECORD]:
        os.replace(path, place / path.name)
    return place
