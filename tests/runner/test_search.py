"""A search study, from its file to its table: tuned on validation alone, then trained as any other."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmae_ablate.cli.plan import show_plan
from cmae_ablate.cli.status import show_status
from cmae_ablate.data.arrays import DataArrays, Notice, Progress
from cmae_ablate.errors import UserError
from cmae_ablate.runner.experiment import Experiment, Places, controls_of
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.reporting import open_queue, report_again, settled
from cmae_ablate.runner.run import run_search, run_study
from cmae_ablate.runner.tuning import tuning_of, without_test
from cmae_ablate.study import design
from cmae_ablate.study.choice import Choice
from cmae_ablate.study.loading import load
from cmae_ablate.study.search import TUNING_SEED
from cmae_ablate.study.study_file import MAX_SEEDS
from tests.tiny import TINY_STUDY
from tests.whole_study import quiet, run, start, wait_for_a_checkpoint, write_study

METRIC = "knn.validation_top1"
RATES = "training.base_lr: {low: 1.0e-4, high: 1.0e-1, log: true}"
# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def search_study(
    folder: Path, *, trials: int = 2, seeds: int = 1, space: str = RATES, more: str = ""
) -> Path:
    path = write_study(folder)
    text = TINY_STUDY.replace("design: one_factor", "design: [search, one_factor]")
    search = (
        f"search:\n  trials: {trials}\n  seeds: {seeds}\n  metric: {METRIC}\n  space: {{{space}}}\n{more}"
    )
    path.write_text(text.replace("seeds: 2", "seeds: 1") + search)
    return path


def said(study: Path, out: Path, show: Callable[..., object]) -> str:
    console = quiet()
    show(Options(study, device="cpu", out=out), console)
    return " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]


def tune(study: Path, out: Path) -> Experiment | None:
    """The search alone, without the table."""
    options = Options(study, workers=1, device="cpu", out=out)
    return run_search(options.begin(options.load(), quiet()), options, quiet())[0]


def searched(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "study" / "search.csv")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A search study that ran undisturbed with one worker: its file and its `--out`."""
    folder = tmp_path_factory.mktemp("search")
    study, out = search_study(folder), folder / "runs"
    assert run(study, out) == 0
    return study, out


def test_every_variant_has_the_same_number_of_trials_and_one_winner(finished: tuple[Path, Path]) -> None:
    found = searched(finished[1])
    assert found.groupby("variant")["trial"].apply(list).to_dict() == {
        "depth 1": [0, 1],
        "linear": [0, 1],
    }
    assert found.groupby("variant")["wins"].sum().to_dict() == {"depth 1": 1, "linear": 1}
    best = found.groupby("variant")[METRIC].max()
    won = found[found["wins"]].set_index("variant")[METRIC]
    assert won.to_dict() == best.to_dict()


def test_the_table_is_trained_with_the_winners_settings_and_other_seeds(finished: tuple[Path, Path]) -> None:
    study, out = finished
    options = Options(study, device="cpu", out=out)
    experiment = settled(options.begin(options.load(), quiet()))
    won = searched(out)[searched(out)["wins"]].set_index("variant")["training.base_lr"].to_dict()
    assert {v.label: v.spec.training.base_lr for v in experiment.variants} == won
    trials = pd.read_csv(out / "study" / "trials.csv")
    assert list(trials["fingerprint"]) == [cell.fingerprint for cell in experiment.planned]
    assert set(trials["seed"]) == {0}
    assert set(searched(out)["seed"]) == {TUNING_SEED}


def test_no_table_can_have_the_seed_that_was_tuned_on() -> None:
    assert TUNING_SEED not in range(MAX_SEEDS)


def test_the_report_says_how_settings_were_chosen(finished: tuple[Path, Path]) -> None:
    page = " ".join((finished[1] / "study" / "index.html").read_text().split())
    assert "Tuned on validation images before any test image was looked at: 2 trials a variant" in page
    assert "linear\u2019 training.base_lr" in page
    assert "hold given these tuned settings" in page
    # 39 / sqrt(32) = 6.9
    assert "chosen on 32 validation images, whose noise alone is about 6.9 points" in page


def test_the_tuning_of_a_command_with_other_settings_is_not_reported_as_this_ones(
    finished: tuple[Path, Path],
) -> None:
    study, out = finished
    before = searched(out)
    theirs = before.assign(**{METRIC: 99.0}).head(1)
    theirs.to_csv(out / "study" / "search.csv", index=False)
    assert report_again(Options(study, device="cpu", out=out), quiet()) == 0
    pd.testing.assert_frame_equal(searched(out), before)


def test_the_winners_are_recorded_in_the_storage(finished: tuple[Path, Path]) -> None:
    import optuna

    out = finished[1]
    study = optuna.load_study(study_name="study/search", storage=Places.below(out).storage)
    won = searched(out)[searched(out)["wins"]].set_index("variant")["training.base_lr"]
    recorded = {name: each["training.base_lr"] for name, each in study.user_attrs["winners"].items()}
    assert recorded == won.to_dict()
    assert all("training.base_lr" in trial.params for trial in study.trials)


def test_tuning_runs_are_in_an_experiment_of_their_own_and_finished(finished: tuple[Path, Path]) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(Places.below(finished[1]).tracking)
    kinds = {}
    for name in ("study", "study/search"):
        experiment = client.get_experiment_by_name(name)
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id])
        assert {each.info.status for each in runs} == {"FINISHED"}
        kinds[name] = sum(each.data.tags["cmae.kind"] == "seed" for each in runs)
        metrics = {metric for each in runs for metric in each.data.metrics}
        assert ("knn/top1" in metrics) == (name == "study")  # tuning has no test metric to show
    assert kinds == {"study": 2, "study/search": 4}


def test_the_same_command_again_trains_nothing(finished: tuple[Path, Path]) -> None:
    study, out = finished
    before = {name: (out / "study" / name).read_bytes() for name in ("search.csv", "trials.csv")}
    cached = sorted((out / "cache" / "pretrain").iterdir())
    assert run(study, out) == 0
    assert {name: (out / "study" / name).read_bytes() for name in before} == before
    assert sorted((out / "cache" / "pretrain").iterdir()) == cached


def test_plan_and_status_tell_of_the_tuning(finished: tuple[Path, Path], tmp_path: Path) -> None:
    study, out = finished
    told = said(study, tmp_path, show_plan)
    assert "4 trainings to tune (2 variants x 2 trials x 1 seed from 1000 on) for knn.validation_top1" in told
    assert "2 cells (2 variants x 1 seed)" in told
    told = said(study, out, show_status)
    assert "4 of 4 trainings to tune done, 0 of them pruned" in told
    assert "2 of 2 cells complete" in told


def test_one_worker_proposes_the_same_again_whatever_the_test_labels(
    finished: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = Choice.prepare

    def shuffled(choice: Choice, progress: Progress, notice: Notice) -> DataArrays:
        data = prepare(choice, progress, notice)
        labels = np.roll(data.test.labels, 7)
        return replace(data, test=replace(data.test, labels=labels))

    monkeypatch.setattr(Choice, "prepare", shuffled)
    out = tmp_path / "runs"
    assert tune(finished[0], out)
    pd.testing.assert_frame_equal(searched(out), searched(finished[1]))


def test_tuning_has_no_test_images_to_look_at(tiny_data: DataArrays) -> None:
    withheld = without_test(tiny_data)
    assert withheld.test is withheld.validation
    assert withheld.digest != tiny_data.digest  # nor can a cached result be taken for one on the whole data


def test_a_trial_that_diverges_counts_and_cannot_win(tmp_path: Path) -> None:
    study = search_study(tmp_path, trials=2, space="training.base_lr: [1.0e-3, 1.0e+30]")
    assert tune(study, tmp_path / "runs")
    found = searched(tmp_path / "runs").set_index(["variant", "training.base_lr"])
    assert set(found.xs(1e30, level=1)["state"]) == {"PRUNED"}
    assert found.xs(1e30, level=1)["reason"].str.contains("DivergedError").all()
    assert found.xs(1e-3, level=1)["wins"].all()


def test_a_pruned_trial_counts_and_the_search_completes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = search_study(tmp_path, trials=2, more="  prune: true\n")
    # The median of five complete trials would take a long study: that rule has tests of its own.
    monkeypatch.setattr(
        "cmae_ablate.queue.Proposals.is_hopeless", lambda self, number, cell, _: "trial 1" in cell.variant
    )
    tuned = tune(study, tmp_path / "runs")
    assert tuned is not None
    assert "some stopped early" in tuned.notes[0]
    found = searched(tmp_path / "runs").set_index(["variant", "trial"])
    assert list(found["state"]) == ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED"]
    assert found.xs(1, level=1)["reason"].str.contains("below the median").all()
    assert found.xs(0, level=1)["wins"].all()
    assert not list((tmp_path / "runs" / "cache").rglob("step-*.pt"))


def test_without_a_winner_there_is_no_table(tmp_path: Path) -> None:
    study, console = search_study(tmp_path, trials=1, space="training.base_lr: [1.0e+30]"), quiet()
    assert run_study(Options(study, workers=1, device="cpu", out=tmp_path / "runs"), console) == 1
    assert "no table yet" in " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert not (tmp_path / "runs" / "study" / "trials.csv").exists()


MISTAKES: Mapping[str, tuple[str, str, str]] = {
    "a key that leads nowhere": ("{training.base_lr: [1.0e-3", "{trainin.base_lr: [1.0e-3", "'training'"),
    "a value out of range": ("[1.0e-3", "[-1.0", "greater than 0"),
    "a key that a level sets": ("training.base_lr: [1.0e-3", "decoder.depth: [1", "sets it in level"),
    "a key that one variant lacks": ("training.base_lr: [1.0e-3", "decoder.heads: [2", "variant 'linear'"),
    "the data": ("training.base_lr: [1.0e-3", "dataset.num_train: [64", "same images"),
    "how a trial is measured": ("training.base_lr: [1.0e-3", "evaluations.knn.k: [3", "how a trial"),
    "a metric on test data": ("knn.validation_top1", "knn.top1", "validation data is expected"),
    "a metric that is not there": ("knn.validation_top1", "knn.validation_top5", "did you mean"),
    "more trials than settings": ("trials: 1", "trials: 2", "1 different settings"),
    "a budget": ("search:", "budget: flops\nsearch:", "equal"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_search_is_said_with_its_place(name: str, tmp_path: Path) -> None:
    study = search_study(tmp_path, trials=1, space="training.base_lr: [1.0e-3]")
    before, after, words = MISTAKES[name]
    text = study.read_text()
    assert before in text
    study.write_text(text.replace(before, after))
    with pytest.raises(UserError) as caught:
        design.variants(load(study))
    assert str(caught.value).startswith(f"{study}:1"), str(caught.value)
    assert words in str(caught.value)


def test_what_is_tuned_cannot_be_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--set training.base_lr=1: .*is tuned"):
        design.variants(load(search_study(tmp_path), settings=["training.base_lr=1"]))


def test_a_metric_whose_label_alone_says_validation_is_refused(tmp_path: Path) -> None:
    study = search_study(tmp_path, more="set: {evaluations: {validation: {name: knn}}}\n")
    study.write_text(study.read_text().replace(METRIC, "validation.top1"))
    with pytest.raises(UserError, match="validation data is expected"):
        load(study)


def tuning_cells(study: Path, out: Path) -> tuple[Experiment, list[str]]:
    options = Options(study, device="cpu", out=out)
    tuning = tuning_of(options.begin(options.load(), quiet()))
    return tuning, [cell.id for cell in tuning.planned]


def test_more_trials_only_add_and_another_space_begins_anew(tmp_path: Path) -> None:
    found = {
        name: set(tuning_cells(search_study(tmp_path / name, trials=trials, space=space), tmp_path)[1])
        for name, trials, space in (
            ("few", 2, RATES),
            ("more", 3, RATES),
            ("other", 2, RATES.replace("e-4", "e-5")),
        )
    }
    assert found["few"] < found["more"]
    assert not found["few"] & found["other"]


def test_a_trial_is_judged_by_the_mean_of_its_seeds(tmp_path: Path) -> None:
    study = search_study(tmp_path, seeds=3)
    out = tmp_path / "runs"
    tuned = tune(study, out)
    assert tuned is not None
    found = searched(out)
    assert found.groupby(["variant", "trial"])["seed"].apply(list).tolist() == [[1000, 1001, 1002]] * 4
    assert found.groupby("trial")["training.base_lr"].nunique().tolist() == [1, 1]  # of variants and seeds
    means = found.groupby(["variant", "trial"])[METRIC].mean().unstack()
    wins = found[found["wins"]].groupby("variant")["trial"].unique()
    for variant in ("depth 1", "linear"):
        best = [trial for trial in (0, 1) if means.loc[variant, trial] == means.loc[variant].max()]
        assert list(wins[variant]) == [best[0]]


def test_three_seeds_are_the_default_and_more_seeds_only_add(tmp_path: Path) -> None:
    study = search_study(tmp_path, seeds=2)
    two = set(tuning_cells(study, tmp_path)[1])
    study.write_text(study.read_text().replace("  seeds: 2\n", ""))
    three = set(tuning_cells(study, tmp_path)[1])
    assert (len(two), len(three)) == (8, 12)
    assert two < three


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A search study whose two seeds are each tuned anew, run undisturbed."""
    folder = tmp_path_factory.mktemp("repeated")
    study = search_study(folder, more="  repeat: true\n")
    study.write_text(study.read_text().replace("seeds: 1\nmetric", "seeds: 2\nmetric"))
    assert run(study, folder / "runs") == 0
    return study, folder / "runs"


def test_each_seed_of_the_table_has_points_tuning_seeds_and_winners_of_its_own(
    repeated: tuple[Path, Path],
) -> None:
    found = searched(repeated[1])
    assert found.groupby("table_seed")["seed"].unique().apply(list).to_dict() == {0: [1000], 1: [1001]}
    rates = found.groupby(["table_seed", "trial"])["training.base_lr"].unique()
    assert rates.apply(len).tolist() == [1] * 4  # shared by the variants
    assert len({float(each[0]) for each in rates}) == 4  # and no point is tried twice
    assert found.groupby(["variant", "table_seed"])["wins"].sum().tolist() == [1] * 4
    best = found.groupby(["variant", "table_seed"])[METRIC].max()
    assert found[found["wins"]].set_index(["variant", "table_seed"])[METRIC].to_dict() == best.to_dict()


def test_each_cell_of_the_table_is_trained_with_what_its_own_tuning_chose(
    repeated: tuple[Path, Path],
) -> None:
    study, out = repeated
    options = Options(study, device="cpu", out=out)
    experiment = settled(options.begin(options.load(), quiet()))
    won = searched(out)[searched(out)["wins"]].set_index(["variant", "table_seed"])["training.base_lr"]
    trained = {
        (cell.variant, cell.seed): experiment.cell(cell).spec.training.base_lr for cell in experiment.planned
    }
    assert trained == won.to_dict()
    trials = pd.read_csv(out / "study" / "trials.csv")
    assert list(trials["fingerprint"]) == [cell.fingerprint for cell in experiment.planned]
    assert set(trials["state"]) == {"COMPLETE"}
    # Made worse from the reference as that seed has it; what is not trained is the same for all.
    controls = controls_of(experiment)
    positive = [controls.cell(cell) for cell in controls.planned if cell.variant == "positive control"]
    assert [cell.spec.training.base_lr for cell in positive] == [won["depth 1", seed] for seed in (0, 1)]
    plain = controls_of(options.begin(options.load(), quiet()))
    of_encoders = [cell.id for cell in controls.planned if cell.variant == "random init"]
    assert of_encoders == [cell.id for cell in plain.planned if cell.variant == "random init"]
    assert len(of_encoders) == 2


def test_the_caption_says_that_intervals_include_the_tuning(repeated: tuple[Path, Path]) -> None:
    page = " ".join((repeated[1] / "study" / "index.html").read_text().split())
    assert "Each seed has a tuning of its own" in page
    assert "intervals include the tuning" in page
    assert "hold given these tuned settings" not in page


def test_plan_prices_each_seeds_tuning_and_status_counts_them(
    repeated: tuple[Path, Path], tmp_path: Path
) -> None:
    study, out = repeated
    told = said(study, tmp_path, show_plan)
    assert "8 trainings to tune (2 variants x 2 trials x 1 seed" in told
    assert "for each of 2 seeds of the table" in told
    assert "8 of 8 trainings to tune done" in said(study, out, show_status)


def test_a_further_seed_adds_a_tuning_and_leaves_the_others(
    repeated: tuple[Path, Path], tmp_path: Path
) -> None:
    before = set(tuning_cells(repeated[0], tmp_path)[1])
    more = search_study(tmp_path, more="  repeat: true\n")
    more.write_text(more.read_text().replace("seeds: 1\nmetric", "seeds: 3\nmetric"))
    after = set(tuning_cells(more, tmp_path)[1])
    assert (len(before), len(after)) == (8, 12)
    assert before < after


def test_what_untrained_encoders_depend_on_cannot_differ_from_seed_to_seed(tmp_path: Path) -> None:
    space = "backbone.mlp_ratio: [2.0, 4.0]"
    design.variants(load(search_study(tmp_path / "once", space=space)))
    with pytest.raises(UserError, match=r"backbone.mlp_ratio.*differ from seed to seed"):
        design.variants(load(search_study(tmp_path / "each", space=space, more="  repeat: true\n")))


def differ_in_tuning_alone(rng: np.random.Generator, *, shared: bool, seeds: int) -> bool:
    """Whether two methods that are the same are told apart by a paired t test over three table seeds.

    The true score falls by 8 points from the middle of the range to its ends; a training has a noise of 0.5
    points of its own and, on 3,200 images, 39 / sqrt(2 * 3,200) of the images'.
    """
    noise = math.hypot(0.5, 39 / math.sqrt(2 * 3200))
    points = [rng.uniform(-1, 1, 6) for _ in range(2)]
    winners = []
    for tried in (points[0], points[0] if shared else points[1]):
        seen = -8 * tried**2 + rng.normal(0, noise, (seeds, 6)).mean(axis=0)
        winners.append(-8 * tried[seen.argmax()] ** 2)
    differences = winners[0] - winners[1] + rng.normal(0, math.sqrt(2) * noise, 3)
    t = differences.mean() / (differences.std(ddof=1) / math.sqrt(3))
    return bool(abs(t) > 4.302653)  # the 97.5 % point of t with 2 degrees of freedom


def test_two_identical_methods_are_told_apart_in_about_five_percent() -> None:
    rng = np.random.default_rng(0)
    told = {
        (shared, seeds): sum(differ_in_tuning_alone(rng, shared=shared, seeds=seeds) for _ in range(2000))
        for shared, seeds in ((True, 3), (False, 1))
    }
    # 2,000 at 5 %: 100, with a standard deviation of 9.7.
    assert told[True, 3] < 140
    assert told[False, 1] > 180  # points and a seed of each variant's own, as it was


@pytest.mark.slow
def test_a_killed_search_goes_on_with_the_same_command_and_ends_alike(
    finished: tuple[Path, Path], tmp_path: Path
) -> None:
    study, out = search_study(tmp_path), tmp_path / "runs"
    process = start(study, out, "--workers", "1", "--set", "training.epochs=2")
    wait_for_a_checkpoint(out, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=120)
    assert run(study, out) == 0
    pd.testing.assert_frame_equal(searched(out), searched(finished[1]))


@pytest.mark.slow
def test_workers_side_by_side_give_every_variant_the_same_number_of_trials(tmp_path: Path) -> None:
    study, out = search_study(tmp_path, trials=4), tmp_path / "runs"
    process = start(study, out, "--workers", "3", "--set", "training.epochs=2")
    output = process.communicate(timeout=500)[0]
    assert process.returncode == 0, output
    found = searched(out)
    assert found.groupby("variant")["state"].value_counts().to_dict() == {
        ("depth 1", "COMPLETE"): 4,
        ("linear", "COMPLETE"): 4,
    }
    assert found.groupby("variant")["training.base_lr"].nunique().to_dict() == {"depth 1": 4, "linear": 4}
    tuning, _ = tuning_cells(study, out)
    assert [status.attempts for status in open_queue(tuning).status()] == [0] * 8
