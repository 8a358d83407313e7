"""`studies`: which studies can be called by their names, and what stands in them."""

from __future__ import annotations

from rich.console import Console

from cmae_ablate.study.finding import find_study, known_studies
from cmae_ablate.study.yaml_source import load_yaml
from cmae_ablate.terminal import Column, say_exactly, say_table


def show_studies(console: Console) -> None:
    """Print every known study with its question and what its header says that it takes."""
    rows = [(study.name, study.question, study.takes) for study in known_studies()]
    header = (Column("study", in_one_piece=True), "asks", "takes")
    say_table(header, rows, console, title="Studies; cmae-ablate run NAME runs one", ruled=True)


def print_study(name: str) -> None:
    """Print a study's file as it is, to be redirected into one of your own.

    Raises:
        UserError: There is no such study, or its file is no YAML.
    """
    path = find_study(name)
    load_yaml(path)
    say_exactly(path.read_text(encoding="utf-8"))
