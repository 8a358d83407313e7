"""One setting for all cells of a study, wherever an evaluation offers a grid of them.

An evaluation with a grid (L2 penalties, say) reports every candidate of it, validation and test. The study
then reads all its cells at one candidate: that of the best mean validation accuracy. A choice for each cell
would add its own noise to every difference. Test accuracies of the other candidates are kept, so that a
choice can be checked and made again for other cells; they decide nothing.

In `trials.csv` the columns `linear_probe.top1` and `linear_probe.l2` are the chosen candidate's; those of all
candidates are named after their settings, `linear_probe.top1@l2=1e-05`, strongest regularisation first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import pandas as pd

MARK = "@"
CRITERION = "validation_top1"
COMPLETE = "COMPLETE"
_EXACT = 9
"""Decimals of a mean accuracy within which two candidates are equal: the rest is rounding."""


@dataclass(frozen=True)
class Chosen:
    """The candidate of one evaluation at which all cells are read.

    Attributes:
        label: The evaluation's label, such as `linear_probe`.
        key: The candidate's settings as columns spell them, such as `l2=1e-05`.
        offered: The keys of all candidates, strongest regularisation first.
        means: Their mean validation accuracies over the cells, in the order of `offered`.
    """

    label: str
    key: str
    offered: tuple[str, ...]
    means: tuple[float, ...]

    @property
    def settings(self) -> dict[str, float]:
        """Values of the options that were chosen."""
        return settings_of(self.key)

    @property
    def words(self) -> str:
        """The settings as a sentence has them: `l2 1e-05`."""
        return _words(self.key)

    @property
    def ends(self) -> dict[str, tuple[float, ...]]:
        """Options whose chosen value is the last on its side of the grid, and all values offered, ascending.

        Zero is an end that nothing lies beyond; an option with one value was no choice; and where all
        candidates are equally good the end says nothing.
        """
        if len(set(self.means)) == 1:
            return {}
        found = {}
        for option, value in self.settings.items():
            values = tuple(sorted({settings_of(key)[option] for key in self.offered}))
            if len(values) > 1 and value != 0.0 and value in (values[0], values[-1]):
                found[option] = values
        return found


def key_of(settings: Mapping[str, float]) -> str:
    """Settings as columns spell them: `lr=0.003@weight_decay=0.1`."""
    return MARK.join(f"{option}={float(value)!r}" for option, value in settings.items())


def settings_of(key: str) -> dict[str, float]:
    """The inverse of `key_of`."""
    pairs = (part.partition("=") for part in key.split(MARK))
    return {option: float(value) for option, _, value in pairs}


def is_candidate(column: str) -> bool:
    """Whether a column holds a candidate's number rather than a cell's."""
    return MARK in column and "." in column.partition(MARK)[0]


Numbers: TypeAlias = "Mapping[str, float]"


def candidate_metrics(label: str, candidates: Iterable[tuple[Numbers, Numbers]]) -> dict[str, float]:
    """The numbers of an evaluation's candidates by column.

    Args:
        label: The evaluation's label.
        candidates: The settings and the metrics of each, strongest regularisation first.
    """
    return {
        f"{label}.{name}{MARK}{key_of(settings)}": value
        for settings, metrics in candidates
        for name, value in metrics.items()
    }


def choose(trials: pd.DataFrame) -> dict[str, Chosen]:
    """For each evaluation with a grid, the candidate of best mean validation accuracy over complete cells.

    Cells that report no candidates have no say; a candidate counts where every other cell reports it. Where
    means are equal the first column wins, which is the stronger regularisation.

    Args:
        trials: `state`, and columns as this module names them.
    """
    complete = trials[trials["state"] == COMPLETE]
    found = {}
    for label, keys in _offered(trials.columns).items():
        criterion = complete[[f"{label}.{CRITERION}{MARK}{key}" for key in keys]].astype("float64")
        criterion = criterion.dropna(how="all").dropna(axis="columns")
        if criterion.empty:
            continue
        means = criterion.mean().round(_EXACT)
        offered = tuple(str(column).partition(MARK)[2] for column in criterion)
        # `idxmax` takes the first of equals.
        best = str(means.idxmax()).partition(MARK)[2]
        found[label] = Chosen(label, best, offered, tuple(map(float, means)))
    return found


def settle(frame: pd.DataFrame, chosen: Mapping[str, Chosen]) -> pd.DataFrame:
    """Read every row at the chosen candidates: trials and controls alike.

    A row without the candidate keeps its numbers. The columns `<label>.<option>` say what was chosen;
    candidates' own columns move to the end.

    Args:
        frame: Columns as this module names them.
        chosen: As `choose` finds it, by label.
    """
    import pandas as pd

    settled = frame.copy()
    for label, choice in chosen.items():
        ending = f"{MARK}{choice.key}"
        sources = [column for column in frame if _is_of(str(column), label) and str(column).endswith(ending)]
        for column in sources:
            target = str(column).removesuffix(ending)
            own = settled[target] if target in settled else pd.Series(float("nan"), index=frame.index)
            settled[target] = frame[column].where(frame[column].notna(), own)
        if sources:
            has_it = frame[sources].notna().all(axis="columns")
            for option, value in choice.settings.items():
                settled[f"{label}.{option}"] = pd.Series(value, index=frame.index).where(has_it)
    plain = [column for column in settled if not is_candidate(str(column))]
    return settled[plain + [column for column in settled if is_candidate(str(column))]]


def own_best(metrics: Mapping[str, float]) -> dict[str, float]:
    """A cell's numbers at its own best candidates, without the columns that say a study's choice.

    A cell alone is read like that: the value that the queue is told, and a row of a CSV before it is
    compared with another file's, whose study may have chosen differently.

    Args:
        metrics: Of one cell, candidates among them.
    """
    import pandas as pd

    row = pd.DataFrame([{**metrics, "state": COMPLETE}])
    found = dict(metrics)
    for label, choice in choose(row).items():
        for column, value in metrics.items():
            if _is_of(column, label) and column.endswith(f"{MARK}{choice.key}"):
                found[column.partition(MARK)[0]] = value
        for option in choice.settings:
            found.pop(f"{label}.{option}", None)
    return found


def consistent(trials: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """A table all of whose complete cells are read at one candidate, and what a reader must know of it.

    A table of one study has been read so already, and stays as it is. One put together from several files
    may hold several choices: these cells are then read at one.
    """
    chosen = choose(trials)
    notes: list[str] = []
    for label, choice in list(chosen.items()):
        read = _read_at(trials, choice)
        if len(read) == 1:
            chosen[label] = _with_key(choice, read[0])
            continue
        if read:
            notes.append(
                f"{label}: the cells of this file were read at different settings ({_listed(read)}); all are "
                f"now read at {_words(choice.key)}, the best by mean validation accuracy"
            )
        trials = settle(trials, {label: choice})
    return trials, (*notes, *_notes(trials, chosen))


def _notes(trials: pd.DataFrame, chosen: Mapping[str, Chosen]) -> Iterable[str]:
    complete = trials[trials["state"] == COMPLETE]
    for label, choice in chosen.items():
        for option, values in choice.ends.items():
            value = choice.settings[option]
            side = "lowest" if value == values[0] else "highest"
            yield (
                f"{label}: {option} {value:g} was chosen, the {side} of "
                f"{', '.join(f'{each:g}' for each in values)}: the best may lie beyond; "
                f"extend evaluations.{label}.{option}"
            )
        column = f"{label}.{CRITERION}{MARK}{choice.key}"
        without = int(complete[column].isna().sum())
        if without:
            cells = "1 complete cell reports" if without == 1 else f"{without} complete cells report"
            yield (
                f"{label}: {cells} no candidates (an older version, or a table of another origin); "
                f"their numbers are as they came, not at {_words(choice.key)}"
            )


def _read_at(trials: pd.DataFrame, choice: Chosen) -> list[str]:
    """The keys at which complete rows say that they were read."""
    columns = [f"{choice.label}.{option}" for option in choice.settings]
    if not set(columns) <= set(trials.columns):
        return []
    rows = trials.loc[trials["state"] == COMPLETE, columns].dropna().drop_duplicates()
    return [
        key_of(dict(zip(choice.settings, map(float, row), strict=True)))
        for row in rows.itertuples(index=False)
    ]


def _with_key(choice: Chosen, key: str) -> Chosen:
    return Chosen(choice.label, key, choice.offered, choice.means) if key in choice.offered else choice


def _offered(columns: Iterable[object]) -> dict[str, list[str]]:
    """The keys of each label's candidates, in the order of the columns."""
    found: dict[str, list[str]] = {}
    for column in map(str, columns):
        name, _, key = column.partition(MARK)
        label, _, metric = name.rpartition(".")
        if is_candidate(column) and metric == CRITERION:
            found.setdefault(label, []).append(key)
    return found


def _is_of(column: str, label: str) -> bool:
    return is_candidate(column) and column.partition(MARK)[0].rpartition(".")[0] == label


def _words(key: str) -> str:
    return ", ".join(f"{option} {value:g}" for option, value in settings_of(key).items())


def _listed(keys: Sequence[str]) -> str:
    return "; ".join(map(_words, keys))
