"""What an answer over data sets is worth: sensitivity, seeds, what is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from cmae_ablate.report.pooled_words import pooled_answer, pooled_note
from tests.report.pooling import BLIND, MAE, UNSEEN, of_grid, part, pooled, three, without_cmae, written


def test_two_insensitive_data_sets_are_several_and_unknown_ones_are_named_beside_them() -> None:
    parts = {**three(), "dim": part("dim", BLIND, UNSEEN), "dark": part("dark", BLIND, UNSEEN)}
    text = pooled_answer(pooled(parts)).text
    assert "or declare a study without them." in text
    assert "With them, \u2018CMAE\u2019 against \u2018MAE\u2019 would be" in text
    parts["own"] = replace(parts["own"], controls=None)
    assert "Sensitivity: unknown on own;" in pooled_answer(pooled(parts)).text


def test_a_data_set_left_out_that_has_no_pair_would_change_nothing_and_no_sentence_says_so() -> None:
    parts = {**three(), "blind": without_cmae("blind", below=UNSEEN)}
    answer = pooled_answer(pooled(parts))
    assert "is lower than" in answer.headline
    assert "With it" not in answer.text


def test_unequal_numbers_of_seeds_are_told_with_what_they_mean() -> None:
    parts = three()
    parts["tiny"] = replace(parts["tiny"], trials=parts["tiny"].trials.query("seed < 2"))
    study = pooled(parts)
    words = "Numbers of paired seeds differ (scenes 3 seeds, tiny 2 seeds and own 3 seeds): every"
    assert words in pooled_note(study) and words in pooled_answer(study).text
    assert "Numbers of paired seeds" not in pooled_answer(pooled(three())).text


def test_terms_of_several_levels_are_named_as_left_out() -> None:
    factors = {"decoder": ("deep", "flat", "none"), "crop": ("plain", "box")}
    levels = {f"{a} + {b}": {"decoder": a, "crop": b} for a in factors["decoder"] for b in factors["crop"]}
    own = {v: [a + i + 0.1 * ((7 * i + 3 * s) % 5) for s, a in enumerate(MAE)] for i, v in enumerate(levels)}
    study = of_grid(dict.fromkeys("abc", own), factors=factors, levels=levels)
    words = "Not here: \u2018decoder\u2019 and \u2018decoder \u00d7 crop\u2019, which compare several levels"
    assert words in pooled_note(study) and words in pooled_answer(study).text


def test_what_a_data_sets_own_report_doubts_stands_with_its_answer(tmp_path: Path) -> None:
    parts = three()
    raw = pd.DataFrame([{"control": "raw pixels", "variant": "", "seed": 0, "linear_probe.top1": 60.0}])
    lost = parts["own"]
    assert lost.controls is not None
    parts["own"] = replace(lost, controls=pd.concat([lost.controls, raw]), notes=("a file was left out",))
    notes = written(parts, tmp_path).notes
    assert "own: a file was left out" in notes
    assert any(note.startswith("own: ") and "raw pixels" in note for note in notes)
