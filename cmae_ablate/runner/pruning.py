"""Where a tuning trial may be stopped early: at validation accuracy below the median of those before it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from cmae_ablate import checkpoint
from cmae_ablate.components.evaluations.features import FrozenFeatures
from cmae_ablate.components.evaluations.knn import KNearestNeighbours, vote
from cmae_ablate.components.evaluations.scoring import top1
from cmae_ablate.runner.cache import LOCK
from cmae_ablate.runner.cell import CellContext
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.loop import image_size_of
from cmae_ablate.training.model import assemble
from cmae_ablate.training.views import steps_per_epoch

RUNGS = 4
"""A trial is looked at after each of so many parts of its epochs, but for the last."""


class MedianPruner:
    """Looks at a training from outside: at its checkpoints, so that looking changes nothing in it.

    The pretraining loss would cost nothing, yet settings change the loss itself. So the encoder as it is
    classifies the validation images by their neighbours in train, whatever metric is tuned.

    Args:
        spec: The tuning trial.
        cell_context: Its data, without test images, and its machine.
        report: Takes the rung, from 1, and the accuracy; says whether the trial should be pruned.
        reported: What earlier attempts at the trial found.
        warn: Told of damaged checkpoints.
    """

    def __init__(
        self,
        spec: TrialSpec,
        cell_context: CellContext,
        report: Callable[[int, float], bool],
        reported: Mapping[int, float],
        warn: Callable[[str], None],
    ) -> None:
        self._spec, self._context = spec, cell_context.normalised_for(spec)
        self._folder: Path = self._context.folder(spec)
        self._report, self._reported, self._warn = report, reported, warn
        self._due = rung_epochs(spec.training.epochs)
        self.reason = ""

    @property
    def is_hopeless(self) -> bool:
        """Whether the training should end now."""
        return bool(self.reason)

    def looks_at(self, epoch: int) -> bool:
        """Whether it needs the checkpoint of so many epochs."""
        return epoch in self._due

    def on_epoch(self, epoch: int) -> None:
        """After an epoch; a resumed training tells of those before it again."""
        if self.looks_at(epoch):
            self._look(epoch)

    def forget(self) -> None:
        """Remove the checkpoints of a trial that was pruned, unless another worker trains the same there."""
        with suppress(Timeout), FileLock(self._folder / LOCK, timeout=0):
            checkpoint.clear(self._folder)

    def _look(self, epoch: int) -> None:
        state = checkpoint.load_latest(self._folder, self._warn)
        steps = steps_per_epoch(len(self._context.data.train), self._spec.training.batch_size)
        if state is None or state["step"] != epoch * steps:
            return  # the checkpoint is of another epoch
        rung = self._due[epoch]
        value = self._reported.get(rung)
        value = self._accuracy(state["model"]) if value is None else value
        if self._report(rung, value):
            self.reason = (
                f"validation k-NN {value:.2f} % after epoch {epoch} of {self._spec.training.epochs} "
                "is below the median of this variant's trials"
            )

    def _accuracy(self, weights: Mapping[str, Any]) -> float:
        data, runtime = self._context.data, self._context.runtime
        model = assemble(self._spec, image_size_of(self._spec, data))
        model.load_state_dict(weights)
        features = FrozenFeatures(model.encoder.to(runtime.device).eval(), data, runtime)
        rule = KNearestNeighbours()
        train, validation = (
            features.get(split, rule.feature).to(runtime.device) for split in ("train", "validation")
        )
        predicted = vote(
            validation,
            train,
            torch.from_numpy(data.train.labels).to(runtime.device),
            data.num_classes,
            k=min(rule.k, len(train)),
            temperature=rule.temperature,
        )
        return top1(predicted, data.validation.labels)


def rung_epochs(epochs: int) -> dict[int, int]:
    """The rung that each epoch ends, by epoch: a rung is the same part of every training, however long."""
    ends = {math.ceil(epochs * rung / RUNGS): rung for rung in range(1, RUNGS)}
    return {epoch: rung for epoch, rung in ends.items() if epoch < epochs}
