"""How every variant is pretrained, as a study may set it: types, ranges, defaults and their sources."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Training(BaseModel):
    """How every variant is pretrained. Defaults are MAE's where MAE has one."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    epochs: Annotated[int, Field(ge=1)] = 100
    """Passes over the training images. Source: MAE, 800 or 1600; SDMAE, 300; here what a scale says."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Images a step, over all devices. Source: MAE, 4096; SDMAE, 64."""
    base_lr: Annotated[float, Field(gt=0)] = 1.5e-4
    """Learning rate at batch 256; scaled linearly. Source: MAE, 1.5e-4; SDMAE, 1e-3."""
    min_lr: Annotated[float, Field(ge=0)] = 0.0
    """Learning rate at the end of the cosine. Source: MAE, 0."""
    warmup_epochs: Annotated[float, Field(ge=0)] = 40.0
    """Linear warm-up. Source: MAE and SDMAE, 40."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    """AdamW; none on one-dimensional parameters. Source: MAE and SDMAE, 0.05."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """AdamW. Source: MAE, 0.9."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.95
    """AdamW. Source: MAE, 0.95."""
    grad_clip: Annotated[float, Field(ge=0)] = 0.0
    """Largest gradient norm; 0 clips nothing. Source: MAE clips nothing."""
    image_size: Annotated[int | None, Field(ge=8)] = None
    """Encoder input in pixels; null is the data's. Source: MAE and SDMAE, 224; here the data's."""
    num_views: Annotated[int, Field(ge=1, le=2)] = 1
    """Views of each image, if no objective needs more. Source: MAE, 1; SDMAE, 2."""
    reconstruct: Literal["first", "all"] = "first"
    """Views that the decoder reconstructs. Source: MAE has one view; SDMAE, `all`."""
    shared_mask: bool = False
    """Whether all views of an image hide the same patches. Source: MAE has one view; SDMAE, true."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """`bf16` is autocast; `tf32` is fp32 on a CPU. Source: MAE, fp16 autocast; here fp32, as most CPUs
    know no bf16."""
    threads: Annotated[int, Field(ge=1)] = 1
    """CPU threads a cell; they order floating-point sums. Source: ours."""
    compile: bool = False
    """torch.compile of the training step; off on CPU. Source: ours; MAE compiles nothing."""
    probe_epochs: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Epochs whose encoder is judged on validation images, once the training is over; the last one always
    is. Changes no weight. Source: ours."""
    probe_with: str = ""
    """The evaluation that judges them, by its label; empty is that of the study's metric. Source: ours."""

    @property
    def probed(self) -> tuple[int, ...]:
        """The epochs before the last one whose encoders are kept and judged, ascending."""
        return tuple(sorted({epoch for epoch in self.probe_epochs if epoch < self.epochs}))


PROBING = ("probe_epochs", "probe_with")
"""What of the training only looks at it: no part of any fingerprint."""
EVALUATED_WITH = ("image_size", "precision", "threads")
"""What of the training an evaluation depends on, too."""
