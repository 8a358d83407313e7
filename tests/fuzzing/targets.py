"""What is fuzzed: everything that reads a stranger's bytes, with valid inputs to begin from."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save, save_file

from cmae_ablate.checkpoint import weights_sha256
from cmae_ablate.cli.prepare import summary
from cmae_ablate.cli.python import load_result
from cmae_ablate.components.backbones.mae_layout import read_mae_state
from cmae_ablate.components.datasets.image_decode import without_warnings
from cmae_ablate.components.datasets.image_files import Damage, load_image
from cmae_ablate.components.loading import load_components
from cmae_ablate.data.account import Account, LeftOut
from cmae_ablate.data.arrays import _TRUSTED, ArrayWriter, Progress, prepare
from cmae_ablate.files import SEAL, sealed
from cmae_ablate.queue import CellStatus, PlannedCell, check_rows
from cmae_ablate.report.cell_record import rows_of
from cmae_ablate.report.findings import find
from cmae_ablate.report.frame import ReportExtras
from cmae_ablate.report.trials import read_controls, read_controls_beside, read_trials
from cmae_ablate.runner import budget
from cmae_ablate.runner.analysis_plan import PLAN_FILE, plan_of, with_plan
from cmae_ablate.runner.analysis_plan import read_plan as read_analysis_plan
from cmae_ablate.runner.cache import PLAN, record_plan
from cmae_ablate.runner.cache import read_plan as read_needs
from cmae_ablate.runner.finished import check_evaluation, check_pretraining
from cmae_ablate.runner.progress import read_notes
from cmae_ablate.runner.provenance import RECORD, read_provenance
from cmae_ablate.runner.reporting import describe_unread
from cmae_ablate.study import design
from cmae_ablate.study.assignments import read_assignment
from cmae_ablate.study.controls import control_variants
from cmae_ablate.study.loading import load
from cmae_ablate.study.settings import apply, default_tree
from cmae_ablate.study.trial_spec import resolve
from tests.fuzzing.mutation import as_json, mutated, mutated_lines, mutated_tree
from tests.tiny import TINY, TINY_SCALE, TINY_STUDY

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))
Mutate = Callable[[Random], bytes]
REPORTED = 5
"""One accepted CSV in so many is analysed, too: that takes ten times as long."""


@dataclass(frozen=True)
class Target:
    """One reader of strangers' bytes.

    Attributes:
        make: An input, from a generator.
        read: Takes the input; raises what a user is told.
        share: Of all inputs.
    """

    make: Mutate
    read: Callable[[bytes], object]
    share: float


def targets(folder: Path) -> dict[str, Target]:
    """Everything that is fuzzed, reading what it has to read from files in `folder`."""
    load_components()
    study = folder / "tiny_study.yaml"
    (folder / "scales").mkdir()
    (folder / "scales" / "tiny.yaml").write_text(TINY_SCALE)
    study.write_text(TINY_STUDY)
    return {
        "image": Target(_any_of(_images(), lines=False), _read_image, 0.34),
        "study": _study(folder),
        "scale": _scale(folder),
        **_checkpoints(folder),
        "meta.json": _prepared(folder / "data"),
        "set": Target(_any_of(_SETTINGS), _read_setting, 0.1),
        **_csvs(folder, study),
        **_state(folder, study),
    }


def _any_of(seeds: Sequence[bytes], *, lines: bool = True) -> Mutate:
    known = list(seeds)

    def make(random: Random) -> bytes:
        mutate = mutated_lines if lines and random.random() < 0.5 else mutated
        return mutate(random.choice(known), known, random)

    return make


def _images() -> list[bytes]:
    picture = Image.frombytes("L", (9, 7), Random(0).randbytes(63))
    palette = picture.convert("P")
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a camera"
    found = []
    for form, mode, options in (
        ("JPEG", "RGB", {"exif": exif}),
        ("JPEG", "CMYK", {"progressive": True}),
        ("PNG", "RGBA", {"exif": exif}),
        ("PNG", "1", {}),
        ("GIF", "RGB", {"save_all": True, "append_images": [picture], "loop": 0}),
        ("BMP", "RGB", {}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("TIFF", "RGB", {"compression": "tiff_lzw", "exif": exif}),
        ("TIFF", "LA", {}),
        ("PPM", "RGB", {}),
    ):
        found.append(_encoded(picture.convert(mode), form, **options))
    return [*found, _encoded(palette, "PNG", transparency=3), _encoded(Image.new("I;16", (9, 7), 500), "PNG")]


def _encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


class _OneFile:
    """A folder of one file, whose contents are given."""

    files, left_out = ("it",), ()

    def __init__(self, contents: bytes) -> None:
        self._contents = contents

    def read(self, path: str, limit: int) -> bytes:
        return self._contents


def _read_image(contents: bytes) -> None:
    with without_warnings():
        found = load_image(_OneFile(contents), "it", lambda image: image)
    assert not isinstance(found, Damage) or "\n" not in found.reason, "a reason in several lines"


def _study(folder: Path) -> Target:
    path = folder / "fuzzed.yaml"
    tiny = [TINY_STUDY.encode()] * 2 * len(STUDIES)

    def read(contents: bytes) -> None:
        path.write_bytes(contents)
        study = load(path)
        control_variants(study, design.variants(study))

    return Target(_any_of([*tiny, *(each.read_bytes() for each in STUDIES)]), read, 0.05)


def _scale(folder: Path) -> Target:
    scale, study = folder / "scales" / "fuzzed.yaml", folder / "at_scale.yaml"
    study.write_text(TINY_STUDY.replace("scale: tiny", "scale: fuzzed"))

    def read(contents: bytes) -> None:
        scale.write_bytes(contents)
        design.variants(load(study))

    packaged = (each.read_bytes() for each in (STUDIES[0].parent / "scales").glob("*.yaml"))
    return Target(_any_of([TINY_SCALE.encode(), *packaged]), read, 0.03)


def _checkpoints(folder: Path) -> dict[str, Target]:
    encoder = {"cls_token": torch.zeros(1, 1, 4), "blocks.0.norm1.weight": torch.ones(4)}
    pickled = []
    for content in ({"model": encoder, "epoch": 3}, {f"module.{key}": each for key, each in encoder.items()}):
        file = io.BytesIO()
        torch.save(content, file)
        pickled.append(file.getvalue())
    return {
        name: Target(_any_of(seeds, lines=False), _through(folder / name, read_mae_state), 0.01)
        for name, seeds in {"mae.safetensors": [save(encoder)], "mae.pth": pickled}.items()
    }


_SETTINGS = (
    *(b"training.epochs=2", b"training.base_lr=1.5e-4", b"dataset.name=tiny_imagenet", b"decoder=none"),
    *(b"dataset.source=photos #2", b"backbone={name: vit, dim: 32, depth: 1}", b"evaluations.knn.k=5"),
    *(
        b"objectives.contrastive={name: simclr, weight: 0.5}",
        b"crop.scale=[0.2, 1.0]",
        b"target.normalize=false",
    ),
    *(b"evaluations={knn: {k: 3}, linear_probe: none}", b"masking.ratio=0.6", b"training.compile=true"),
    *(b"augmentation.strength=1", b"objectives={position: none}", b"backbone.path=/dev/null"),
)


def _read_setting(contents: bytes) -> None:
    # As the command line has it: what is not UTF-8 comes as lone surrogates.
    text = contents.decode("utf-8", "surrogateescape")
    tree = apply(default_tree(), (), TINY)
    path, value = read_assignment(text, tree, example="training.epochs=2")
    resolve(apply(tree, path, value), 0)


def _csvs(folder: Path, study: Path) -> dict[str, Target]:
    trials, controls = folder / "trials.csv", folder / "controls.csv"
    described = describe_unread(load(study))
    header = "variant,seed,state,decoder,knn.top1,pretrain.loss,params.encoder,seconds.pretrain,fingerprint"
    rows = [
        f"{label},{seed},COMPLETE,{label},{20 + seed + shift},0.7{seed},12345,1.5,{'a' * 32}"
        for seed in (0, 1)
        for label, shift in (("depth 1", 0.25), ("linear", 1.5))
    ]
    cells = "\n".join([header, *rows, ""]).encode()
    beside = b"control,variant,seed,knn.top1\nraw pixels,,,12.5\nrandom init,depth 1,0,10.5\n"
    beside += b"positive control,depth 1,0,15\npositive control,depth 1,1,15.5\n"
    statuses = [
        CellStatus(PlannedCell(f"{label}:{seed}", label, seed, {"decoder": label}, "a" * 32), "WAITING")
        for seed, label in ((0, "depth 1"), (1, "linear"))
    ]
    counted = 0

    def read(contents: bytes) -> None:
        nonlocal counted
        trials.write_bytes(contents)
        found = read_trials(trials, described)
        check_rows({"trials.csv": rows_of(found, described.factors)}, statuses, described.metric)
        counted += 1
        if counted % REPORTED == 0:
            find(described, found, None, ReportExtras())

    def read_beside(contents: bytes) -> None:
        nonlocal counted
        controls.write_bytes(contents)
        read_controls(controls, described)
        trials.write_bytes(cells)
        found = read_trials(trials, described)
        beside, _ = read_controls_beside(trials, found, described)
        counted += 1
        if counted % REPORTED == 0:
            find(described, found, beside, ReportExtras())

    return {
        "trials.csv": Target(_any_of([cells, cells.replace(b"\n", b"\r\n")]), read, 0.14),
        "controls.csv": Target(_any_of([beside]), read_beside, 0.06),
    }


def _state(folder: Path, study_path: Path) -> dict[str, Target]:
    study = load(study_path)
    described = describe_unread(study)
    weights = {"a": torch.zeros(2, 2)}
    save_file(weights, folder / "model.safetensors")
    digest = weights_sha256(weights)
    (folder / "files").mkdir()
    (folder / "answers" / "it").mkdir(parents=True)
    for name in ("trials", "effects", "controls"):
        (folder / "answers" / "it" / f"{name}.csv").write_text("variant,seed\na,0\n")
    spec = resolve(apply(default_tree(), (), TINY), 0)
    pretraining = {
        "metrics": {"pretrain.loss": 0.5, "seconds.pretrain": 2.0},
        "weights_sha256": digest,
        "history": [{"loss": 0.75}, {"loss": 0.5}],
        "spec": spec.to_tree(),
        "seed": 0,
        "files": {},
        "device": "cpu",
    }
    candidate = {"settings": {"k": 3}, "metrics": {"top1": 12.5}}
    evaluation = {
        "metrics": {"top1": 12.5},
        "protocol": "k nearest neighbours",
        "chosen": {"k": 3},
        "weights_sha256": digest,
        "candidates": [candidate],
    }
    record_plan(folder, [("a" * 32, "depth 1", 0), ("b" * 32, "linear", 1)], study_path)
    needs = json.loads((folder / PLAN).read_text())
    made = {
        "study": "s.yaml",
        "settings": ["a=1"],
        "scale": "tiny",
        "seeds": 2,
        "design": "x",
        "command": "run",
    }
    plan = json.loads(plan_of(study, described).model_dump_json())
    note = {"cell": "a", "title": "linear, seed 0", "phase": "pretraining", "step": 1, "steps": 2, "text": ""}
    seconds = {"device": "cpu", "seconds_per_step": {"a" * 32: 0.25, "b" * 32: 1.5}}

    def plan_read(path: Path) -> None:
        with_plan(described, study, read_analysis_plan(path))

    readers: dict[str, tuple[Any, Callable[[Path], object]]] = {
        "result.json": (pretraining, lambda path: check_pretraining(path.parent)),
        "knn.json": (evaluation, lambda path: check_evaluation(path, digest)),
        PLAN: (needs, read_needs),
        RECORD: (made, lambda path: read_provenance(path.parent)),
        "budget.json": (seconds, lambda path: budget.known_seconds({}, path)),
        PLAN_FILE: (plan, plan_read),
        "files/note.json": (note, lambda path: read_notes(path.parent)),
        "answers/it/answer.json": (
            {"question": "?", "verdicts": []},
            lambda path: load_result("it", folder / "answers"),
        ),
    }
    return {
        name: Target(_json_of(tree), _through(folder / name, read), 0.25 / len(readers))
        for name, (tree, read) in readers.items()
    }


class _Prepared:
    """A data set of three grey images."""

    def cache_key(self) -> str:
        return "grey"

    def expected_size(self) -> None:
        return None

    def write(self, writer: ArrayWriter, progress: Progress) -> None:
        writer.describe("grey", ["a", "b"], 2)
        for shade, split in enumerate(("train", "validation", "test")):
            rows = writer.allocate(split, 2)
            rows.images[:] = [[[[40 * shade + 9]]], [[[40 * shade + 29]]]]
            rows.labels[:] = [0, 1]
        writer.account(Account(6, (LeftOut("hidden image(s)", 1, ".a.png", True),)))


def _prepared(root: Path) -> Target:
    root.mkdir()
    path = root / "grey" / "meta.json"

    def read() -> None:
        os.environ.pop(_TRUSTED, None)  # nobody has read it through before
        data = prepare(_Prepared(), root, notice=lambda text: None)
        assert all(isinstance(text, str) for text in (*data.notices, *summary(data)))

    def spoilt(contents: bytes) -> None:
        path.write_bytes(contents)
        try:
            read()
        finally:
            for aside in root.glob("*.damaged-*"):
                shutil.rmtree(aside)

    read()
    return Target(_json_of(json.loads(path.read_bytes())), spoilt, 0.01)


def _json_of(tree: Any) -> Mutate:
    """Sealed anew or with the old seal, as a stranger, or a broken disk, would have it; or without any."""
    plain = {key: value for key, value in tree.items() if key != SEAL}
    valid = [sealed(plain), as_json(plain)]

    def make(random: Random) -> bytes:
        kind = random.randrange(4)
        if kind == 0:
            return mutated(random.choice(valid), valid, random)
        spoilt = mutated_tree(plain, random)
        return sealed(spoilt) if kind == 1 and isinstance(spoilt, dict) else as_json(spoilt)

    return make


def _through(path: Path, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    def from_bytes(contents: bytes) -> object:
        path.write_bytes(contents)
        return read(path)

    return from_bytes
