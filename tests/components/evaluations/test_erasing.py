"""Erasing by batch has timm's distribution; on a device, fine-tuning waits for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from timm.data.random_erasing import RandomErasing

from cmae_ablate.components.evaluation_protocols import EvaluationContext
from cmae_ablate.components.evaluations.augment import global_streams
from cmae_ablate.components.evaluations.classifier import Classifier
from cmae_ablate.components.evaluations.erasing import erase
from cmae_ablate.components.evaluations.features import FrozenFeatures
from cmae_ablate.components.evaluations.fine_tune import FineTune
from cmae_ablate.components.evaluations.supervised import _train
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.model import assemble
from tests.pretend_gpu import GPU, pretend_gpu


def measures(changed: torch.Tensor) -> np.ndarray:
    """Of each erased image: area, height, top and left of the rectangle, (n, 4)."""
    found = []
    for image in changed[changed.flatten(1).any(dim=1)]:
        rows, columns = image[0].any(1).nonzero()[:, 0], image[0].any(0).nonzero()[:, 0]
        height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        assert int(image.sum()) == 3 * height * width  # a rectangle, in all colours
        found.append((height * width, height, int(rows[0]), int(columns[0])))
    return np.array(found)


def test_rectangles_have_the_distribution_of_timms() -> None:
    images = torch.zeros(3000, 3, 24, 32)
    ours = measures(erase(images, 0.5, torch.Generator().manual_seed(0)) != 0)
    with global_streams(0, "timm"):
        theirs = measures(RandomErasing(0.5, mode="pixel", device="cpu")(images.clone()) != 0)  # type: ignore[no-untyped-call]
    # Five tests at 1e-5.
    assert stats.binomtest(len(ours), 3000, 0.5).pvalue > 1e-5
    for measure in range(4):
        assert stats.ks_2samp(ours[:, measure], theirs[:, measure]).pvalue > 1e-5


def test_what_is_not_erased_is_left_alone() -> None:
    images = torch.rand(8, 3, 6, 6)
    assert torch.equal(erase(images, 0.0, torch.Generator()), images)


def test_fine_tuning_on_a_device_is_compiled_waits_for_nothing_and_reads_once_an_epoch(
    tiny_spec: TrialSpec, tiny_data: DataArrays, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compiled: list[torch.nn.Module] = []

    def take_note(module: torch.nn.Module, **_: Any) -> torch.nn.Module:
        compiled.append(module)
        return module

    monkeypatch.setattr(torch, "compile", take_note)
    with pretend_gpu() as traffic:
        encoder = assemble(tiny_spec, 32).encoder
        classifier = Classifier(encoder, tiny_data.num_classes).to(GPU)
        runtime = Runtime(GPU, compile=True)

        def on_step(done: int, total: int) -> None:
            if done == 1:
                traffic.clear()  # what is sent once and kept

        features = FrozenFeatures(encoder, tiny_data, runtime)
        context = EvaluationContext(encoder, features, tiny_data, runtime, 0, on_step=on_step)
        recipe = FineTune(epochs=1, batch_size=16).recipe.clipped(len(tiny_data.train))
        _train(classifier, recipe, context, "fine_tune")
        assert traffic.waits == []
        assert len(traffic.reads) == 1
    assert compiled == [classifier]
