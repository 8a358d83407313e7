"""What a shell hands over for a variable that is not set."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_app import call


@pytest.mark.parametrize(
    ("words", "beginning"),
    [
        (["run", "STUDY", "--storage", ""], "--storage: its value is empty"),
        (["run", "STUDY", "--storage="], "--storage: its value is empty"),
        (["worker", "STUDY", "--out", " "], "--out: its value is empty"),
        (["run", "STUDY", "--cell", ""], "--cell: its value is empty"),
        (["report", "STUDY", "--trials", ""], "--trials: its value is empty"),
        (["cache", "prune", "--unused", "--out", ""], "--out: its value is empty"),
        (["run", ""], "cmae-ablate run: an argument is empty"),
        ([""], "cmae-ablate: an argument is empty"),
    ],
)
def test_an_empty_value_is_refused_whatever_the_command_and_nothing_is_created(
    words: list[str],
    beginning: str,
    tiny_study: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tiny_study.parent)
    before = sorted(tiny_study.parent.rglob("*"))
    status, out, err = call(capsys, *(tiny_study if word == "STUDY" else word for word in words))
    assert (status, out) == (2, "")
    assert err.startswith(f"{beginning}, perhaps a shell variable that is not set; give a value")
    assert sorted(tiny_study.parent.rglob("*")) == before


def test_a_value_of_a_setting_may_be_empty(tiny_study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, err = call(capsys, "plan", tiny_study, "--set", "question=")
    assert "--set: its value is empty" not in err
