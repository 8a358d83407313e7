"""`make bench-gpu` in its dry form, what it measures with, and what a bare machine needs for it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import packages_distributions
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks import gpu, graphs, throughput, wheels
from benchmarks.busy import covered, device_seconds, spans_of
from benchmarks.gpu import Bench
from benchmarks.timing import Comparison
from benchmarks.two_ranks import _reason
from tests.test_benchmarks import FAKE_OFFICIAL

ROOT = Path(__file__).parents[1]


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """As much of a checkout of MAE's code as is read."""
    folder = tmp_path / "mae"
    (folder / "util").mkdir(parents=True)
    (folder / "util" / "pos_embed.py").write_text("COLUMNS = 2\n")
    (folder / "models_mae.py").write_text(FAKE_OFFICIAL)
    return folder


@pytest.mark.slow
def test_the_dry_form_takes_every_path_but_the_devices(official: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = ["make", "bench-gpu", f"PYTHON={ROOT / '.venv/bin/python'}", f"OFFICIAL={official}"]
    command.append(f"BENCH=--dry --seconds 3000 --out {out}")
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    sections = json.loads((out / "gpu.json").read_text())["sections"]
    assert list(sections) == list(gpu.SECTIONS)
    assert all(section["rows"] and "error" not in section for section in sections.values())
    text = (out / "GPU.md").read_text()
    assert "against MAE's official code" in text
    assert "two ranks on one device by gloo, their loss as one process's | 1 " in text
    assert text in done.stdout


def test_a_section_in_the_dry_form_compares_equal_steps_and_is_written(
    official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    only = "steps at the paper scale"
    assert (
        gpu.main(["--dry", "--only", only, "--official", str(official), "--out", str(tmp_path / "out")]) == 0
    )
    rows = json.loads((tmp_path / "out" / "gpu.json").read_text())["sections"][only]["rows"]
    assert [("compiled" in row["remark"]) for row in rows] == [False, True, False]
    assert all("equal to" in row["remark"] and "images/s" in row["remark"] for row in rows[:2])
    assert 0 < rows[2]["ratio"] <= 1


def test_a_section_that_fails_or_has_no_time_left_is_said_and_the_rows_before_are_kept() -> None:
    def failing(bench: Bench) -> Iterator[Comparison]:
        yield Comparison.once("a", 1.0)
        raise RuntimeError("CUDA error: an illegal memory access\nmore")

    bench = Bench(torch.device("cpu"), None, True, time.monotonic() + 1000)
    found = gpu.measured(failing, 10, bench)
    assert len(found["rows"]) == 1  # type: ignore[arg-type]
    assert found["error"] == "RuntimeError: CUDA error: an illegal memory access"
    late = gpu.measured(failing, 2000, bench)
    assert late == {"rows": [], "skipped": late["skipped"]}
    text = gpu.table({"machine": {"gpu": "H100"}, "sections": {"one": found, "two": late}})
    assert "- one: error: RuntimeError" in text
    assert "- two: skipped: it takes up to 2000 s" in text
    assert "- gpu: H100" in text


class ByGraphs(nn.Module):
    """A model as a mode of torch.compile might leave it: from its third step on, its terms are other ones."""

    def __init__(self, model: nn.Module, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.model, self.change, self.steps = model, change, 0

    def forward(self, *inputs: Any) -> Any:
        self.steps += 1
        terms = self.model(*inputs)
        if self.steps < 3:
            return terms
        return {name: replace(term, loss=self.change(term.loss)) for name, term in terms.items()}


def rows_by_graphs(
    change: Callable[[torch.Tensor], torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, Any]]:
    """The section's, where compiling is nothing, or `change` of CMAE's terms in the mode with graphs."""
    modes: list[str] = []

    def compiled(model: Any, *, mode: str = "default", **_: object) -> nn.Module:
        modes.append(mode)
        return ByGraphs(model, change) if mode == graphs.MODE and model.num_views > 1 else model

    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.setattr(throughput, "EPOCHS", 3)
    monkeypatch.setattr(throughput, "PROFILED", 1)
    found = gpu.measured(gpu.cuda_graphs, 0, Bench(torch.device("cpu"), None, True))
    assert "error" not in found
    assert modes == ["default", graphs.MODE] * 2
    return found["rows"]  # type: ignore[return-value]


def test_outputs_that_a_graph_overwrites_are_a_row_and_end_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def overwritten(loss: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("accessing tensor output of CUDAGraphs that has been | overwritten\nStack trace")

    faster, same, failed = rows_by_graphs(overwritten, monkeypatch)
    assert faster["ratio"] == pytest.approx(faster["reference_seconds"] / faster["own_seconds"])
    assert (same["name"], same["ratio"]) == (
        "MAE training at the gpu scale by CUDA graphs, losses as without",
        1,
    )
    assert failed["name"] == "CMAE training at the gpu scale by CUDA graphs"
    line = "RuntimeError: accessing tensor output of CUDAGraphs that has been / overwritten"
    assert failed["remark"] == f"failed: {line}"
    text = gpu.table({"machine": {}, "sections": {"CUDA graphs": {"rows": [failed]}}})
    assert f"| **missed**; failed: {line} |" in text


def test_a_loss_that_graphs_change_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_by_graphs(lambda loss: 1.1 * loss, monkeypatch)
    assert [row["ratio"] for row in rows[1::2]] == [1, 0]
    assert "relative difference 0.0e+00 in the first epoch" in rows[3]["remark"]  # two steps
    assert Comparison(**rows[3]).verdict == "**missed**"


def test_what_is_told_of_a_gpu_is_what_was_measured_there() -> None:
    found = json.loads((ROOT / "benchmarks" / "gpu.json").read_text())
    assert (ROOT / "benchmarks" / "GPU.md").read_text() == gpu.table(found)
    eager, compiled, _ = found["sections"]["steps at the gpu scale"]["rows"]
    mae, cmae, _ = found["sections"]["training at the gpu scale"]["rows"]
    assert Comparison(**compiled).verdict == "**missed**"
    ratios = {f"{row['ratio']:.3g}" for row in (eager, compiled)}
    speeds = {row["remark"].partition(" ")[0] for row in (mae, cmae)}
    told = {
        "benchmarks/RESULTS.md": ratios,
        "studies/scales/gpu.yaml": speeds,
    }
    for page, numbers in told.items():
        text = (ROOT / page).read_text()
        assert not {number for number in numbers if number not in text}, page


def test_by_default_all_that_was_measured_on_an_h200_has_time_tests_first() -> None:
    """With the seconds that they took there; the tests, run by hand, a minute."""
    found = json.loads((ROOT / "benchmarks" / "gpu.json").read_text())["sections"]
    took = {"tests": 60.0, **{name: section["seconds"] for name, section in found.items() if section["rows"]}}
    assert next(iter(gpu.SECTIONS)) == "tests"
    left = gpu.LIMIT_SECONDS
    for name, (_, needed) in list(gpu.SECTIONS.items())[:5]:
        assert took.get(name, 0) < needed <= left, name
        left -= took.get(name, needed)
    assert {name for name in gpu.SECTIONS if "paper" in name} == set(list(gpu.SECTIONS)[5:])


def test_what_runs_side_by_side_counts_once() -> None:
    assert covered([(5, 6), (0, 2), (1, 3), (1.5, 2.5), (6, 7)]) == 5
    assert covered([]) == 0


def test_annotations_and_the_host_are_no_work_of_the_device() -> None:
    def event(kind: str, start: float, end: float, annotation: bool = False) -> SimpleNamespace:
        device = getattr(torch.autograd.DeviceType, kind)
        span = SimpleNamespace(start=start, end=end)
        return SimpleNamespace(device_type=device, time_range=span, is_user_annotation=annotation)

    events = [event("CUDA", 0, 2), event("CUDA", 4, 5), event("CPU", 0, 9), event("CUDA", 0, 9, True)]
    assert covered(spans_of(events, "cuda")) == 3


def test_work_on_a_cpu_is_found_in_its_profile() -> None:
    values = torch.rand(300, 300)
    assert 0 < device_seconds(lambda: values @ values, torch.device("cpu")) < 60


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("x\nncclInvalidUsage: Duplicate GPU detected : rank 0\nRuntimeError: other", "Duplicate GPU"),
        ("Traceback\nValueError: no such backend\n", "ValueError: no such backend"),
        ("waiting\nended after 30 s", "ended after 30 s"),
        ("", "the ranks said nothing"),
    ],
)
def test_why_two_ranks_did_not_train_is_said(output: str, reason: str) -> None:
    assert reason in _reason(output)


def test_wheels_are_those_that_pytorch_does_not_bring() -> None:
    packages = {
        "torch": ["numpy>=2", "nvidia-cublas==13; platform_system == 'Linux'"],
        "timm": ["torch", "Safe.Tensors", "onnx; extra == 'export'"],
        "safe-tensors": ["tiny_dep"],
    }
    found = wheels.closure(["timm"], lambda name: packages.get(name, []))
    assert found >= {"timm", "safe-tensors", "tiny-dep", "numpy"}
    assert "onnx" not in found
    names = {package.partition("==")[0] for package in wheels.needed([])}
    assert {"scipy", "timm", "pydantic-core", "pytest"} <= names
    assert not names & {"torch", "torchvision", "numpy", "pillow", "triton"}
    assert not any(name.startswith("nvidia") for name in names)
    assert "scipy" not in {package.partition("==")[0] for package in wheels.needed(["scipy"])}


def imported_by_the_package() -> set[str]:
    """Distributions whose modules the package's source imports, wherever it does."""
    known = packages_distributions()
    trees = [ast.parse(path.read_text()) for path in (ROOT / "cmae_ablate").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {wheels.canonicalize_name(name) for each in modules for name in known.get(each.split(".")[0], [])}


def test_what_a_study_imports_is_in_the_wheels_but_for_mlflow_and_what_a_cluster_needs() -> None:
    have = ["numpy", "pillow"]
    brought = {package.partition("==")[0] for package in wheels.needed(have, study=True)}
    named = {"rich", "typer", "threadpoolctl", "jinja2", "tabulate", "pandas", "matplotlib", "statsmodels"}
    assert brought | wheels.closure(wheels.THERE) >= named | {"setproctitle"}
    assert brought >= {package.partition("==")[0] for package in wheels.needed(have)}
    assert "setproctitle" not in {package.partition("==")[0] for package in wheels.needed(have)}
    assert not brought & {"mlflow", "ray", "psycopg", "torch", "numpy", "cmae-ablate"}
    absent = imported_by_the_package() - brought - wheels.closure([*wheels.THERE, *have])
    assert absent <= {"cmae-ablate", "mlflow", "mlflow-skinny", "mlflow-tracing", "ray", "psycopg2-binary"}


def test_the_words_after_which_8_mib_are_enough_are_told_by_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        wheels.main(["--help"])
    told = capsys.readouterr().out
    have = told.partition("8 MiB are enough: --have ")[2].partition("\n")[0].split()
    brought = {package.partition("==")[0] for package in wheels.needed(have)}
    large = {"numpy", "scipy", "pillow", "timm", "torch", "torchvision", "huggingface-hub", "hf-xet"}
    assert brought
    assert not brought & large
    assert "--study" in told


def test_too_many_wheels_are_refused_with_the_largest(tmp_path: Path) -> None:
    (tmp_path / "small.whl").write_bytes(bytes(10))
    assert wheels.check_size(tmp_path) == f"{tmp_path}: 1 wheels, 0 MiB"
    with (tmp_path / "large.whl").open("wb") as file:
        file.truncate(wheels.LIMIT)
    with pytest.raises(SystemExit, match=r"60 MiB, more than 60; name with --have .* large\.whl 60 MiB"):
        wheels.check_size(tmp_path)


def test_a_study_is_trained_in_pieces_of_given_seconds_with_results_in_a_folder() -> None:
    words = [
        "make",
        "-n",
        "--no-print-directory",
        "study",
        "STUDY=cmae_vs_mae",
        "SCALE=gpu",
        "OUT=results",
        "PIECE=530",
    ]
    told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    command = "timeout --signal=TERM --kill-after=120 530 .venv/bin/cmae-ablate run studies/cmae_vs_mae.yaml"
    assert told.splitlines()[-1] == f"{command} --scale gpu --out results"


def test_what_the_gpu_benchmarks_import_is_in_the_wheels() -> None:
    """A bare machine has no others."""
    code = (
        "import sys; before = set(sys.modules); import benchmarks.gpu, benchmarks.two_ranks\n"
        "import tests.conftest, tests.training.test_device_step\n"
        "from cmae_ablate.components.loading import load_components; load_components()\n"
        "from importlib.metadata import packages_distributions\n"
        "known = packages_distributions()\n"
        "print(*sorted({d for m in set(sys.modules) - before for d in known.get(m.split('.')[0], [])}))"
    )
    command = [str(ROOT / ".venv/bin/python"), "-c", code]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    imported = {wheels.canonicalize_name(name) for name in told.split()} - {"cmae-ablate"}
    optional = {"charset-normalizer"}  # used by others where it happens to be there
    assert imported - optional <= wheels.closure([*wheels.WANTED, *wheels.THERE])
