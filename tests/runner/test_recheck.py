"""A study run again after files of its cells were damaged: they are named and made again."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.runner.options import Options
from cmae_ablate.runner.reporting import report_again
from cmae_ablate.runner.run import run_study
from tests.runner.test_finished import flip_a_byte, truncate
from tests.whole_study import optuna_trials, quiet, said, write_study

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def test_a_complete_study_names_its_damaged_cells_and_makes_them_again(tmp_path: Path) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    study.write_text(study.read_text() + "positive_control: none\n")
    options = Options(study, seeds=1, workers=1, device="cpu", out=out)
    assert run_study(options, quiet()) == 0
    before = pd.read_csv(out / "study" / "trials.csv")
    weights, *_ = sorted(out.glob("cache/pretrain/*/model.safetensors"))
    *_, predictions = sorted(out.glob("cache/pretrain/*/knn-*.npy"))
    assert weights.parent != predictions.parent
    flip_a_byte(weights)
    truncate(predictions)
    assert report_again(options, quiet()) == 0  # a report trains nothing; it says what it leaves out
    page = " ".join((out / "study" / "index.html").read_text().split())
    assert f"{predictions}: damaged (not the predictions that were recorded)" in page
    console = quiet()
    assert run_study(options, console) == 0
    told = said(console)
    for path in (weights, predictions):
        assert f"note: {path}: damaged" in told
        assert path.is_file()
        assert path.with_name(f"{path.name}.damaged-1").is_file()
    after = pd.read_csv(out / "study" / "trials.csv")
    kept = [name for name in before if not name.startswith(("seconds.", "memory."))]
    pd.testing.assert_frame_equal(before[kept], after[kept])
    assert [trial.state.name for trial in optuna_trials(out)] == ["COMPLETE"] * 4  # the old ones stay stored
    console = quiet()
    assert run_study(options, console) == 0
    assert "damaged" not in said(console)
    assert len(optuna_trials(out)) == 4
