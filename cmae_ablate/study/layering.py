"""Settings laid over each other: the scale's, then the study's, its data set's, and those of `--set`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cmae_ablate.errors import UserError
from cmae_ablate.study.assignments import read_assignment
from cmae_ablate.study.settings import SpecError, Tree, apply, changes, default_tree
from cmae_ablate.study.training_settings import EVALUATED_WITH
from cmae_ablate.study.yaml_source import KeyPath, Origin, TextOrigin

_ENCODED_WITH = {("backbone",), ("dataset",), *(("training", name) for name in EVALUATED_WITH)}
"""What decides, beside an encoder's weights, what it computes of which images."""


@dataclass(frozen=True)
class Factor:
    """What is varied.

    Attributes:
        name: As the study calls it.
        path: Where in the trial; empty for sets of changes.
        levels: Changes by label, in the file's order.
        origin: Where the levels stand, for errors.
    """

    name: str
    path: KeyPath
    levels: Mapping[str, Any]
    origin: Origin

    @property
    def evaluations(self) -> frozenset[str]:
        """Labels of the evaluations that a level sets: by these even equal encoders may be read apart."""
        return frozenset(path[1] for path in self._paths if path[0] == "evaluations")

    @property
    def sets_encoding(self) -> bool:
        """Whether a level sets what equal weights compute, such as a backbone's heads, or of which images."""
        return any(path[:size] in _ENCODED_WITH for path in self._paths for size in (1, 2))

    @property
    def _paths(self) -> set[KeyPath]:
        """What the levels set, taken apart into components and single settings."""
        found = set()
        for change in self.levels.values():
            with suppress(SpecError):  # of a level that no trial can have; whoever trains it says so
                found |= {path for path, _ in changes(self.path, change)}
        return found

    @property
    def written(self) -> Tree:
        """As a study file says it."""
        return {"path": ".".join(self.path) or ".", "levels": dict(self.levels)}


@dataclass(frozen=True)
class Change:
    """A setting made by the scale, the study or the command line."""

    path: KeyPath
    value: Any
    origin: Origin


@dataclass(frozen=True)
class Setting:
    """A text of `--set`.

    Attributes:
        typed: As the user wrote it, for errors.
        meant: `PATH=VALUE` in the trial, which is otherwise where a data set is named by its label.
    """

    typed: str
    meant: str

    @classmethod
    def of(cls, text: str) -> Setting:
        """One that is meant as it is typed."""
        return cls(text, text)


def layered(
    fixed: Sequence[Change], settings: Sequence[Setting], factors: Sequence[Factor]
) -> tuple[Tree, list[Change]]:
    """The tree that all trials share, and what made it: the files' changes, then those of `--set`."""
    made, base = list(fixed), default_tree()
    for change in fixed:
        base = _applied(base, change)
    for setting in settings:
        made.append(_setting(setting, factors, base))
        base = _applied(base, made[-1])
    return base, made


def _setting(setting: Setting, factors: Sequence[Factor], base: Tree) -> Change:
    place = f"--set {setting.typed}"
    path, value = read_assignment(setting.meant, base, example="training.epochs=2", typed=setting.typed)
    for factor in factors:
        if factor.path[: len(path)] == path or _is_lost(path, value, factor, base):
            raise UserError(
                f"{place}: {'.'.join(path)} is what factor '{factor.name}' varies; "
                "set something else, or edit the levels"
            )
    return Change(path, value, TextOrigin(place))


def _is_lost(path: KeyPath, value: Any, factor: Factor, base: Tree) -> bool:
    """Whether a level of a factor that varies this very place would undo the setting in its trials."""
    if not factor.path or path[: len(factor.path)] != factor.path:
        return False
    with suppress(SpecError):  # of a setting or a level that no trial can have; said where it is applied
        wanted = apply(base, path, value)
        trials = (apply(wanted, factor.path, level) for level in factor.levels.values())
        return any(_at(trial, path) != _at(wanted, path) for trial in trials)
    return False


def _at(tree: Tree, path: KeyPath) -> Any:
    node: Any = tree
    for key in path:
        node = node.get(key)
    return node


def _applied(base: Tree, change: Change) -> Tree:
    try:
        return apply(base, change.path, change.value)
    except SpecError as error:
        raise UserError(f"{change.origin.place(error.path)}: {error.message}") from error
