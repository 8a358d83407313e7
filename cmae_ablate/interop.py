"""Published MAE checkpoints in; timm models, MAE checkpoints and safetensors out: the names to import."""

from cmae_ablate.training.interop import (
    MaskedAutoencoder,
    Reconstruction,
    export_encoder,
    load_mae_checkpoint,
    mae_state,
    to_timm,
)

__all__ = [
    "MaskedAutoencoder",
    "Reconstruction",
    "export_encoder",
    "load_mae_checkpoint",
    "mae_state",
    "to_timm",
]
