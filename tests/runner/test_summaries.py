"""What MLflow is told at the end of a study: means, deviations and counts, against arithmetic written out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmae_ablate.runner.results import StudyTrials
from cmae_ablate.runner.summaries import settled_numbers, track_imported, track_summary
from cmae_ablate.tracking.tracker import Findings
from tests.runner.test_results import CELLS, probe, status


class Heard:
    """A tracker, and a run of it, that remembers what it is told."""

    def __init__(self) -> None:
        self.summary: dict[str, Mapping[str, float]] = {}
        self.settled: Mapping[Any, Mapping[str, float]] = {}
        self.runs: list[tuple[object, ...]] = []

    def settle_cells(self, numbers: Mapping[Any, Mapping[str, float]]) -> None:
        self.settled = numbers

    def finish_study(
        self, summary: Mapping[str, Mapping[str, float]], status: str, findings: Findings | None = None
    ) -> None:
        self.summary, self.status, self.findings = dict(summary), status, findings

    def start_cell(self, variant: str, seed: int, params: object, tags: Mapping[str, str]) -> Heard:
        self.runs.append((variant, seed, tags["imported"]))
        return self

    def log_metrics(self, epoch: int, metrics: Mapping[str, float]) -> None:
        self.runs.append((epoch, dict(metrics)))

    def finish(self, status: str) -> None:
        self.runs.append((status,))


def test_a_variants_summary_is_of_its_complete_cells() -> None:
    cells = [
        status("a", 0, {"knn.top1": 10.0}),
        status("a", 1, {"knn.top1": 14.0}),
        status("a", 2, None),
        status("b", 0, {"knn.top1": 7.0}),
    ]
    heard = Heard()
    track_summary(StudyTrials.of(cells), heard, "FAILED")  # type: ignore[arg-type]
    # The deviation of 10 and 14 with n - 1 is the root of (4 + 4) / 1; one cell has none.
    assert heard.summary == {
        "a": {"seeds": 2.0, "knn.top1": 12.0, "knn.top1.std": 8**0.5},
        "b": {"seeds": 1.0, "knn.top1": 7.0},
    }
    assert heard.status == "FAILED"
    found = {(variant, seed): numbers["knn.top1"] for (variant, seed, _), numbers in heard.settled.items()}
    assert found == {("a", 0): 10.0, ("a", 1): 14.0, ("b", 0): 7.0}


def test_what_is_fixed_has_no_deviation_and_what_is_measured_has_one_even_of_zero() -> None:
    metrics = {"params.encoder": 9.0, "flops.pretrain_image": 4.0, "knn.top1": 2.0}
    cells = [status("a", seed, metrics | {"pretrain.loss": loss}) for seed, loss in ((0, 1.0), (1, 3.0))]
    heard = Heard()
    track_summary(StudyTrials.of(cells), heard, "FINISHED")  # type: ignore[arg-type]
    # The deviation of 1 and 3 with n - 1 is the root of (1 + 1) / 1.
    spread = {"knn.top1.std": 0.0, "pretrain.loss.std": 2**0.5}
    assert heard.summary["a"] == {**metrics, "seeds": 2.0, "pretrain.loss": 2.0, **spread}


def test_a_setting_that_is_chosen_for_all_cells_has_no_deviation() -> None:
    cells = [
        status("a", seed, probe(weak=(10.0, 60.0), strong=(top1, 70.0)))
        for seed, top1 in ((0, 20.0), (1, 22.0))
    ]
    heard = Heard()
    track_summary(StudyTrials.of(cells), heard, "FINISHED")  # type: ignore[arg-type]
    found = heard.summary["a"]
    assert (found["probe.l2"], found["probe.top1"], found["probe.top1.std"]) == (0.1, 21.0, 2**0.5)
    assert "probe.l2.std" not in found


def test_a_variant_gets_the_first_comparison_that_the_study_declared(tmp_path: Path) -> None:
    verdicts = [
        {"variant": "b", "against": "c", "family": "exploratory", "verdict": "equal"},
        {"variant": "b", "against": "a", "family": "declared", "verdict": "lower"},
        {"variant": "factor", "against": "off", "family": "declared", "verdict": "higher"},
        {"variant": "c", "against": "a", "family": "declared", "verdict": "incomplete"},
    ]
    numbers = {"delta": -3.0, "ci_low": -4.5, "ci_high": -1.5}
    known = [{**each, **numbers} for each in verdicts[:3]]
    listed = [*known, {**verdicts[3], **dict.fromkeys(numbers)}]
    file = tmp_path / "answer.json"
    file.write_text(json.dumps({"question": "?", "text": "Yes.", "metric": "knn.top1", "verdicts": listed}))
    cells = [status(variant, 0, {"knn.top1": 1.0}) for variant in "abc"]
    heard = Heard()
    track_summary(StudyTrials.of(cells), heard, "FINISHED", {file.name: file})  # type: ignore[arg-type]
    assert heard.findings is not None
    assert heard.findings.answer == "? Yes."
    assert heard.findings.verdicts == {
        "a": ("", ""),
        "b": ("\N{MINUS SIGN}3.00 [\N{MINUS SIGN}4.50, \N{MINUS SIGN}1.50]", "lower than a"),
        "c": ("\N{EN DASH}", "incomplete against a"),
    }
    effect = {"effect.delta": -3.0, "effect.ci_low": -4.5, "effect.ci_high": -1.5}
    assert heard.summary["b"] == {"seeds": 1.0, "knn.top1": 1.0, **effect}
    assert heard.findings.files == (file,)


def test_cells_runs_get_the_numbers_of_the_table_where_a_setting_was_chosen_for_all() -> None:
    assert settled_numbers(StudyTrials.of(CELLS)) == {
        ("a", 0, "fp-a-0"): {"probe.top1": 20.0, "probe.validation_top1": 50.0, "probe.l2": 0.1},
        ("b", 0, "fp-b-0"): {"probe.top1": 21.0, "probe.validation_top1": 50.0, "probe.l2": 0.1},
    }


def test_cells_runs_get_every_number_of_the_table() -> None:
    metrics = {"knn.top1": 5.0, "pretrain.loss": 0.5, "seconds.pretrain": 12.5}
    diverged = status("a", 1, {"knn.top1": 4.0, "pretrain.loss": float("nan"), "seconds.pretrain": 3.0})
    found = settled_numbers(StudyTrials.of([status("a", 0, metrics), diverged, status("a", 2, None)]))
    assert found == {
        ("a", 0, "fp-a-0"): metrics,
        ("a", 1, "fp-a-1"): {"knn.top1": 4.0, "seconds.pretrain": 3.0},
    }


def test_only_cells_without_a_folder_here_were_imported(tmp_path: object) -> None:
    heard = Heard()
    here = status("b", 0, {"knn.top1": 7.0}, folder=tmp_path)
    track_imported([status("a", 0, {"knn.top1": 10.0}), here, status("a", 1, None)], heard)  # type: ignore[arg-type]
    assert heard.runs == [("a", 0, "true"), (0, {"knn.top1": 10.0}), ("FINISHED",)]
