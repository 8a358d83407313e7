"""A study file, a scale and the command line, read into one checked `Study`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmae_ablate.components.loading import load_components
from cmae_ablate.errors import UserError
from cmae_ablate.study.assignments import read_assignment
from cmae_ablate.study.finding import find_scale
from cmae_ablate.study.keys import BUDGETS, KEEPS, VARIANCES, Factor, PositiveControl, StudyKeys, check_seeds
from cmae_ablate.study.search import Search, read_search
from cmae_ablate.study.settings import SpecError, Tree, apply, default_tree, touches
from cmae_ablate.study.yaml_source import KeyPath, Origin, TextOrigin, YamlOrigin, load_yaml


@dataclass(frozen=True)
class Change:
    """A setting made by the scale, the study or the command line."""

    path: KeyPath
    value: Any
    origin: Origin


@dataclass(frozen=True)
class Study:
    """A study, its scale chosen and its fixed settings applied; levels are not.

    Attributes:
        name: The file's stem, with the scale where it is not the file's own.
        base: Settings that all trials share.
        base_changes: Where those settings came from, first to last.
        contrasts: Declared pairs of variant labels (variant, against), unchecked until the design is known.
        variance: What comparisons are tested by: `paired`, `pooled` or `moderated` variances.
        budget: What all variants get equally much of: `epochs`, `flops` or `time`.
        keep: What of a complete cell stays on disk: its `model`, or `all`, the last training state too.
        search: What is tuned for each variant before the table's seeds are trained, if anything.
        first_seed: The seeds count from here; 0 for every table.
        positive_control: What makes the reference known to be worse.
        is_rescaled: Whether the command line names another scale, or sets `training.epochs`.
    """

    name: str
    path: Path
    origin: YamlOrigin
    question: str
    scale: str
    designs: tuple[str, ...]
    factors: tuple[Factor, ...]
    reference: Mapping[str, str]
    seeds: int
    planned_seeds: int
    metric: str
    report: tuple[str, ...]
    contrasts: tuple[tuple[str, str], ...]
    equivalence_margin: float | None
    variance: str
    budget: str
    keep: str
    search: Search | None
    base: Tree
    base_changes: tuple[Change, ...]
    first_seed: int = 0
    positive_control: PositiveControl = field(default_factory=PositiveControl)
    is_rescaled: bool = False

    def error(self, path: KeyPath, message: str) -> UserError:
        """A mistake at a key of the study file."""
        return UserError(f"{self.origin.place(path)}: {message}")


def load(
    path: Path, *, scale: str | None = None, settings: Sequence[str] = (), seeds: int | None = None
) -> Study:
    """Read and check a study file; trials are checked by `design.variants`.

    Args:
        path: The study file.
        scale: Name or file of another scale than the study's.
        settings: `PATH=VALUE` texts of `--set`, in order.
        seeds: Number of seeds, where not the study's.

    Raises:
        UserError: Anything in the file, the scale or the settings is wrong.
    """
    data, origin = load_yaml(path)
    keys = StudyKeys(data, origin)
    keys.check()
    _check_together(keys)
    own_scale = keys.text("scale")
    place = origin.place(("scale",)) if scale is None else "--scale"
    of_scale = _scale_changes(scale or own_scale, path, place)
    load_components()  # may import torch; a file that is no study, or no scale, is refused before
    factors = keys.factors()
    planned = keys.seeds()
    changes_made = [
        *of_scale,
        *(Change((), node, origin.below("set")) for node in [data.get("set")] if node is not None),
    ]
    base = default_tree()
    for change in changes_made:
        base = _applied(base, change)
    for text in settings:
        changes_made.append(_setting(text, factors, base))
        base = _applied(base, changes_made[-1])
    renamed = scale is not None and scale != own_scale
    return Study(
        name=f"{path.stem}-{Path(scale or own_scale).stem}" if renamed else path.stem,
        path=path,
        origin=origin,
        question=keys.text("question"),
        scale=Path(scale or own_scale).stem,
        designs=keys.designs(),
        factors=factors,
        reference=keys.reference(factors),
        seeds=planned if seeds is None else check_seeds(seeds, "--seeds"),
        planned_seeds=planned,
        metric=keys.text("metric"),
        report=keys.texts(data.get("report", []), "report"),
        contrasts=keys.contrasts(),
        equivalence_margin=keys.margin(),
        variance=keys.one_of("variance", VARIANCES),
        budget=keys.one_of("budget", BUDGETS),
        keep=keys.one_of("keep", KEEPS),
        search=read_search(keys),
        base=base,
        base_changes=tuple(changes_made),
        positive_control=keys.positive_control(),
        is_rescaled=renamed or any(_sets_epochs(change) for change in changes_made),
    )


def _sets_epochs(change: Change) -> bool:
    of_command_line = isinstance(change.origin, TextOrigin)
    return of_command_line and touches(change.path, change.value, ("training", "epochs"))


def _check_together(keys: StudyKeys) -> None:
    if keys.one_of("budget", BUDGETS) != BUDGETS[0] and "search" in keys.data:
        raise keys.error(
            ("budget",),
            "a search may change what a variant costs, so an equal budget cannot be kept; remove either",
        )


def _scale_changes(scale: str, study: Path, place: str) -> list[Change]:
    try:
        path = find_scale(scale, study)
    except FileNotFoundError as error:
        raise UserError(f"{place}: no scale is called '{scale}'; {error}") from error
    data, origin = load_yaml(path)
    return [Change((), data, origin)]


def _setting(text: str, factors: Sequence[Factor], base: Tree) -> Change:
    path, value = read_assignment(text, base, example="training.epochs=2")
    for factor in factors:
        if factor.path and (path[: len(factor.path)] == factor.path or factor.path[: len(path)] == path):
            raise UserError(
                f"--set {text}: {'.'.join(path)} is what factor '{factor.name}' varies; "
                "set something else, or edit the levels"
            )
    return Change(path, value, TextOrigin(f"--set {text}"))


def _applied(base: Tree, change: Change) -> Tree:
    try:
        return apply(base, change.path, change.value)
    except SpecError as error:
        raise UserError(f"{change.origin.place(error.path)}: {error.message}") from error
