"""How much of an attentive reading is the probe's own noise, and what do votes of several fits bring?

Run:   OMP_NUM_THREADS=1 python analysis/recipe/probe.py     (about 8 minutes on one core)
Trains MAE by the scale `hour` with a seed that no table uses, fits the probe to that encoder and to the same
encoder untrained, many times from other initial values and in other orders, and reads each fit alone and in
committees; on validation images. Writes `probe.csv`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from cmae_ablate.components.evaluation_protocols import EvaluationContext
from cmae_ablate.components.evaluations.attentive_probe import (
    AttentiveProbe,
    ProbeGrid,
    token_standardiser,
)
from cmae_ablate.components.evaluations.features import FrozenFeatures
from cmae_ablate.components.evaluations.scoring import top1
from cmae_ablate.components.networks import Encoder
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.runner.cell import CellContext, load_model, run_cell
from cmae_ablate.runtime import Runtime, set_threads
from cmae_ablate.study import design, loading
from cmae_ablate.training.untrained import untrained_encoder

HERE = Path(__file__).parent
STUDY = HERE.parents[1] / "studies" / "cmae_vs_mae.yaml"
SEED = 1000
QUERIES = (2, 4, 8)
ORDERS = (0, 1)
FITS, COMMITTEE = 8, 4
LR, WEIGHT_DECAY = 3e-2, 0.1


def main() -> None:
    """Read both encoders with every number of queries."""
    study = loading.load(STUDY, scale="hour", settings=("dataset.num_test=32",))
    spec = next(v.spec for v in design.variants(study) if v.label == design.reference_label(study))
    spec = replace(spec.with_seed(SEED), evaluations={})
    set_threads(spec.training.threads)
    data = spec["dataset"].prepare()
    context = CellContext(data, Runtime(), Path(os.environ.get("CMAE_ABLATE_TUNING", "runs/recipe")))
    encoders: dict[str, Encoder] = {
        "MAE": load_model(spec, context, run_cell(spec, context).folder).encoder,
        "untrained": untrained_encoder(spec, data.image_size),
    }
    rows = []
    for name, encoder in encoders.items():
        features = FrozenFeatures(encoder, data, context.runtime)
        for queries in QUERIES:
            for order in ORDERS:
                probabilities = fitted(
                    queries, EvaluationContext(encoder, features, data, context.runtime, order)
                )
                found = {"encoder": name, "queries": queries, "order": order}
                rows += [found | row for row in readings(probabilities, data)]
                print(pd.DataFrame(rows).tail(FITS + FITS // COMMITTEE), flush=True)
    pd.DataFrame(rows).to_csv(HERE / "probe.csv", index=False)


def fitted(queries: int, context: EvaluationContext) -> Tensor:
    """Class probabilities of each fit on validation images, (F, n, K)."""
    probe = AttentiveProbe(num_queries=queries, num_fits=FITS, lr=(LR,), weight_decay=(WEIGHT_DECAY,))
    standardise = token_standardiser(context.features)
    grid = ProbeGrid(probe.starts(context), 1)
    probe.fit(grid, standardise, context, probe.batch_size)
    with torch.no_grad():
        batches = context.features.token_batches("validation")
        return torch.cat([grid(standardise(batch))[0].softmax(dim=2) for batch in batches], dim=1)


def readings(probabilities: Tensor, data: DataArrays) -> list[dict[str, float]]:
    """Accuracy of each fit alone, and of committees of four."""
    return [
        {"fits": size, "validation_top1": top1(part.mean(0).argmax(1), data.validation.labels)}
        for size in (1, COMMITTEE)
        for part in probabilities.split(size)
    ]


if __name__ == "__main__":
    main()
