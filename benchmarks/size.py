"""Sizes of an MAE."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Widths, depths and heads of an MAE, its patch and image in pixels."""

    dim: int
    depth: int
    heads: int
    patch: int
    image: int
    decoder_dim: int
    decoder_depth: int
    decoder_heads: int

    @property
    def num_patches(self) -> int:
        """N."""
        return (self.image // self.patch) ** 2

    def settings(self) -> list[str]:
        """The same as `--set` texts of a study."""
        backbone = {"dim": self.dim, "depth": self.depth, "heads": self.heads, "patch": self.patch}
        decoder = {"dim": self.decoder_dim, "depth": self.decoder_depth, "heads": self.decoder_heads}
        texts = [f"backbone.{name}={value}" for name, value in backbone.items()]
        texts += [f"decoder.{name}={value}" for name, value in decoder.items()]
        return [*texts, f"dataset.image_size={self.image}"]

    def __str__(self) -> str:
        return (
            f"dim {self.dim} depth {self.depth} patch {self.patch} at {self.image}, "
            f"decoder depth {self.decoder_depth}"
        )


SIZES = (
    Size(192, 12, 3, 8, 64, 128, 4, 4),
    Size(192, 12, 3, 8, 64, 128, 1, 4),
    Size(128, 6, 4, 4, 32, 64, 4, 4),
    Size(128, 6, 4, 4, 32, 64, 1, 4),
)
TINY = (Size(32, 1, 2, 8, 32, 32, 1, 2),)
