"""Which trials a study consists of: levels to variants, variants and seeds to cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Final, Literal

from cmae_ablate.errors import UserError, suggest
from cmae_ablate.report.selection import CRITERION
from cmae_ablate.study.loading import Study
from cmae_ablate.study.places import level_place, place_of, with_places
from cmae_ablate.study.search_space import check_space
from cmae_ablate.study.settings import SpecError, apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.study.variant_names import check_contrasts, check_factor_names, check_labels

Levels = dict[str, str]
ControlKind = Literal["random init", "raw pixels", "positive control", "evaluation"]
"""What a control is; `evaluation` where an evaluation is itself one, as `from_scratch` is."""
RANDOM_INIT: Final = "random init"
RAW_PIXELS: Final = "raw pixels"
POSITIVE: Final = "positive control"
EVALUATION: Final = "evaluation"


@dataclass(frozen=True)
class Variant:
    """One row of the table.

    Attributes:
        label: Its levels, joined with ` + `.
        levels: Level label by factor.
        spec: The trial with seed 0.
        control: Which control it is a row of; None for a variant of the table.
    """

    label: str
    levels: Mapping[str, str]
    spec: TrialSpec
    control: ControlKind | None = None


@dataclass(frozen=True)
class Cell:
    """One variant with one seed: one training."""

    variant: Variant
    seed: int

    @property
    def spec(self) -> TrialSpec:
        """The trial."""
        return self.variant.spec.with_seed(self.seed)


def combinations(study: Study) -> list[Levels]:
    """The level combinations of the study's designs, in table order, each once.

    `one_factor` varies each factor alone around the reference; `grid` crosses all levels; with
    two-level factors (off first), `add_one` is all off plus each one on, `leave_one_out` all on
    plus each one off, and `path` all off, then the first factor on, then the second as well, to all on.

    Raises:
        UserError: A design needs two-level factors and there are others.
    """
    found: list[Levels] = []
    for design in study.designs:
        for levels in _ENUMERATE[design](study):
            if levels not in found:
                found.append(levels)
    return found


def variants(study: Study) -> list[Variant]:
    """Resolve and check every variant.

    Raises:
        UserError: A level does not fit, the reference is no variant, two variants share a label,
            the metric, the report or a contrast names what does not exist, or a search's space does not fit.
    """
    found = [Variant(label_of(levels), levels, _resolve(study, levels)) for levels in combinations(study)]
    labels = [variant.label for variant in found]
    check_labels(study, labels, reference_label(study), (RANDOM_INIT, RAW_PIXELS, POSITIVE))
    check_contrasts(study, labels)
    check_factor_names(study, {name for variant in found for name in _produced(variant)})
    for variant in found:
        _check_metrics(study, variant)
    found = [_with_probe(study, variant) for variant in found]
    _check_budget(study, found)
    _check_draws(study, found)
    if study.search is not None:
        check_space(study, {variant.label: variant.spec for variant in found})
    return found


def cells(study: Study, found: list[Variant]) -> list[Cell]:
    """Every variant with every seed, seed-major: an interrupted study leaves complete paired blocks."""
    seeds = range(study.first_seed, study.first_seed + study.seeds)
    return [
        Cell(variant, seed)
        for seed in seeds
        for variant in found
        if seed == study.first_seed or has_seed(variant.control, redraws=study.redraws)
    ]


def has_seed(control: str | None, *, redraws: bool) -> bool:
    """Whether a variant, or a control of this kind, differs from seed to seed.

    Pixels do not, unless each seed has a draw of its own.
    """
    return control != RAW_PIXELS or redraws


def reference_label(study: Study) -> str:
    """The label of the variant that all others are compared with."""
    return label_of(dict(study.reference))


def path_labels(study: Study) -> tuple[str, ...]:
    """The variants of the design `path`, from all off to all on; empty where the study has none."""
    return tuple(label_of(levels) for levels in _path(study)) if "path" in study.designs else ()


def label_of(levels: Levels) -> str:
    """A variant's label: its levels."""
    return " + ".join(levels.values())


def _grid(study: Study) -> Iterator[Levels]:
    names = [factor.name for factor in study.factors]
    for labels in product(*(factor.levels for factor in study.factors)):
        yield dict(zip(names, labels, strict=True))


def _one_factor(study: Study) -> Iterator[Levels]:
    for factor in study.factors:
        for label in factor.levels:
            yield {**study.reference, factor.name: label}


def _check_switches(study: Study, design: str) -> None:
    for factor in study.factors:
        if len(factor.levels) != 2:
            raise study.error(
                ("factors", factor.name),
                f"{design} needs two levels, off and on; this factor has {len(factor.levels)}; "
                "use one_factor or grid",
            )


def _path(study: Study) -> Iterator[Levels]:
    _check_switches(study, "path")
    levels = {factor.name: next(iter(factor.levels)) for factor in study.factors}
    yield levels
    for factor in study.factors:
        levels = {**levels, factor.name: list(factor.levels)[1]}
        yield levels


def switched(study: Study, design: str, *, start: int) -> Iterator[Levels]:
    """All factors at their level `start`, then each alone at its other one, for a design of that name.

    Raises:
        UserError: A factor has not two levels.
    """
    _check_switches(study, design)
    base = {factor.name: list(factor.levels)[start] for factor in study.factors}
    yield base
    for factor in study.factors:
        yield {**base, factor.name: list(factor.levels)[1 - start]}


_ENUMERATE: dict[str, Callable[[Study], Iterator[Levels]]] = {
    "grid": _grid,
    "one_factor": _one_factor,
    "add_one": lambda study: switched(study, "add_one", start=0),
    "leave_one_out": lambda study: switched(study, "leave_one_out", start=1),
    "path": _path,
}


def _resolve(study: Study, levels: Levels) -> TrialSpec:
    tree = study.base
    chosen = [(factor, levels[factor.name]) for factor in study.factors]
    for factor, label in chosen:
        try:
            tree = apply(tree, factor.path, factor.levels[label])
        except SpecError as error:
            raise UserError(f"{level_place(factor, label, error.path)}: {error.message}") from error
    try:
        return with_places(study, chosen, resolve(tree))
    except SpecError as error:
        raise UserError(f"{place_of(study, chosen, error.path)}: {error.message}") from error


def _check_budget(study: Study, found: list[Variant]) -> None:
    if study.budget == "epochs":
        return
    if len({variant.spec.training.epochs for variant in found}) > 1:
        raise study.error(
            ("budget",),
            f"equal {study.budget} decides each variant's epochs, and so do levels of this study; "
            "remove either",
        )
    if any(variant.spec.is_pretrained for variant in found if variant.label == reference_label(study)):
        raise study.error(
            ("budget",), "the reference's encoder comes from a file: it costs nothing to be equal to"
        )


def _check_draws(study: Study, found: list[Variant]) -> None:
    choices = (variant.spec["dataset"] for variant in found if study.redraws)
    fixed = next((choice for choice in choices if not choice.can_redraw), None)
    if fixed is not None:
        raise study.error(
            ("redraw_data",),
            f"the data set '{fixed.name}' has no seed to draw by: its images are the same for all seeds of a "
            "trial; remove redraw_data",
        )


def _with_probe(study: Study, variant: Variant) -> Variant:
    """The variant with the evaluation that judges its encoder on the way filled in: the study's metric's."""
    training = variant.spec.training
    if not training.probe_epochs:
        return variant
    label = training.probe_with or study.metric.rpartition(".")[0]
    able = [
        name
        for name, choice in variant.spec.evaluations.items()
        if CRITERION in choice.component.facts.metrics
    ]
    if label not in able:
        chosen = [(factor, variant.levels[factor.name]) for factor in study.factors]
        key = "probe_with" if training.probe_with else "probe_epochs"
        place = place_of(study, chosen, ("training", key))
        raise UserError(
            f"{place}: no evaluation '{label}' of '{variant.label}' has a "
            f"{CRITERION}, which encoders are judged by on the way; let training.probe_with name one "
            f"that has: {', '.join(able) or 'there is none'}"
        )
    filled = training.model_copy(update={"probe_with": label})
    return replace(variant, spec=replace(variant.spec, training=filled))


def _produced(variant: Variant) -> list[str]:
    """What the variant's evaluations measure, as `knn.top1`."""
    return [
        f"{label}.{metric}"
        for label, choice in variant.spec.evaluations.items()
        for metric in choice.component.facts.metrics
    ]


def _check_metrics(study: Study, variant: Variant) -> None:
    produced = _produced(variant)
    wanted: list[tuple[tuple[str, ...], str]] = [(("metric",), study.metric)]
    wanted += [(("report", str(index)), metric) for index, metric in enumerate(study.report)]
    wanted += [(("search", "metric"), study.search.metric)] if study.search else []
    for path, metric in wanted:
        label = metric.rpartition(".")[0]
        control = variant.spec.control_evaluations.get(label)
        if control is not None:
            raise study.error(
                path,
                f"'{label}' is a control: it does not depend on the pretraining, so no variants differ in "
                f"it, and its numbers stand in controls.csv; name a metric of {control.control_of} instead",
            )
        if metric not in produced and not (path[0] == "report" and metric == "pretrain.loss"):
            raise study.error(
                path, f"no evaluation of '{variant.label}' produces '{metric}'; {suggest(metric, produced)}"
            )
