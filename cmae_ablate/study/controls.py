"""A study's controls: what its table is held against, as cells for the same queue and the same workers.

Raw pixels and an untrained encoder say what pretraining must beat, training from scratch what it must beat
once labels are used, and the positive control, a reference known to be worse, whether the table could tell.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cmae_ablate.report.wording import counted, is_or_are
from cmae_ablate.study.design import (
    EVALUATION,
    POSITIVE,
    RANDOM_INIT,
    RAW_PIXELS,
    ControlKind,
    Variant,
    reference_label,
)
from cmae_ablate.study.loading import Study
from cmae_ablate.study.settings import SpecError, apply, touches
from cmae_ablate.study.trial_spec import EVALUATED_WITH, Choice, TrialSpec, resolve

CONTROL, OWNER = "control", "owner"
"""What a control's cell has for factors; the owner is the variant whose encoder it is, where named."""
EPOCHS = ("training", "epochs")
POSITIVE_CONTROL = "positive_control"
PARTS = 4
"""The positive control trains for one of so many parts of the reference's epochs, unless the study says."""


@dataclass(frozen=True)
class Controls:
    """What controls a study has.

    Attributes:
        variants: Each a row of the table, run with the table's seeds; raw pixels, which have none, once.
        notes: What the user should know of them.
    """

    variants: tuple[Variant, ...]
    notes: tuple[str, ...]


def control_variants(study: Study, variants: Sequence[Variant]) -> Controls:
    """The controls that belong to a study's variants; nothing is built.

    Encoders that are equal before any training share their controls.

    Raises:
        UserError: The study's positive control does not fit.
    """
    # What a table is held against is judged once it is over; only the table's variants have a progress.
    variants = [replace(variant, spec=variant.spec.without_probes()) for variant in variants]
    reference = next(variant for variant in variants if variant.label == reference_label(study))
    worse, notes = positive_control(study, reference.spec)
    # The reference owns what it shares: its controls are what the report compares it with.
    variants = sorted(variants, key=lambda variant: variant is not reference)
    found = [
        *_shared(RANDOM_INIT, variants, _of_frozen, _by_encoder),
        *_shared(RAW_PIXELS, variants, _of_frozen, _by_data),
        *([_control(POSITIVE, POSITIVE, "", worse)] if worse is not None else []),
    ]
    names = dict.fromkeys(
        choice.name for variant in variants for choice in variant.spec.control_evaluations.values()
    )
    for name in names:
        found += _shared(EVALUATION, variants, _ControlEvaluations(name), _by_encoder)
    return Controls(tuple(found), notes)


def positive_control(study: Study, reference: TrialSpec) -> tuple[TrialSpec | None, tuple[str, ...]]:
    """The reference made worse as the study says, by default with a quarter of its epochs.

    Args:
        study: The study.
        reference: Its reference, resolved.

    Returns:
        None where the study wants none or there cannot be one; and what the user should know.

    Raises:
        UserError: The study's changes do not fit, or do not make the reference worse.
    """
    changes = study.positive_control.changes
    if not study.positive_control.is_wanted:
        return None, ()
    if changes is None:
        if reference.is_pretrained:
            return None, (
                "no positive control: the reference's encoder comes from a file, so there are no epochs to "
                f"take a quarter of; to have one, name changes under {POSITIVE_CONTROL}",
            )
        return _quartered(reference)
    try:
        changed = resolve(apply(reference.to_tree(), (), changes), reference.seed)
    except SpecError as error:
        raise study.error((POSITIVE_CONTROL, *error.path), error.message) from error
    notes = tuple(f"positive control: {notice}" for notice in changed.notices)
    if reference.is_pretrained and changed["backbone"] == reference["backbone"]:
        raise study.error(
            (POSITIVE_CONTROL,),
            "this leaves the reference as it is, for its encoder comes from a file and is not trained; "
            "change its backbone, or write none",
        )
    if changed != reference and changed.training.epochs <= reference.training.epochs:
        return changed, notes
    if not touches((), changes, EPOCHS):
        raise study.error(
            (POSITIVE_CONTROL,),
            "this leaves the reference as it is; change what makes it worse, or write none",
        )
    return _rescaled(study, changed, reference.training.epochs)


def _rescaled(study: Study, changed: TrialSpec, whole: int) -> tuple[TrialSpec | None, tuple[str, ...]]:
    """A control whose own epochs are no fewer than the `whole` that the reference has: at another scale.

    Raises:
        UserError: It is the study's own scale.
    """
    epochs = changed.training.epochs
    if not study.is_rescaled:
        raise study.error(
            (POSITIVE_CONTROL, *EPOCHS),
            f"{counted(epochs, 'epoch')} {is_or_are(epochs)} no fewer than the reference's {whole}, which "
            "makes it no worse; give fewer, or leave the key out for a quarter of them",
        )
    found, more = _quartered(changed if epochs == whole else _with_epochs(changed, whole))
    said = (
        f"positive control: training.epochs {epochs} is no fewer than the reference's {whole} at this scale"
    )
    if found is None:
        return None, (said, *more)
    return found, (f"{said}; clipped to {found.training.epochs}", *more)


def _quartered(spec: TrialSpec) -> tuple[TrialSpec | None, tuple[str, ...]]:
    epochs = spec.training.epochs
    if epochs == 1:
        return None, (
            "no positive control: the reference trains a single epoch, of which there is no quarter; "
            f"train longer, or name changes under {POSITIVE_CONTROL}",
        )
    found = _with_epochs(spec, max(1, epochs // PARTS))
    return found, tuple(f"positive control: {notice}" for notice in found.notices)


def _with_epochs(spec: TrialSpec, epochs: int) -> TrialSpec:
    crop = spec["crop"].stretched(epochs / spec.training.epochs)
    return resolve(apply({**spec.to_tree(), "crop": crop.to_tree()}, EPOCHS, epochs), spec.seed)


Selection = Callable[[TrialSpec], Mapping[str, Choice]]


def _of_frozen(spec: TrialSpec) -> Mapping[str, Choice]:
    """What judges an encoder without training it."""
    return {label: choice for label, choice in spec.evaluations.items() if not choice.trains_encoder}


@dataclass(frozen=True)
class _ControlEvaluations:
    """What a trial has of one evaluation that is itself a control."""

    name: str

    def __call__(self, spec: TrialSpec) -> Mapping[str, Choice]:
        return {
            label: choice for label, choice in spec.control_evaluations.items() if choice.name == self.name
        }


def _by_encoder(spec: TrialSpec) -> object:
    return [spec["backbone"].to_tree(), spec.training.image_size]


def _by_data(spec: TrialSpec) -> object:
    """Pixels are read at the data's own size."""
    return None


def _shared(
    kind: ControlKind,
    variants: Sequence[Variant],
    select: Selection,
    identity: Callable[[TrialSpec], object],
) -> Iterator[Variant]:
    """One control for all variants that would have the same, named by the first where there are others."""
    owners: dict[str, tuple[str, TrialSpec]] = {}
    for variant in variants:
        spec = replace(variant.spec, evaluations=select(variant.spec), control_evaluations={})
        if spec.evaluations:
            measured = {label: choice.to_tree() for label, choice in spec.evaluations.items()}
            run_with = spec.training.model_dump(mode="json", include=set(EVALUATED_WITH) - {"image_size"})
            parts = [spec["dataset"].to_tree(), identity(spec), measured, run_with]
            owners.setdefault(json.dumps(parts, sort_keys=True), (variant.label, spec))
    for label, spec in owners.values():
        name = kind if kind != EVALUATION else _words(next(iter(spec.evaluations.values())).name)
        yield _control(kind, name, label if len(owners) > 1 else "", spec)


def _control(kind: ControlKind, name: str, owner: str, spec: TrialSpec) -> Variant:
    label = f"{name} ({owner})" if owner else name
    return Variant(label, {CONTROL: name, OWNER: owner}, spec, kind)


def _words(name: str) -> str:
    return name.replace("_", " ")
