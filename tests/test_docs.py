"""The documentation: its links lead somewhere, its commands and its Python are real."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

import cmae_ablate
from cmae_ablate.cli.app import app
from cmae_ablate.components.loading import load_components
from cmae_ablate.components.registry import SLOTS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run by the tests[^>]*-->\s*```python.*?^```", flags=re.MULTILINE | re.DOTALL)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def identity(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=identity)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.is_file(), f"{page.name}: {target}"
        assert not heading or heading in anchors(found), f"{page.name}: {target}"


def test_every_page_stands_in_the_sites_navigation() -> None:
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r"[\w/-]+\.md", config.partition("nav:")[2]))
    script = (ROOT / "scripts" / "build_reference.py").read_text(encoding="utf-8")
    made = {f"reference/{name}" for name in re.findall(r'"([\w-]+\.md)":', script)}
    assert len(made) == 4
    assert listed == made | {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}


def command_lines() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for kind, body in FENCE.findall(page.read_text(encoding="utf-8")):
            if kind in ("", "bash", "sh"):
                for line in body.splitlines():
                    if line.startswith("cmae-ablate ") and not re.search(
                        r"\bSTUDY\b|[A-Z]{2,}\||\[|\|", line
                    ):
                        yield page.name, line.partition(" #")[0].strip()


@pytest.mark.parametrize("where,line", sorted(set(command_lines())))
def test_every_command_line_is_one_that_the_program_takes(where: str, line: str) -> None:
    words = shlex.split(line.partition(" > ")[0])[1:]
    context = typer.main.get_command(app).make_context("cmae-ablate", words, resilient_parsing=False)
    command = context.command
    while hasattr(command, "commands"):
        name, *words = words
        assert name in command.commands, f"{where}: {line}"
        command = command.commands[name]
    if "--help" not in words:  # it ends a program where it stands
        command.make_context(command.name, words, parent=context)


@pytest.mark.parametrize("page", ["tutorial.md", "how-to/python.md"])
def test_the_python_of_a_page_runs(page: str, tmp_path: Path) -> None:
    text = NOT_RUN.sub("", (DOCS / page).read_text(encoding="utf-8"))
    blocks = [body for kind, body in FENCE.findall(text) if kind == "python"]
    assert blocks
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_readme_is_short_and_says_first_which_cmae_it_means() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.encode()) < 6_500
    first = text[:1_400]
    assert "arXiv 2205.10546" in first
    assert re.search(r"\*\*not\*\* Huang\s+et al\..*arXiv 2207\.13532", first, flags=re.DOTALL)
    assert "from one H200, all other results from CPUs" in first
    assert "several GPUs and NCCL between them are unmeasured" in first


def test_the_wish_for_a_table_over_seeds_is_answered() -> None:
    page = (DOCS / "how-to" / "paper.md").read_text(encoding="utf-8")
    for number in ("1657", "5634", "8500", "499", "3762", "293", "6994"):
        assert number in page


def test_every_dependency_has_a_licence_note() -> None:
    listed = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    extras = [each for names in PROJECT["optional-dependencies"].values() for each in names]
    for requirement in [*PROJECT["dependencies"], *extras]:
        name = re.match(r"[\w.-]+", requirement)
        assert name is not None
        assert re.search(rf"\b{re.escape(name[0])}\b", listed), name[0]


def test_one_version_is_stated_everywhere() -> None:
    assert PROJECT["dynamic"] == ["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {cmae_ablate.__version__}\n" in citation
    changes = re.findall(
        r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert changes[0] == cmae_ablate.__version__


@pytest.fixture(scope="module")
def reference() -> dict[str, str]:
    found = importlib.util.spec_from_file_location("build_reference", ROOT / "scripts" / "build_reference.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    pages: dict[str, str] = module.pages()
    return pages


def test_the_reference_has_every_component_with_every_option(reference: dict[str, str]) -> None:
    load_components()
    for registry in SLOTS.values():
        for component in registry:
            entry = reference["components.md"].partition(f"\n### `{component.name}`\n")[2]
            assert entry, component.name
            for option in component.options.model_fields:
                assert f"| `{option}` |" in entry, f"{component.name}: {option}"


def test_the_reference_has_every_command_study_key_and_name_of_the_package(reference: dict[str, str]) -> None:
    for command in ("run", "plan", "report", "data prepare", "cache prune"):
        assert f"## `cmae-ablate {command}`" in reference["commands.md"]
    for key in ("question", "factors", "positive_control", "equivalence_margin"):
        assert f"| `{key}` |" in reference["study-file.md"]
    for name in cmae_ablate.__all__:
        assert f"\n## {name}\n" in reference["python.md"]


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="needs the extra `docs`")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "reference" / "components.html").is_file()
