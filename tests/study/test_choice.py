"""A component as a trial has chosen it: what depends on how long the training is."""

from __future__ import annotations

from typing import Any

import pytest

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.registry import SLOTS
from cmae_ablate.study.choice import Choice

load_components()


def chosen(**options: Any) -> Choice:
    component = SLOTS["crop"]["contrastive"]
    return Choice("crop", "contrastive", component.version, component.validate(options))


def spans(choice: Choice) -> tuple[Any, Any]:
    return choice.options["warmup_epochs"], choice.options["interval"]


@pytest.mark.parametrize(("epochs", "expected"), [(500, (100, 100)), (16, (3, 3)), (2, (1, 1)), (1, (0, 1))])
def test_what_is_left_out_is_its_share_of_the_training_and_leaves_an_epoch(
    epochs: int, expected: tuple[int, int]
) -> None:
    assert spans(chosen()) == (None, None)
    assert spans(chosen().scheduled_for(epochs)) == expected


def test_what_is_written_stays_whatever_the_training() -> None:
    assert spans(chosen(warmup_epochs=0).scheduled_for(60)) == (0, 12)
    assert spans(chosen(interval=7).scheduled_for(60)) == (12, 7)


def test_a_longer_training_stretches_the_schedule_and_none_stays_none() -> None:
    assert spans(chosen(warmup_epochs=12, interval=12).stretched(1 / 4)) == (3, 3)
    assert spans(chosen(warmup_epochs=2, interval=1).stretched(1 / 10)) == (1, 1)
    assert spans(chosen(warmup_epochs=0, interval=2).stretched(3.0)) == (0, 6)


def test_a_component_without_a_schedule_is_the_same_in_any_training() -> None:
    component = SLOTS["crop"]["random_resized"]
    plain = Choice("crop", "random_resized", component.version, component.validate({}))
    assert plain.scheduled_for(3) == plain
    assert plain.stretched(0.1) == plain
