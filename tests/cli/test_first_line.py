"""What a user sees at once, and what no command imports that does not need it: order, not seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.recorder import HEAVY

ROOT = Path(__file__).parents[2]
RECORDER = Path(__file__).with_name("recorder.py")


@dataclass(frozen=True)
class Done:
    """What a command left: its exit status, its output, and what happened in which order."""

    status: int
    out: str
    err: str
    events: list[str]

    @property
    def imported(self) -> set[str]:
        return set(self.events) & set(HEAVY)


def command(folder: Path, *arguments: object) -> Done:
    record = folder / "events.json"
    done = subprocess.run(
        [sys.executable, str(RECORDER), str(record), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr, json.loads(record.read_text()))


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A command that writes the catalogue, unless an earlier test did."""
    command(tmp_path_factory.mktemp("first"), "components")


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["studies"], set()),
        (["components", "moco_v3"], set()),
        (["schema"], set()),
        (["data", "list"], set()),
        (["init", "mine"], set()),
        (["status", "tiny_study.yaml"], {"optuna"}),  # the queue's
        (["report", "tiny_study.yaml"], {"optuna"}),
    ],
)
def test_what_only_reads_imports_nothing_heavy(
    arguments: list[str], needed: set[str], tiny_study: Path
) -> None:
    done = command(tiny_study.parent, *arguments)
    assert done.status == (1 if "report" in arguments else 0), done.err
    assert done.imported <= needed


SEARCHES = """
import gc, sys
from cmae_ablate.cli.app import main
searched = []
gc.callbacks.append(lambda phase, told: searched.append(told["generation"]) if phase == "start" else None)
sys.argv = ["cmae-ablate", "status", "tiny_study.yaml"]
try:
    main()
finally:
    print(len(searched), searched.count(2), file=sys.stderr)
"""


@pytest.mark.usefixtures("known")
def test_what_a_command_imports_is_hardly_searched_for_garbage(tiny_study: Path) -> None:
    command = [sys.executable, "-c", SEARCHES]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, env=environment, cwd=tiny_study.parent, capture_output=True, text=True, check=True
    )
    # By Python's own thresholds some 170 times.
    searches, whole = map(int, done.stderr.split())
    assert searches < 100
    assert whole == 0


@pytest.mark.usefixtures("known")
def test_a_plan_that_was_made_before_imports_no_torch_and_says_the_same(tiny_study: Path) -> None:
    # A batch of its own: other tests plan this study, too.
    own = ["--set", "training.batch_size=21"]
    arguments = ["plan", "tiny_study.yaml", "--device", "auto", "--json", *own]
    first, second = (command(tiny_study.parent, *arguments) for _ in range(2))
    assert first.status == second.status == 0
    assert "torch" in first.imported
    assert second.imported <= {"optuna"}
    plans = [json.loads(done.out) for done in (first, second)]
    since = [plan.pop("basis") for plan in plans]
    assert plans[0] == plans[1]
    assert "timed" in since[1].removeprefix("timed on noise")


@pytest.mark.usefixtures("known")
def test_a_report_from_a_csv_imports_neither_torch_nor_mlflow_nor_optuna(tiny_study: Path) -> None:
    rows = [(v, seed, "COMPLETE", 20.0 + seed) for seed in (0, 1) for v in ("depth 1", "linear")]
    frame = pd.DataFrame(rows, columns=["variant", "seed", "state", "knn.top1"])
    frame.to_csv(tiny_study.parent / "mine.csv", index=False)
    done = command(tiny_study.parent, "report", "tiny_study.yaml", "--trials", "mine.csv", "--out", "tables")
    assert done.status == 0, done.err
    assert done.imported & {"torch", "torchvision", "timm", "mlflow"} == set()


NO_CATALOGUE = [
    (["run", "tiny_studdy.yaml"], "there is no such file"),
    (["plan", "decoder_siez"], "did you mean 'decoder_size'?"),
    (["status", "decoder_siez"], "did you mean 'decoder_size'?"),
    (["run", "tiny_study.yaml", "--device", "gpu"], "choose auto, cpu or cuda"),
    (["plan", "tiny_study.yaml", "--scale", "tinny"], "did you mean 'tiny'?"),
    (["run", "tiny_study.yaml", "--import", "absent.csv"], "absent.csv"),
    (["report", "tiny_study.yaml", "--trials", "absent.csv"], "absent.csv"),
    (["report", "tiny_study.yaml", "--trials", "tiny_study.yaml"], "tiny_study.yaml"),
]


@pytest.mark.parametrize(("arguments", "words"), NO_CATALOGUE)
def test_a_mistake_is_refused_before_anything_heavy_is_imported(
    arguments: list[str], words: str, tiny_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As after an installation: no catalogue is there.
    monkeypatch.setenv("CMAE_ABLATE_CACHE", str(tiny_study.parent / "cache"))
    done = command(tiny_study.parent, *arguments)
    assert done.status == 2
    assert words in done.err
    assert len(done.err.splitlines()) == 1
    assert done.imported == set()


@pytest.mark.usefixtures("known")
def test_a_wrong_setting_is_refused_by_the_catalogue(tiny_study: Path) -> None:
    done = command(tiny_study.parent, "run", "tiny_study.yaml", "--set", "backbone.dim=8.5")
    assert done.status == 2
    assert done.err.startswith("--set backbone.dim=8.5: ")
    assert done.imported == set()


@pytest.mark.skipif(os.path.exists("/dev/nvidiactl"), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_before_torch_is_imported(tiny_study: Path) -> None:
    done = command(tiny_study.parent, "run", "tiny_study.yaml", "--device", "cuda")
    assert done.status == 2
    assert done.err == "--device cuda: no CUDA device is visible to torch; use --device cpu or auto\n"
    assert done.imported == set()


@pytest.mark.parametrize(
    ("arguments", "stream"),
    [
        (["plan", "tiny_study.yaml", "--device", "cpu"], "stdout"),
        (["components", "--json"], "stderr"),
        (["data", "list"], "stdout"),
    ],
)
def test_the_first_line_is_there_before_the_first_heavy_import(
    arguments: list[str], stream: str, tiny_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMAE_ABLATE_CACHE", str(tiny_study.parent / "cache"))
    done = command(tiny_study.parent, *arguments)
    first = min((done.events.index(name) for name in HEAVY if name in done.events), default=len(done.events))
    assert stream in done.events[:first]
    line = (done.out if stream == "stdout" else done.err).splitlines()[0]
    assert line.startswith(" ".join(part for part in arguments[:2] if not part.startswith("-")))
    if stream == "stderr":
        json.loads(done.out)


def test_a_file_that_is_printed_to_be_redirected_is_that_file(tmp_path: Path) -> None:
    done = command(tmp_path, "studies", "decoder_size")
    assert done.out == (ROOT / "studies" / "decoder_size.yaml").read_text()
    assert done.err == "studies: listing studies ...\n"
