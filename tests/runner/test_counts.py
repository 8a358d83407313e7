"""What is counted of a trial: once, and again where its work differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cmae_ablate.runner import counts
from cmae_ablate.runner.counts import count
from cmae_ablate.runner.kept import Kept
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve


def refused(text: str) -> None:
    pytest.fail(text)


def changed(spec: TrialSpec, path: tuple[str, ...], value: object) -> TrialSpec:
    return resolve(apply(spec.to_tree(), path, value))


def test_a_trial_is_counted_once_whatever_its_learning_rate_and_again_where_its_work_differs(
    tiny_spec: TrialSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[TrialSpec] = []
    answers = counts.ask

    def ask(spec: TrialSpec, *others: Any) -> object:
        asked.append(spec)
        return answers(spec, *others)

    monkeypatch.setattr(counts, "ask", ask)
    kept = Kept(tmp_path / "numbers.json", refused)
    found = count(tiny_spec, 32, 10, kept)
    assert count(changed(tiny_spec, ("training", "base_lr"), 5e-3), 32, 10, kept) == found
    assert len(asked) == 1
    kept.save()
    assert count(tiny_spec, 32, 10, Kept(tmp_path / "numbers.json", refused)) == found
    assert len(asked) == 1
    deeper = count(changed(tiny_spec, ("decoder", "depth"), 2), 32, 10, kept)
    assert deeper.cost.params_decoder > found.cost.params_decoder
    assert count(tiny_spec, 64, 10, kept).cost.flops_image > found.cost.flops_image
    fine_tuned = changed(tiny_spec, ("evaluations", "fine_tune"), {"name": "fine_tune", "epochs": 3})
    assert count(fine_tuned, 32, 10, kept).answers.passes == {"knn": 0, "linear_probe": 0, "fine_tune": 3}
    assert len(asked) == 4
    more_classes = count(tiny_spec, 32, 20, kept).answers.classifiers["linear_probe"]
    assert more_classes == 2 * found.answers.classifiers["linear_probe"] > 0
