"""FLOPs of evaluations, from what was counted of one image."""

from __future__ import annotations

from cmae_ablate.components.loading import load_components
from cmae_ablate.study.settings import apply, default_tree
from cmae_ablate.study.trial_spec import resolve
from cmae_ablate.training.flops import Cost, classifier_flops, evaluation_flops, pretraining_flops

COST = Cost(
    1,
    0,
    0,
    {},
    flops_image=11.0,
    flops_encode=3.0,
    flops_train_encoder=8.0,
    memory_bytes=0,
    num_patches=36,
    embed_dim=96,
)


def test_fine_tuning_costs_its_epochs_and_frozen_features_one_pass() -> None:
    load_components()
    tree = apply(default_tree(), ("evaluations", "fine_tune"), {"name": "fine_tune", "epochs": 7})
    spec = resolve(apply(tree, ("training", "epochs"), 5))
    assert evaluation_flops(COST, spec.evaluations["fine_tune"], 100, 30) == 7 * 100 * 8 + 30 * 3
    assert evaluation_flops(COST, spec.evaluations["knn"], 100, 30) == 130 * 3
    # Asked already: the evaluation is not built.
    assert evaluation_flops(COST, spec.evaluations["knn"], 100, 30, passes=2) == 130 * 3 + 2 * 100 * 3
    assert pretraining_flops(COST, spec, 100) == 5 * 100 * 11


def test_a_classifier_costs_what_its_evaluation_tells_and_nothing_where_none_does() -> None:
    load_components()
    probe = {"name": "linear_probe_sgd", "augmented": False, "epochs": 3}
    spec = resolve(apply(default_tree(), ("evaluations", "linear_probe_sgd"), probe))
    # Two products in each of three epochs, two FLOPs a weight.
    assert classifier_flops(COST, spec.evaluations["linear_probe_sgd"], 20) == 3 * 2 * 2 * 96 * 20
    assert classifier_flops(COST, spec.evaluations["knn"], 20) == 0
