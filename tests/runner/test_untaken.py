"""Finished cells that were made otherwise are counted, with what differs, and nobody is told without need."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cmae_ablate.cli.status import show_status
from cmae_ablate.files import sealed, write_atomically
from cmae_ablate.report.cell_record import CellRecord
from cmae_ablate.runner import run
from cmae_ablate.runner.attempt import Job
from cmae_ablate.runner.experiment import Experiment, controls_of
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.reporting import open_queue, read_queue
from cmae_ablate.runner.result_files import PretrainingRecord
from cmae_ablate.runner.untaken import untaken
from tests.tiny import TINY_STUDY

Change = Callable[[PretrainingRecord], PretrainingRecord]
STAYS = "they stay stored and count again once that is as it was"


def begun(study: Path, *settings: str, out: Path, seeds: int | None = None) -> Experiment:
    options = Options(study, device="cpu", out=out, settings=settings, seeds=seeds)
    return options.begin(options.load(), Console(file=io.StringIO()))


def finish(
    experiment: Experiment, cells: int | None = None, change: Change = lambda record: record, **folder: Any
) -> None:
    """Let a study's first cells be complete, with the records that trainings would have left."""
    queue = open_queue(experiment)
    for _ in range(len(experiment.cells) if cells is None else cells):
        claim = queue.claim("worker")
        assert claim is not None
        spec = experiment.cell(claim.cell).spec
        place = experiment.places.cache / "pretrain" / experiment.pretraining(spec)
        place.mkdir(parents=True, exist_ok=True)
        digest = experiment.data_of(spec).digest
        record = PretrainingRecord(
            {}, "w", [], spec.to_tree(), spec.seed, data=digest, versions=spec.versions
        )
        write_atomically(place / "result.json", sealed(change(record).to_json()))
        found = CellRecord({"knn.top1": 1.0}, "w", folder=folder.get("folder", place))
        queue.finish(claim, 1.0, found)
    queue.close()


def told(experiment: Experiment, said: str = "") -> str:
    return untaken(experiment, read_queue(experiment), said)


def test_cells_of_other_settings_are_counted_once_with_both_values(tiny_study: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    before, now = begun(tiny_study, out=out), begun(tiny_study, "training.epochs=1", out=out)
    assert told(now) == ""  # nothing has run
    finish(before, cells=3)
    assert told(before) == ""  # its own cells are no others
    assert told(now) == (
        "3 finished cells of variants and seeds still to do are not taken (training.epochs was 2 and is 1); "
        f"{STAYS}"
    )
    finish(begun(tiny_study, "training.epochs=3", out=out), cells=1)
    assert told(now).startswith("4 finished cells of variants and seeds still to do are not taken (")
    assert "training.epochs was 2 or 3 and is 1" in told(now)
    # What was said is not said again; how many they are is.
    assert told(now, "made otherwise (--set training.epochs=1 was not there)") == (
        "4 finished cells of variants and seeds still to do are not taken; they stay stored"
    )
    finish(now)
    assert told(now) == ""  # several settings in one folder are no news once all is complete
    assert told(begun(tiny_study, "training.epochs=2", out=out)).count("finished cell") == 1


def test_cells_that_are_not_asked_for_are_nothing_to_be_told(tiny_study: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    finish(begun(tiny_study, out=out))
    now = begun(tiny_study, "training.epochs=1", out=out, seeds=1)
    assert told(now).startswith("2 finished cells ")  # the other two are of a seed that nobody asks for
    finish(now, cells=1)
    assert told(now).startswith("1 finished cell of variants and seeds still to do is not taken (")
    tiny_study.write_text(TINY_STUDY.replace("linear:", "no decoder at all:"))
    assert told(begun(tiny_study, "training.epochs=4", out=out, seeds=1)).startswith("2 finished cells ")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("backbone.heads=1", "backbone.heads was 2 and is 1"),
        ("objectives.contrastive.name=simclr", "objectives.contrastive was none and is simclr"),
        ("masking.name=block", "masking was random and is block"),
        ("evaluations.knn.k=5", "other evaluations, so that their pretraining is used again"),
    ],
)
def test_what_differs_is_named_by_its_key(
    settings: str, words: str, tiny_study: Path, tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    finish(begun(tiny_study, out=out), cells=1)
    assert told(begun(tiny_study, settings, out=out)) == (
        f"1 finished cell of variants and seeds still to do is not taken ({words}); "
        "it stays stored and counts again once that is as it was"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda record: replace(record, versions={**record.versions, "masking random": 0}),
            "the version of masking random was 0 and is 1",
        ),
        (lambda record: replace(record, data="0" * 64), "other images"),
        (  # as an earlier version of this package left it
            lambda record: replace(record, data="", versions={}),
            "other settings, other images or another version of a component",
        ),
    ],
)
def test_another_version_or_other_images_are_told_from_other_settings(
    change: Change, words: str, tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = begun(tiny_study, out=tmp_path / "runs")
    with monkeypatch.context() as older:  # whose fingerprints were others, as theirs are
        for name in ("fingerprint", "pretraining"):
            now: Callable[[Experiment, Any], str] = getattr(Experiment, name)
            older.setattr(Experiment, name, lambda self, spec, now=now: f"older-{now(self, spec)}")
        finish(begun(tiny_study, out=tmp_path / "runs"), change=change)
    assert told(experiment) == (
        f"4 finished cells of variants and seeds still to do are not taken ({words}); {STAYS}"
    )


@pytest.mark.parametrize("folder", [None, Path("/nowhere/cache/pretrain/gone")])
def test_of_cells_whose_record_is_elsewhere_no_more_is_said_than_is_known(
    folder: Path | None, tiny_study: Path, tmp_path: Path
) -> None:
    finish(begun(tiny_study, out=tmp_path / "runs"), cells=1, folder=folder)
    assert "(other settings, other images or another version of a component)" in told(
        begun(tiny_study, "training.epochs=1", out=tmp_path / "runs")
    )


def test_records_are_found_in_a_folder_that_was_moved(tiny_study: Path, tmp_path: Path) -> None:
    finish(begun(tiny_study, out=tmp_path / "runs"), cells=1)
    (tmp_path / "runs").rename(tmp_path / "moved")
    now = begun(tiny_study, "training.epochs=1", out=tmp_path / "moved")
    assert "(training.epochs was 2 and is 1)" in told(now)


def test_status_says_it(tiny_study: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    finish(begun(tiny_study, out=out), cells=3)
    options = Options(tiny_study, device="cpu", out=out, settings=("training.epochs=1",))
    console = Console(file=io.StringIO(), width=300)
    show_status(options, console)
    assert isinstance(console.file, io.StringIO)
    assert "note: 3 finished cells of variants and seeds still to do are not taken" in console.file.getvalue()


def test_run_says_it_before_it_trains(
    tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, said = tmp_path / "runs", []
    finish(begun(tiny_study, out=out), cells=3)
    console = Console(file=io.StringIO(), width=300)

    def open_jobs(experiment: Experiment, *_: object) -> list[Job]:
        each = (experiment, controls_of(experiment))
        return [Job(study, open_queue(study), None) for study in each]  # type: ignore[arg-type]

    def interrupted(*_: object, **__: object) -> int:
        said.append(console.file.getvalue())  # type: ignore[attr-defined]
        return 130

    monkeypatch.setattr(run, "open_jobs", open_jobs)
    monkeypatch.setattr(run, "check_runs", lambda *_, **__: None)
    monkeypatch.setattr(run, "work_through", interrupted)
    options = Options(tiny_study, device="cpu", out=out, settings=("training.epochs=1",))
    assert run.run_study(options, console) == 130
    (before,) = said
    assert before.count("3 finished cells of variants and seeds still to do are not taken (") == 1
