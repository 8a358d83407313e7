"""The study file or its data changed between the command and the workers that it starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.runner import launching
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.run import run_study
from cmae_ablate.runner.stopping import StopFlag
from cmae_ablate.runner.workers import work
from tests.whole_study import optuna_trials, quiet, said, write_study

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


class Started:
    """Stands for the launcher: what is changed here is changed before a worker begins."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, change: object) -> None:
        self.message = ""
        monkeypatch.setattr(launching, "run_workers", self.run)
        self._monkeypatch, self._change = monkeypatch, change

    def run(
        self, command: list[str], count: int, *, environment: dict[str, str], log_dir: Path, **other: object
    ) -> list[int]:
        assert callable(self._change)
        self._change()
        for name, text in environment.items():
            self._monkeypatch.setenv(name, text)
        options = Options(Path(command[4]), seeds=1, device="cpu", out=log_dir.parents[1])
        try:
            return [work(options, quiet(), StopFlag())] * count
        except UserError as error:
            self.message = str(error)
            (log_dir / "worker-0.log").write_text(f"{error}\n")
            return [2] * count


@pytest.fixture
def folder_study(tmp_path: Path) -> Path:
    """A study on a folder of images, one of which can be changed."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for part, number in {"train": 16, "val": 4, "test": 4}.items():
        for name in ("cat", "dog"):
            (tmp_path / "photos" / part / name).mkdir(parents=True)
            for index in range(number):
                pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "photos" / part / name / f"{index}.png")
    study = write_study(tmp_path)
    scale = tmp_path / "scales" / "tiny.yaml"
    lines = scale.read_text().splitlines()[1:]
    photos = f"dataset: {{name: folder, source: {tmp_path / 'photos'}, image_size: 32}}"
    scale.write_text("\n".join([photos, *lines]))
    return study


def test_an_edited_study_file_is_said_and_nothing_of_it_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    text = study.read_text()
    started = Started(monkeypatch, lambda: study.write_text(text.replace("linear: {", "flat: {")))
    with pytest.raises(UserError, match=r"changed meanwhile: the study file, .* \(variants\)") as caught:
        run_study(Options(study, seeds=1, workers=2, device="cpu", out=out), quiet())
    assert "nothing finished is lost; give the same command again" in str(caught.value)
    assert "memory" not in str(caught.value)
    assert started.message == str(caught.value)
    assert optuna_trials(out) == []


def test_a_study_file_that_is_no_more_is_no_want_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    Started(monkeypatch, lambda: study.write_text("question: 3\n"))
    with pytest.raises(UserError, match="changed meanwhile, or what it needs did: a worker refused it"):
        run_study(Options(study, seeds=1, workers=2, device="cpu", out=out), quiet())


def test_changed_images_are_told_from_a_changed_study(
    folder_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    place = folder_study.parent / "photos" / "train" / "cat" / "0.png"
    Started(monkeypatch, lambda: Image.new("RGB", (33, 32)).save(place))
    with pytest.raises(UserError, match="changed meanwhile: the images of its data set"):
        run_study(Options(folder_study, seeds=1, workers=2, device="cpu", out=folder_study.parent), quiet())


def test_an_unchanged_study_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    Started(monkeypatch, lambda: None)
    console = quiet()
    status = run_study(Options(study, seeds=1, workers=2, device="cpu", out=out), console)
    assert (status, "changed meanwhile" in said(console)) == (0, False), said(console)
