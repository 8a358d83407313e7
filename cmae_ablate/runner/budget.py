"""Equal epochs, equal FLOPs or equal time: how long each variant is pretrained.

Epochs are whole, so the budgets are met as nearly as whole epochs allow, and the ratios that come of it are
said beside every table. Warm-ups given in epochs keep their share of the training. What is counted is the
training steps with the making of their views: refreshes of ContrastiveCrop's boxes and the evaluations come
on top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.errors import UserError
from cmae_ablate.files import DamagedError, read_record, sealed, write_atomically
from cmae_ablate.runner.step_seconds import seconds_per_step
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.design import Variant
from cmae_ablate.study.trial_spec import TrialSpec, resolve

Trials = Mapping[str, tuple[TrialSpec, DataArrays]]
EPOCHS, FLOPS, TIME = "epochs", "flops", "time"
DAY = 86400.0
_NAMES = {FLOPS: "FLOPs", TIME: "time"}


@dataclass(frozen=True)
class Share:
    """What one variant gets of the budget.

    Attributes:
        variant: Its label.
        epochs: Its epochs.
        ratio: What these cost over what the reference's cost.
    """

    variant: str
    epochs: int
    ratio: float


def apply_budget(
    variants: Sequence[Variant], reference: str, costs: Mapping[str, float]
) -> tuple[list[Variant], tuple[Share, ...]]:
    """Give every variant the epochs whose cost comes nearest to that of the reference's epochs.

    Args:
        variants: As designed, all with the same `training.epochs`.
        reference: The label of the one whose whole cost is the budget.
        costs: Cost of one epoch by label, above 0, in any unit; the reference is among them.

    Returns:
        The variants with other epochs, and each one's share. The reference keeps its epochs; so does a
        variant without a cost, whose encoder comes from a file, and it has no share.
    """
    whole = next(v.spec.training.epochs for v in variants if v.label == reference)
    budget = whole * costs[reference]
    rescaled, shares = [], []
    for variant in variants:
        if variant.label not in costs:
            rescaled.append(variant)
            continue
        epochs = max(1, round(budget / costs[variant.label]))
        rescaled.append(replace(variant, spec=with_epochs(variant.spec, epochs)))
        shares.append(Share(variant.label, epochs, epochs * costs[variant.label] / budget))
    return rescaled, tuple(shares)


def with_epochs(spec: TrialSpec, epochs: int) -> TrialSpec:
    """The same trial, longer or shorter; its warm-up and the spans of its crop keep their share of it."""
    before = spec.training.epochs
    if epochs == before:
        return spec
    tree = spec.to_tree()
    training = {**tree["training"], "epochs": epochs}
    training["warmup_epochs"] = spec.training.warmup_epochs * epochs / before
    crop = spec["crop"].stretched(epochs / before)
    return resolve({**tree, "training": training, "crop": crop.to_tree()}, spec.seed)


def flops_per_epoch(spec: TrialSpec, image_size: int, num_train: int) -> float:
    """FLOPs of one epoch's training steps, counted."""
    from cmae_ablate.training.cost import measure

    return measure(spec, image_size).flops_image * num_train


def seconds_per_epoch(trials: Trials, runtime: Runtime, record: Path) -> dict[str, float]:
    """Seconds of one epoch's training steps, measured once.

    What was measured is kept in `record`, under a lock: all workers of a study, and every later command,
    read the same seconds and so agree on the epochs. Delete the file to measure again, on an idle machine.

    Args:
        trials: Trial and data by label.
        runtime: Where to measure.
        record: A JSON file; made where it is missing, and completed where a trial is missing.

    Raises:
        UserError: A trial cannot run, or the record is damaged.
    """
    record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(record.with_suffix(".lock")):
        known = _read(record)
        for label, name in _names(trials).items():
            if name not in known:
                known[name] = seconds_per_step(label, *trials[label], runtime)
                content = {"device": str(runtime.device), "seconds_per_step": known}
                write_atomically(record, sealed(content))
    return _of_epochs(trials, known)


def known_seconds(trials: Trials, record: Path) -> dict[str, float] | None:
    """What `seconds_per_epoch` gives, as far as it is measured already; None where anything is missing.

    Raises:
        UserError: The record is damaged.
    """
    known = _read(record)
    return _of_epochs(trials, known) if set(_names(trials).values()) <= set(known) else None


def _of_epochs(trials: Trials, known: Mapping[str, float]) -> dict[str, float]:
    return {label: known[name] * _steps(*trials[label]) for label, name in _names(trials).items()}


def _names(trials: Trials) -> dict[str, str]:
    return {label: spec.pretrain_fingerprint(data.digest) for label, (spec, data) in trials.items()}


def _steps(spec: TrialSpec, data: DataArrays) -> int:
    from cmae_ablate.training.views import steps_per_epoch

    return steps_per_epoch(len(data.train.labels), spec.training.batch_size)


def _read(record: Path) -> dict[str, float]:
    if not record.is_file():
        return {}
    try:
        found = read_record(record)["seconds_per_step"]
        for name, seconds in found.items():
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < DAY:
                raise DamagedError(record, f"{name}: {seconds!r} is no number of seconds")
        return {str(name): float(seconds) for name, seconds in found.items()}
    except (DamagedError, KeyError, TypeError, AttributeError) as error:
        # Not made again by itself: other seconds are other epochs, and so another study.
        raise UserError(f"{record}: damaged; delete it, and the seconds are measured again") from error


def budget_note(kind: str, reference: str, shares: Sequence[Share] = ()) -> str:
    """The budget in a sentence, with each variant's epochs and the ratio achieved, as far as known."""
    if kind == EPOCHS:
        return (
            "Equal epochs: every variant sees the training images equally often; "
            "cost is in columns of its own."
        )
    told = "; ".join(
        f"\u2018{share.variant}\u2019 {share.epochs} epoch{'' if share.epochs == 1 else 's'} "
        f"({share.ratio:.2f}\N{MULTIPLICATION SIGN})"
        for share in shares
    )
    name = _NAMES[kind]
    about = f"Equal {name}: every variant is pretrained for about the {name} of \u2018{reference}\u2019"
    return f"{about}, in whole epochs{f': {told}' if told else ''}."
