"""Flip for weak views; colour, greyscale, blur and solarisation besides for strong ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cmae_ablate.components.augmentations import pixel_ops, whole_batch
from cmae_ablate.components.augmentations.pixel_ops import change
from cmae_ablate.components.protocols import AUGMENTATIONS
from cmae_ablate.distributed import rand

Probability = Annotated[float, Field(ge=0, le=1)]
Strength = Annotated[float, Field(ge=0, le=1)]
Sigma = Annotated[float, Field(gt=0, le=50)]

BLUR_REFERENCE = 224
"""Side of the images for which blur radii were published."""

JITTERS = (pixel_ops.brightness, pixel_ops.contrast, pixel_ops.saturation, pixel_ops.hue)
NEUTRAL = torch.tensor([[1.0], [1.0], [1.0], [0.0]])
"""What each jitter leaves alone: three factors and a shift."""


@AUGMENTATIONS.register("standard", version=1)
class StandardAugmentation:
    """Horizontal flip, and for strong views colour jitter, greyscale, blur and solarisation.

    Source: weak views as MAE (flip only); strong views as MoCo v3 (arXiv 2104.02057) and SimCLR: jitter
    of brightness, contrast, saturation and hue in random order. Each operation equals torchvision's.
    Different here: blur with probability 0.5 (MoCo v3: 1 and 0.1 on its two views), its sigma in pixels
    of a 224-pixel image and scaled with the image's side, since 2 pixels of 64 are a different blur;
    solarisation is off (MoCo v3: 0.2 on one view).

    The numbers drawn do not depend on strength or outcome, and the flip comes first: a view is flipped
    alike whether strong or weak, and the weak view 0 is MAE's view whatever the others are.

    Args:
        strong_views: Which views are strong, counted from 0; by default the second. `[0]` alone is the
            control 'MAE with strong augmentation'. Source: SDMAE, one strong and one weak view; which is
            which is ours, so that view 0 is MAE's.
        flip: Probability of a horizontal flip. Source: MAE and MoCo v3, 0.5.
        flip_weak: Whether weak views are flipped too. Source: MAE, true; SDMAE, whose weak view is changed by
            nothing, false.
        jitter: Probability that a strong view's colours are jittered. Source: MoCo v3, 0.8.
        brightness: Factor drawn from 1 +- this. Source: MoCo v3, 0.4.
        contrast: Factor drawn from 1 +- this. Source: MoCo v3, 0.4.
        saturation: Factor drawn from 1 +- this. Source: MoCo v3, 0.2.
        hue: Shift drawn from +- this part of the colour circle. Source: MoCo v3, 0.1.
        grey: Probability that a strong view loses its colour. Source: MoCo v3, 0.2.
        blur: Probability that a strong view is blurred. Source: MoCo v3, 1 on one view and 0.1 on the other;
            here 0.5, as one view alone is strong.
        blur_sigma: Smallest and largest standard deviation of the blur, in pixels of a 224-pixel image.
            Source: MoCo v3, 0.1 to 2.
        solarize: Probability that a strong view's bright pixels (from 0.5) are inverted. Source: MoCo v3, 0.2
            on one view; here off.
    """

    def __init__(
        self,
        *,
        strong_views: tuple[Annotated[int, Field(ge=0)], ...] = (1,),
        flip: Probability = 0.5,
        flip_weak: bool = True,
        jitter: Probability = 0.8,
        brightness: Strength = 0.4,
        contrast: Strength = 0.4,
        saturation: Strength = 0.2,
        hue: Annotated[float, Field(ge=0, le=0.5)] = 0.1,
        grey: Probability = 0.2,
        blur: Probability = 0.5,
        blur_sigma: tuple[Sigma, Sigma] = (0.1, 2.0),
        solarize: Probability = 0.0,
    ) -> None:
        self.strong_views = frozenset(strong_views)
        self._flip = flip
        self._flip_weak = flip_weak
        self._jitter = jitter
        self._strengths = torch.tensor([[brightness], [contrast], [saturation], [hue]])
        self._grey = grey
        self._blur = blur
        self._blur_sigma = blur_sigma
        self._solarize = solarize

    def __call__(self, images: Tensor, view: int, rng: torch.Generator) -> Tensor:
        """Augment a view: (B, C, H, W) in [0, 1] to the same; 14 numbers per image from the CPU `rng`."""
        numbers = rand(14, len(images), images=1, generator=rng)
        strong = view in self.strong_views
        if images.device.type != "cpu":
            return self._whole_batch(images, numbers, strong=strong)
        images = images.clone()
        if strong or self._flip_weak:
            change(images, numbers[0] < self._flip, lambda some, _: pixel_ops.flip(some))
        if strong:
            self._jitter_colours(images, numbers[1] < self._jitter, numbers[2:6], numbers[6:10])
            change(images, numbers[10] < self._grey, lambda some, _: pixel_ops.greyscale(some))
            self._blur_some(images, numbers[11] < self._blur, numbers[12])
            change(images, numbers[13] < self._solarize, lambda some, _: pixel_ops.solarize(some))
        return images

    def _whole_batch(self, images: Tensor, numbers: Tensor, *, strong: bool) -> Tensor:
        """The same view, to rounding, where launches and waits cost more than arithmetic."""
        changes = self._changes(numbers, images.shape[2], images.shape[3]).to(images.device)
        if strong or self._flip_weak:
            images = whole_batch.flip(images, changes.flip)
        if not strong:
            return images
        if self._jitter > 0:
            blends, turns_hue = bool((self._strengths[:3] > 0).any()), bool(self._strengths[3] > 0)
            images = whole_batch.jitter(images, changes, blends=blends, turns_hue=turns_hue)
        if self._grey > 0:
            images = whole_batch.greyscale(images, changes.greyscale)
        if self._blur > 0:
            images = pixel_ops.convolve(images, changes.kernels)
        if self._solarize > 0:
            images = whole_batch.solarize(images, changes.solarize)
        return images

    def _changes(self, numbers: Tensor, height: int, width: int) -> whole_batch.Changes:
        """What the numbers (14, B) say of each image, on the CPU."""
        amounts = NEUTRAL + (2 * numbers[2:6] - 1) * self._strengths
        jittered = numbers[1] < self._jitter
        order = numbers[6:10].argsort(dim=0)  # row k: which jitter each image gets k-th
        now = amounts.gather(0, order)
        is_hue = order == 3
        low, high = self._sigmas(width)
        kernels = pixel_ops.blur_kernels(low + (high - low) * numbers[12], high, height, width)
        unchanged = functional.one_hot(torch.tensor(kernels.shape[1] // 2), kernels.shape[1])
        return whole_batch.Changes(
            flip=numbers[0] < self._flip,
            factors=torch.where(jittered & ~is_hue, now, 1.0),
            mean_grey=jittered & (order == 1),
            grey=jittered & (order == 2),
            sixths=torch.where(jittered & is_hue, 6 * now, 0.0),
            greyscale=numbers[10] < self._grey,
            kernels=torch.where((numbers[11] < self._blur)[:, None], kernels, unchanged),
            solarize=numbers[13] < self._solarize,
        )

    def _sigmas(self, width: int) -> tuple[float, float]:
        """The range of blurs, in pixels of images of this width."""
        return (
            self._blur_sigma[0] * width / BLUR_REFERENCE,
            self._blur_sigma[1] * width / BLUR_REFERENCE,
        )

    def _jitter_colours(self, images: Tensor, jittered: Tensor, factors: Tensor, keys: Tensor) -> None:
        amounts = NEUTRAL + (2 * factors - 1) * self._strengths
        # Row k says which jitter each image gets k-th. Images with the same one go together.
        for turn in keys.argsort(dim=0):
            for which, jitter in enumerate(JITTERS):
                if self._strengths[which] > 0:
                    own = partial(_with_amounts, jitter, amounts[which])
                    change(images, jittered & (turn == which), own)

    def _blur_some(self, images: Tensor, blurred: Tensor, share: Tensor) -> None:
        low, high = self._sigmas(images.shape[-1])
        sigmas = low + (high - low) * share
        change(images, blurred, lambda some, places: pixel_ops.blur(some, sigmas[places], high))


def _with_amounts(
    jitter: Callable[[Tensor, Tensor], Tensor], amounts: Tensor, images: Tensor, places: Tensor
) -> Tensor:
    return jitter(images, amounts[places])
