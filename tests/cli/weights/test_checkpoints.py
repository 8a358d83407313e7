"""Checkpoints outside a study: evaluated, drawn, exported, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn
from torch.testing import assert_close
from typer.testing import CliRunner, Result

from cmae_ablate.cli import app
from cmae_ablate.cli.weights.reconstructing import heat_rows
from cmae_ablate.components.backbones.vit import vit
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.data.images import WholeImages
from cmae_ablate.errors import UserError
from cmae_ablate.report.cell_record import CellRecord
from cmae_ablate.runner.cell import CellContext, load_model, run_cell
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.settings import apply, default_tree
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.collapse import collapse_warning
from cmae_ablate.training.interop import load_mae_checkpoint
from cmae_ablate.training.model import MaskedImageModel

CPU = torch.device("cpu")
WITHOUT = ["--set", "evaluations.knn=none", "--set", "evaluations.linear_probe=none"]
TINY_DATA = [
    f"--set=dataset.{setting}"
    for setting in ("num_train=64", "num_validation=32", "num_test=32", "image_size=32")
]


@dataclass(frozen=True)
class Done:
    """A finished pretraining."""

    result: CellRecord
    model: MaskedImageModel

    @property
    def folder(self) -> Path:
        return self.result.folder


@pytest.fixture(scope="module")
def done(tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path_factory: pytest.TempPathFactory) -> Done:
    spec = replace(tiny_spec, seed=3)
    cell_context = CellContext(tiny_data, Runtime(), tmp_path_factory.mktemp("cache"))
    result = run_cell(spec, cell_context)
    return Done(result, load_model(spec, cell_context, result.folder))


@pytest.fixture
def copy(done: Done, tmp_path: Path) -> Path:
    """The pretraining's folder, to damage."""
    return Path(shutil.copytree(done.folder, tmp_path / done.folder.name))


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app.app, [str(argument) for argument in arguments], catch_exceptions=True)


def succeed(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exception is None, result.exception
    return result.output


def refusal(*arguments: object) -> str:
    result = call(*arguments)
    assert isinstance(result.exception, UserError), result.exception
    return str(result.exception)


def exported(done: Done, form: str, path: Path) -> Path:
    succeed("export", done.folder, "--format", form, "--out", path)
    return path


def whole(data: DataArrays, count: int = 4) -> torch.Tensor:
    return next(iter(WholeImages(data, data.test, 32, CPU).batches(count)))


@pytest.mark.parametrize("name", ["", "model.safetensors"])
def test_evaluate_finds_the_numbers_that_the_study_recorded(done: Done, tmp_path: Path, name: str) -> None:
    output = succeed("evaluate", done.folder / name, "--out", tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    labels = tuple(f"{label}." for label in done.result.protocols)
    metrics = done.result.metrics
    # What every other setting of a grid gave stands in the study's CSV alone.
    recorded = {name: metrics[name] for name in metrics if name.startswith(labels) and "@" not in name}
    assert "knn.top1" in recorded and found["metrics"] == recorded
    assert found["weights_sha256"] == done.result.weights_sha256
    assert done.result.protocols["knn"] in output and "note:" not in output


def test_evaluate_writes_nothing_into_the_folder(done: Done) -> None:
    before = {path: path.stat().st_mtime_ns for path in done.folder.rglob("*")}
    succeed("evaluate", done.folder, "--set", "evaluations.knn.k=5")
    assert {path: path.stat().st_mtime_ns for path in done.folder.rglob("*")} == before


def test_evaluate_takes_other_evaluations(done: Done, tmp_path: Path) -> None:
    changes = [*WITHOUT, "--set", "evaluations.mine={name: knn, k: 1}"]
    succeed("evaluate", done.folder, *changes, "--out", tmp_path / "found.json")
    metrics = json.loads((tmp_path / "found.json").read_text())["metrics"]
    assert metrics and all(name.startswith("mine.") for name in metrics)


def test_evaluate_on_other_data_says_so_and_keeps_the_image_size(done: Done) -> None:
    output = succeed("evaluate", done.folder, "--set", "dataset.image_size=64")
    assert "not the data of the pretraining" in " ".join(output.split())


def test_evaluate_reads_a_published_mae(done: Done, tmp_path: Path) -> None:
    path = exported(done, "mae", tmp_path / "mae.pth")
    heads = (
        "--set",
        "backbone.heads=2",
        "--set",
        "decoder.heads=2",
        "--set",
        "evaluations.linear_probe=none",
    )
    output = succeed("evaluate", path, *TINY_DATA, *heads)
    assert "knn.top1" in output and "ImageNet's mean" in " ".join(output.split())


@pytest.mark.parametrize(("boxes", "rows"), [(False, 3), (True, 5)])
def test_reconstruct_draws_one_column_an_image(done: Done, tmp_path: Path, boxes: bool, rows: int) -> None:
    out = tmp_path / "drawn.png"
    succeed("reconstruct", done.folder, "--count", 5, "--out", out, *(["--boxes"] if boxes else []))
    with Image.open(out) as picture:
        width, height = picture.size
    assert picture.format == "PNG"
    assert 140 * 5 < width < 220 * 5 + 220 and 140 * rows < height < 220 * rows + 60


def test_reconstruct_takes_another_mask_ratio(done: Done, tmp_path: Path) -> None:
    for ratio in (0.25, 0.75):
        settings = ("--set", f"masking.ratio={ratio}", "--out", tmp_path / f"{ratio}.png")
        succeed("reconstruct", done.folder, "--count", 2, *settings)
    few, many = (np.asarray(Image.open(tmp_path / f"{ratio}.png").convert("RGB")) for ratio in (0.25, 0.75))
    grey = [int((np.abs(part.astype(int) - 128).max(axis=2) < 2).sum()) for part in (few, many)]
    assert grey[1] > 2 * grey[0] > 0


def test_heat_rows_show_the_trials_own_choice_once(done: Done, tiny_data: DataArrays) -> None:
    def titles(heatmap: str) -> list[str]:
        crop = resolve(apply(default_tree(), ("crop",), {"name": "contrastive", "heatmap": heatmap}))["crop"]
        rows = heat_rows(done.model.encoder, tiny_data, tiny_data.test, 3, crop)
        return [row.title.replace("\n", " ") for row in rows]

    assert titles("channel_sum") == ["channel sum (the trial's)", "class attention"]
    assert titles("first_component")[2:] == ["first component (the trial's)"]


def test_heat_rows_hold_boxes_around_what_exceeds_the_threshold(
    done: Done, tiny_data: DataArrays, tiny_spec: TrialSpec
) -> None:
    (row, _) = heat_rows(done.model.encoder, tiny_data, tiny_data.test, 4, tiny_spec["crop"])
    for heat, box in zip(row.maps, row.boxes, strict=True):
        hot = np.argwhere(heat > 0.1)
        expected = [*hot.min(axis=0), *(hot.max(axis=0) + 1)]
        assert_close(box * 32, np.array(expected, dtype=np.float32))


def test_a_collapsed_encoder_is_warned_of(tiny_data: DataArrays) -> None:
    encoder = vit(32, dim=32, depth=1, heads=2, patch=8).eval()
    nn.init.zeros_(encoder.norm.weight)
    nn.init.ones_(encoder.norm.bias)
    warning = collapse_warning(encoder, tiny_data, tiny_data.test, CPU)
    assert warning is not None and "collapsed" in warning


def test_an_encoder_that_tells_images_apart_is_not_warned_of(tiny_data: DataArrays) -> None:
    class Apart:
        """Tokens that are the images' own pixels."""

        image_size = 32

        def encode(self, images: torch.Tensor, mask: None) -> torch.Tensor:
            return images.flatten(1).unsqueeze(1).expand(-1, 2, -1)

    assert collapse_warning(Apart(), tiny_data, tiny_data.test, CPU) is None  # type: ignore[arg-type]


def test_features_that_are_not_finite_are_warned_of(tiny_data: DataArrays) -> None:
    encoder = vit(32, dim=32, depth=1, heads=2, patch=8).eval()
    nn.init.constant_(encoder.norm.weight, float("nan"))
    assert "not finite" in (collapse_warning(encoder, tiny_data, tiny_data.test, CPU) or "")


def test_the_timm_file_loads_strictly_and_gives_equal_tokens(
    done: Done, tmp_path: Path, tiny_data: DataArrays
) -> None:
    path = exported(done, "timm", tmp_path / "encoder.pth")
    vit = timm.models.VisionTransformer(
        img_size=32, patch_size=8, embed_dim=32, depth=1, num_heads=2, num_classes=0
    ).eval()
    vit.load_state_dict(torch.load(path, weights_only=True), strict=True)
    with torch.no_grad():
        found = vit.forward_features(whole(tiny_data))
        assert_close(found, done.model.encoder.encode(whole(tiny_data), None), rtol=1e-5, atol=1e-5)


def test_the_printed_timm_call_builds_the_model(done: Done, tmp_path: Path) -> None:
    output = succeed("export", done.folder, "--format", "safetensors", "--out", tmp_path / "e.safetensors")
    printed = " ".join(output.split())
    call_text = printed[printed.index("timm.models.VisionTransformer(") :].partition(")")[0] + ")"
    vit = eval(call_text, {"timm": timm})
    vit.load_state_dict(timm.models.load_state_dict(str(tmp_path / "e.safetensors")), strict=True)
    assert vit.num_classes == 0


def test_the_mae_file_keeps_encoder_and_decoder(done: Done, tmp_path: Path, tiny_data: DataArrays) -> None:
    path = exported(done, "mae", tmp_path / "mae.pth")
    mae = load_mae_checkpoint(path, num_heads=2, decoder_num_heads=2)
    images = whole(tiny_data)
    noise = torch.rand(len(images), 16, generator=torch.Generator().manual_seed(0))
    again = mae.reconstruct(images, noise=noise)
    assert mae.decoder is not None
    for name, tensor in done.model.decoder.state_dict().items():  # type: ignore[attr-defined]
        assert torch.equal(mae.decoder.state_dict()[name], tensor), name
    assert again.loss.isfinite()


def test_an_encoder_alone_can_be_exported_but_not_reconstructed(done: Done, tmp_path: Path) -> None:
    path = exported(done, "safetensors", tmp_path / "encoder.safetensors")
    heads = ("--set", "backbone.heads=2")
    succeed("export", path, "--format", "timm", "--out", tmp_path / "encoder.pth", *heads)
    assert "decoder" in refusal("reconstruct", path, *heads, "--out", tmp_path / "drawn.png")


def test_heads_that_a_file_does_not_tell_are_asked_for(done: Done, tmp_path: Path) -> None:
    path = exported(done, "mae", tmp_path / "mae.pth")
    command = ("export", path, "--format", "timm", "--out", tmp_path / "encoder.pth")
    assert "--set backbone.heads=N" in refusal(*command)
    assert "--set decoder.heads=N" in refusal(*command, "--set", "backbone.heads=2")


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    assert "no such file or folder" in refusal("evaluate", tmp_path / "absent")


def test_a_folder_that_is_not_finished_is_refused(copy: Path) -> None:
    (copy / "result.json").unlink()
    assert "no finished pretraining" in refusal("evaluate", copy)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"spec": 1, "seed": 0, "weights_sha256": ""}'])
def test_a_damaged_record_is_refused(copy: Path, content: str) -> None:
    (copy / "result.json").write_text(content)
    assert "damaged" in refusal("evaluate", copy)


def test_a_record_of_an_unknown_component_is_refused(copy: Path) -> None:
    record = json.loads((copy / "result.json").read_text())
    record["spec"]["masking"] = {"name": "gone"}
    del record["record_sha256"]  # as an earlier version would have written it
    (copy / "result.json").write_text(json.dumps(record))
    assert "no masking is called 'gone'" in refusal("evaluate", copy)


def test_truncated_weights_are_refused(copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    said = refusal("export", copy, "--format", "timm", "--out", copy / "out.pth")
    assert "damaged (cannot be read: no safetensors); remove the folder and run the study again" in said


def test_changed_weights_are_refused(copy: Path) -> None:
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    said = refusal("evaluate", copy)
    assert "damaged (not the weights that result.json records); remove the folder and run the study" in said


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("evaluate", ["--set", "backbone.depth=2"], "trained already"),
        (
            "evaluate",
            ["--set", "evaluations.knn.k=none"],
            '--set evaluations.knn.k=none: "none" does not fit',
        ),
        ("evaluate", ["--set", "evaluations"], "PATH=VALUE"),
        ("evaluate", WITHOUT, "no evaluation is left"),
        ("evaluate", ["--device", "tpu"], "choose auto, cpu or cuda"),
        ("evaluate", ["--out", "absent/found.json"], "does not exist"),
        ("reconstruct", ["--split", "tests"], "did you mean 'test'?"),
        ("reconstruct", ["--count", "0"], "--count 0"),
        ("reconstruct", ["--count", "33"], "32 images"),
        ("reconstruct", ["--out", "absent/drawn.png"], "does not exist"),
        ("reconstruct", ["--out", "drawn.jpg"], "PNG"),
        ("export", ["--format", "tim", "--out", "out.pth"], "did you mean 'timm'?"),
        ("export", ["--format", "timm", "--out", "absent/out.pth"], "does not exist"),
        ("export", ["--format", "timm", "--out", "."], "this is a folder"),
        ("export", ["--format", "timm", "--out", "w.safetensors"], "by torch.save; let the name end in .pth"),
        ("export", ["--format", "mae", "--out", "w.safetensors"], "by torch.save; let the name end in .pth"),
        ("export", ["--format", "safetensors", "--out", "w.pth"], "let the name end in .safetensors"),
        ("export", ["--format", "safetensors", "--out", "w"], "let the name end in .safetensors"),
        ("export", ["--format", "timm", "--out", "/dev/null"], "this is a pipe or a device"),
        ("evaluate", ["--out", "/dev/null"], "this is a pipe or a device"),
    ],
)
def test_bad_arguments_are_refused(
    done: Done,
    command: str,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refusal(command, done.folder, *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command",
    [
        ("export", "--format", "safetensors", "--out", "model.safetensors"),
        ("evaluate", "--out", "result.json"),
        ("reconstruct", "--out", "reconstructions.png"),
    ],
)
def test_no_file_of_a_finished_training_is_replaced(copy: Path, command: tuple[str, ...]) -> None:
    *rest, name = command
    (copy / "reconstructions.png").touch()
    before = (copy / name).read_bytes()
    assert "this belongs to a finished training" in refusal(rest[0], copy, *rest[1:], copy / name)
    assert (copy / name).read_bytes() == before


def test_a_file_is_not_written_over_itself(done: Done, tmp_path: Path) -> None:
    path = exported(done, "mae", tmp_path / "mae.pth")
    before = path.read_bytes()
    (tmp_path / "link.pth").symlink_to(path)
    heads = ("--set", "backbone.heads=2", "--set", "decoder.heads=2")
    for name in ("mae.pth", "link.pth"):
        said = refusal("export", path, "--format", "timm", "--out", tmp_path / name, *heads)
        assert "this is what the command reads; give another name" in said
    assert path.read_bytes() == before


def test_a_file_that_is_replaced_is_said_to_be_and_a_link_leads_to_it(done: Done, tmp_path: Path) -> None:
    target, link = tmp_path / "target.pth", tmp_path / "link.pth"
    assert "in place of" not in succeed("export", done.folder, "--format", "timm", "--out", target)
    link.symlink_to(target)
    target.write_text("precious")
    said = " ".join(succeed("export", done.folder, "--format", "timm", "--out", link).split())
    assert "link.pth, in place of the file that was there" in said
    assert link.is_symlink()
    assert torch.load(target, weights_only=True)


def test_a_mistake_ends_with_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["cmae-ablate", "evaluate", str(tmp_path / "absent")])
    with pytest.raises(SystemExit) as stopped:
        app.main()
    assert stopped.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
