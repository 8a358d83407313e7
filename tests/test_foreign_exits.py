"""Components and plug-ins that call `sys.exit`: they never decide how a command ends."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, NoReturn

import pytest

from cmae_ablate.cli import app
from cmae_ablate.components import loading
from cmae_ablate.errors import UserError
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.run import run_study
from tests.whole_study import quiet, said, write_study

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def leave(*arguments: Any, **options: Any) -> NoReturn:
    sys.exit(0)


def test_a_cell_whose_component_exits_fails_and_the_others_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cmae_ablate.components.decoders.linear import LinearDecoder

    study, out, console = write_study(tmp_path), tmp_path / "runs", quiet()
    forward = LinearDecoder.forward

    def leaving(self: Any, view: Any) -> Any:
        return leave() if self.training and len(view.tokens) == 16 else forward(self, view)

    monkeypatch.setattr(LinearDecoder, "forward", leaving)
    assert run_study(Options(study, seeds=1, workers=1, device="cpu", out=out), console) == 1
    told = said(console)
    assert "failed: linear, seed 0: a component tried to end the program (SystemExit: 0); log:" in told
    assert (out / "study" / "trials.csv").is_file()


@pytest.mark.parametrize("command", [["run"], ["plan"], ["status"], ["report"], ["worker"]])
def test_an_exit_outside_of_cells_is_told_with_status_2(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("cmae_ablate.runner.options.design.variants", leave)
    monkeypatch.setattr(sys, "argv", ["cmae-ablate", *command, str(write_study(tmp_path))])
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 2
    assert "tried to end the program (SystemExit: 0)" in capsys.readouterr().err


def test_a_plug_in_that_exits_at_its_import_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = EntryPoint("leaver", "leaving_package", loading.PLUGIN_GROUP)
    monkeypatch.setattr(EntryPoint, "load", leave)
    monkeypatch.setattr(loading, "entry_points", lambda group: [plugin])
    with pytest.raises(
        UserError, match=r"plug-in 'leaver' \(leaving_package\) cannot be loaded: SystemExit: 0"
    ):
        loading.import_components.__wrapped__()
