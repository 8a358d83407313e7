"""A study file, a scale and the command line, read into one checked `Study`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cmae_ablate.errors import UserError, suggest
from cmae_ablate.report.csv_fields import is_formula
from cmae_ablate.report.seed_rule import SeedRule
from cmae_ablate.study.data_sets import check_label, check_scale, settings_for
from cmae_ablate.study.file_model import read_as
from cmae_ablate.study.finding import find_scale
from cmae_ablate.study.key_checks import check_data_sets, check_together
from cmae_ablate.study.layering import Change, Factor, layered
from cmae_ablate.study.names import check_spellings, check_study_name, listed, nearest
from cmae_ablate.study.rule_file import seed_rule
from cmae_ablate.study.search import Search, read_search
from cmae_ablate.study.settings import Tree, touches
from cmae_ablate.study.study_file import MAX_SEEDS, RESERVED, SEEDS_EXPECTED, StudyFile
from cmae_ablate.study.trial_keys import Changes
from cmae_ablate.study.yaml_source import KeyPath, TextOrigin, YamlOrigin, load_yaml

__all__ = ["Change", "Factor", "PositiveControl", "Study", "check_seeds", "load"]


@dataclass(frozen=True)
class PositiveControl:
    """What makes the reference known to be worse, so that a table shows whether it could tell.

    Attributes:
        changes: Laid over the reference as a level of path `.` is; None is a quarter of its epochs.
        is_wanted: Whether there is to be one.
    """

    changes: Mapping[str, Any] | None = None
    is_wanted: bool = True

    @property
    def written(self) -> Mapping[str, Any] | str | None:
        """As a study file says it: changes, `none`, or null for the default."""
        return self.changes if self.is_wanted else "none"


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
    check_together(file, origin)
    study = _study_of(file, origin, path)
    own, scale = file.scale.strip(), scale or file.scale.strip()
    fixed = _fixed_changes(file, origin, scale_file or _scale_file(scale, path, origin.place(("scale",))))
    check_label(dataset, study.datasets, origin.file)
    if dataset is not None:
        check_data_sets(file, origin, fixed, settings, study.factors)
        fixed.append(Change(("dataset",), file.datasets[dataset], origin.below("datasets", dataset)))
    base, made = layered(fixed, settings_for(dataset, study.datasets, settings), study.factors)
    group = path.stem if scale == own else f"{path.stem}-{Path(scale).stem}"
    check_study_name(group, origin.file)
    if scale != own:
        check_scale(study.datasets, Path(scale).stem)
    planned = file.seeds if (rule := seed_rule(file, origin, seeds)) is None else rule.looks.most
    return replace(
        study,
        name=group if dataset is None else f"{group}-{dataset}",
        group=group,
        scale=Path(scale).stem,
        seeds=planned if seeds is None else check_seeds(seeds, "--seeds"),
        planned_seeds=planned,
        base=base,
        base_changes=tuple(made),
        is_rescaled=scale != own or any(_sets_epochs(change) for change in made),
        rule=rule,
    )


def _study_of(file: StudyFile, origin: YamlOrigin, path: Path) -> Study:
    """What the file alone decides: without scale, command line and settings."""
    factors = _factors(file, origin)
    return Study(
        name=path.stem,
        path=path,
        origin=origin,
        question=file.question.strip(),
        scale=file.scale,
        designs=_designs(file),
        factors=factors,
        reference=_reference(file, origin, factors),
        seeds=file.seeds,
        planned_seeds=file.seeds,
        metric=file.metric.strip(),
        report=tuple(origin.text("report", str(at)) for at in range(len(file.report))),
        contrasts=tuple(_pair(origin, at) for at in range(len(file.contrasts))),
        equivalence_margin=file.equivalence_margin or file.smallest_effect,
        variance=file.variance,
        budget=file.budget,
        keep=file.keep,
        search=read_search(file.search, origin),
        base={},
        base_changes=(),
        positive_control=_positive_control(file),
        datasets=tuple(file.datasets or ()),
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
