"""What many tests share: a cache of their own, and a study of seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cmae_ablate.components.loading import load_components
from cmae_ablate.data.arrays import DataArrays, prepare
from cmae_ablate.runner import warm_up
from cmae_ablate.study.settings import apply, default_tree
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.tracking import mlflow_run, mlflow_tracker
from tests.tiny import TINY, TINY_SCALE, TINY_STUDY

if TYPE_CHECKING:
    import pandas as pd  # a machine that runs the tests of the GPU alone need not have it


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the user's cache."""
    before = os.environ.get("CMAE_ABLATE_CACHE")
    os.environ["CMAE_ABLATE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["CMAE_ABLATE_CACHE"]
    else:
        os.environ["CMAE_ABLATE_CACHE"] = before


@pytest.fixture(scope="session", autouse=True)
def _warm() -> None:
    """Which test comes first decides nothing: none sees the step before a process's first cell."""
    warm_up.WARM.add("cpu")


@pytest.fixture(scope="session", autouse=True)
def _patient_tracking() -> None:
    """A busy machine may take minutes for MLflow's tables; what must not is tested by itself."""
    mlflow_run.CELL_SECONDS = mlflow_tracker.STUDY_SECONDS = 600.0


@pytest.fixture(scope="session")
def tiny_spec() -> TrialSpec:
    """MAE on a few small scenes, trained in a second."""
    load_components()
    return resolve(apply(default_tree(), (), TINY))


@pytest.fixture(scope="session")
def tiny_data(tiny_spec: TrialSpec, _own_cache: None) -> DataArrays:
    """The scenes of `tiny_spec`."""
    return prepare(tiny_spec["dataset"].build())


@pytest.fixture
def tiny_study(tmp_path: Path) -> Path:
    """A study file of four cells, with its scale beside it."""
    (tmp_path / "scales").mkdir()
    (tmp_path / "scales" / "tiny.yaml").write_text(TINY_SCALE)
    path = tmp_path / "tiny_study.yaml"
    path.write_text(TINY_STUDY)
    return path


@pytest.fixture(scope="session")
def undisturbed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of the longer study, of a run that nobody disturbed."""
    from tests.whole_study import LONGER, run, write_study  # imports MLflow: only who asks shall wait

    folder = tmp_path_factory.mktemp("undisturbed")
    assert run(write_study(folder), folder / "runs", settings=LONGER) == 0
    return folder / "runs" / "study"


@pytest.fixture(scope="session")
def undisturbed(undisturbed_folder: Path) -> pd.DataFrame:
    """The longer study's trials, of a run that nobody disturbed."""
    import pandas as pd

    return pd.read_csv(undisturbed_folder / "trials.csv")


@pytest.fixture(scope="session")
def undisturbed_controls(undisturbed_folder: Path) -> pd.DataFrame:
    """The longer study's controls, of a run that nobody disturbed."""
    import pandas as pd

    return pd.read_csv(undisturbed_folder / "controls.csv")
