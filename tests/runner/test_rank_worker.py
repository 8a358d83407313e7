"""What is said before ranks train; `tests/distributed` runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.distributed import Ranks
from cmae_ablate.errors import UserError
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.rank_worker import check_ranks
from cmae_ablate.runner.run import run_study
from tests.whole_study import quiet

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def test_a_batch_that_ranks_cannot_share_evenly_is_refused_with_the_remedy(
    tiny_study: Path, tmp_path: Path
) -> None:
    options = Options(tiny_study, device="cpu", out=tmp_path / "runs")
    experiment = options.begin(options.load(), quiet())
    check_ranks(experiment, Ranks())
    told = r"'depth 1': a batch of 16 images .* 3 ranks; set training.batch_size to a multiple of 3"
    with pytest.raises(UserError, match=told):
        check_ranks(experiment, Ranks(0, 3))


def test_run_is_refused_under_torchrun(
    tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="let torchrun start 'cmae-ablate worker'"):
        run_study(Options(tiny_study, device="cpu", out=tmp_path / "runs"), quiet())
    assert not (tmp_path / "runs").exists()
