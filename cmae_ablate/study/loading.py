"""A study file, a scale and the command line, read into one checked `Study`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmae_ablate.errors import UserError, suggest
from cmae_ablate.report.csv_fields import is_formula
from cmae_ablate.report.seed_rule import SeedRule
from cmae_ablate.study.assignments import read_assignment
from cmae_ablate.study.data_sets import check_blocks, check_distinct, check_label, settings_for
from cmae_ablate.study.file_model import read_as
from cmae_ablate.study.finding import find_scale
from cmae_ablate.study.names import check_spellings, listed, nearest
from cmae_ablate.study.rule_file import seed_rule
from cmae_ablate.study.search import Search, read_search
from cmae_ablate.study.settings import SpecError, Tree, apply, changes, default_tree, touches
from cmae_ablate.study.study_file import MAX_SEEDS, RESERVED, SEEDS_EXPECTED, StudyFile
from cmae_ablate.study.trial_keys import Changes
from cmae_ablate.study.yaml_source import KeyPath, Origin, TextOrigin, YamlOrigin, load_yaml


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


@dataclass(frozen=True)
class PositiveControl:
    """What makes the reference known to be worse, so that a table shows whether it could tell.

    Attributes:
        changes: Laid over the reference as a level of path `.` is; None is a quarter of its epochs.
        is_wanted: Whether there is to be one.
    """

    changes: Mapping[str, Any] | None = None
    is_wanted: bool = True


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
        rule: By which seeds are added, where their number is not fixed; `seeds` is then their largest number.
        is_rescaled: Whether the command line names another scale, or sets `training.epochs`.
        group: The name of the study over all its data sets; its own name where it has one data set.
        datasets: Labels of all data sets, where it has several; this is the study on one of them.
        redraws: Whether each seed draws images of its own.
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
    rule: SeedRule | None = None
    group: str = ""
    datasets: tuple[str, ...] = ()
    redraws: bool = False

    def error(self, path: KeyPath, message: str) -> UserError:
        """A mistake at a key of the study file."""
        return self.origin.error(path, message)


def load(
    path: Path,
    *,
    scale: str | None = None,
    settings: Sequence[str] = (),
    seeds: int | None = None,
    dataset: str | None = None,
) -> Study:
    """Read and check a study file; trials are checked by `design.variants`.

    Args:
        path: The study file.
        scale: Name or file of another scale than the study's.
        settings: `PATH=VALUE` texts of `--set`, in order.
        seeds: Number of seeds, where not the study's.
        dataset: Of a study on several data sets: the label of the one that is meant.

    Raises:
        UserError: Anything in the file, the scale or the settings is wrong.
    """
    data, origin = load_yaml(path)
    # The command line's is looked for before the components are imported: a name is mistyped easily.
    scale_file = None if scale is None else _scale_file(scale, path, "--scale")
    file: StudyFile = read_as(StudyFile, data, origin)
    _check_together(file, origin)
    factors = _factors(file, origin)
    own_scale, scale = file.scale.strip(), scale or file.scale.strip()
    scale_file = scale_file or _scale_file(scale, path, origin.place(("scale",)))
    labels = tuple(file.datasets or ())
    check_label(dataset, labels, origin.file)
    fixed = _fixed_changes(file, origin, scale_file)
    if dataset is not None:
        _check_blocks(file, origin, path, fixed, settings, factors)
        fixed.append(Change(("dataset",), file.datasets[dataset], origin.below("datasets", dataset)))
        settings = settings_for(dataset, labels, settings)
    base, made = _layered(fixed, settings, factors)
    renamed = scale != own_scale
    group = f"{path.stem}-{Path(scale).stem}" if renamed else path.stem
    planned = file.seeds if (rule := seed_rule(file, origin, seeds)) is None else rule.looks.most
    return Study(
        name=group if dataset is None else f"{group}-{dataset}",
        path=path,
        origin=origin,
        question=file.question.strip(),
        scale=Path(scale).stem,
        designs=_designs(file),
        factors=factors,
        reference=_reference(file, origin, factors),
        seeds=planned if seeds is None else check_seeds(seeds, "--seeds"),
        planned_seeds=planned,
        metric=file.metric.strip(),
        report=tuple(origin.text("report", str(at)) for at in range(len(file.report))),
        contrasts=tuple(_pair(origin, at) for at in range(len(file.contrasts))),
        equivalence_margin=file.equivalence_margin or file.smallest_effect,
        variance=file.variance,
        budget=file.budget,
        keep=file.keep,
        search=read_search(file.search, origin),
        base=base,
        base_changes=tuple(made),
        positive_control=_positive_control(file),
        is_rescaled=renamed or any(_sets_epochs(change) for change in made),
        rule=rule,
        group=group,
        datasets=labels,
        redraws=file.redraw_data,
    )


def check_seeds(value: int, place: str) -> int:
    """A number of seeds.

    Raises:
        UserError: It is none.
    """
    if not 1 <= value <= MAX_SEEDS:
        raise UserError(f"{place}: {SEEDS_EXPECTED}")
    return value


def _check_together(file: StudyFile, origin: YamlOrigin) -> None:
    if ("search" in file.design) != (file.search is not None):
        raise origin.error(
            ("design",), "design search and the key search, which says what is tuned, go together"
        )
    if file.search is not None and file.budget != "epochs":
        raise origin.error(
            ("budget",),
            "a search may change what a variant costs, so an equal budget cannot be kept; remove either",
        )

    if file.redraw_data and file.search is not None:
        raise origin.error(("redraw_data",), "a search tunes on one draw of the data; remove either")
    if file.redraw_data and file.budget != "epochs":
        raise origin.error(
            ("redraw_data",), "an equal budget is measured on one draw of the data; use budget: epochs"
        )
    by_rule = file.precision is not None or file.smallest_effect is not None
    if file.redraw_data and by_rule:
        raise origin.error(
            ("redraw_data",), "how many draws are needed is not known beforehand; use a fixed number of seeds"
        )
    if file.datasets is not None and by_rule:
        raise origin.error(
            ("datasets",),
            "seeds that are added until something is known differ in number between data sets, which the "
            "pooled interval does not allow for; use a fixed number of seeds",
        )


def _check_blocks(
    file: StudyFile,
    origin: YamlOrigin,
    path: Path,
    fixed: Sequence[Change],
    settings: Sequence[str],
    factors: Sequence[Factor],
) -> None:
    """Refuse data sets that are named elsewhere too, that share a folder, or that are the same."""
    check_blocks(file.datasets, origin, path)
    if file.set is not None and _names_data(changes((), file.set)):
        raise origin.error(("set",), "datasets says what is trained on; put the options of a data set there")
    for factor in factors:
        for label, level in factor.levels.items():
            if _names_data(changes(factor.path, level)):
                raise origin.error(
                    ("factors", factor.name, "levels", label),
                    "datasets says what is trained on, and a level cannot change it; remove either",
                )
    labels = tuple(file.datasets)
    trees = {}
    for label, block in file.datasets.items():
        change = Change(("dataset",), block, origin.below("datasets", label))
        trees[label], _ = _layered([*fixed, change], settings_for(label, labels, settings), factors)
    check_distinct(trees, origin)


def _names_data(settings: Iterator[tuple[KeyPath, Any]]) -> bool:
    return any(place[:1] == ("dataset",) for place, _ in settings)


def _factors(file: StudyFile, origin: YamlOrigin) -> tuple[Factor, ...]:
    if not file.factors:
        raise origin.error(("factors",), "no factor is given; name at least one with its levels")
    check_spellings(origin, file.factors, "factors")
    found = []
    for name, each in file.factors.items():
        place = ("factors", name, "levels")
        if name in RESERVED:
            raise origin.error(place[:2], "a column of trials.csv has this name; call the factor otherwise")
        levels = listed(origin, each.levels, *place) if isinstance(each.levels, list) else each.levels
        check_spellings(origin, levels, *place)
        found.append(Factor(name, each.keys, levels, origin.below(*place)))
    _check_formulas(found, origin)
    return tuple(found)


def _check_formulas(factors: Sequence[Factor], origin: YamlOrigin) -> None:
    """Refuse labels that a spreadsheet would compute once they stand in a CSV; a number is none."""
    for index, factor in enumerate(factors):
        for label in factor.levels:
            # With further factors the first one's label begins the variant's: -1 + linear is no number.
            if is_formula(label) or (index == 0 and len(factors) > 1 and is_formula(f"{label} + x")):
                raise origin.error(
                    ("factors", factor.name, "levels", label),
                    f"a spreadsheet would compute '{label}' where it opens a table of this study; begin "
                    "the label with a letter",
                )


def _reference(file: StudyFile, origin: YamlOrigin, factors: Sequence[Factor]) -> dict[str, str]:
    known = {factor.name: list(factor.levels) for factor in factors}
    given = {name: origin.text("reference", name) for name in file.reference}
    for name, level in given.items():
        place = ("reference", name)
        if name not in known:
            raise origin.error(place, f"no factor is called '{name}'; {suggest(name, list(known))}")
        if level not in known[name]:
            raise origin.error(
                place, f"factor '{name}' has no level '{level}'; {nearest(level, known[name])}"
            )
    for name in known:
        if name not in given:
            raise origin.error(("reference",), f"say which level of factor '{name}' is the reference")
    return {name: given[name] for name in known}


def _designs(file: StudyFile) -> tuple[str, ...]:
    """Without `search`, which says only that the variants the others name are tuned first."""
    names = [file.design] if isinstance(file.design, str) else file.design
    return tuple(dict.fromkeys(name for name in names if name != "search")) or ("one_factor",)


def _pair(origin: YamlOrigin, index: int) -> tuple[str, str]:
    return origin.text("contrasts", str(index), "0"), origin.text("contrasts", str(index), "1")


def _positive_control(file: StudyFile) -> PositiveControl:
    if "positive_control" not in file.model_fields_set:
        return PositiveControl()
    given = file.positive_control
    return PositiveControl(given) if isinstance(given, dict) else PositiveControl(is_wanted=False)


def _sets_epochs(change: Change) -> bool:
    of_command_line = isinstance(change.origin, TextOrigin)
    return of_command_line and touches(change.path, change.value, ("training", "epochs"))


def _scale_file(scale: str, study: Path, place: str) -> Path:
    try:
        return find_scale(scale, study)
    except FileNotFoundError as error:
        raise UserError(f"{place}: no scale is called '{scale}'; {error}") from error


def _fixed_changes(study: StudyFile, study_origin: YamlOrigin, scale: Path) -> list[Change]:
    """What the scale sets, then the study."""
    data, origin = load_yaml(scale)
    found = [Change((), read_as(Changes, data, origin), origin)]
    return found if study.set is None else [*found, Change((), study.set, study_origin.below("set"))]


def _setting(text: str, factors: Sequence[Factor], base: Tree) -> Change:
    path, value = read_assignment(text, base, example="training.epochs=2")
    for factor in factors:
        if factor.path and (path[: len(factor.path)] == factor.path or factor.path[: len(path)] == path):
            raise UserError(
                f"--set {text}: {'.'.join(path)} is what factor '{factor.name}' varies; "
                "set something else, or edit the levels"
            )
    return Change(path, value, TextOrigin(f"--set {text}"))


def _layered(
    fixed: Sequence[Change], settings: Sequence[str], factors: Sequence[Factor]
) -> tuple[Tree, list[Change]]:
    """The tree that all trials share, and what made it: the files' changes, then those of `--set`."""
    made, base = list(fixed), default_tree()
    for change in fixed:
        base = _applied(base, change)
    for text in settings:
        made.append(_setting(text, factors, base))
        base = _applied(base, made[-1])
    return base, made


def _applied(base: Tree, change: Change) -> Tree:
    try:
        return apply(base, change.path, change.value)
    except SpecError as error:
        raise UserError(f"{change.origin.place(error.path)}: {error.message}") from error
