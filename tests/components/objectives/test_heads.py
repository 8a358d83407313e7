from __future__ import annotations

import pytest
import torch
from torch import nn

from cmae_ablate.components.objectives.heads import BatchNorm, Pooling, batch_norm_mlp, position_head
from cmae_ablate.errors import UserError


def test_batch_norm_normalises_a_batch_as_torch_does() -> None:
    ours, theirs = BatchNorm(5), nn.BatchNorm1d(5)
    inputs = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(inputs), theirs(inputs), rtol=0, atol=0)
    torch.testing.assert_close(ours.running_var, theirs.running_var, rtol=0, atol=0)


def test_batch_norm_takes_running_statistics_for_a_batch_of_one_and_leaves_them() -> None:
    norm = BatchNorm(2)
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.copy_(torch.tensor([1.0, -1.0]))
    norm.running_var.fill_(4.0)
    result = norm(torch.tensor([[3.0, 3.0]]))
    torch.testing.assert_close(result, torch.tensor([[1.0, 2.0]]))
    assert norm.running_mean.tolist() == [1.0, -1.0]


def test_batch_norm_is_found_by_the_conversion_to_sync_batch_norm() -> None:
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(batch_norm_mlp([4, 8, 2], final_norm=True))
    assert sum(isinstance(module, nn.SyncBatchNorm) for module in converted) == 2


def test_a_projector_is_built_as_moco_v3_builds_it() -> None:
    layers = batch_norm_mlp([4, 8, 8, 2], final_norm=True)
    kinds = [type(layer).__name__ for layer in layers]
    assert kinds == ["Linear", "BatchNorm", "ReLU", "Linear", "BatchNorm", "ReLU", "Linear", "BatchNorm"]
    assert all(layer.bias is None for layer in layers if isinstance(layer, nn.Linear))
    last = layers[-1]
    assert isinstance(last, BatchNorm) and not last.affine


def test_a_projector_is_built_as_byol_builds_it() -> None:
    layers = batch_norm_mlp([4, 8, 2], final_norm=False)
    kinds = [type(layer).__name__ for layer in layers]
    assert kinds == ["Linear", "BatchNorm", "ReLU", "Linear"]
    assert layers[-1].bias is not None


def test_features_are_the_class_token_or_the_mean_of_the_others() -> None:
    tokens = torch.tensor([[[9.0, 9.0], [1.0, 2.0], [3.0, 6.0]]])
    assert Pooling(2, "cls", 1, 1)(tokens).tolist() == [[9.0, 9.0]]
    assert Pooling(2, "mean", 1, 1)(tokens).tolist() == [[2.0, 4.0]]


def test_the_decoder_feature_reads_patch_tokens_and_not_the_class_token() -> None:
    pooling = Pooling(8, "decoder", 2, 2)
    tokens = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    other_class = tokens.clone()
    other_class[:, 0] = 0
    other_patch = tokens.clone()
    other_patch[:, 1] = 0
    torch.testing.assert_close(pooling(tokens), pooling(other_class), rtol=0, atol=0)
    assert not torch.allclose(pooling(tokens), pooling(other_patch))


def test_branch_heads_that_do_not_divide_the_width_are_the_users_mistake() -> None:
    with pytest.raises(UserError, match=r"branch_heads: 3 heads do not divide .* width of 8"):
        Pooling(8, "decoder", 2, 3)


def test_the_position_head_is_two_linear_layers_through_half_the_width() -> None:
    shapes = [tuple(parameter.shape) for parameter in position_head(8, 5, "none").parameters()]
    assert shapes == [(4, 8), (4,), (5, 4), (5,)]
