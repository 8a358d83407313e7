"""An epoch's means, against sums written out; what is not finite ends the training by name."""

from __future__ import annotations

import pytest
import torch

from cmae_ablate.components.networks import Term
from cmae_ablate.distributed import Ranks
from cmae_ablate.errors import DivergedError
from cmae_ablate.training.metrics import Meter


def term(loss: float, **diagnostics: float) -> Term:
    return Term(torch.tensor(loss), {name: torch.tensor(value) for name, value in diagnostics.items()})


def filled() -> Meter:
    meter = Meter(Ranks(), torch.device("cpu"))
    meter.add(torch.tensor(3.0), {"reconstruction": term(2.0), "position": term(1.0, accuracy=0.5)})
    meter.add(torch.tensor(2.0), {"reconstruction": term(1.0), "position": term(4.0, accuracy=0.0)})
    return meter


MEANS = {"loss": 2.5, "reconstruction": 1.5, "position": 2.5, "position.accuracy": 0.25}


def test_an_epochs_numbers_are_means_over_its_steps_and_notes_as_they_are() -> None:
    meter = filled()
    meter.note({"crop.iou": 0.75})
    assert meter.flush(0) == {**MEANS, "crop.iou": 0.75}


def test_the_next_epoch_begins_with_nothing() -> None:
    meter = filled()
    meter.flush(0)
    meter.add(torch.tensor(7.0), {})
    assert meter.flush(1) == {"loss": 7.0}


def test_sums_go_on_from_a_checkpoint() -> None:
    state = filled().state()
    resumed = Meter(Ranks(), torch.device("cpu"))
    resumed.load(state)
    resumed.add(torch.tensor(7.0), {"reconstruction": term(0.0), "position": term(1.0, accuracy=1.0)})
    assert resumed.flush(0) == {"loss": 4.0, "reconstruction": 1.0, "position": 2.0, "position.accuracy": 0.5}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_named_with_its_epoch(value: float) -> None:
    meter = Meter(Ranks(), torch.device("cpu"))
    meter.add(torch.tensor(1.0), {"position": term(value)})
    with pytest.raises(DivergedError, match=r"position is (nan|inf) in epoch 3; lower training\.base_lr"):
        meter.flush(2)
