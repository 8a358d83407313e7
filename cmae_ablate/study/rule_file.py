"""How a study file says that seeds are added until enough is known, checked and read as one value."""

from __future__ import annotations

from cmae_ablate.errors import UserError
from cmae_ablate.report.seed_rule import Looks, SeedRule
from cmae_ablate.study.study_file import StudyFile
from cmae_ablate.study.yaml_source import YamlOrigin


def seed_rule(file: StudyFile, origin: YamlOrigin, asked: int | None = None) -> SeedRule | None:
    """The rule by which seeds are added; None where their number is fixed.

    Args:
        file: The study.
        origin: Where its keys stand.
        asked: Of `--seeds`.

    Raises:
        UserError: Keys do not go together, or `--seeds` asks for a number that the rule decides.
    """
    aims = {"precision": file.precision, "smallest_effect": file.smallest_effect}
    given = next((key for key, value in aims.items() if value is not None), None)
    if given is None:
        for key in ("max_seeds", "block"):
            if key in file.model_fields_set:
                raise origin.error(
                    (key,), "seeds are added only towards an aim: give precision or smallest_effect, too"
                )
        return None
    _check(file, origin, given)
    if asked is not None:
        raise UserError(
            f"--seeds {asked}: this study adds its seeds by a rule, from {file.seeds} to {file.max_seeds}; "
            f"to train a fixed number, take {given} and max_seeds out of {origin.file}"
        )
    assert file.max_seeds is not None, "checked"
    looks = Looks(file.seeds, file.block, file.max_seeds)
    return SeedRule(looks, file.precision, file.smallest_effect)


def _check(file: StudyFile, origin: YamlOrigin, given: str) -> None:
    if file.max_seeds is None:
        raise origin.error((given,), "say how many seeds there may be at most, as max_seeds: 10")
    if file.seeds < 2:
        raise origin.error(("seeds",), f"a variance needs 2 seeds or more to begin {given} with; 3 is usual")
    if file.max_seeds <= file.seeds:
        raise origin.error(("max_seeds",), f"more than the {file.seeds} seeds to begin with are expected")
    if file.search is not None:
        raise origin.error((given,), "a search tunes for a fixed number of seeds; remove either")
    if file.variance != "paired":
        raise origin.error(
            ("variance",), f"{given} is judged by each contrast's own differences; use variance: paired"
        )
    designs = [file.design] if isinstance(file.design, str) else file.design
    crossed = sum(len(factor.levels) > 1 for factor in file.factors.values())
    if "grid" in designs and crossed > 1 and not file.contrasts:
        raise origin.error(
            (given,),
            "a grid is answered by its main effects, not by contrasts of two variants; declare contrasts",
        )
    both = (file.equivalence_margin, file.smallest_effect)
    if None not in both and both[0] != both[1]:
        raise origin.error(
            ("equivalence_margin",),
            "smallest_effect is the margin already, and another one; remove equivalence_margin",
        )
