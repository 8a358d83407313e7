"""What is wrong with the files of cells is told once a fault, with the remedy."""

from __future__ import annotations

from pathlib import Path

from cmae_ablate.files import DamagedError, MissingError
from cmae_ablate.runner.file_faults import FileFaults

CACHE = Path("/runs/cache/pretrain")


def test_one_missing_file_of_twelve_cells_is_one_note_with_the_variants_and_the_first_path() -> None:
    faults = FileFaults()
    for variant in ("box", "box, two views", "box, moving"):
        for seed in range(4):
            faults.add((variant, seed), MissingError(CACHE / f"{variant}{seed}" / "crop.safetensors"))
    assert [*faults.notes()] == [
        "12 cells (\u2018box\u2019, \u2018box, two views\u2019 and \u2018box, moving\u2019): "
        "/runs/cache/pretrain/box0/crop.safetensors and 11 more: missing; copy them there, or run the study "
        "again, and they are made again"
    ]


def test_a_fault_of_one_cell_names_it() -> None:
    faults = FileFaults()
    faults.add(("box", 3), MissingError(CACHE / "a" / "crop.safetensors"))
    faults.add(("box", 3), DamagedError(CACHE / "a" / "knn-1.npy", "no array"))
    assert [*faults.notes()] == [
        "\u2018box\u2019, seed 3: /runs/cache/pretrain/a/crop.safetensors: missing; copy it there, or run "
        "the study again, and it is made again",
        "\u2018box\u2019, seed 3: /runs/cache/pretrain/a/knn-1.npy: damaged (no array); run the study again, "
        "and it is made again",
    ]


def test_files_of_one_kind_with_other_faults_are_told_apart() -> None:
    faults = FileFaults()
    faults.add(("a", 0), DamagedError(CACHE / "a" / "knn-1.npy", "no array"))
    faults.add(("b", 0), DamagedError(CACHE / "b" / "knn-2.npy", "no array"))
    faults.add(("b", 1), MissingError(CACHE / "c" / "knn-3.npy"))
    assert [note.partition(":")[0] for note in faults.notes()] == [
        "2 cells (\u2018a\u2019 and \u2018b\u2019)",
        "\u2018b\u2019, seed 1",
    ]


def test_cells_of_which_only_numbers_are_left_share_a_note() -> None:
    faults = FileFaults()
    assert [*faults.notes()] == []
    for seed in (0, 1):
        faults.add_gone(("a", seed), CACHE / f"gone{seed}")
    [note] = faults.notes()
    assert note.startswith(
        "2 cells (\u2018a\u2019): /runs/cache/pretrain/gone0 and 1 more: not in the cache, so without "
        "curves, pictures and predictions; "
    )


def test_files_of_an_imported_cell_are_copied_and_not_made_again() -> None:
    faults = FileFaults()
    faults.add(("a", 0), MissingError(CACHE / "a" / "knn-1.npy"), is_copied=True)
    faults.add(("a", 0), DamagedError(CACHE / "a" / "crop.safetensors", "short"), is_copied=True)
    assert [note.rpartition(": ")[2] for note in faults.notes()] == [
        "missing; copy it there",
        "damaged (short); copy it again",
    ]
