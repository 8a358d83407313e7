"""Where the study, or the scale, lies that is called by its name."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from cmae_ablate.errors import UserError, suggest
from cmae_ablate.study.yaml_source import load_yaml

_ROOM = Path(__file__).parents[1]
PACKAGED = _ROOM / "studies" if (_ROOM / "studies").is_dir() else _ROOM.parent / "studies"
"""The studies that come along: inside an installed package, beside it in a checkout."""
BESIDE = Path("studies")
ENDINGS = (".yaml", ".yml")
TAKES = "# Takes:"


@dataclass(frozen=True)
class KnownStudy:
    """A study that can be called by its name.

    Attributes:
        name: What to type.
        path: Its file.
        question: What it asks.
        takes: The cost that its header states, `unmeasured` where it states none.
    """

    name: str
    path: Path
    question: str
    takes: str


def find_study(study: str | Path) -> Path:
    """The file of a study: that of this path or name, else one below `studies/`, else a packaged one.

    What ends in `.yaml`, or has a folder in it, is a path and nothing else. Packaged studies are found at
    an absolute path, so that every worker finds them, too.

    Args:
        study: A path or a name.

    Raises:
        UserError: There is none; the message says which was probably meant.
    """
    path, name = Path(study), str(study)
    if path.is_file():
        return path
    is_name = len(path.parts) == 1 and not name.endswith(ENDINGS)
    folders = (Path(), BESIDE, PACKAGED) if is_name else ()
    for folder in folders:
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    if path.exists():
        raise UserError(f"{name}: this is a folder, a pipe or a device, no file; give the path of a study")
    here = [file.stem for file in Path().glob("*.yaml")]
    close = get_close_matches(path.stem, [*study_names(), *here], n=1)
    if is_name:
        meant = f"did you mean '{close[0]}'?" if close else suggest(name, study_names())
        raise UserError(f"{name}: there is no such file, and no study is called so; {meant}")
    meant = f"did you mean the study '{close[0]}'?" if close else "check the path"
    raise UserError(f"{name}: there is no such file; {meant}")


def known_studies() -> list[KnownStudy]:
    """The studies below `studies/` and those packaged, by name; of a file that cannot be read it says so."""
    return [_known(name, path) for name, path in sorted(_files().items())]


def study_names() -> list[str]:
    """What can be typed for a study besides a path."""
    return sorted(_files())


def typed(path: Path) -> str:
    """What to type for a study, wherever the package lies: a packaged one has its name."""
    return path.stem if path.is_absolute() and path.parent == PACKAGED else str(path)


def find_scale(scale: str, study: Path) -> Path:
    """The file of a scale: beside the study, in the working directory, among those packaged, or a path.

    Raises:
        FileNotFoundError: There is none; the message lists where it was looked for.
    """
    if scale.endswith(ENDINGS) or "/" in scale:
        candidates = [study.parent / scale, Path(scale)]
    else:
        folders = [study.parent, BESIDE, PACKAGED]
        candidates = [folder / "scales" / f"{scale}.yaml" for folder in folders]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    known = sorted({file.stem for candidate in candidates for file in candidate.parent.glob("*.yaml")})
    raise FileNotFoundError(suggest(scale, known) if known else f"looked for {candidates[0]}")


def _files() -> dict[str, Path]:
    """The files by name; one below `studies/` is found before a packaged one."""
    return {file.stem: file for folder in (PACKAGED, BESIDE) for file in folder.glob("*.yaml")}


def _known(name: str, path: Path) -> KnownStudy:
    try:
        data, _ = load_yaml(path)
    except UserError as error:
        return KnownStudy(name, path, f"(cannot be read: {error})", "-")
    lines = path.read_text(encoding="utf-8").splitlines()
    stated = next(
        (line.removeprefix(TAKES).strip() for line in lines if line.startswith(TAKES)), "unmeasured"
    )
    return KnownStudy(name, path, str(data.get("question", "")), stated.rstrip("."))
