"""Finished cells that a study does not take, for they were made otherwise: how many, and what differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from cmae_ablate.files import DamagedError
from cmae_ablate.queue import CellStatus, OtherCell, read_others
from cmae_ablate.report.wording import counted, is_or_are, listing, shortened
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.finished import check_record, folder_of
from cmae_ablate.runner.result_files import PretrainingRecord
from cmae_ablate.study.training_settings import PROBING
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.terminal import say_sentence

SHOWN_VALUES, SHOWN_CAUSES, VALUE_WIDTH = 2, 4, 40
EVALUATED = "other evaluations, so that their pretraining is used again"
IMAGES = "other images"
UNKNOWN = "other settings, other images or another version of a component"


@dataclass(frozen=True)
class Difference:
    """What was one value when a cell was made, and is another now: a setting, or a component's version."""

    name: str
    then: str
    now: str


def say_untaken(
    experiment: Experiment, statuses: Sequence[CellStatus], console: Console, said: str = ""
) -> None:
    """Print `untaken`, where there is something to say."""
    if text := untaken(experiment, statuses, said):
        say_sentence(f"note: {text}", console)


def untaken(experiment: Experiment, statuses: Sequence[CellStatus], said: str = "") -> str:
    """What to say of finished cells that do not count, of variants and seeds still to do; empty without any.

    Cells whose variant and seed are complete as they are asked for now, or not asked for, are no news:
    several settings in one `--out` are nothing to warn of.

    Args:
        experiment: The study, or the tuning of its search.
        statuses: Of its cells.
        said: What the user was told before: what it names as different is not named again.
    """
    others = untaken_cells(experiment, statuses)
    if not others:
        return ""
    causes = listing(_causes(experiment, others, said), SHOWN_CAUSES)
    begin = f"{counted(len(others), 'finished cell')} of variants and seeds still to do"
    is_one = len(others) == 1
    stays, counts = ("it stays stored", "counts") if is_one else ("they stay stored", "count")
    because, again = (f" ({causes})", f" and {counts} again once that is as it was") if causes else ("", "")
    return f"{begin} {is_or_are(len(others))} not taken{because}; {stays}{again}"


def untaken_cells(experiment: Experiment, statuses: Sequence[CellStatus]) -> list[OtherCell]:
    """The finished cells of variants and seeds still to do that were made otherwise; see `untaken`."""
    to_do = [status.cell for status in statuses if not status.is_done]
    return read_others(experiment.places.storage, experiment.study.name, to_do) if to_do else []


def _causes(experiment: Experiment, others: Sequence[OtherCell], said: str) -> list[str]:
    """What differs, in words; nothing where it was said, or where a search chooses the settings."""
    if experiment.study.search is not None:
        return []
    specs = {(cell.variant.label, cell.seed): cell.spec for cell in experiment.cells}
    values: dict[str, tuple[list[str], list[str]]] = {}
    whole: list[str] = []
    for other in others:
        for found in _differences(experiment, specs[other.variant, other.seed], other):
            if isinstance(found, str):
                whole.append(found)
            elif f"{found.name}=" not in said:
                then, now = values.setdefault(found.name, ([], []))
                then.append(found.then)
                now.append(found.now)
    told = [f"{name} was {_either(then)} and is {_either(now)}" for name, (then, now) in values.items()]
    return [*told, *dict.fromkeys(whole)]


def _differences(experiment: Experiment, spec: TrialSpec, other: OtherCell) -> Iterator[Difference | str]:
    """Setting by setting what differs, or in words where that is not known."""
    folder = folder_of(other.record, experiment.places.cache)
    if folder is not None and folder.name == experiment.pretraining(spec):
        yield EVALUATED
        return
    record = None if folder is None else _record(folder)
    if record is None:
        yield UNKNOWN
        return
    digest = experiment.data_of(spec).digest
    then, now = _flat(record.spec), _flat(spec.to_tree())
    if record.data == digest:  # wherever they lie, and however they are asked for
        then, now = (
            {key: value for key, value in each.items() if key.partition(".")[0] != "dataset"}
            for each in (then, now)
        )
    found = [*_of_values(then, now), *_of_versions(record.versions, spec.versions)]
    if record.data and record.data != digest and not any(d.name.startswith("dataset") for d in found):
        yield IMAGES
    elif not found:
        yield UNKNOWN
    yield from found


def _record(folder: Path) -> PretrainingRecord | None:
    """What the cell's pretraining recorded; None where that is gone, or damaged."""
    try:
        return check_record(folder)
    except (FileNotFoundError, DamagedError):
        return None


def _of_values(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Difference]:
    """Settings that differ; of a component that is another, its name alone."""
    for key in dict.fromkeys([*now, *then]):
        component = key.rpartition(".")[0]
        is_told = component in {*then, *now} and then.get(component) != now.get(component)
        if then.get(key) != now.get(key) and not is_told:
            values = [shortened(each.get(key, "none"), VALUE_WIDTH) for each in (then, now)]
            yield Difference(key, *values)


def _of_versions(then: Mapping[str, int], now: Mapping[str, int]) -> Iterator[Difference]:
    for name in now:
        if name in then and then[name] != now[name]:
            yield Difference(f"the version of {name}", str(then[name]), str(now[name]))


def _flat(tree: Mapping[str, Any], path: str = "") -> dict[str, str]:
    """A resolved trial's pretraining as texts by dotted key; a component's own key has its name."""
    found: dict[str, str] = {}
    for key, value in tree.items():
        if (path, key) == ("", "evaluations") or (path == "training" and key in PROBING):
            continue
        place = f"{path}.{key}" if path else key
        if isinstance(value, Mapping):
            found |= _flat(value, place)
        elif key == "name" and path:
            found[path] = str(value)
        else:
            found[place] = json.dumps(value, default=str)
    return found


def _either(values: Sequence[str]) -> str:
    """`2`, `2 or 3`, `2, 3 or others`."""
    distinct = [*dict.fromkeys(values)]
    shown = [*distinct[:SHOWN_VALUES], *(["others"] if len(distinct) > SHOWN_VALUES else [])]
    return " or ".join(shown)
