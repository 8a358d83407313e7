"""A study of seconds, for tests."""

TINY = {
    "dataset": {"name": "scenes", "num_train": 64, "num_validation": 32, "num_test": 32, "image_size": 32},
    "backbone": {"name": "vit", "dim": 32, "depth": 1, "heads": 2, "patch": 8},
    "decoder": {"name": "transformer", "depth": 1, "dim": 32, "heads": 2},
    "training": {"epochs": 2, "batch_size": 16, "base_lr": 1e-3, "warmup_epochs": 0.5},
    "evaluations": {"knn": {"k": 3}},
}

TINY_STUDY = """\
question: Does the decoder matter?
scale: tiny
design: one_factor
factors:
  decoder:
    path: decoder
    levels:
      depth 1: {name: transformer, depth: 1}
      linear: {name: linear}
reference: {decoder: depth 1}
seeds: 2
metric: knn.top1
"""

TINY_SCALE = """\
dataset: {name: scenes, num_train: 64, num_validation: 32, num_test: 32, image_size: 32}
backbone: {name: vit, dim: 32, depth: 1, heads: 2, patch: 8}
decoder: {name: transformer, depth: 1, dim: 32, heads: 2}
training: {epochs: 2, batch_size: 16, base_lr: 1.0e-3, warmup_epochs: 0.5}
evaluations: {knn: {k: 3}, linear_probe: none}
"""
