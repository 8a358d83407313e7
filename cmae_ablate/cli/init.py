"""`init`: a commented study file to begin with, and what an editor completes and checks it by."""

from __future__ import annotations

import json
import shlex
from importlib.resources import files
from pathlib import Path
from string import Template

from rich.console import Console

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.registry import SLOTS
from cmae_ablate.errors import UserError, suggest, writing
from cmae_ablate.study.schema import STUDY_SCHEMA, schema_text, study_schema, write_schema
from cmae_ablate.terminal import say

OFF = """\
#set:
#  training: {epochs: 10}
"""


def write_study(name: str, data: str | None, source: str | None, console: Console) -> Path:
    """Write a study file that `plan` accepts as it is, and say what comes next.

    Args:
        name: The file, or the study's name: then the file is NAME.yaml in the working directory.
        data: A data set other than the scale's.
        source: Its files.
        console: Where to say it.

    Raises:
        UserError: The file exists or cannot be written, there is no such data set, or nothing at its source.
        NoRoomError: The disk is full; nothing is written.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else Path(f"{name}.yaml")
    if not path.suffix or not path.stem.strip("."):
        raise UserError(f"init {name}: this names a folder, no file; give the study's name, as my_study")
    dataset = _dataset(data, source)
    text = Template((files("cmae_ablate") / "assets" / "study.yaml").read_text(encoding="utf-8"))
    schema = path.with_name(STUDY_SCHEMA)
    written = text.substitute(
        file=shlex.quote(str(path)),
        set=f"set:\n{dataset}" if dataset else OFF,
        schema=STUDY_SCHEMA,
        schema_file=shlex.quote(str(schema)),
    )
    with writing(path, "choose another name"):
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_new(path, written, name)
        if not schema.exists():
            write_schema(study_schema(), schema)
        elif schema.read_text(encoding="utf-8", errors="replace") != schema_text(study_schema()):
            say(
                f"note: {schema} is left as it is, though it is not this version's: editors complete by it; "
                f"cmae-ablate schema --out {shlex.quote(str(schema))} writes this version's over it",
                console,
            )
    say(f"written: {path}; edit it, then", console)
    for command in ("plan", "run"):
        say(f"  cmae-ablate {command} {shlex.quote(str(path))}", console)
    return path


def _write_new(path: Path, text: str, name: str) -> None:
    """Write a file that is not there yet: whole, or not at all."""
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError as error:
        raise UserError(f"init {name}: {path} exists and is left as it is; give another name") from error
    try:
        with file:
            file.write(text)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _dataset(data: str | None, source: str | None) -> str:
    """The lines that set the data; none where the scale's data stay."""
    if data is None and source is None:
        return ""
    name = data or "folder"
    load_components()
    known = SLOTS["dataset"]
    if name not in known:
        raise UserError(f"init --data {name}: there is no such data set; {suggest(name, known.names)}")
    if source is None:
        return f"  dataset: {{name: {name}}}\n"
    if not Path(source).expanduser().exists():
        raise UserError(f"init --source {source}: there is nothing at this path; correct it")
    # A JSON text is a YAML text, whatever is in it.
    return f"  dataset: {{name: {name}, source: {json.dumps(source, ensure_ascii=False)}}}\n"
