"""The layering of ARCHITECTURE, held by reading the imports."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "cmae_ablate"

# From the ground up; a module may import its own layer and those below. A folder stands for all of it.
LAYERS = [
    {"errors", "disk", "records", "database_url", "selection", "__init__"},
    {"registry", "tokens", "arrays", "array_writer", "yaml_source"} | {"data_account", "shared_images"},
    {"settings", "spec", "assignments", "study_file", "study_keys", "search_keys", "space", "design"}
    | {"controls"},
    {"runtime", "ranks", "hardware", "slots"},
    {"components"},
    {"data", "resample", "model", "untrained", "optim", "checkpoint", "meter", "finished"},
    {"pretrain", "evaluations", "collapse", "cost", "pictures"}
    | {"interop", "mae_layout", "mae_weights", "checkpoint_encoder"},
    {"cache"},
    {"trial", "control_cells", "memory"},
    {"queue"},
    {"launch", "report", "budget", "calibration", "campaign", "tuning", "analysis_plan"}
    | {"progress", "environment", "tracking"},
    {"attempt", "worker", "rungs", "follower", "results", "exhibits", "options", "provenance"},
    {"reporting", "housekeeping", "recheck"},
    {"workforce"},
    {"run", "plan", "status", "prepare", "doctor", "new_study", "catalogue", "schema", "checkpoints"},
    {"commands"},
    {"cli", "__main__"},
]
RANK = {module: rank for rank, layer in enumerate(LAYERS) for module in layer}


def imports(path: Path) -> set[str]:
    """Modules of this package that a file imports, lazily or not, for typing or not."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("cmae_ablate"):
            names = (
                [node.module]
                if node.module != "cmae_ablate"
                else [f"cmae_ablate.{a.name}" for a in node.names]
            )
            found |= {name for name in names if name != "cmae_ablate.__version__"}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("cmae_ablate")}
    return found


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def top(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_module_has_a_layer() -> None:
    assert {top(path) for path in modules()} <= set(RANK)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    above = {name for name in imports(path) if RANK[name.split(".")[1]] > RANK[top(path)]}
    assert not above


def test_components_import_no_registered_component() -> None:
    registered = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in (PACKAGE / "components").rglob("*.py")
        if ".register(" in path.read_text()
    }
    assert len(registered) > 10
    for path in (PACKAGE / "components").rglob("*.py"):
        assert not imports(path) & registered, path


@pytest.mark.parametrize("folder", ["report", "queue"])
def test_reports_and_queue_need_no_torch(folder: str) -> None:
    for path in (PACKAGE / folder).rglob("*.py"):
        text = path.read_text()
        assert "import torch" not in text, path
        assert "from torch" not in text, path
