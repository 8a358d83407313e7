from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cmae_ablate.runner.environment import describe_environment

TOLD = "NVIDIA H100 80GB HBM3\nNVIDIA H100 80GB HBM3\nNVIDIA L4\n"


def test_gpus_are_named_without_opening_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '{TOLD}'\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: pytest.fail("a GPU was opened"))
    assert describe_environment()["device"] == "NVIDIA H100 80GB HBM3, NVIDIA L4"
    program.unlink()
    assert describe_environment()["device"] == "cuda"
