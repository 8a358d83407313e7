from __future__ import annotations

import torch

from cmae_ablate.components.evaluation_protocols import Candidate
from cmae_ablate.components.evaluations.candidates import own_best


def _candidate(l2: float, validation: float, test: float) -> Candidate:
    metrics = {"top1": test, "validation_top1": validation}
    return Candidate({"l2": l2}, metrics, torch.tensor([round(test)]))


def test_validation_alone_decides_whatever_test_says() -> None:
    found = own_best([_candidate(1.0, 30, 90), _candidate(0.1, 40, 10), _candidate(0.01, 35, 80)], "How.")
    assert found.metrics == {"top1": 10, "validation_top1": 40}
    assert found.predictions is not None
    assert found.predictions.tolist() == [10]
    assert found.chosen == {"l2": 0.1}
    assert len(found.candidates) == 3


def test_of_equals_the_first_wins_which_is_the_stronger_regularisation() -> None:
    assert own_best([_candidate(1.0, 30, 1), _candidate(0.1, 30, 2)], "How.").chosen == {"l2": 1.0}


def test_further_facts_stand_beside_what_was_chosen() -> None:
    assert own_best([_candidate(1.0, 30, 1)], "How.", {"converged": 1.0}).chosen == {
        "l2": 1.0,
        "converged": 1.0,
    }
