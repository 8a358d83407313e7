"""What all variants of a study were trained on and with, for the first screen of its page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.report.wording import listing
from cmae_ablate.study.choice import Choice
from cmae_ablate.study.design import Variant

_HYPHEN = "\N{EN DASH}"


def setting(
    variants: Sequence[Variant], data: Sequence[DataArrays] = (), begun: Iterable[datetime] = ()
) -> Mapping[str, str]:
    """Heading and text; of what the variants differ in, every value.

    Args:
        variants: Of the study.
        data: What was prepared for them; without it, what their data sets say beforehand.
        begun: When each cell's training began, local time.
    """
    trainings = [variant.spec.training for variant in variants]
    texts = {
        "data set": _each(variant.spec["dataset"].name for variant in variants),
        **(_of_arrays(data) if data else _expected(variants)),
        "backbone": _each(_backbone(variant.spec["backbone"]) for variant in variants),
        "epochs": _each(training.epochs for training in trainings),
        "batch": _each(training.batch_size for training in trainings),
        "trained": _dates(begun),
    }
    return {heading: text for heading, text in texts.items() if text}


def caveat(variants: Sequence[Variant]) -> str:
    """What a data set says of itself against results on it: its class attribute `caveat`."""
    said = (variant.spec["dataset"].component.facts.caveat for variant in variants)
    return " ".join(dict.fromkeys(text for text in said if text))


def _of_arrays(data: Sequence[DataArrays]) -> Mapping[str, str]:
    counts = (
        f"{len(each.train):,} to train, {len(each.validation):,} to choose, {len(each.test):,} to test"
        for each in data
    )
    return {
        "images": _each(counts),
        "pixels": _each(f"{each.image_size} \N{MULTIPLICATION SIGN} {each.image_size}" for each in data),
        "classes": _each(each.num_classes for each in data),
    }


def _expected(variants: Sequence[Variant]) -> Mapping[str, str]:
    """Of data sets that know their size without being read."""
    sizes = [variant.spec["dataset"].build().expected_size() for variant in variants]
    if any(size is None for size in sizes):
        return {}
    # What was trained on may be another part of the data than is expected without a look: say by what it is.
    counts = (f"{s.train:,} to train, {s.held_out:,} to choose and to test ({s.basis})" for s in sizes)
    return {
        "images": _each(counts),
        "pixels": _each(f"{s.image_size} \N{MULTIPLICATION SIGN} {s.image_size}" for s in sizes),
        "classes": _each(s.classes for s in sizes),
    }


def _backbone(choice: Choice) -> str:
    """Its name and sizes; ratios and switches where they are not as usual."""
    usual = {name: info.default for name, info in choice.component.options.model_fields.items()}
    options = ", ".join(
        f"{name.replace('_', ' ')} {value}"
        for name, value in choice.options.items()
        if not (isinstance(value, bool | float) and value == usual[name])
    )
    return f"{choice.name} ({options})" if options else choice.name


def _dates(begun: Iterable[datetime]) -> str:
    days = sorted({moment.date().isoformat() for moment in begun})
    return "" if not days else days[0] if len(days) == 1 else f"{days[0]} {_HYPHEN} {days[-1]}"


def _each(values: Iterable[Any]) -> str:
    return listing([*dict.fromkeys(str(value) for value in values)], 4)
