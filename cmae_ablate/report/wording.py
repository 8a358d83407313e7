"""Numbers and lists as a reader sees them. Only tables, figures and sentences round; files never do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MINUS = "\N{MINUS SIGN}"
BLANK = "\N{EN DASH}"
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
DAGGER = "\N{DAGGER}"
EXPLORATORY_NOTE = f"{DAGGER} exploratory: not corrected for being one of many"
ALIKE = "alike in every seed"
"""In an interval's place, where all pairs differ by the same number."""
ADDED_NOTE = "* includes seeds added later"
ADDING_SEEDS = "adding seeds after looking makes p values too small"
QUOTED_WIDTH = 60
LEAST_FIXED, MOST_FIXED = 1e-3, 1e7
"""Between these, numbers of a scale of their own are written with fixed decimals."""
LOWER_IS_BETTER = ("alignment", "uniformity", "collapsed")
"""As Wang and Isola (arXiv 2005.10242) define the first two: distances and potentials to be made small."""
SPOKEN = {"knn": "k-NN", "fine_tune": "fine-tuned", "from_scratch": "from-scratch", "pretrain": "pretraining"}


@dataclass(frozen=True)
class Metric:
    """How a metric is named and rounded.

    Attributes:
        name: Its column in `trials.csv`.
        words: For sentences, for example `linear probe top-1`.
        label: For headers, for example `linear probe top-1 (%)`.
        unit: What a difference is counted in, with its leading space: ` points`, or nothing.
        decimals: Digits after the point.
        worth_telling: The difference that seeds are planned for where the study states none; NaN: unknown.
    """

    name: str
    words: str
    label: str
    unit: str
    decimals: int
    worth_telling: float

    @classmethod
    def named(cls, name: str) -> Metric:
        """Accuracies are percentages and differ by points; anything else keeps its own scale."""
        evaluation, _, quantity = name.rpartition(".")
        evaluation = SPOKEN.get(evaluation, evaluation)
        words = f"{evaluation} {quantity}".replace("_", " ").replace(".", " ").strip()
        bare = quantity.removeprefix("validation_")
        if bare.startswith("top") and bare[3:].isdigit():
            words = words.removesuffix(bare) + f"top-{bare[3:]}"
        # An objective's own accuracy, such as `pretrain.position.accuracy`, is a fraction of a batch.
        elif "accuracy" not in quantity or name.startswith("pretrain."):
            return cls(name, words, words, "", 4, math.nan)
        return cls(name, words, f"{words} (%)", " points", 2, 1.0)

    @property
    def is_accuracy(self) -> bool:
        """A share of images in percent; anything else has a scale of its own."""
        return not math.isnan(self.worth_telling)

    @property
    def possible(self) -> tuple[float, float]:
        """The lowest and the highest value there can be."""
        return (0.0, 100.0) if self.is_accuracy else (-math.inf, math.inf)

    @property
    def span(self) -> float:
        """How far two values can be apart."""
        low, high = self.possible
        return high - low

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller value is the better one: losses, and what measures as they do.

        Anything else is better where it is larger.
        """
        quantity = self.name.rpartition(".")[2]
        return "loss" in quantity or quantity in LOWER_IS_BETTER

    def text(self, value: float) -> str:
        """A level of this metric: with its decimals, or as a power of ten where these would not show it."""
        if self.is_accuracy or value == 0 or not math.isfinite(value):
            return number(value, self.decimals)
        if LEAST_FIXED <= abs(value) < MOST_FIXED:
            return number(value, self.decimals)
        return f"{value:.2e}".replace("-", MINUS)

    def signed(self, value: float) -> str:
        """A difference, with its sign."""
        return with_plus(value, self.text(value))

    def confidence(self, low: float, high: float) -> str:
        """The interval for a sentence: `95 % CI -0.2 to +1.4`."""
        return f"95 % CI {self.signed(low)} to {self.signed(high)}"

    def within(self, margin: float) -> str:
        """A margin of equivalence for a sentence: `within \N{PLUS-MINUS SIGN}0.5 points`."""
        return f"within {PLUS_MINUS}{self.text(margin)}{self.unit}"

    def interval(self, low: float, high: float) -> str:
        """`[low, high]`, or nothing where there is none."""
        return "" if math.isnan(low) else f"[{self.signed(low)}, {self.signed(high)}]"


def number(value: float, decimals: int) -> str:
    """Fixed decimals with a real minus sign; a dash for NaN; no `-0.00`."""
    if math.isnan(value):
        return BLANK
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def with_plus(value: float, text: str) -> str:
    """The text of a value, with a plus sign on what is above zero after rounding."""
    return f"+{text}" if value > 0 and text.strip("0.") else text


def significant(value: float, digits: int = 3) -> str:
    """Three significant digits without exponents, for costs: 0.452, 12.3, 268, 12,345."""
    if math.isnan(value):
        return BLANK
    if value == 0 or math.isinf(value):
        return f"{value:g}"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])  # of what it is rounded to
    decimals = max(0, digits - 1 - exponent)
    return f"{value:,.{min(decimals, 9)}f}".replace("-", MINUS)


def json_number(value: float | None) -> float | None:
    """The number for JSON, which has none of NaN and the infinities."""
    return value if value is not None and math.isfinite(value) else None


def p_value(p: float) -> str:
    """Three decimals; never a p of zero, nor one that reads as if it were not below 5 %."""
    if math.isnan(p):
        return BLANK
    if 0.0495 <= p < 0.05:
        return f"{math.floor(p * 1e4) / 1e4:.4f}"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def p_phrase(p: float) -> str:
    """`= 0.012` or `< 0.001`, to stand after a p."""
    return p_value(p).replace("<", "< ") if p < 0.001 else f"= {p_value(p)}"


def ratio(value: float) -> str:
    """A cost relative to the reference's."""
    return f"{significant(value, 2)}\N{MULTIPLICATION SIGN}"


def seed_ranges(seeds: Iterable[int]) -> str:
    """`0-2, 5`: short even for hundreds of seeds."""
    runs: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if runs and seed == runs[-1][1] + 1:
            runs[-1][1] = seed
        else:
            runs.append([seed, seed])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def seeds_words(seeds: Iterable[int]) -> str:
    """`seed 1`, `seeds 0-2, 5`."""
    own = [int(seed) for seed in seeds]
    return f"seed{'' if len(own) == 1 else 's'} {seed_ranges(own)}"


def seeds_of(variant: object, seeds: Iterable[int]) -> str:
    """A variant with some of its seeds."""
    return f"{in_quotes(str(variant))} {seeds_words(seeds)}"


def listing(items: Sequence[str], most: int = 6) -> str:
    """`a, b and c`; of a long list the first few and how many more."""
    shown = list(items) if len(items) <= most else [*items[: most - 1], f"{len(items) - most + 1} more"]
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def counted(count: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def quoted(label: str) -> str:
    """A label in typographic quotes, not too long for a sentence."""
    return f"\u2018{shortened(label, QUOTED_WIDTH)}\u2019"


def in_quotes(label: str) -> str:
    """A whole label in the same quotes, for where it must tell one from another; it may hold apostrophes."""
    return f"\u2018{one_line(label)}\u2019"


def seeds_phrase(counts: Sequence[int]) -> str:
    """`3 seeds`, `2 to 5 seeds`; counts of 0 are left out where there are others."""
    known = [count for count in counts if count] or [0]
    least, most = min(known), max(known)
    return counted(most, "seed") if least == most else f"{least} to {most} seeds"


def is_or_are(count: int) -> str:
    """The verb for so many subjects."""
    return "is" if count == 1 else "are"


def capitalised(text: str) -> str:
    """A sentence's first letter as a capital."""
    return text[:1].upper() + text[1:]


def one_line(label: str) -> str:
    """A label without line breaks or runs of blanks."""
    return " ".join(label.split())


def shortened(label: str, width: int) -> str:
    """At most `width` characters: the middle goes, since levels joined by ` + ` differ at both ends."""
    label = one_line(label)
    if len(label) <= width:
        return label
    head = (width - 1 + 1) // 2
    return f"{label[:head].rstrip()}\N{HORIZONTAL ELLIPSIS}{label[-(width - 1 - head) :].lstrip()}"
