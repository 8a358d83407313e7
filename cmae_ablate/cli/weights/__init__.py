"""What can be done with pretrained weights outside a study: evaluate, draw, export."""

from cmae_ablate.cli.weights.evaluating import evaluate_checkpoint
from cmae_ablate.cli.weights.exporting import export_checkpoint
from cmae_ablate.cli.weights.reconstructing import reconstruct_checkpoint

__all__ = ["evaluate_checkpoint", "export_checkpoint", "reconstruct_checkpoint"]
