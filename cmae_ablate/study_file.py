"""A study file, a scale and the command line, read into one checked `Study`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmae_ablate.errors import UserError
from cmae_ablate.registry import load_components, suggest
from cmae_ablate.spec import SpecError, Tree, apply, changes, default_tree
from cmae_ablate.yaml_source import KeyPath, Origin, TextOrigin, YamlOrigin, load_yaml, parse_scalar

DESIGNS = ("grid", "one_factor", "add_one", "leave_one_out")
REQUIRED_KEYS = ("question", "scale", "design", "factors", "reference", "seeds", "metric")
OPTIONAL_KEYS = ("report", "contrasts", "budget", "set", "equivalence_margin")
MAX_SEEDS = 1000
RESERVED = ("variant", "seed", "state", "fingerprint", "weights_sha256", "device")
_PACKAGE = Path(__file__).parent


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
class Change:
    """A setting made by the scale, the study or the command line."""

    path: KeyPath
    value: Any
    origin: Origin


@dataclass(frozen=True)
class Study:
    """A study, its scale chosen and its fixed settings applied; levels are not.

    Attributes:
        name: The file's stem, with the scale where it is not the file's own.
        base: Settings that all trials share.
        base_changes: Where those settings came from, first to last.
        contrasts: Declared pairs of variant labels (variant, against), unchecked until the design is known.
    """

    name: str
    path: Path
    origin: YamlOrigin
    question: str
    scale: str
    designs: tuple[str, ...]
    factors: tuple[Factor, ...]
    reference: Mapping[str, str]
    seeds: int
    planned_seeds: int
    metric: str
    report: tuple[str, ...]
    contrasts: tuple[tuple[str, str], ...]
    equivalence_margin: float | None
    base: Tree
    base_changes: tuple[Change, ...]

    def error(self, path: KeyPath, message: str) -> UserError:
        """A mistake at a key of the study file."""
        return UserError(f"{self.origin.place(path)}: {message}")


def load(
    path: Path, *, scale: str | None = None, settings: Sequence[str] = (), seeds: int | None = None
) -> Study:
    """Read and check a study file; trials are checked by `design.variants`.

    Args:
        path: The study file.
        scale: Name or file of another scale than the study's.
        settings: `PATH=VALUE` texts of `--set`, in order.
        seeds: Number of seeds, where not the study's.

    Raises:
        UserError: Anything in the file, the scale or the settings is wrong.
    """
    load_components()
    data, origin = load_yaml(path)
    _check_keys(data, origin)
    factors = tuple(_factor(name, node, origin) for name, node in _mapping(data, "factors", origin).items())
    if not factors:
        raise UserError(
            f"{origin.place(('factors',))}: no factor is given; name at least one with its levels"
        )
    own_scale = _text(data, "scale", origin)
    planned = _seeds(data["seeds"], f"{origin.place(('seeds',))}")
    changes_made = [
        *_scale_changes(
            scale or own_scale, path, f"{origin.place(('scale',))}" if scale is None else "--scale"
        ),
        *(Change((), node, origin.below("set")) for node in [data.get("set")] if node is not None),
        *(_setting(text, factors) for text in settings),
    ]
    base = default_tree()
    for change in changes_made:
        base = _applied(base, change)
    renamed = scale is not None and scale != own_scale
    return Study(
        name=f"{path.stem}-{Path(scale or own_scale).stem}" if renamed else path.stem,
        path=path,
        origin=origin,
        question=_text(data, "question", origin),
        scale=Path(scale or own_scale).stem,
        designs=_designs(data["design"], origin),
        factors=factors,
        reference=_reference(data, factors, origin),
        seeds=planned if seeds is None else _seeds(seeds, "--seeds"),
        planned_seeds=planned,
        metric=_text(data, "metric", origin),
        report=tuple(_texts(data.get("report", []), ("report",), origin)),
        contrasts=_contrasts(data.get("contrasts", []), origin),
        equivalence_margin=_margin(data.get("equivalence_margin"), origin),
        base=base,
        base_changes=tuple(changes_made),
    )


def find_scale(scale: str, study: Path) -> Path:
    """The file of a scale: beside the study, in the working directory, among those packaged, or a path.

    Raises:
        FileNotFoundError: There is none; the message lists where it was looked for.
    """
    if scale.endswith((".yaml", ".yml")) or "/" in scale:
        candidates = [study.parent / scale, Path(scale)]
    else:
        folders = [study.parent, Path("studies"), _PACKAGE / "studies", _PACKAGE.parent / "studies"]
        candidates = [folder / "scales" / f"{scale}.yaml" for folder in folders]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    known = sorted({file.stem for candidate in candidates for file in candidate.parent.glob("*.yaml")})
    raise FileNotFoundError(suggest(scale, known) if known else f"looked for {candidates[0]}")


def _scale_changes(scale: str, study: Path, place: str) -> list[Change]:
    try:
        path = find_scale(scale, study)
    except FileNotFoundError as error:
        raise UserError(f"{place}: no scale is called '{scale}'; {error}") from error
    data, origin = load_yaml(path)
    return [Change((), data, origin)]


def _setting(text: str, factors: Sequence[Factor]) -> Change:
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise UserError(f"--set {text}: PATH=VALUE is expected, as in --set training.epochs=2")
    path = tuple(name.strip().split("."))
    for factor in factors:
        if factor.path and (path[: len(factor.path)] == factor.path or factor.path[: len(path)] == path):
            raise UserError(
                f"--set {text}: {name} is what factor '{factor.name}' varies; "
                "set something else, or edit the levels"
            )
    return Change(path, parse_scalar(value), TextOrigin(f"--set {text}"))


def _applied(base: Tree, change: Change) -> Tree:
    try:
        return apply(base, change.path, change.value)
    except SpecError as error:
        raise UserError(f"{change.origin.place(error.path)}: {error.message}") from error


def _check_keys(data: Tree, origin: YamlOrigin) -> None:
    known = [*REQUIRED_KEYS, *OPTIONAL_KEYS]
    for key in data:
        if key not in known:
            raise UserError(f"{origin.place((key,))}: a study has no such key; {suggest(key, known)}")
    for key in REQUIRED_KEYS:
        if key not in data:
            raise UserError(
                f"{origin.place(())}: {key}: this key is missing; add it, see studies/ for examples"
            )
    if data.get("budget", "epochs") != "epochs":
        raise UserError(
            f"{origin.place(('budget',))}: only 'epochs' (equal epochs) is built so far; remove the key"
        )


def _factor(name: str, node: Any, origin: YamlOrigin) -> Factor:
    place = ("factors", name)
    if name in RESERVED:
        raise UserError(
            f"{origin.place(place)}: a column of trials.csv has this name; call the factor otherwise"
        )
    if not isinstance(node, Mapping) or set(node) != {"path", "levels"}:
        raise UserError(f"{origin.place(place)}: a factor has exactly the keys path and levels")
    dotted = node["path"]
    if not isinstance(dotted, str) or not dotted:
        raise UserError(
            f"{origin.place((*place, 'path'))}: a key of the trial is expected, or '.' for several at once"
        )
    path = () if dotted == "." else tuple(dotted.split("."))
    levels = node["levels"]
    if isinstance(levels, list) and not any(isinstance(level, list | dict) for level in levels):
        levels = {str(level): level for level in levels}
    if not isinstance(levels, Mapping) or not levels:
        raise UserError(f"{origin.place((*place, 'levels'))}: at least one level is needed, as LABEL: VALUE")
    try:
        for value in levels.values():
            list(changes(path, value))
    except SpecError as error:
        if path and error.path == path:
            raise UserError(f"{origin.place((*place, 'path'))}: {error.message}") from error
    return Factor(name, path, dict(levels), origin.below(*place, "levels"))


def _reference(data: Tree, factors: Sequence[Factor], origin: YamlOrigin) -> dict[str, str]:
    given = _mapping(data, "reference", origin)
    known = {factor.name: list(factor.levels) for factor in factors}
    for name, level in given.items():
        place = origin.place(("reference", name))
        if name not in known:
            raise UserError(f"{place}: no factor is called '{name}'; {suggest(name, list(known))}")
        if str(level) not in known[name]:
            raise UserError(
                f"{place}: factor '{name}' has no level '{level}'; {suggest(str(level), known[name])}"
            )
    for name in known:
        if name not in given:
            raise UserError(
                f"{origin.place(('reference',))}: say which level of factor '{name}' is the reference"
            )
    return {name: str(given[name]) for name in known}


def _designs(value: Any, origin: YamlOrigin) -> tuple[str, ...]:
    names = _texts([value] if isinstance(value, str) else value, ("design",), origin)
    for name in names:
        if name == "search":
            raise UserError(
                f"{origin.place(('design',))}: 'search' is not built yet; use {', '.join(DESIGNS)}"
            )
        if name not in DESIGNS:
            raise UserError(
                f"{origin.place(('design',))}: no design is called '{name}'; {suggest(name, list(DESIGNS))}"
            )
    if not names:
        raise UserError(f"{origin.place(('design',))}: no design is given; choose from: {', '.join(DESIGNS)}")
    return tuple(dict.fromkeys(names))


def _contrasts(value: Any, origin: YamlOrigin) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list):
        raise UserError(f"{origin.place(('contrasts',))}: a list of [variant, against] pairs is expected")
    pairs = []
    for index, pair in enumerate(value):
        labels = _texts(pair, ("contrasts", str(index)), origin)
        if len(labels) != 2:
            raise UserError(
                f"{origin.place(('contrasts', str(index)))}: two variants are expected: [variant, against]"
            )
        pairs.append((labels[0], labels[1]))
    return tuple(pairs)


def _margin(value: Any, origin: YamlOrigin) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise UserError(f"{origin.place(('equivalence_margin',))}: a positive number of points is expected")
    return float(value)


def _mapping(data: Tree, key: str, origin: YamlOrigin) -> Tree:
    value = data[key]
    if not isinstance(value, dict):
        raise UserError(f"{origin.place((key,))}: a mapping is expected; see studies/ for examples")
    return value


def _text(data: Tree, key: str, origin: YamlOrigin) -> str:
    value = data[key]
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{origin.place((key,))}: a text is expected")
    return value.strip()


def _texts(value: Any, path: KeyPath, origin: YamlOrigin) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str | int | float) for item in value):
        raise UserError(f"{origin.place(path)}: a list of texts is expected")
    return [str(item) for item in value]


def _seeds(value: Any, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_SEEDS:
        raise UserError(f"{place}: a number of seeds from 1 to {MAX_SEEDS} is expected")
    return value
