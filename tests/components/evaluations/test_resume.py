from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cmae_ablate.components.evaluations.resume import epochs_done, keep_epoch
from tests.components.evaluations.patterns import pattern_context


def test_the_last_epoch_that_was_kept_comes_back(tmp_path: Path) -> None:
    context = replace(pattern_context(), scratch=tmp_path)
    layer = torch.nn.Linear(2, 1)
    for epoch in (1, 2):
        with torch.no_grad():
            layer.weight.fill_(float(epoch))
        keep_epoch(context, epoch, {"layer": layer})
    fresh = torch.nn.Linear(2, 1)
    assert epochs_done(context, {"layer": fresh}) == 2
    assert fresh.weight.tolist() == [[2.0, 2.0]]


def test_damage_is_told_to_who_listens_and_the_epoch_before_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []
    context = replace(pattern_context(), scratch=tmp_path, warn=told.append)
    layer = torch.nn.Linear(2, 1)
    for epoch in (1, 2):
        keep_epoch(context, epoch, {"layer": layer})
    newest = max(tmp_path.glob("*.pt"))
    newest.write_bytes(newest.read_bytes()[:-1])
    assert epochs_done(context, {"layer": layer}) == 1
    assert [text.partition(":")[0] for text in told] == [str(newest)]
    assert capsys.readouterr().out == ""


def test_without_a_place_to_keep_anything_a_training_begins_anew() -> None:
    layer = torch.nn.Linear(2, 1)
    keep_epoch(pattern_context(), 1, {"layer": layer})
    assert epochs_done(pattern_context(), {"layer": layer}) == 0
