"""What can be done with pretrained weights outside a study: evaluate, draw, export."""

from cmae_ablate.checkpoints.evaluating import evaluate_checkpoint
from cmae_ablate.checkpoints.exporting import export_checkpoint
from cmae_ablate.checkpoints.reconstructing import reconstruct_checkpoint

__all__ = ["evaluate_checkpoint", "export_checkpoint", "reconstruct_checkpoint"]
