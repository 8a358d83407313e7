"""A search's space on the trials it tunes: checked before anything runs, then applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from cmae_ablate.errors import UserError
from cmae_ablate.study.loading import Study
from cmae_ablate.study.search import Interval, Search, Values
from cmae_ablate.study.settings import SpecError, apply, brief, changes, touches
from cmae_ablate.study.trial_spec import EVALUATED_WITH, TrialSpec, resolve
from cmae_ablate.study.yaml_source import KeyPath, TextOrigin

KEPT = {
    "dataset": "all trials are tuned on the same images",
    "evaluations": "tuning must not change how a trial is measured",
}

OF_CONTROLS: tuple[KeyPath, ...] = (("backbone",), *(("training", name) for name in EVALUATED_WITH))
"""What controls that are not pretrained depend on."""


def check_space(study: Study, specs: Mapping[str, TrialSpec]) -> None:
    """Try each value of the space, of an interval its ends, on each variant.

    Args:
        study: With a search.
        specs: The variants' trials, by label.

    Raises:
        UserError: A key is varied or fixed elsewhere, or a value does not fit a variant.
    """
    search = study.search
    assert search is not None
    for path, values in search.space.items():
        _check_key(study, path)
        for value in _ends(values):
            for label, spec in specs.items():
                try:
                    with_settings(spec, {".".join(path): value})
                except SpecError as error:
                    raise _error(
                        study, path, f"{brief(value)} for variant '{label}': {error.message}"
                    ) from error


def with_settings(spec: TrialSpec, settings: Mapping[str, Any]) -> TrialSpec:
    """The trial with other settings, given by dotted key.

    Raises:
        SpecError: They do not fit it.
    """
    tree = spec.to_tree()
    for name, value in settings.items():
        tree = apply(tree, tuple(name.split(".")), value)
    return resolve(tree, spec.seed)


def corners(search: Search) -> Iterator[dict[str, Any]]:
    """Each choice of the space, and each interval's ends, alone."""
    for path, values in search.space.items():
        for value in _ends(values):
            yield {".".join(path): value}


def for_tuning(spec: TrialSpec, metric: str) -> TrialSpec:
    """The trial with no other evaluation than the one that tells `metric`, once it is over."""
    label = metric.rpartition(".")[0]
    return replace(spec.without_probes(), evaluations={label: spec.evaluations[label]})


def in_words(search: Search) -> str:
    """The space in a line."""
    return "; ".join(f"{'.'.join(path)} {_words(values)}" for path, values in search.space.items())


def _check_key(study: Study, path: KeyPath) -> None:
    if path[0] in KEPT:
        raise _error(study, path, f"{KEPT[path[0]]}; remove the key")
    assert study.search is not None
    if study.search.repeat and any(
        path[: len(key)] == key or key[: len(path)] == path for key in OF_CONTROLS
    ):
        raise _error(
            study,
            path,
            "with repeat it would differ from seed to seed, and untrained encoders, which the table is held "
            "against, are the same for all; remove the key, or repeat",
        )
    for other in study.search.space:
        if len(other) < len(path) and path[: len(other)] == other:
            raise _error(study, path, f"it lies inside {'.'.join(other)}, which is tuned too; remove one")
    for factor in study.factors:
        for label, value in factor.levels.items():
            is_inside = any(place[: len(path)] == path for place, _ in changes(factor.path, value))
            if is_inside or touches(factor.path, value, path):
                raise _error(
                    study, path, f"factor '{factor.name}' sets it in level '{label}'; tune something else"
                )
    for change in study.base_changes:
        if isinstance(change.origin, TextOrigin) and touches(change.path, change.value, path):
            raise UserError(f"{change.origin.place(path)}: {'.'.join(path)} is tuned; set something else")


def _error(study: Study, path: KeyPath, message: str) -> UserError:
    return study.error(("search", "space", ".".join(path)), message)


def _ends(values: Values) -> tuple[Any, ...]:
    return (values.low, values.high) if isinstance(values, Interval) else values


def _words(values: Values) -> str:
    if isinstance(values, Interval):
        return f"from {values.low:g} to {values.high:g}{' on a logarithmic scale' if values.log else ''}"
    return f"among {', '.join(brief(value) for value in values)}"
