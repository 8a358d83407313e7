from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from cmae_ablate.components.evaluation_protocols import EVALUATIONS
from cmae_ablate.components.evaluations.fine_tune import FineTune
from cmae_ablate.components.evaluations.from_scratch import FromScratch
from cmae_ablate.components.evaluations.supervised import Mix, train_and_test
from cmae_ablate.errors import DivergedError, Interrupted
from tests.components.evaluations.patterns import pattern_context, small_encoder
from tests.stop_after import StopAfter

PLAIN: dict[str, Any] = {
    "batch_size": 32,
    "warmup_epochs": 1.0,
    "drop_path": 0.0,
    "label_smoothing": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
    "random_erasing": 0.0,
}


def test_fine_tuning_learns_the_patterns() -> None:
    result = FineTune(**{**PLAIN, "epochs": 20, "base_lr": 0.04, "layer_decay": 1.0})(pattern_context())
    assert result.metrics["top1"] > 60.0


def test_every_weight_but_the_unread_final_norm_is_trained() -> None:
    encoder = small_encoder()
    before = copy.deepcopy(encoder.state_dict())
    recipe = FineTune(epochs=2, batch_size=32, base_lr=0.1, layer_decay=1.0).recipe
    train_and_test(encoder, recipe, pattern_context(), "test")
    untouched = [name for name, value in encoder.named_parameters() if torch.equal(value, before[name])]
    assert untouched == ["norm.weight", "norm.bias"]


def test_the_seed_decides_the_result_and_nothing_else_does() -> None:
    def predictions(seed: int) -> list[int]:
        options = {"epochs": 3, "batch_size": 32, "base_lr": 0.02}
        found = FineTune(**options)(pattern_context(seed=seed)).predictions
        assert found is not None
        return found.tolist()

    assert predictions(0) == predictions(0)
    assert predictions(0) != predictions(1)


@pytest.mark.parametrize("steps", [1, 4, 8])
def test_an_interrupted_training_goes_on_and_ends_alike(steps: int, tmp_path: Path) -> None:
    evaluation = FineTune(epochs=3, batch_size=32, base_lr=0.02)
    whole = evaluation(pattern_context())
    context = replace(pattern_context(), scratch=tmp_path)
    with pytest.raises(Interrupted):
        evaluation(replace(context, should_stop=StopAfter(steps)))
    told: list[tuple[int, int]] = []
    resumed = evaluation(replace(context, on_step=lambda done, total: told.append((done, total))))
    assert whole.predictions is not None
    assert resumed.predictions is not None
    assert torch.equal(resumed.predictions, whole.predictions)
    assert resumed.metrics == whole.metrics
    assert told[0] == (1 + steps // 3 * 3, 9)  # three steps an epoch; whole epochs are kept
    assert told[-1] == (9, 9)


def test_a_warm_up_as_long_as_the_training_is_shortened() -> None:
    recipe = FineTune(epochs=1, warmup_epochs=5.0).recipe.clipped(num_train=96)
    assert recipe.warmup_epochs == 0.5


def test_targets_without_mixing_are_smoothed_labels() -> None:
    recipe = replace(FineTune(**PLAIN).recipe, label_smoothing=0.2)
    labels = torch.tensor([2, 0])
    _, targets = Mix(recipe, pattern_context())(torch.zeros(2, 3, 16, 16), labels)
    expected = torch.tensor([[0.05, 0.05, 0.85, 0.05], [0.85, 0.05, 0.05, 0.05]])
    torch.testing.assert_close(targets, expected)


def test_mixed_targets_follow_the_share_of_each_image() -> None:
    recipe = replace(FineTune(**PLAIN).recipe, mixup=1.0)
    images = torch.stack([torch.zeros(3, 16, 16), torch.ones(3, 16, 16)])
    mixed, targets = Mix(recipe, pattern_context())(images, torch.tensor([0, 1]))
    torch.testing.assert_close(targets[:, 1], mixed.mean(dim=(1, 2, 3)))


def test_erased_rectangles_are_noise_on_some_images() -> None:
    recipe = replace(FineTune(**PLAIN).recipe, random_erasing=1.0)
    images, _ = Mix(recipe, pattern_context())(torch.zeros(16, 3, 16, 16), torch.zeros(16, dtype=torch.long))
    share = (images != 0).float().mean(dim=(1, 2, 3))
    assert (share > 0).all()
    assert (share < 0.5).all()


def test_divergence_names_the_evaluation_and_the_remedy() -> None:
    encoder = small_encoder()
    with torch.no_grad():
        encoder.cls_token.fill_(math.nan)
    with pytest.raises(DivergedError, match=r"fine_tune.*base_lr"):
        FineTune(epochs=1, batch_size=32)(pattern_context(encoder=encoder))


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValidationError):
        EVALUATIONS["fine_tune"].validate({"layer_decay": 1.5})


def test_training_from_scratch_does_not_depend_on_the_pretrained_weights() -> None:
    other = small_encoder()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    scratch = FromScratch(**{**PLAIN, "epochs": 3, "base_lr": 0.02})
    first, second = (scratch(pattern_context(encoder=encoder)) for encoder in (small_encoder(), other))
    assert first.predictions is not None
    assert second.predictions is not None
    assert torch.equal(first.predictions, second.predictions)
