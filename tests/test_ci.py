from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_ci_runs_the_very_test_command_that_the_readme_prints() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    printed = re.findall(r"^(make test)\b", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert printed == ["make test"]
    assert re.findall(r"^make .*$", script, flags=re.MULTILINE) == ["make check", *printed]


def test_make_check_lints_the_dockerfile_which_has_nothing_to_mend() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert "\t$(BIN)/hadolint Dockerfile\n" in makefile.partition("\ncheck:")[2].partition("\n\n")[0] + "\n"
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.is_file():
        pytest.skip("needs hadolint: make install")
    done = subprocess.run([linter, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_picture_of_the_documents_exists() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "analysis").rglob("*.md")]:
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text()):
            assert (page.parent / target).is_file(), f"{page}: {target}"


def test_every_test_that_the_documents_name_exists() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    named = [path for page in pages for path in re.findall(r"`(tests/[^`]+)`", page.read_text())]
    assert len(named) > 20
    for path in named:
        assert (ROOT / path.partition("::")[0]).exists(), path


def test_the_readmes_table_holds_the_numbers_of_the_committed_result() -> None:
    def rows(text: str) -> dict[str, list[str]]:
        lines = [line.strip("|").split("|") for line in text.splitlines() if re.match(r"\| *[a-z]", line)]
        return {line[0].strip(): [cell.strip().replace("\\", "") for cell in line[1:]] for line in lines}

    committed = rows((ROOT / "analysis" / "decoder_size" / "table.md").read_text())
    section = (ROOT / "README.md").read_text().partition("## Reading the result")[2].partition("\n## ")[0]
    shown = rows(section)
    assert set(shown) == set(committed) - {"raw pixels"}
    for label, cells in shown.items():
        assert all(cell in committed[label] for cell in cells), label
