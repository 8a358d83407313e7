"""From what the queue knows to the frames of a report: values written out by hand, no training."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.queue import CellStatus, PlannedCell
from cmae_ablate.report.cell_record import CellRecord
from cmae_ablate.runner.results import StudyTrials, controls_frame, protocols, setting_of
from cmae_ablate.study.controls import CONTROL, OWNER
from cmae_ablate.study.design import Variant
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve


def probe(*, weak: tuple[float, float], strong: tuple[float, float]) -> dict[str, float]:
    """Test and validation accuracy of two penalties, as a cell has them that reads itself at the weak one."""
    by_key = {"": weak, "@l2=0.1": strong, "@l2=0.01": weak}
    found = {f"probe.top1{key}": test for key, (test, _) in by_key.items()}
    return found | {f"probe.validation_top1{key}": validation for key, (_, validation) in by_key.items()}


def status(variant: str, seed: int, metrics: dict[str, float] | None, **record: object) -> CellStatus:
    """A complete cell with these metrics, or a waiting one."""
    cell = PlannedCell(f"{variant}:{seed}", variant, seed, {"f": variant}, f"fp-{variant}-{seed}")
    if metrics is None:
        return CellStatus(cell, "WAITING")
    found = CellRecord(metrics, f"w-{variant}-{seed}", "cpu", **record)  # type: ignore[arg-type]
    return CellStatus(cell, "COMPLETE", record=found)


# By mean validation accuracy the strong penalty wins, 50 to 45, though cell a:0 alone prefers the weak one.
CELLS = [
    status("a", 0, probe(weak=(10.0, 60.0), strong=(20.0, 50.0))),
    status("b", 0, probe(weak=(11.0, 30.0), strong=(21.0, 50.0))),
    status("a", 1, None),
]


def test_all_cells_are_read_at_the_setting_of_best_mean_validation_accuracy() -> None:
    trials = StudyTrials.of(CELLS)
    assert list(trials.frame["probe.top1"].iloc[:2]) == [20.0, 21.0]
    assert list(trials.frame["probe.l2"].iloc[:2]) == [0.1, 0.1]
    assert trials.chosen["probe"].settings == {"l2": 0.1}
    assert trials.frame.iloc[2][["variant", "seed", "state", "f"]].tolist() == ["a", 1, "WAITING", "a"]
    assert math.isnan(trials.frame["probe.top1"][2])


def test_columns_of_candidates_come_last() -> None:
    columns = list(StudyTrials.of(CELLS).frame)
    assert columns[:4] == ["variant", "seed", "state", "f"]
    assert all("@" in name for name in columns[-4:])
    assert not any("@" in name for name in columns[:-4])


def test_protocols_are_the_first_complete_cells_with_what_was_chosen() -> None:
    told = {"probe": "A probe.", "knn": "Neighbours."}
    cells = [
        CELLS[2],
        replace(
            CELLS[0],
            record=replace(
                CELLS[0].record, protocols=told, metrics={**CELLS[0].record.metrics, "knn.top1": 1.0}
            ),
        ),
        CELLS[1],
    ]
    assert protocols(StudyTrials.of(cells)) == {
        "probe.top1": "A probe. Chosen: l2 0.1.",
        "probe.validation_top1": "A probe. Chosen: l2 0.1.",
        "knn.top1": "Neighbours.",
    }


def test_a_study_of_which_nothing_is_complete_has_no_protocols() -> None:
    assert protocols(StudyTrials.of([CELLS[2]])) == {}


def control(
    name: str, owner: str, seed: int, metrics: dict[str, float], state: str = "COMPLETE"
) -> CellStatus:
    cell = PlannedCell(
        f"{name}:{seed}", f"{name} of {owner}", seed, {CONTROL: name, OWNER: owner}, f"fp-{seed}"
    )
    return CellStatus(cell, state, record=CellRecord(metrics, "ww"))  # type: ignore[arg-type]


@pytest.fixture
def variants(tiny_spec: TrialSpec) -> list[Variant]:
    """One variant that is fine-tuned, under a label of its own, beside training from scratch."""
    asked = {"tuned": {"name": "fine_tune"}, "scratch": {"name": "from_scratch"}}
    return [Variant("a", {"f": "a"}, resolve(apply(tiny_spec.to_tree(), ("evaluations",), asked)))]


def test_raw_pixels_have_no_seed_and_what_is_not_complete_is_left_out(variants: list[Variant]) -> None:
    frame = controls_frame(
        variants,
        [
            control("random init", "a", 1, {"knn.top1": 5.0}),
            control("raw pixels", "a", 0, {"knn.top1": 3.0}),
            control("random init", "a", 0, {"knn.top1": 4.0}),
            control("random init", "a", 2, {}, state="FAILED"),
        ],
        {},
        redraws=False,
    )
    # Grouped by control, in the order in which each first came.
    assert list(frame["control"]) == ["random init", "random init", "raw pixels"]
    assert frame["seed"].tolist() == [1, 0, pd.NA]
    assert list(frame["knn.top1"]) == [5.0, 4.0, 3.0]
    assert list(frame)[-2:] == ["fingerprint", "weights_sha256"]


@pytest.mark.parametrize("redraws", [False, True])
def test_raw_pixels_have_a_seed_where_the_study_draws_images_anew_after_one_complete_cell_too(
    variants: list[Variant], redraws: bool
) -> None:
    pixels = [control("raw pixels", "a", seed, {"knn.top1": 3.0 + seed}) for seed in range(2)]
    frame = controls_frame(variants, pixels[1:], {}, redraws=redraws)
    assert frame["seed"].tolist() == [1 if redraws else pd.NA]
    both = controls_frame(variants, pixels, {}, redraws=True)
    assert both["seed"].tolist() == [0, 1]


def test_a_control_that_is_an_evaluation_stands_under_the_one_it_is_set_against(
    variants: list[Variant],
) -> None:
    frame = controls_frame(
        variants, [control("from scratch", "a", 0, {"scratch.top1": 42.0})], {}, redraws=False
    )
    assert frame.loc[0, ["scratch.top1", "tuned.top1"]].tolist() == [42.0, 42.0]


def test_controls_are_read_at_the_setting_of_the_studys_cells(variants: list[Variant]) -> None:
    grid = {"probe.top1@l2=0.1": 30.0, "probe.top1@l2=0.01": 20.0}
    grid |= {"probe.validation_top1@l2=0.1": 31.0, "probe.validation_top1@l2=0.01": 21.0}
    weak = {"probe.top1@l2=0.1": 4.0, "probe.top1@l2=0.01": 9.0}
    weak |= {"probe.validation_top1@l2=0.1": 4.0, "probe.validation_top1@l2=0.01": 9.0}
    own = {"probe.top1": 9.0, "probe.validation_top1": 9.0}
    cell = CellStatus(CELLS[0].cell, "COMPLETE", record=CellRecord(grid))
    chosen = StudyTrials.of([cell]).chosen
    frame = controls_frame(variants, [control("random init", "a", 0, own | weak)], chosen, redraws=False)
    assert frame["probe.top1"].tolist() == [4.0]  # at 0.1, though 0.01 would be this control's own choice


def test_no_controls_are_a_table_with_its_columns(variants: list[Variant]) -> None:
    columns = ["control", "variant", "seed", "fingerprint", "weights_sha256"]
    assert list(controls_frame(variants, [], {}, redraws=False)) == columns


def test_a_setting_in_a_line_has_every_length_of_training(
    tiny_spec: TrialSpec, variants: list[Variant]
) -> None:
    longer = resolve(apply(tiny_spec.to_tree(), ("training", "epochs"), 3))
    said = setting_of([*variants, Variant("b", {"f": "b"}, longer)])
    assert said.startswith("backbone vit (dim 32, depth 1, heads 2, patch 8")
    assert said.endswith("; 2, 3 epochs at batch 16")


def test_the_table_of_cells_says_of_which_file_each_was_imported(tmp_path: Path) -> None:
    here = [status("b", 0, {"knn.top1": 2.0}, folder=tmp_path), status("a", 1, None)]
    assert "imported" not in StudyTrials.of(here).frame
    # The last is of state that did not keep the file's name.
    files = {0: "/m/x.csv", 2: "/n/x.csv", 3: "/n/x.csv#1", 4: "/m/x.csv", 5: ""}
    there = [replace(status("a", seed, {"knn.top1": 1.0}), origin=file) for seed, file in files.items()]
    frame = StudyTrials.of([*there, *here]).frame
    assert frame["imported"].fillna("").tolist() == ["1", "2", "3", "1", "4", "", ""]
