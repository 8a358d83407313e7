"""Patches, positions and masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from cmae_ablate.tokens import PatchMask, gather_tokens, patchify, sincos_positions, unpatchify


def test_a_patch_is_flattened_row_by_row_with_colours_innermost() -> None:
    images = torch.randn(2, 3, 6, 4, generator=torch.Generator().manual_seed(0))
    patches = patchify(images, 2)
    for image in range(2):
        for row in range(3):
            for column in range(2):
                block = images[image, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                expected = [block[c, y, x].item() for y in range(2) for x in range(2) for c in range(3)]
                assert patches[image, 2 * row + column].tolist() == expected


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 5), columns=st.integers(1, 5), patch=st.integers(1, 4), channels=st.integers(1, 3))
def test_unpatchify_undoes_patchify(rows: int, columns: int, patch: int, channels: int) -> None:
    images = torch.randn(2, channels, rows * patch, columns * patch)
    assert torch.equal(unpatchify(patchify(images, patch), patch, (rows, columns)), images)


def test_the_patches_of_smallest_score_are_kept_in_that_order() -> None:
    scores = torch.tensor([[0.4, 0.1, 0.9, 0.2], [0.0, 0.3, 0.2, 0.1]])
    mask = PatchMask.from_scores(scores, 2)
    assert mask.ids_keep.tolist() == [[1, 3], [0, 3]]
    assert mask.ids_hidden.tolist() == [[0, 2], [2, 1]]


def test_equal_scores_are_taken_in_the_order_of_positions() -> None:
    mask = PatchMask.from_scores(torch.zeros(1, 40), 7)
    assert mask.ids_keep.tolist() == [list(range(7))]


@settings(max_examples=50, deadline=None)
@given(data=st.data(), batch=st.integers(1, 4), num_patches=st.integers(1, 30))
def test_a_mask_describes_the_same_patches_in_every_form(
    data: st.DataObject, batch: int, num_patches: int
) -> None:
    num_keep = data.draw(st.integers(1, num_patches))
    scores = torch.rand(batch, num_patches)
    mask = PatchMask.from_scores(scores, num_keep)
    assert mask.num_patches == num_patches
    for image in range(batch):
        kept = set(mask.ids_keep[image].tolist())
        assert {place for place in range(num_patches) if not mask.hidden[image, place]} == kept
        assert set(mask.ids_hidden[image].tolist()) == set(range(num_patches)) - kept


def test_gathered_tokens_are_those_at_the_positions() -> None:
    tokens = torch.randn(2, 5, 3)
    ids = torch.tensor([[4, 0], [2, 2]])
    gathered = gather_tokens(tokens, ids)
    assert torch.equal(gathered, torch.stack([tokens[0, [4, 0]], tokens[1, [2, 2]]]))


def test_positions_agree_with_the_formula_entry_by_entry() -> None:
    dim, grid = 16, (3, 5)
    table = sincos_positions(dim, grid)
    assert table.shape == (15, dim)
    for row in range(grid[0]):
        for column in range(grid[1]):
            expected = [
                function(place / 10000 ** (k / (dim / 4)))
                for place in (column, row)
                for function in (math.sin, math.cos)
                for k in range(dim // 4)
            ]
            assert_close(table[row * grid[1] + column], torch.tensor(expected), rtol=0, atol=1e-7)


@pytest.mark.parametrize(("dim", "side"), [(768, 14), (512, 16), (24, 5)])
def test_positions_are_the_table_that_numpy_gives_by_maes_recipe(dim: int, side: int) -> None:
    # numpy's meshgrid varies its first answer along columns: MAE calls that half "h", yet it holds columns.
    # Hugging Face, from transformers 5 on, builds the halves the other way round.
    halves = []
    for axis in np.meshgrid(np.arange(side, dtype=np.float64), np.arange(side, dtype=np.float64)):
        angles = np.outer(axis.reshape(-1), 1.0 / 10000 ** (np.arange(dim // 4) / (dim / 4)))
        halves.append(np.concatenate([np.sin(angles), np.cos(angles)], axis=1))
    expected = torch.from_numpy(np.concatenate(halves, axis=1)).float()
    assert_close(sincos_positions(dim, (side, side)), expected, rtol=0, atol=1e-7)


def test_positions_of_an_indivisible_width_are_refused() -> None:
    with pytest.raises(AssertionError, match="divisible by 4"):
        sincos_positions(10, (2, 2))


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(
        st.lists(st.sampled_from([-2.5, -1e-30, -0.0, 0.0, 1e-30, 0.25, 0.5, 3e38]), min_size=7, max_size=7),
        min_size=1,
        max_size=4,
    ),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.float16]),
)
def test_the_smallest_scores_stay_in_order_and_ties_by_position(
    rows: list[list[float]], dtype: torch.dtype
) -> None:
    scores = torch.tensor(rows, dtype=dtype)
    mask = PatchMask.from_scores(scores, 3)
    for image, row in enumerate(scores.tolist()):
        order = sorted(range(7), key=lambda place, row=row: (row[place], place))  # type: ignore[misc]
        assert mask.ids_keep[image].tolist() == order[:3]
        assert mask.ids_hidden[image].tolist() == order[3:]
