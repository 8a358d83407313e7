"""Tests mirror the rooms: `cmae_ablate/ROOM/x.py` has `tests/ROOM/test_x.py`, but for those listed here."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE, TESTS = ROOT / "cmae_ablate", ROOT / "tests"
MOST_WITHOUT = 101
"""Modules without a test file of their name: may only become fewer."""

# Modules without a test file of their name, by a file whose tests run through them: names and Protocols
# compute nothing, components run in the contracts of their slot, and whole studies and commands pass through
# the rest.
ELSEWHERE = {
    "tests/report/test_progress.py": "",
    "tests/runner/test_probing.py": "",
    "tests/runner/test_run_links.py": "tracking/links.py",
    "tests/study/test_finding.py": "cli/finding.py",
    "tests/training/test_device_step.py": "data/uploads.py",
    "tests/report/test_latex.py": "report/tex_signs.py",
    "tests/components/test_crop_sampling.py": "components/crop_ranges.py",
    "tests/test_plugin.py": """
        slots.py
        components/protocols.py components/evaluation_protocols.py components/loading.py
        components/registry.py""",
    "tests/training/test_interop.py": """
        interop.py components/backbones/mae_encoder.py components/backbones/mae_layout.py
        training/mae_decoder.py""",
    "tests/components/crops/test_contrastive_crop.py": """
        components/crops/center_box.py components/crops/contrastive.py
        components/crops/fixed_size.py components/crops/full.py components/crops/full_box.py
        components/crops/ground_truth_box.py components/crops/localisation.py
        components/crops/random_resized.py""",
    "tests/components/objectives/test_position.py": """
        components/objectives/absolute.py components/objectives/dropped.py
        components/objectives/position_loss.py""",
    "tests/components/backbones/test_vit.py": "components/vit_encoder.py components/vit_layers.py",
    "tests/contracts/test_options.py": "study/training_settings.py",
    "tests/contracts/test_maskings.py": "components/mask_ratio.py",
    "tests/training/test_untrained.py": "components/fresh_encoder.py",
    "tests/components/datasets/test_sources.py": "components/datasets/holdout.py",
    "tests/components/datasets/test_cifar.py": """
        components/datasets/cifar_pickles.py components/datasets/small_arrays.py""",
    "tests/components/datasets/test_folder.py": "components/datasets/image_files.py",
    "tests/components/datasets/test_scenes.py": """
        components/datasets/scenes_bank.py components/datasets/scenes_render.py""",
    "tests/components/evaluations/test_fine_tune.py": """
        components/evaluations/from_scratch.py components/evaluations/supervised.py""",
    "tests/components/evaluations/test_linear_probe.py": "components/evaluations/logistic.py",
    "tests/data/test_arrays.py": "data/images.py data/writer.py",
    "tests/distributed/test_ranks.py": "distributed.py",
    "tests/cli/test_app.py": """
        cli/about.py cli/as_json.py cli/cache.py cli/datasets.py
        cli/shared.py cli/studies.py runner/options.py study/yaml_source.py""",
    "tests/cli/test_listing.py": "cli/plan.py cli/planning.py",
    "tests/cli/weights/test_checkpoints.py": """
        cli/weights/commands.py cli/weights/drawing.py cli/weights/evaluating.py
        cli/weights/exporting.py cli/weights/reconstructing.py cli/weights/source.py""",
    "tests/runner/test_run.py": "runner/experiment.py",
    "tests/runner/test_reuse.py": "runner/worker.py runner/workers.py",
    "tests/runner/test_memory.py": "runner/hardware.py",
    "tests/training/test_loop.py": "training/model.py",
    "tests/runner/test_cache.py": "runner/housekeeping.py",
    "tests/runner/test_search.py": "study/search.py study/search_space.py",
    "tests/runner/test_finished.py": "runner/evaluating.py",
    "tests/queue/test_queue.py": "queue/cells.py queue/lease.py queue/optuna_trials.py",
    "tests/queue/test_deaths.py": "queue/owner.py",
    "tests/study/test_loading.py": "study/settings.py study/trial_spec.py",
    "tests/test_tracking.py": """
        tracking/background.py tracking/connection.py tracking/mlflow_run.py tracking/mlflow_tracker.py
        tracking/run_tree.py tracking/run_writer.py tracking/store.py tracking/tracker.py""",
    "tests/report/test_effects.py": "report/effect.py report/effects_table.py",
    "tests/report/test_answer.py": """
        report/answer_record.py report/term_words.py report/verdict.py report/worth.py""",
    "tests/report/test_write.py": "report/findings.py report/tables.py report/terminal.py",
    "tests/report/test_sentences.py": "report/wording.py",
    "tests/report/test_figures.py": """
        report/curves.py report/factor_figures.py report/forest.py report/gallery.py
        report/markup.py report/pareto.py report/table_picture.py report/theme.py""",
}


def modules() -> set[str]:
    """Every module that may have a test file, by its path below the package."""
    found = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    return {path for path in found if not path.endswith(("__init__.py", "__main__.py"))}


def has_test(module: str) -> bool:
    path = TESTS / module
    return path.with_name(f"test_{path.name}").is_file()


def test_every_module_has_a_test_file_of_its_name_or_is_listed_with_the_one_that_tests_it() -> None:
    listed = [module for text in ELSEWHERE.values() for module in text.split()]
    assert sorted(listed) == sorted(set(listed)), "a module is listed twice"
    alone = {module for module in modules() if not has_test(module)}
    assert sorted(alone - set(listed)) == [], "write a test file of this name in the mirrored folder"
    assert sorted(set(listed) - modules()) == [], "it is gone: strike it out"
    assert len(set(listed) & alone) <= MOST_WITHOUT, "write a test file of its name, rather than list it"


def test_the_files_that_stand_in_exist() -> None:
    assert [name for name in ELSEWHERE if not (ROOT / name).is_file()] == []
