"""The keys of a study file, each read and checked; errors carry file, line, column and key."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cmae_ablate.errors import UserError, suggest
from cmae_ablate.study.settings import SpecError, Tree, brief, changes
from cmae_ablate.study.yaml_source import KeyPath, Origin, YamlOrigin
from cmae_ablate.text import is_formula

DESIGNS = ("grid", "one_factor", "add_one", "leave_one_out")
BUDGETS = ("epochs", "flops", "time")
KEEPS = ("model", "all")
VARIANCES = ("paired", "pooled", "moderated")
"""What a comparison is tested by (`report/variance.py`); the first is the default."""
REQUIRED_KEYS = ("question", "scale", "design", "factors", "reference", "seeds", "metric")
OPTIONAL_KEYS = (
    "report",
    "contrasts",
    "budget",
    "set",
    "equivalence_margin",
    "variance",
    "keep",
    "search",
    "positive_control",
)
MAX_SEEDS = 1000
RESERVED = ("variant", "seed", "state", "fingerprint", "weights_sha256", "device")
SEARCH = "search"
POSITIVE_CONTROL = "positive_control"
KEPT_BY_CONTROLS = {
    "dataset": "controls are compared on the same images",
    "evaluations": "controls are measured as the reference is",
}


@dataclass(frozen=True)
class Factor:
    """What is varied.

    Attributes:
        name: As the study calls it.
        path: Where in the trial; empty for sets of changes.
        levels: Changes by label, in the file's order.
        origin: Where the levels stand, for errors.
    """

    name: str
    path: KeyPath
    levels: Mapping[str, Any]
    origin: Origin


@dataclass(frozen=True)
class PositiveControl:
    """What makes the reference known to be worse, so that a table shows whether it could tell.

    Attributes:
        changes: Laid over the reference as a level of path `.` is; None is a quarter of its epochs.
        is_wanted: Whether there is to be one.
    """

    changes: Mapping[str, Any] | None = None
    is_wanted: bool = True


@dataclass(frozen=True)
class StudyKeys:
    """A study file's content.

    Attributes:
        data: By key.
        origin: Where each value stands.
    """

    data: Tree
    origin: YamlOrigin

    def error(self, path: KeyPath, message: str) -> UserError:
        """A mistake at a key."""
        return UserError(f"{self.origin.place(path)}: {message}")

    def check(self) -> None:
        """Refuse unknown and missing keys."""
        known = [*REQUIRED_KEYS, *OPTIONAL_KEYS]
        for key in self.data:
            if key not in known:
                raise self.error((key,), f"a study has no such key; {suggest(key, known)}")
        for key in REQUIRED_KEYS:
            if key not in self.data:
                place = self.origin.place(())
                raise UserError(f"{place}: {key}: this key is missing; add it, see studies/ for examples")

    def text(self, key: str) -> str:
        """A text that is not empty."""
        value = self.data[key]
        if not isinstance(value, str) or not value.strip():
            raise self.error((key,), "a text is expected")
        return value.strip()

    def one_of(self, key: str, choices: Sequence[str]) -> str:
        """An optional word among `choices`; the first is the default."""
        value = self.data.get(key, choices[0])
        if value not in choices:
            raise self.error((key,), f"{brief(value)} is none of them; {suggest(str(value), list(choices))}")
        return str(value)

    def texts(self, value: Any, *path: str) -> tuple[str, ...]:
        """A list of texts, which stands at `path`."""
        if not isinstance(value, list) or any(isinstance(item, list | dict) for item in value):
            raise self.error(path, "a list of texts is expected")
        return tuple(self.spelt(item, *path, str(index)) for index, item in enumerate(value))

    def spelt(self, value: Any, *path: str) -> str:
        """The name that stands at `path`, as the file spells it: `1.10`, `yes` and `0x10` stay what they are.

        Args:
            value: What YAML makes of it; taken where it stands in no file.
        """
        text = self.origin.text(path)
        return str(value) if text is None else text

    def mapping(self, key: str) -> Tree:
        """A mapping."""
        value = self.data[key]
        if not isinstance(value, dict):
            raise self.error((key,), "a mapping is expected; see studies/ for examples")
        return value

    def factors(self) -> tuple[Factor, ...]:
        """What is varied; the components must be loaded."""
        nodes = self.mapping("factors")
        self._check_spellings(list(nodes), "factors")
        found = tuple(self._factor(name, node) for name, node in nodes.items())
        if not found:
            raise self.error(("factors",), "no factor is given; name at least one with its levels")
        self._check_formulas(found)
        return found

    def reference(self, factors: Sequence[Factor]) -> dict[str, str]:
        """The reference's level of every factor."""
        given = self.mapping("reference")
        known = {factor.name: list(factor.levels) for factor in factors}
        given = {name: self.spelt(level, "reference", name) for name, level in given.items()}
        for name, level in given.items():
            place = ("reference", name)
            if name not in known:
                raise self.error(place, f"no factor is called '{name}'; {suggest(name, list(known))}")
            if level not in known[name]:
                raise self.error(
                    place, f"factor '{name}' has no level '{level}'; {nearest(level, known[name])}"
                )
        for name in known:
            if name not in given:
                raise self.error(("reference",), f"say which level of factor '{name}' is the reference")
        return {name: given[name] for name in known}

    def designs(self) -> tuple[str, ...]:
        """The designs, without `search`, which says only that the variants they name are tuned first."""
        value = self.data["design"]
        names = (value,) if isinstance(value, str) else self.texts(value, "design")
        known = [*DESIGNS, SEARCH]
        for name in names:
            if name not in known:
                raise self.error(("design",), f"no design is called '{name}'; {suggest(name, known)}")
        if not names:
            raise self.error(("design",), f"no design is given; choose from: {', '.join(known)}")
        if (SEARCH in names) != ("search" in self.data):
            raise self.error(
                ("design",), "design search and the key search, which says what is tuned, go together"
            )
        return tuple(dict.fromkeys(name for name in names if name != SEARCH)) or ("one_factor",)

    def contrasts(self) -> tuple[tuple[str, str], ...]:
        """Declared pairs of variant labels (variant, against)."""
        value = self.data.get("contrasts", [])
        if not isinstance(value, list):
            raise self.error(("contrasts",), "a list of [variant, against] pairs is expected")
        pairs = []
        for index, pair in enumerate(value):
            labels = self.texts(pair, "contrasts", str(index))
            if len(labels) != 2:
                raise self.error(("contrasts", str(index)), "two variants are expected: [variant, against]")
            pairs.append((labels[0], labels[1]))
        return tuple(pairs)

    def positive_control(self) -> PositiveControl:
        """What makes the reference worse; the components must be loaded."""
        if POSITIVE_CONTROL not in self.data:
            return PositiveControl()
        value = self.data[POSITIVE_CONTROL]
        if value is None or value == "none":
            return PositiveControl(is_wanted=False)
        if not isinstance(value, Mapping) or not value:
            raise self.error(
                (POSITIVE_CONTROL,),
                "a set of changes is expected, such as {training: {epochs: 5}}, or none, "
                f"not {brief(value)}",
            )
        try:
            paths = [path for path, _ in changes((), value)]
        except SpecError as error:
            raise self.error((POSITIVE_CONTROL, *error.path), error.message) from error
        for path in paths:
            if path[0] in KEPT_BY_CONTROLS:
                raise self.error((POSITIVE_CONTROL, *path), f"{KEPT_BY_CONTROLS[path[0]]}; remove this")
        return PositiveControl(dict(value))

    def margin(self) -> float | None:
        """The margin of equivalence in the metric's points, if one is declared."""
        value = self.data.get("equivalence_margin")
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise self.error(("equivalence_margin",), "a positive number of points is expected")
        return float(value)

    def seeds(self) -> int:
        """The number of seeds."""
        return check_seeds(self.data["seeds"], self.origin.place(("seeds",)))

    def _factor(self, name: str, node: Any) -> Factor:
        place = ("factors", name)
        if name in RESERVED:
            raise self.error(place, "a column of trials.csv has this name; call the factor otherwise")
        if not isinstance(node, Mapping) or set(node) != {"path", "levels"}:
            raise self.error(place, "a factor has exactly the keys path and levels")
        dotted = node["path"]
        if not isinstance(dotted, str) or not dotted:
            raise self.error((*place, "path"), "a key of the trial is expected, or '.' for several at once")
        path = () if dotted == "." else tuple(dotted.split("."))
        levels = node["levels"]
        if isinstance(levels, list) and not any(isinstance(level, list | dict) for level in levels):
            levels = self._listed(levels, *place, "levels")
        if not isinstance(levels, Mapping) or not levels:
            raise self.error((*place, "levels"), "at least one level is needed, as LABEL: VALUE")
        self._check_spellings(list(levels), *place, "levels")
        try:
            for value in levels.values():
                list(changes(path, value))
        except SpecError as error:
            if path and error.path == path:
                raise self.error((*place, "path"), error.message) from error
        return Factor(name, path, dict(levels), self.origin.below(*place, "levels"))

    def _listed(self, levels: Sequence[Any], *path: str) -> dict[str, Any]:
        """Levels that are their own labels."""
        found: dict[str, Any] = {}
        for index, value in enumerate(levels):
            label = self.spelt(value, *path, str(index))
            twin = next((name for name, other in found.items() if _is_same(value, other)), None)
            if label in found or twin is not None:
                raise self.error(
                    (*path, str(index)),
                    f"'{label}' is the level '{twin or label}' once more; remove one of them"
                    + ("" if twin in (None, label) else ", or put quotes around both if they are texts"),
                )
            found[label] = value
        return found

    def _check_formulas(self, factors: Sequence[Factor]) -> None:
        """Refuse labels that a spreadsheet would compute once they stand in a CSV; a number is none."""
        for index, factor in enumerate(factors):
            for label in factor.levels:
                # With further factors the first one's label begins the variant's: -1 + linear is no number.
                if is_formula(label) or (index == 0 and len(factors) > 1 and is_formula(f"{label} + x")):
                    raise self.error(
                        ("factors", factor.name, "levels", label),
                        f"a spreadsheet would compute '{label}' where it opens a table of this study; begin "
                        "the label with a letter",
                    )

    def _check_spellings(self, names: Sequence[str], *path: str) -> None:
        """Refuse names that a reader, or another program, could not tell apart."""
        seen: dict[str, str] = {}
        for name in names:
            if not name.strip() or any(unicodedata.category(letter) == "Cc" for letter in name):
                raise self.error(
                    (*path, name), f"{name!r} is no name; choose one that can be read and printed"
                )
            twin = seen.setdefault(_folded(name), name)
            if twin != name:
                raise self.error(
                    (*path, name),
                    f"'{name}' and '{twin}' differ only in blanks or in the Unicode form of a letter; "
                    "remove one of them, or rename it",
                )


def nearest(word: str, known: list[str]) -> str:
    """Say which of `known` was probably meant, or list them all."""
    twin = next((name for name in known if _folded(name) == _folded(word)), None)
    if twin is not None:
        return f"the level '{twin}' differs in blanks or in the Unicode form of a letter; copy it from there"
    return suggest(word, known)


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).split())


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values set the same: 1 and 1.0 do, 1 and true do not."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    return bool(one == other) and (numbers or type(one) is type(other))


def check_seeds(value: Any, place: str) -> int:
    """A number of seeds.

    Raises:
        UserError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_SEEDS:
        raise UserError(f"{place}: a number of seeds from 1 to {MAX_SEEDS} is expected")
    return value
