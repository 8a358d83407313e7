"""The benchmarks work, and compare what is equal; how fast things are is no test."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.main import get_command

from benchmarks import __main__ as cell_context
from benchmarks import anatomy, commands, crowd, prompt, reference, step, weights
from benchmarks.page import result_line
from benchmarks.plain import PlainMae
from benchmarks.reference import Reference
from benchmarks.setting import Setting
from benchmarks.size import TINY
from benchmarks.timing import Comparison, compare
from cmae_ablate.cli.app import app
from cmae_ablate.cli.first_line import WORDS
from cmae_ablate.components.loading import load_components
from cmae_ablate.runtime import Runtime
from tests.queue.harness import server_programs

FAKE_OFFICIAL = """
import numpy as np
import torch
from timm.models.vision_transformer import Block
from benchmarks.plain import PlainMae
from benchmarks.size import Size
from util.pos_embed import COLUMNS


class MaskedAutoencoderViT(PlainMae):
    def __init__(self, img_size, patch_size, in_chans=3, embed_dim=1024, depth=24, num_heads=16,
                 decoder_embed_dim=512, decoder_depth=8, decoder_num_heads=16, mlp_ratio=4.,
                 norm_layer=torch.nn.LayerNorm, norm_pix_loss=False):
        super().__init__(Size(embed_dim, depth, num_heads, patch_size, img_size,
                              decoder_embed_dim, decoder_depth, decoder_num_heads))
        assert norm_pix_loss
        Block(8, 2, mlp_ratio, qkv_bias=True, qk_scale=None, norm_layer=norm_layer)
        np.zeros(COLUMNS, dtype=np.float)

    def forward(self, imgs, mask_ratio=0.75):
        noise = torch.rand(len(imgs), self.pos_embed.shape[1] - 1, device=imgs.device)
        return super().forward(imgs, noise), None, None
"""


@pytest.fixture
def plain() -> Reference:
    load_components()
    module = PlainMae(TINY[0]).train()
    return Reference("plain", module, module)


def test_a_comparison_is_the_reference_over_ours_in_turns() -> None:
    calls: list[str] = []
    found = compare("order", lambda: calls.append("own"), lambda: calls.append("other"), rounds=2)
    assert calls == ["other", "own", "own", "other", "other", "own"]
    assert found.rounds == 2
    assert found.low <= found.ratio <= found.high


@pytest.mark.parametrize(
    ("ratio", "target", "most", "verdict"),
    [
        (1.2, 1.05, None, "met"),
        (1.0, 1.05, None, "**missed**"),
        (1.2, 0.85, 1.15, "**missed**"),
        (1.0, 0.85, 1.15, "met"),
        (1.0, None, None, ""),
    ],
)
def test_what_is_missed_is_said(ratio: float, target: float | None, most: float | None, verdict: str) -> None:
    found = Comparison.once("?", ratio, target, most=most, remark="as it was")
    assert found.verdict == verdict
    assert found.line == f"{ratio:.3g} [{ratio:.3g}, {ratio:.3g}] {verdict}{'; ' if verdict else ''}as it was"


@pytest.mark.parametrize(("low", "verdict"), [(1.06, "met"), (1.04, "**missed**")])
def test_a_first_quartile_that_was_asked_for_counts(low: float, verdict: str) -> None:
    found = replace(Comparison.once("?", 1.1, 1.08), low=low, least_low=1.05)
    assert found.verdict == verdict
    assert "| 1.08, first quartile 1.05 |" in result_line(found)


def test_a_step_is_taken_apart_by_what_its_operators_are_for() -> None:
    left, right = torch.ones(64, 128, requires_grad=True), torch.ones(128, 256)

    def work() -> None:
        torch.nn.functional.gelu(left @ right).sum().backward()

    # The product forward, and the one that gives the gradient of its left side.
    assert anatomy.flops_of_products(work) == 2 * (2 * 64 * 128 * 256)
    seconds = anatomy.seconds_by_kind(work)
    assert set(seconds) == {"matrix products", "GELU", "everything else"}
    assert list(seconds.values()) == sorted(seconds.values(), reverse=True)
    assert 0 < seconds["matrix products"] < 60
    text = anatomy.anatomy(work, peak=1e6)
    assert re.search(r"matrix products \d+% \(at \d+% of that speed\)", text)


def test_the_first_line_of_every_command_is_timed() -> None:
    assert set(prompt.FIRST_LINES) == set(WORDS)
    found = prompt.first_line("schema", [])
    assert found.seconds > 0
    assert found.processor > 0


@pytest.mark.parametrize("name", prompt.FIRST_LINES)
def test_a_command_takes_the_arguments_with_which_its_first_line_is_timed(name: str) -> None:
    command: Any = get_command(app)
    for part in name.split():
        command = command.commands[part]
    command.make_context(name, list(prompt.FIRST_LINES[name]))  # raises where it is wrong


def test_what_is_waited_for_at_the_prompt_is_measured_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def wait(name: str, seconds: float) -> prompt.Wait:
        def measure() -> commands.Taken:
            done.append(name)
            return commands.Taken(seconds * len(done), seconds)

        return prompt.Wait(name, 1.0, measure)

    monkeypatch.setattr(prompt, "_first_lines", lambda: [wait("a line", 0.01)])
    monkeypatch.setattr(prompt, "_commands", lambda: [wait("a plan", 2.0)])
    monkeypatch.setattr(prompt, "_of_files", lambda folder, quick: [wait("a report", 0.1)])
    monkeypatch.setattr(prompt, "_claim", lambda: commands.Taken(0.5, 0.4))
    rows = list(prompt.run(Setting(2, False, torch.device("cpu"), None, Path())))
    assert done == ["a line", "a plan", "a report"] * 3
    assert [(row.rounds, row.verdict) for row in rows] == [
        (2, "met"),
        (2, "**missed**"),
        (2, "met"),
        (2, "met"),
    ]
    assert rows[0].own_seconds == pytest.approx(0.055)  # the first round is not counted: 0.04, 0.07
    assert "2 s of processor time" in rows[1].remark


def test_the_step_is_compared_on_equal_losses_and_gradients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers", reason="transformers, the reference, is absent")
    arguments = ["benchmarks", "--only", "step,overhead", "--rounds", "1", "--quick", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    cell_context.main()
    rows = json.loads((tmp_path / "results.json").read_text())["step"]["rows"]
    assert len(rows) == 2
    assert all("loss and gradients equal to" in row["remark"] and row["ratio"] > 0 for row in rows)
    text = (tmp_path / "RESULTS.md").read_text()
    assert "| queue and tracking" in text
    assert "against Hugging Face's ViTMAE" in text
    assert "python -m benchmarks --device cuda" in text


def test_gradients_that_differ_are_no_comparison(plain: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "largest_difference", lambda model, theirs: 1e-3)
    with pytest.raises(AssertionError, match=r"differ by 0\.001"):
        step.step(TINY[0], plain, Runtime(), rounds=1)


def test_a_checkout_of_the_official_code_is_a_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "util").mkdir()
    (tmp_path / "util" / "pos_embed.py").write_text("COLUMNS = 2\n")
    (tmp_path / "models_mae.py").write_text(FAKE_OFFICIAL)
    for name in ("models_mae", "util", "util.pos_embed"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    theirs = reference.from_checkout(TINY[0], tmp_path)
    assert str(tmp_path) not in sys.path
    noise = torch.rand(3, TINY[0].num_patches)
    images = torch.randn(3, 3, 32, 32)
    own = reference.ours(TINY[0], theirs.module)
    from cmae_ablate.tokens import PatchMask

    mask = PatchMask.from_scores(noise, TINY[0].num_patches // 4)
    torch.testing.assert_close(own.total(own([images], [mask], {})), theirs.loss(images, noise))


def test_a_folder_without_the_official_code_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "models_mae", raising=False)
    with pytest.raises(SystemExit, match=r"--official .* name the root of a checkout"):
        reference.from_checkout(TINY[0], tmp_path)


def test_cells_are_timed_from_the_first_claim_to_the_last_result(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "optuna.db") as store:
        store.execute("CREATE TABLE trials (state TEXT, datetime_start TEXT, datetime_complete TEXT)")
        rows = [
            ("COMPLETE", "2026-01-01 10:00:00.5", "2026-01-01 10:00:10"),
            ("COMPLETE", "2026-01-01 10:00:02", "2026-01-01 10:00:12"),
            ("FAIL", "2026-01-01 09:00:00", None),
        ]
        store.executemany("INSERT INTO trials VALUES (?, ?, ?)", rows)
    store.close()
    assert commands.span(tmp_path) == 11.5
    assert len(commands.cells(tmp_path)) == 2


def test_weights_that_moved_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tmp_path / "before.json"
    some = dict(list(weights.cases().items())[:1])
    monkeypatch.setattr(weights, "cases", lambda: some)
    monkeypatch.setattr(sys, "argv", ["weights", str(before)])
    assert weights.main() == 0
    monkeypatch.setattr(sys, "argv", ["weights", "--against", str(before)])
    assert weights.main() == 0
    assert "all 1 equal" in capsys.readouterr().out
    known = json.loads(before.read_text())
    known["cases"]["MAE"][0] = "other"
    before.write_text(json.dumps(known))
    assert weights.main() == 1
    assert "moved: MAE" in capsys.readouterr().out


def test_a_crowd_finishes_what_there_is_and_its_time_beside_the_wait_is_told() -> None:
    if server_programs() is None:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    command = [sys.executable, "-m", "benchmarks.crowd", "--workers", "2", "--wait", "0.5"]
    output = subprocess.run(command, cwd=commands.ROOT, check=True, capture_output=True, text=True).stdout
    found = json.loads(output.splitlines()[-1])
    cells = crowd.CELLS * 2
    assert 0 < found["beside"] < 5
    assert found["seconds"] == pytest.approx(cells * (0.5 + found["beside"]))
    assert found["connections"] >= 2
