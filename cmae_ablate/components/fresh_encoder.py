"""An encoder's architecture before any training, whatever its weights are."""

from __future__ import annotations

from cmae_ablate.components.networks import Encoder
from cmae_ablate.errors import UserError


def freshly_initialised(encoder: Encoder) -> Encoder:
    """An encoder of the same architecture before any training; draws from torch's global generator.

    Raises:
        UserError: The encoder is a plug-in's own and does not say how.
    """
    if not callable(getattr(encoder, "fresh", None)):
        raise UserError(
            f"backbone: a {type(encoder).__name__} cannot be initialised anew, as the controls 'random init' "
            "and 'from scratch' need where weights are not drawn; give it the method fresh() that "
            "cmae_ablate.slots.Encoder describes"
        )
    return encoder.fresh()
