"""Which controls a study has: what makes its reference worse, and what is evaluated without pretraining."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from safetensors.torch import save_file
from torch import nn

from cmae_ablate.components.evaluation_protocols import EVALUATIONS
from cmae_ablate.components.evaluations.knn import KNearestNeighbours
from cmae_ablate.components.loading import load_components
from cmae_ablate.errors import UserError
from cmae_ablate.study import design
from cmae_ablate.study.controls import Controls, control_variants
from cmae_ablate.study.design import Variant
from cmae_ablate.study.loading import load
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.model import build_encoder
from tests.tiny import TINY_SCALE, TINY_STUDY

LONG = TINY_SCALE.replace("epochs: 2", "epochs: 20")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scales").mkdir()
    (tmp_path / "scales" / "tiny.yaml").write_text(LONG)
    (tmp_path / "scales" / "short.yaml").write_text(LONG.replace("epochs: 20", "epochs: 3"))
    return tmp_path


def controls(
    folder: Path, more: str = "", *, text: str = TINY_STUDY, settings: tuple[str, ...] = (), **options: str
) -> Controls:
    path = folder / "study.yaml"
    path.write_text(text + more)
    study = load(path, settings=settings, **options)  # type: ignore[arg-type]
    return control_variants(study, design.variants(study))


def positive(found: Controls) -> TrialSpec:
    return next(variant.spec for variant in found.variants if variant.control == "positive control")


def labels(found: Controls) -> list[str]:
    return [variant.label for variant in found.variants]


def refused(folder: Path, more: str, **options: object) -> str:
    with pytest.raises(UserError) as caught:
        controls(folder, more, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.startswith(f"{folder / 'study.yaml'}:13:")  # the line of the key
    return message


def test_the_reference_trains_a_quarter_of_its_epochs_unless_the_study_says_otherwise(folder: Path) -> None:
    found = controls(folder)
    assert labels(found) == ["random init", "raw pixels", "positive control"]
    spec = positive(found)
    assert (spec.training.epochs, spec["decoder"].name) == (5, "transformer")
    assert found.notes == ()


def test_changes_are_written_as_a_level_of_several_keys_is(folder: Path) -> None:
    more = "positive_control: {training.base_lr: 1.0e-6, decoder: {name: linear}, masking: {ratio: 0.1}}\n"
    spec = positive(controls(folder, more))
    assert (spec.training.base_lr, spec["decoder"].name, spec["masking"].options["ratio"]) == (
        1e-6,
        "linear",
        0.1,
    )
    assert spec.training.epochs == 20


@pytest.mark.parametrize("word", ["none", "null"])
def test_a_study_may_have_no_positive_control(word: str, folder: Path) -> None:
    found = controls(folder, f"positive_control: {word}\n")
    assert labels(found) == ["random init", "raw pixels"]
    assert found.notes == ()


def test_a_single_epoch_has_no_quarter_and_that_is_said(folder: Path) -> None:
    found = controls(folder, settings=("training.epochs=1",))
    assert "positive control" not in labels(found)
    assert "no positive control: the reference trains a single epoch" in found.notes[0]


def test_schedules_longer_than_a_quarter_are_clipped_with_a_notice(folder: Path) -> None:
    found = controls(folder, settings=("training.warmup_epochs=8",))
    assert positive(found).training.warmup_epochs == 2.5
    assert found.notes == (
        "positive control: training.warmup_epochs 8 does not fit 5 epochs; clipped to 2.5",
    )


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ("{decoder: {depth: 1}}", "leaves the reference as it is"),
        ("{training: {epochs: 20}}", "20 epochs are no fewer than the reference's 20"),
        ("{training: {epochs: 40}}", "40 epochs are no fewer than the reference's 20"),
        ("{training: {epochs: 0}}", "positive_control.training.epochs: 0 does not fit"),
        ("{dataset: {num_test: 8}}", "compared on the same images"),
        ("{evaluations.knn.k: 1}", "measured as the reference is"),
        ("{training: {epoch: 5}}", "did you mean 'epochs'?"),
        ("{decodr: linear}", "did you mean 'decoder'?"),
        ("{}", "a set of changes is expected"),
        ("5", "a set of changes is expected"),
    ],
)
def test_changes_that_make_the_reference_no_worse_or_do_not_fit_are_refused_with_their_place(
    changes: str, complaint: str, folder: Path
) -> None:
    assert complaint in refused(folder, f"positive_control: {changes}\n")


@pytest.mark.parametrize(
    ("options", "epochs"),
    [
        ({"settings": ("training.epochs=8",)}, 2),
        ({"settings": ("training={epochs: 4}",)}, 1),
        ({"scale": "short"}, 1),
    ],
)
def test_declared_epochs_that_a_shorter_run_does_not_reach_are_clipped_to_a_quarter(
    options: dict[str, str], epochs: int, folder: Path
) -> None:
    found = controls(folder, "positive_control: {training: {epochs: 10}}\n", **options)
    assert positive(found).training.epochs == epochs
    assert f"clipped to {epochs}" in found.notes[0]


def test_declared_epochs_leave_the_smoke_setting_without_a_positive_control(folder: Path) -> None:
    more = "positive_control: {training: {epochs: 10}}\n"
    found = controls(folder, more, settings=("training.epochs=1",))
    assert "positive control" not in labels(found)
    assert len(found.notes) == 2


def of_a_file(folder: Path, tiny_spec: TrialSpec) -> str:
    """A study whose reference comes from a file."""
    save_file(cast("nn.Module", build_encoder(tiny_spec, 32)).state_dict(), folder / "mae.safetensors")
    levels = (
        "  encoder:\n    path: backbone\n    levels:\n"
        f"      file: {{name: checkpoint, path: {folder}/mae.safetensors, heads: 2}}\n"
        "      small: {name: vit, dim: 32, depth: 1, heads: 2, patch: 8}\n"
    )
    head, tail = TINY_STUDY.split("  decoder:\n")
    return head + levels + tail[tail.index("reference:") :].replace("decoder: depth 1", "encoder: file")


def test_a_reference_from_a_file_has_no_epochs_to_quarter(folder: Path, tiny_spec: TrialSpec) -> None:
    found = controls(folder, text=of_a_file(folder, tiny_spec))
    assert "positive control" not in labels(found)
    assert "the reference's encoder comes from a file" in found.notes[0]
    text = of_a_file(folder, tiny_spec) + "positive_control: {training: {epochs: 1}}\n"
    with pytest.raises(UserError, match=r"leaves the reference as it is.*change its backbone"):
        controls(folder, text=text)


def test_each_encoder_has_its_own_untrained_one_and_all_share_the_pixels(
    folder: Path, tiny_spec: TrialSpec
) -> None:
    found = controls(folder, text=of_a_file(folder, tiny_spec))
    assert labels(found) == ["random init (file)", "random init (small)", "raw pixels"]
    assert [dict(variant.levels) for variant in found.variants] == [
        {"control": "random init", "owner": "file"},
        {"control": "random init", "owner": "small"},
        {"control": "raw pixels", "owner": ""},
    ]


@pytest.fixture
def plug_in() -> Iterator[None]:
    class Doubling(KNearestNeighbours):
        """A plug-in's evaluation that trains nothing that was pretrained."""

        trains_encoder = True
        control_of = "knn"

    EVALUATIONS.register("supervised_limit", version=1)(Doubling)
    yield
    del EVALUATIONS._components["supervised_limit"]


@pytest.mark.usefixtures("plug_in")
def test_an_evaluation_is_a_control_by_what_it_says_of_itself_whatever_its_name(folder: Path) -> None:
    more = "set: {evaluations: {limit: {name: supervised_limit}, scratch: {name: from_scratch}}}\n"
    found = controls(folder, more)
    assert labels(found)[-2:] == ["supervised limit", "from scratch"]
    assert [list(variant.spec.evaluations) for variant in found.variants] == [
        ["knn"],
        ["knn"],
        ["knn"],
        ["limit"],
        ["scratch"],
    ]


def variants(folder: Path, more: str = "") -> list[Variant]:
    (folder / "study.yaml").write_text(TINY_STUDY + more)
    return design.variants(load(folder / "study.yaml"))


def test_what_does_not_depend_on_the_pretraining_names_no_cell(folder: Path) -> None:
    load_components()
    plain = variants(folder)
    scratch = variants(folder, "set: {evaluations: {from_scratch: {epochs: 3}}}\n")
    other = variants(folder, "set: {evaluations: {from_scratch: {epochs: 4}}}\n")
    names = [[each.spec.fingerprint("data") for each in found] for found in (plain, scratch, other)]
    assert names[0] == names[1] == names[2]
    assert scratch[0].spec != other[0].spec


@pytest.mark.parametrize("key", ["metric", "report"])
def test_a_metric_of_a_control_is_refused_with_what_to_name_instead(key: str, folder: Path) -> None:
    (folder / "study.yaml").write_text(
        TINY_STUDY.replace(
            "metric: knn.top1", "metric: from_scratch.top1" if key == "metric" else "metric: knn.top1"
        )
        + ("report: [from_scratch.top1]\n" if key == "report" else "")
        + "set: {evaluations: {from_scratch: {epochs: 3}}}\n"
    )
    with pytest.raises(UserError, match=rf"{key}.*'from_scratch' is a control.*name a metric of fine_tune"):
        design.variants(load(folder / "study.yaml"))
