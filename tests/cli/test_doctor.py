"""`doctor`: what it tries, and what it says to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cmae_ablate.cli import doctor


def told(texts: dict[str, str]) -> Callable[[str], str]:
    def version(name: str) -> str:
        if name not in texts:
            raise doctor.PackageNotFoundError(name)
        return texts[name]

    return version


def test_a_folder_that_cannot_be_written_is_found_by_trying(tmp_path: Path) -> None:
    fine = doctor._folder("--out", tmp_path / "runs", "another --out")
    assert "writable" in fine.state
    assert not (tmp_path / "runs").exists()
    refused = doctor._folder("--out", Path("/proc/runs"), "another --out")
    assert (refused.remedy, "cannot be written" in refused.state) == ("set another --out", True)


def test_a_file_in_the_place_of_out_is_found(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")
    assert "cannot be written" in doctor._folder("--out", tmp_path / "runs", "another --out").state


@pytest.mark.parametrize(
    ("torch", "torchvision", "words"),
    [
        ("2.14.1", "0.29.1", ""),
        ("2.14.1+cpu", "0.29.1+cpu", ""),
        ("2.13.0", "0.29.1", "pip install 'torch==2.14.1' 'torchvision==0.29.1'"),
        ("2.14.1+cpu", "0.29.1+cu130", "from one index"),
    ],
)
def test_torch_and_torchvision_must_be_made_for_each_other(
    torch: str, torchvision: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "version", told({"torch": torch, "torchvision": torchvision}))
    monkeypatch.setattr(doctor, "requires", lambda name: ["numpy", "torch==2.14.1"])
    [finding] = doctor._pair()
    assert words in finding.remedy
    assert bool(words) == bool(finding.remedy)


def test_what_only_some_commands_need_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", told({}))
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    findings = {finding.what: finding for finding in doctor._extras()}
    assert all(finding.optional for finding in findings.values())
    assert findings["ray"].remedy == "--launcher ray: pip install 'cmae-ablate[cluster]'"
    assert "apt-get install chromium" in findings["chromium"].remedy
