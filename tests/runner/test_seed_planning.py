"""Seeds that are added by a rule: what workers claim, and a whole study through the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmae_ablate.cli.status import show_status
from cmae_ablate.queue import PlannedCell, Queue
from cmae_ablate.report import settling
from cmae_ablate.report.cell_record import CellRecord, TrialRow
from cmae_ablate.report.settling import settle
from cmae_ablate.runner.analysis_plan import PLAN_FILE, record_plan
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.reporting import open_queue as open_study_queue
from cmae_ablate.runner.reporting import read_settling, report_csv
from cmae_ablate.runner.results import describe
from cmae_ablate.runner.run import run_study
from cmae_ablate.runner.seed_planning import SeedGate, gate_of
from cmae_ablate.study import design
from cmae_ablate.study.loading import Study, load
from tests.tiny import TINY_SCALE, TINY_STUDY
from tests.whole_study import quiet, run, said

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

VARIANTS = ("depth 1", "linear", "depth 2")
THREE = TINY_STUDY.replace("seeds: 2", "seeds: 3\nmax_seeds: 8\nsmallest_effect: 1").replace(
    "      linear: {name: linear}",
    "      linear: {name: linear}\n      depth 2: {name: transformer, depth: 2}",
)
GAINS = {"depth 1": 0.0, "linear": 6.0, "depth 2": 0.0}


@pytest.fixture
def study(tiny_study: Path) -> Study:
    tiny_study.write_text(THREE)
    return load(tiny_study)


@pytest.fixture
def open_queue(study: Study, tmp_path: Path) -> Callable[..., Queue]:
    """Opens queues on one store, of cells that nobody trains."""
    cells = [
        PlannedCell(f"{variant}:{seed}", variant, seed, {"decoder": variant}, f"{variant}-{seed}")
        for seed in range(study.seeds)
        for variant in VARIANTS
    ]
    found = design.variants(study)

    def opened(**options: object) -> Queue:
        url = f"sqlite:///{tmp_path}/out/optuna.db"
        return Queue(url, "study", cells, gate=gate_of(study, found), **options)  # type: ignore[arg-type]

    return opened


def value_of(cell: PlannedCell) -> float:
    noise = np.random.default_rng([VARIANTS.index(cell.variant), cell.seed]).normal(0, 0.4)
    return 30 + GAINS[cell.variant] + float(noise)


def finish(queue: Queue, claim: object, value: float) -> None:
    queue.finish(claim, value, CellRecord(metrics={"knn.top1": value}))  # type: ignore[arg-type]


def drain(*queues: Queue) -> list[tuple[str, int]]:
    """Let the queues' workers take turns until nothing is left; what they ran."""
    ran = []
    while any(queue.pending() for queue in queues):
        held = [(queue, claim) for queue in queues if (claim := queue.claim("w")) is not None]
        for queue, claim in reversed(held):
            ran.append((claim.cell.variant, claim.cell.seed))
            finish(queue, claim, value_of(claim.cell))
    return ran


def counted(ran: list[tuple[str, int]]) -> dict[str, int]:
    assert len(set(ran)) == len(ran)
    return {variant: sum(name == variant for name, _ in ran) for variant in VARIANTS}


def test_a_settled_variant_is_trained_no_more_and_the_reference_goes_on_with_the_open_one(
    open_queue: Callable[..., Queue], study: Study
) -> None:
    queue = open_queue()
    seeds = counted(drain(queue))
    assert 3 <= seeds["linear"] < seeds["depth 2"] == seeds["depth 1"] <= 8
    settling = SeedGate(study, design.variants(study)).settling(queue.status())
    assert settling.is_over
    assert {each.variant: each.settled for each in settling.contrasts}["linear"] == "different"
    assert dict(settling.wanted) == seeds


def test_two_launches_at_once_train_together_what_one_trains(
    open_queue: Callable[..., Queue], tmp_path: Path, study: Study
) -> None:
    together = counted(drain(open_queue(), open_queue()))
    (tmp_path / "out" / "optuna.db").unlink()
    assert counted(drain(open_queue())) == together


def test_after_a_death_in_the_middle_of_a_block_the_next_launch_goes_on_to_the_same_cells(
    open_queue: Callable[..., Queue], tmp_path: Path
) -> None:
    undisturbed = counted(drain(open_queue()))
    (tmp_path / "out" / "optuna.db").unlink()
    first, ran = open_queue(lease_seconds=0.0), []
    for _ in range(11):  # two cells of the first block after the pilot's nine
        claim = first.claim("w")
        assert claim is not None
        ran.append((claim.cell.variant, claim.cell.seed))
        finish(first, claim, value_of(claim.cell))
    assert first.claim("w") is not None  # and it dies with this one
    first.close()
    ran += drain(open_queue(lease_seconds=0.0))
    assert counted(ran) == undisturbed


def test_a_variant_that_always_fails_ends_and_holds_up_nobody(open_queue: Callable[..., Queue]) -> None:
    queue, ran = open_queue(max_attempts=1), []
    while (claim := queue.claim("w")) is not None:
        if claim.cell.variant == "depth 2":
            queue.fail(claim, "broken")
        else:
            ran.append((claim.cell.variant, claim.cell.seed))
            finish(queue, claim, value_of(claim.cell))
    assert queue.pending() == 0
    assert counted(ran)["linear"] < 8
    assert sum(status.state == "FAILED" for status in queue.status()) == 8


def test_rows_of_another_machine_count_before_anything_is_decided(
    open_queue: Callable[..., Queue], study: Study
) -> None:
    whole = open_queue()
    everything = drain(whole)

    rows = [
        TrialRow(s.cell.variant, s.cell.seed, s.state, s.cell.levels, s.cell.fingerprint, s.record)
        for s in whole.status()
    ]
    whole.discard([s.cell.id for s in whole.status()])
    again = open_queue()
    assert again.import_complete(rows, "knn.top1") == len(everything)
    assert again.pending() == 0
    assert drain(again) == []


def test_who_only_looks_decides_once_also_where_a_cell_failed_that_nobody_wants(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(study.path, out=tmp_path / "runs")
    experiment = options.begin(options.load(), quiet())
    queue = Queue(experiment.places.storage, study.name, experiment.planned)
    claims = [queue.claim("w") for _ in range(10)]
    first, last = [each for each in claims[:9] if each is not None], claims[9]
    assert last is not None
    assert (last.cell.seed, len(first)) == (3, 9)
    queue.fail(last, "broken", final=True)
    for claim in first:
        queue.release(claim)
    decided: list[object] = []
    monkeypatch.setattr(settling, "settle", lambda *given: decided.append(given) or settle(*given))
    found, decision = read_settling(experiment)
    assert len(decided) == 1
    assert decision == SeedGate(study, experiment.variants).settling(found)
    assert {each.cell.seed for each in found} == {0, 1, 2}


def test_a_study_whose_plan_was_recorded_before_correlations_counted_goes_on_by_bonferronis_shares(
    study: Study, tmp_path: Path
) -> None:
    options = Options(study.path, out=tmp_path / "runs")
    experiment = options.begin(options.load(), quiet())
    queue = open_study_queue(experiment)
    while any(each.cell.seed < 3 and each.state != "COMPLETE" for each in queue.status()):
        claim = queue.claim("w")
        assert claim is not None
        finish(queue, claim, value_of(claim.cell))

    def correlations() -> list[float | None]:
        settling = read_settling(experiment)[1]
        assert settling is not None
        return [each.share.correlation for each in settling.contrasts if each.share is not None]

    known = correlations()
    assert len(known) == 2
    assert None not in known
    levels = {each.label: each.levels for each in design.variants(study)}
    record_plan(study, describe(study, levels, design.reference_label(study)), experiment.folder)
    assert correlations() == known
    path = experiment.folder / PLAN_FILE
    content = json.loads(path.read_text())
    assert content["rule"].pop("sharing") == "correlation"
    path.write_text(json.dumps(content))
    assert correlations() == [None, None]


def test_a_fixed_number_of_seeds_needs_no_gate(study: Study) -> None:
    assert gate_of(replace(study, rule=None), design.variants(study)) is None


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A whole study with two workers: wide enough a precision that every contrast is settled soon."""
    folder = tmp_path_factory.mktemp("by_rule")
    (folder / "scales").mkdir()

    (folder / "scales" / "tiny.yaml").write_text(TINY_SCALE)
    path = folder / "study.yaml"
    text = TINY_STUDY.replace("seeds: 2", "seeds: 2\nmax_seeds: 4\nprecision: 60")
    path.write_text(f"{text}set: {{training.base_lr: 0.1, dataset.num_test: 200}}\n")
    options = Options(path, workers=2, device="cpu", out=folder / "runs")
    assert run_study(options, quiet()) == 0
    return path, folder / "runs"


def test_a_study_ends_by_its_rule_and_its_files_say_so(finished: tuple[Path, Path]) -> None:
    folder = finished[1] / "study"
    rule = {"seeds": 2, "block": 1, "max_seeds": 4, "precision": 60.0, "smallest_effect": None}
    plan = json.loads((folder / "analysis_plan.json").read_text())
    assert (plan["seeds"], plan["rule"]) == (4, rule | {"sharing": "correlation"})
    trials, effects = (pd.read_csv(folder / f"{name}.csv") for name in ("trials", "effects"))
    row = effects.set_index("variant").loc["linear"]
    assert row["settled"] in ("narrow", "budget")
    assert set(trials["state"]) == {"COMPLETE"}
    if row["settled"] == "narrow":
        assert row["half_width"] <= 60
        # An interval in the file is cut to what an accuracy can reach.
        assert row["half_width"] >= (row["sim_high"] - row["sim_low"]) / 2 - 1e-9
    assert len(trials) == 2 * row["n"]
    answer = json.loads((folder / "answer.json").read_text())
    assert {key: answer["seed_rule"][key] for key in rule} == rule
    assert answer["verdicts"][0]["settled"] == row["settled"]
    assert "added by the rule declared beforehand (2 seeds, then 1 more at a time" in answer["text"]
    page = (folder / "index.html").read_text()
    assert "repeated confidence interval" in page
    for text in (answer["text"], page, (folder / "table.md").read_text()):
        assert "optional stopping" not in text
        assert "added later" not in text


def test_its_controls_have_the_first_seeds_alone(finished: tuple[Path, Path]) -> None:
    controls = pd.read_csv(finished[1] / "study" / "controls.csv")
    assert set(controls["seed"].dropna()) == {0, 1}


def test_the_same_command_trains_nothing_more(finished: tuple[Path, Path]) -> None:
    study, out = finished
    before = (out / "study" / "trials.csv").read_text()
    assert run(study, out) == 0
    assert (out / "study" / "trials.csv").read_text() == before


def test_a_report_from_the_csv_alone_has_the_same_intervals(
    finished: tuple[Path, Path], tmp_path: Path
) -> None:

    study, out = finished
    console = quiet()
    assert report_csv(Options(study, device="cpu", out=tmp_path), out / "study" / "trials.csv", console) == 0
    assert "rule declared beforehand" in said(console)
    ours, theirs = (pd.read_csv(folder / "effects.csv") for folder in (tmp_path, out / "study"))
    columns = ["variant", "n", "delta", "ci_low", "ci_high", "p", "sim_low", "sim_high", "settled"]
    pd.testing.assert_frame_equal(ours[columns], theirs[columns])


def test_whoever_looks_decides_once(finished: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    decided = []

    def counting(*given: object) -> object:
        decided.append(given)
        return settle(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(settling, "settle", counting)
    options = Options(finished[0], device="cpu", out=finished[1])
    show_status(options, quiet())
    assert len(decided) == 1
