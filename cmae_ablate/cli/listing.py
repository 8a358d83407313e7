"""`studies`: which studies can be called by their names, and what stands in them."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cmae_ablate.study.finding import find_study, known_studies
from cmae_ablate.study.yaml_source import load_yaml


def show_studies(console: Console) -> None:
    """Print every known study with its question and what its header says that it takes."""
    table = Table("study", "asks", "takes", title="Studies; cmae-ablate run NAME runs one", show_lines=True)
    for study in known_studies():
        table.add_row(Text(study.name, no_wrap=True), Text(study.question), Text(study.takes))
    console.print(table)


def print_study(name: str) -> None:
    """Print a study's file as it is, to be redirected into one of your own.

    Raises:
        UserError: There is no such study, or its file is no YAML.
    """
    path = find_study(name)
    load_yaml(path)
    sys.stdout.write(path.read_text(encoding="utf-8"))
