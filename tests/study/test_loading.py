from __future__ import annotations

import json
from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.study import design
from cmae_ablate.study.loading import load
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from tests.tiny import TINY_STUDY

CROPS = Path(__file__).parents[2] / "studies" / "crop.yaml"
SHIPPED = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))


def variants_of(path: Path, **options: object) -> list[design.Variant]:
    return design.variants(load(path, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
@pytest.mark.parametrize("scale", ["cpu", "gpu", "paper"])
def test_every_shipped_study_resolves_at_every_scale(path: Path, scale: str) -> None:
    study = load(path, scale=scale)
    labels = [variant.label for variant in design.variants(study)]
    assert design.reference_label(study) in labels
    assert len(labels) >= 3


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_one_epoch_runs_every_shipped_study_with_a_notice_where_schedules_are_clipped(path: Path) -> None:
    for variant in variants_of(path, settings=["training.epochs=1"]):
        assert variant.spec.training.epochs == 1
        assert variant.spec.training.warmup_epochs < 1
        assert variant.spec["crop"].options.get("warmup_epochs", 0) == 0


FIFTHS = {500: (100, 100), 60: (12, 12), 20: (4, 4), 8: (2, 2), 3: (1, 1), 1: (0, 1)}
"""Warm-up and interval by the epochs of the training; the first as published for Tiny-ImageNet."""


@pytest.mark.parametrize("epochs", FIFTHS)
def test_contrastive_crop_has_its_published_schedule_in_a_training_of_any_length(epochs: int) -> None:
    variants = variants_of(CROPS, settings=[f"training.epochs={epochs}", "training.warmup_epochs=0"])
    crops = {variant.label: variant.spec["crop"] for variant in variants}
    for label in ("contrastive", "contrastive, threshold 0.3", "full_box"):
        options = crops[label].options
        assert (options["warmup_epochs"], options.get("interval", FIFTHS[epochs][1])) == FIFTHS[epochs]
    assert not [text for variant in variants for text in variant.spec.notices if "crop" in text]


def test_a_schedule_that_a_study_writes_is_taken_as_it_is_and_clipped_with_a_notice(
    tiny_spec: TrialSpec,
) -> None:
    written = {"name": "contrastive", "warmup_epochs": 30, "interval": 7}
    spec = resolve({**tiny_spec.to_tree(), "crop": written, "training": {"epochs": 20}})
    assert (spec["crop"].options["warmup_epochs"], spec["crop"].options["interval"]) == (19, 7)
    assert any("crop.warmup_epochs 30 does not fit 20 epochs" in text for text in spec.notices)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
@pytest.mark.parametrize("scale", ["cpu", "gpu", "paper"])
def test_random_crops_of_a_shipped_study_draw_their_sizes_from_one_range(path: Path, scale: str) -> None:
    crops = [variant.spec["crop"].options for variant in variants_of(path, scale=scale)]
    ranges = [(options["scale"], options["ratio"]) for options in crops if "scale" in options]
    assert ranges.count(ranges[0]) == len(ranges) > 0


@pytest.mark.parametrize("name", ["cache", "Summary", "mlartifacts", "optuna.db"])
def test_a_study_whose_folder_would_be_one_of_outs_own_is_refused(name: str, tiny_study: Path) -> None:
    path = tiny_study.rename(tiny_study.with_name(f"{name}.yaml"))
    with pytest.raises(
        UserError, match=rf"{name}\.yaml: --out keeps something else in {name}/.*rename the file"
    ):
        load(path)
    assert load(path, scale="cpu").name == f"{name}-cpu"


MISTAKES = {
    "unknown key": ("seeds: 2", "seeds: 2\nsede: 3", "12:1", "did you mean 'seeds'?"),
    "misspelt component": ("name: linear", "name: liner", "9:16", "did you mean 'linear'?"),
    "option out of range": ("depth: 1}", "depth: 0}", "8:36", "greater than or equal to 1"),
    "duplicate key": ("seeds: 2", "seeds: 2\nseeds: 3", "12:1", "twice"),
    "wrong type": ("depth: 1}", "depth: deep}", "8:36", "valid integer"),
    "unknown option": ("depth: 1}", "dept: 1}", "8:36", "did you mean 'depth'?"),
    "level that does not fit its path": ("{name: linear}", "[1, 2]", "9:7", "component is expected"),
    "path that leads nowhere": ("path: decoder", "path: decodr", "6:5", "did you mean 'decoder'?"),
    "empty factors": (
        TINY_STUDY[TINY_STUDY.index("factors") : TINY_STUDY.index("reference")],
        "factors: {}\n",
        "4:1",
        "no factor",
    ),
    "empty levels": (
        TINY_STUDY[TINY_STUDY.index("    levels") : TINY_STUDY.index("reference")],
        "    levels: {}\n",
        "7:5",
        "at least one level",
    ),
    "tab indentation": ("    path: decoder", "\tpath: decoder", "6:1", "tab"),
    "alias": ("{name: linear}", "&x {name: linear}\n      again: *x", "10:14", "aliases"),
    "nesting": ("seeds: 2", "seeds: " + "[" * 1000 + "]" * 1000, "11:27", "nested deeper"),
    "metric that no evaluation produces": ("knn.top1", "knn.top5", "12:1", "did you mean 'knn.top1'?"),
    "reference that names no level": (
        "{decoder: depth 1}",
        "{decoder: depth 9}",
        "10:13",
        "did you mean 'depth 1'?",
    ),
    "reference that names no factor": (
        "{decoder: depth 1}",
        "{encoder: depth 1}",
        "10:13",
        "did you mean 'decoder'?",
    ),
    "unknown design": ("one_factor", "one_facter", "3:1", "did you mean 'one_factor'?"),
    "search without what is tuned": ("one_factor", "search", "3:1", "go together"),
    "seeds that are no number": ("seeds: 2", "seeds: two", "11:1", "number of seeds"),
    "unknown scale": ("scale: tiny", "scale: tinny", "2:1", "did you mean 'tiny'?"),
    "missing key": ("seeds: 2\n", "", "1:1", "seeds: this key is missing"),
    "python tag": ("seeds: 2", "seeds: !!python/object:os.system x", "11:8", "not allowed"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_said_with_place_and_remedy(name: str, tiny_study: Path) -> None:
    before, after, place, words = MISTAKES[name]
    assert before in TINY_STUDY
    tiny_study.write_text(TINY_STUDY.replace(before, after, 1))
    with pytest.raises(UserError) as caught:
        variants_of(tiny_study)
    message = str(caught.value)
    assert message.startswith(f"{tiny_study}:{place}: "), message
    assert words in message


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("decoder.depth=3", "what factor 'decoder' varies"),
        ("decoder=linear", "what factor 'decoder' varies"),
        ("training.epoch=3", "did you mean 'epochs'?"),
        ("training.epochs=many", "valid integer"),
        ("trainning.epochs=3", "did you mean 'training'?"),
        ("training.epochs", "PATH=VALUE"),
        ("crop.name=randm_resized", "did you mean 'random_resized'?"),
        ("crop.scale.low=1", "options have no parts"),
    ],
)
def test_a_wrong_set_names_itself(setting: str, words: str, tiny_study: Path) -> None:
    with pytest.raises(UserError) as caught:
        variants_of(tiny_study, settings=[setting])
    assert str(caught.value).startswith(f"--set {setting}: ")
    assert words in str(caught.value)


def test_what_no_level_of_a_factor_sets_can_be_set_beside_it(tiny_study: Path) -> None:
    tiny_study.write_text(
        TINY_STUDY.replace("linear: {name: linear}", "depth 2: {name: transformer, depth: 2}")
    )
    found = variants_of(tiny_study, settings=["decoder.dim=64"])
    assert [(v.spec["decoder"].options["depth"], v.spec["decoder"].options["dim"]) for v in found] == [
        (1, 64),
        (2, 64),
    ]
    for setting in ("decoder.depth=2", "decoder.name=linear", "decoder={name: transformer, dim: 64}"):
        with pytest.raises(UserError, match="what factor 'decoder' varies"):
            variants_of(tiny_study, settings=[setting])


def test_a_setting_that_one_level_would_drop_is_refused(tiny_study: Path) -> None:
    # The scale's decoder and the first level's have a width; the second level's, a linear one, has none.
    with pytest.raises(UserError, match="what factor 'decoder' varies"):
        variants_of(tiny_study, settings=["decoder.dim=64"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.yaml: there is no such file"):
        load(tmp_path / "absent.yaml")


def test_settings_take_precedence_in_the_stated_order(tiny_study: Path) -> None:
    text = TINY_STUDY + "set: {training: {epochs: 3, batch_size: 8}}\n"
    tiny_study.write_text(text)
    spec = variants_of(tiny_study, settings=["training.epochs=5"])[0].spec
    assert (spec.training.epochs, spec.training.batch_size) == (5, 8)  # --set over the study over the scale
    assert spec.training.warmup_epochs == 0.5  # the scale over the default
    assert spec["decoder"].options["depth"] == 1  # the level over all


def test_a_level_of_the_same_component_merges_and_another_replaces(tiny_study: Path) -> None:
    first, second = variants_of(tiny_study)
    assert first.spec["decoder"].options == {**first.spec["decoder"].options, "dim": 32, "depth": 1}
    assert second.spec["decoder"].name == "linear"
    assert "dim" not in second.spec["decoder"].options


def test_another_scale_has_a_name_of_its_own(tiny_study: Path) -> None:
    assert load(tiny_study).name == "tiny_study"
    assert load(tiny_study, scale="tiny").name == "tiny_study"
    assert load(tiny_study, scale="cpu").name == "tiny_study-cpu"


def test_the_variance_is_paired_unless_declared_and_one_of_three(tiny_study: Path) -> None:
    assert load(tiny_study).variance == "paired"
    tiny_study.write_text(TINY_STUDY + "variance: moderated\n")
    assert load(tiny_study).variance == "moderated"
    tiny_study.write_text(TINY_STUDY + "variance: poled\n")
    with pytest.raises(UserError, match=r"tiny_study\.yaml:\d+:\d+: variance: .*pooled"):
        load(tiny_study)


NAMES = ["1.10", "1e3", "yes", "0x10", "~", "2026-11-26", "010", "1_000", "null", "1:30", ".5", "true", "1."]


@pytest.mark.parametrize("name", NAMES)
def test_a_level_is_called_as_the_file_spells_it_wherever_it_stands(name: str, tiny_study: Path) -> None:
    text = TINY_STUDY.replace("depth 1:", f"{name}:").replace("{decoder: depth 1}", f"{{decoder: {name}}}")
    tiny_study.write_text(text + f"contrasts: [[linear, {name}]]\n")
    study = load(tiny_study)
    assert study.reference == {"decoder": name}
    assert study.contrasts == (("linear", name),)
    assert [variant.label for variant in design.variants(study)] == [name, "linear"]


OF_DROPPED = """\
factors:
  rate:
    path: training.base_lr
    levels: [LEVELS]
reference: {rate: REFERENCE}
"""


def with_listed_levels(path: Path, levels: str, reference: str) -> None:
    start, end = TINY_STUDY.index("factors"), TINY_STUDY.index("seeds")
    middle = OF_DROPPED.replace("LEVELS", levels).replace("REFERENCE", reference)
    path.write_text(TINY_STUDY[:start] + middle + TINY_STUDY[end:])


def test_two_levels_that_only_their_spelling_tells_apart_stay_two(tiny_study: Path) -> None:
    text = TINY_STUDY.replace("depth 1:", "1.1:").replace("linear:", "1.10:")
    tiny_study.write_text(text.replace("{decoder: depth 1}", "{decoder: 1.10}"))
    study = load(tiny_study)
    assert list(study.factors[0].levels) == ["1.1", "1.10"]
    assert design.reference_label(study) == "1.10"


def test_listed_levels_are_called_as_they_are_spelt_and_mean_what_yaml_reads(tiny_study: Path) -> None:
    with_listed_levels(tiny_study, "1e-3, 0.0010000001, 0.10", "0.10")
    found = variants_of(tiny_study)
    assert [variant.label for variant in found] == ["1e-3", "0.0010000001", "0.10"]
    assert [variant.spec.training.base_lr for variant in found] == [0.001, 0.0010000001, 0.1]


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ("0.1, 0.1", "'0.1' is the level '0.1' once more"),
        ("0.1, 0.10", "'0.10' is the level '0.1' once more"),
        ('0.1, "0.1"', "'0.1' is the level '0.1' once more"),
        ("1, 1.0", "'1.0' is the level '1' once more"),
    ],
)
def test_two_spellings_of_one_listed_level_are_refused(levels: str, words: str, tiny_study: Path) -> None:
    with_listed_levels(tiny_study, levels, "0.1")
    with pytest.raises(UserError) as caught:
        load(tiny_study)
    assert str(caught.value).startswith(f"{tiny_study}:7:")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}"),
        ("two words", "two  words"),
        ("two words", "two\N{NO-BREAK SPACE}words"),
        ("depth 1", "depth 1\N{ZERO WIDTH SPACE}"),
        ("depth 1", "depth\N{WORD JOINER} 1"),
        ("depth 1", "depth 1\N{HANGUL FILLER}"),
    ],
)
def test_two_names_that_look_alike_are_refused(one: str, other: str, tiny_study: Path) -> None:
    text = TINY_STUDY.replace("depth 1:", f"{one}:").replace("linear:", f"{other}:")
    tiny_study.write_text(text.replace("{decoder: depth 1}", f"{{decoder: {one}}}"))
    with pytest.raises(UserError, match="differ only in blanks, in characters that cannot"):
        load(tiny_study)
    tiny_study.write_text(
        text.replace(f"{other}:", "linear:").replace("{decoder: depth 1}", f"{{decoder: {other}}}")
    )
    with pytest.raises(UserError, match="copy it from there"):
        load(tiny_study)


@pytest.mark.parametrize("quoted", ['"1.1"', "'1.1'"])
def test_a_level_in_quotes_and_without_is_one_level_twice(quoted: str, tiny_study: Path) -> None:
    tiny_study.write_text(TINY_STUDY.replace("depth 1:", "1.1:").replace("linear:", f"{quoted}:"))
    with pytest.raises(UserError, match="the key stands twice"):
        load(tiny_study)


def test_a_number_that_no_setting_needs_is_refused_in_a_line(tiny_study: Path) -> None:
    tiny_study.write_text(TINY_STUDY.replace("seeds: 2", f"seeds: {'9' * 6000}"))
    with pytest.raises(UserError, match=r":11:8: a number of 6,000 characters"):
        load(tiny_study)


def test_a_batch_of_one_with_a_contrastive_task_is_refused_where_it_is_set(tiny_study: Path) -> None:
    both = ["objectives.contrastive=simclr", "training.batch_size=1"]
    assert variants_of(tiny_study, settings=both[1:])
    with pytest.raises(UserError, match=r"--set training\.batch_size=1.*nothing to contrast.*at least 2"):
        variants_of(tiny_study, settings=both)


@pytest.mark.parametrize("label", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "- contrastive"])
def test_a_label_that_a_spreadsheet_would_compute_is_refused(tiny_study: Path, label: str) -> None:
    tiny_study.write_text(tiny_study.read_text().replace("linear: {", f"{json.dumps(label)}: {{"))
    with pytest.raises(UserError, match=r":9:7: factors\.decoder\.levels\..*begin the label with a letter"):
        load(tiny_study)


def test_a_negative_number_is_a_label_but_not_the_beginning_of_one(tiny_study: Path) -> None:
    text = tiny_study.read_text().replace("linear: {", "-1: {")
    tiny_study.write_text(text)
    assert load(tiny_study).factors[0].levels.keys() == {"depth 1", "-1"}
    second = "  ratio: {path: masking.ratio, levels: [0.5, 0.75]}\nreference: {ratio: 0.5, "
    tiny_study.write_text(text.replace("reference: {", second))
    with pytest.raises(UserError, match="begin the label with a letter"):
        load(tiny_study)
