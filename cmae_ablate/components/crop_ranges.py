"""The options that every crop of random size has: ranges of areas and of aspect ratios."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field


def rising(bounds: tuple[float, float]) -> tuple[float, float]:
    """The bounds of a range, lower first.

    Raises:
        ValueError: They are in the other order.
    """
    if bounds[0] > bounds[1]:
        raise ValueError(f"the lower bound {bounds[0]} exceeds the upper bound {bounds[1]}; swap them")
    return bounds


Share = Annotated[float, Field(gt=0, le=1)]
Aspect = Annotated[float, Field(gt=0, le=100)]
ScaleRange = Annotated[tuple[Share, Share], AfterValidator(rising)]
"""Smallest and largest area of a crop, as a share of the image's."""
RatioRange = Annotated[tuple[Aspect, Aspect], AfterValidator(rising)]
"""Smallest and largest width of a crop over its height."""
