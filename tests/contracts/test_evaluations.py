"""What every evaluation must hold to, whoever wrote it."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cmae_ablate.components.evaluation_protocols import (
    EVALUATIONS,
    EncodesAgain,
    Evaluation,
    EvaluationContext,
    EvaluationResult,
)
from cmae_ablate.components.evaluations.features import PixelFeatures
from cmae_ablate.components.loading import load_components
from cmae_ablate.components.registry import ComponentSpec, option_docs
from cmae_ablate.errors import Interrupted
from cmae_ablate.runtime import Runtime
from tests.components.evaluations.patterns import CLASSES, pattern_context, pattern_data, small_encoder
from tests.contracts.cases import each

load_components()
Component = ComponentSpec[Evaluation]
every_evaluation = each(EVALUATIONS)


def _run(component: Component, context: EvaluationContext) -> EvaluationResult:
    """Evaluate with few epochs, small batches and a short grid, where the evaluation has such options."""
    known = component.options.model_fields
    quick: dict[str, Any] = {"epochs": 2, "batch_size": 32, "warmup_epochs": 1.0, "l2": (0.1, 0.01)}
    return component.build({key: value for key, value in quick.items() if key in known})(context)


@every_evaluation
def test_it_returns_the_metrics_that_it_announces(component: Component) -> None:
    result = _run(component, pattern_context())
    assert set(result.metrics) == set(component.factory.metrics)
    assert all(np.isfinite(value) for value in result.metrics.values())


@every_evaluation
def test_one_that_trains_the_encoder_says_how_often_it_passes_images_through_it(component: Component) -> None:
    evaluation = component.build({})
    if evaluation.trains_encoder:
        assert isinstance(evaluation, EncodesAgain) and evaluation.encoder_passes() > 0


@every_evaluation
def test_its_test_accuracy_is_that_of_its_predictions(component: Component) -> None:
    data = pattern_data()
    result = _run(component, pattern_context(data))
    if result.predictions is None:
        assert "top1" not in result.metrics
        return
    assert result.predictions.shape == (len(data.test),)
    assert 0 <= int(result.predictions.min()) <= int(result.predictions.max()) < CLASSES
    correct = sum(int(a == b) for a, b in zip(result.predictions.tolist(), data.test.labels, strict=True))
    assert result.metrics["top1"] == pytest.approx(100.0 * correct / len(data.test))


@every_evaluation
def test_test_labels_leak_into_no_choice_and_no_prediction(component: Component) -> None:
    data = pattern_data()
    wrong = replace(data, test=replace(data.test, labels=(data.test.labels + 1) % CLASSES))
    honest, misled = (_run(component, pattern_context(labelled)) for labelled in (data, wrong))
    assert honest.chosen == misled.chosen
    assert honest.protocol == misled.protocol
    others = [metric for metric in honest.metrics if metric != "top1"]
    assert [honest.metrics[metric] for metric in others] == [misled.metrics[metric] for metric in others]
    assert (honest.predictions is None) == (misled.predictions is None)
    if honest.predictions is not None and misled.predictions is not None:
        assert torch.equal(honest.predictions, misled.predictions)


@every_evaluation
def test_the_same_seed_gives_the_same_numbers(component: Component) -> None:
    first, second = (_run(component, pattern_context(seed=3)) for _ in range(2))
    assert first.metrics == second.metrics


@every_evaluation
def test_it_leaves_the_encoder_as_it_was(component: Component) -> None:
    encoder = small_encoder().eval()
    before = copy.deepcopy(encoder.state_dict())
    _run(component, pattern_context(encoder=encoder))
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    assert not any(part.training for part in encoder.modules())


@every_evaluation
def test_it_draws_from_nobody_elses_generator(component: Component) -> None:
    def numbers() -> list[float]:
        return [random.random(), float(np.random.random()), float(torch.rand(()))]

    def seed() -> None:
        random.seed(5)
        np.random.seed(5)
        torch.manual_seed(5)

    seed()
    expected = numbers()
    seed()
    _run(component, pattern_context())
    assert numbers() == expected


@every_evaluation
def test_it_works_under_bfloat16_autocast(component: Component) -> None:
    result = _run(component, pattern_context(runtime=Runtime(precision="bf16")))
    assert all(np.isfinite(value) for value in result.metrics.values())


TRAINS_NOTHING = ("knn", "representation")


@every_evaluation
def test_training_ends_when_it_is_told_to_and_reports_its_steps(component: Component) -> None:
    if component.name in TRAINS_NOTHING:
        pytest.skip("it trains nothing")
    steps: list[tuple[int, int]] = []
    _run(component, replace(pattern_context(), on_step=lambda done, total: steps.append((done, total))))
    assert [done for done, _ in steps] == list(range(1, steps[0][1] + 1))
    asked: list[bool] = []

    def stop_at_the_second_question() -> bool:
        asked.append(True)
        return len(asked) >= 2

    with pytest.raises(Interrupted):
        _run(component, replace(pattern_context(), should_stop=stop_at_the_second_question))
    assert len(asked) == 2


@every_evaluation
def test_an_interrupted_training_ends_with_the_numbers_of_a_whole_one(
    component: Component, tmp_path: Path
) -> None:
    if component.name in TRAINS_NOTHING:
        pytest.skip("it trains nothing")
    whole = _run(component, pattern_context())
    taken = 0

    def note(done: int, total: int) -> None:
        nonlocal taken
        taken = done

    with pytest.raises(Interrupted):
        _run(
            component,
            replace(pattern_context(), scratch=tmp_path, on_step=note, should_stop=lambda: taken > 0),
        )
    resumed = _run(component, replace(pattern_context(), scratch=tmp_path))
    assert resumed.metrics == whole.metrics


@every_evaluation
def test_every_candidate_is_reported_with_predictions_of_its_own(component: Component) -> None:
    data = pattern_data()
    result = _run(component, pattern_context(data))
    for candidate in result.candidates:
        assert set(candidate.metrics) == set(component.factory.metrics)
        right = sum(
            int(a == b) for a, b in zip(candidate.predictions.tolist(), data.test.labels, strict=True)
        )
        assert candidate.metrics["top1"] == pytest.approx(100.0 * right / len(data.test))
    if result.candidates:
        best = max(candidate.metrics["validation_top1"] for candidate in result.candidates)
        assert result.metrics["validation_top1"] == best
        first = next(c for c in result.candidates if c.metrics["validation_top1"] == best)
        assert result.metrics == first.metrics
        assert dict(first.settings).items() <= dict(result.chosen).items()


@every_evaluation
def test_test_labels_change_no_candidate_but_its_test_accuracy(component: Component) -> None:
    data = pattern_data()
    wrong = replace(data, test=replace(data.test, labels=(data.test.labels + 1) % CLASSES))
    honest, misled = (_run(component, pattern_context(labelled)) for labelled in (data, wrong))
    for one, other in zip(honest.candidates, misled.candidates, strict=True):
        assert torch.equal(one.predictions, other.predictions)
        assert one.metrics["validation_top1"] == other.metrics["validation_top1"]


@every_evaluation
def test_constant_features_are_guessed_at(component: Component) -> None:
    encoder = small_encoder().eval()
    with torch.no_grad():
        encoder.norm.weight.zero_()
        encoder.norm.bias.fill_(0.3)
    result = _run(component, pattern_context(encoder=encoder))
    assert all(np.isfinite(value) for value in result.metrics.values())


@every_evaluation
def test_what_trains_no_encoder_can_judge_raw_pixels(component: Component) -> None:
    if component.factory.trains_encoder:  # type: ignore[attr-defined]  # every evaluation's class says it
        pytest.skip("raw pixels have no encoder that it could train")
    data = pattern_data()
    result = _run(component, EvaluationContext(None, PixelFeatures(data), data, Runtime(), 0))
    assert set(result.metrics) <= set(component.factory.metrics)


@every_evaluation
def test_it_says_in_sentences_what_it_did(component: Component) -> None:
    protocol = _run(component, pattern_context()).protocol
    assert protocol.endswith(".")
    assert "\n" not in protocol
    # Feature, layer and normalisation, by the words of `scoring.feature_words` or others like them.
    assert "token" in protocol
    assert "the encoder's final norm" in protocol
    assert any(word in protocol for word in ("BatchNorm", "LayerNorm", "standardised", "unit length"))


@every_evaluation
def test_every_option_and_the_source_are_documented(component: Component) -> None:
    docs = option_docs(component)
    assert [option for option in component.options.model_fields if not docs.get(option)] == []
    assert "Source:" in (component.factory.__doc__ or "")
