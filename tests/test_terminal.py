"""One way of printing: nothing is markup, nothing is obeyed, and a lost output stops nothing."""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

import cmae_ablate
from cmae_ablate.terminal import (
    PlainColumn,
    complain,
    open_console,
    say,
    say_exactly,
    say_sentence,
    say_table,
)

ROOT = Path(__file__).parents[1]
PACKAGE = Path(cmae_ablate.__file__).parent
HOSTILE = (
    *("[/x]", "[bold]b[/bold]", "[link=http://x]y[/link]", ":smile:", "\\[x", "{0} %s"),
    *(
        "\x1b[2J",
        "\x1b]8;;http://x\x07y\x1b]8;;\x07",
        "\x9b31m",
        "a\rb",
        "\x00",
        "\u202eabc",
        "\udce9",
        "\x08",
    ),
)
OBEYED = set(map(chr, (*range(10), *range(11, 32), *range(127, 160), 0x202E)))


def shown(print_into: Callable[[Console], None]) -> str:
    console = Console(file=io.StringIO(), width=200)
    print_into(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_package_prints_in_one_place_only() -> None:
    """Whoever prints elsewhere must decide anew what is markup, and what a terminal obeys."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called == "print" or called.endswith(
                (".print", ".print_exception", ".rule", "echo", "pprint")
            ):
                found.add(path.relative_to(PACKAGE).as_posix())
            if called.endswith(("stdout.write", "stderr.write", "TextColumn", "rich.table.Table", "Panel")):
                found.add(path.relative_to(PACKAGE).as_posix())
            if isinstance(node, ast.ImportFrom) and node.module in ("rich.table", "rich.text", "rich.markup"):
                found.add(path.relative_to(PACKAGE).as_posix())
    assert found == {"terminal.py"}


@pytest.mark.parametrize("text", HOSTILE)
def test_every_way_of_printing_shows_text_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    def print_all(console: Console) -> None:
        say(text, console, style="bold")
        say_table((text, "b"), [(text, "1"), None, ("x", text)], console, title=text, ruled=True)
        progress = Progress(PlainColumn("{task.description} {task.fields[text]}", "bold"), console=console)
        progress.add_task(text, text=text, total=2)
        console.print(progress.get_renderable())

    out = shown(print_all)
    complain(text)
    err = capsys.readouterr().err
    assert not OBEYED & {*out, *err}
    assert err.count("\n") == 1
    if text.isprintable():
        assert out.count(text) == 7
        assert err == f"{text}\n"


def test_a_table_on_a_real_terminal_sends_its_own_colours_and_no_others() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system="truecolor")
    say("\x1b[31mred", console, style="bold")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "\x1b[1m\\x1b[31mred\x1b[0m\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_any_encoding_shows_signs_with_their_meaning(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    say("\u22120.5 \u2265 \u22121 \u2026 \u72ac", open_console())
    say_table(("a",), [("\u22120.5",)], open_console())
    sys.stdout.flush()
    text = raw.getvalue().decode(encoding)
    if encoding == "utf-8":
        assert text.startswith("\u22120.5 \u2265 \u22121 \u2026 \u72ac\n")
    else:
        assert text.replace("\u2026", "...").startswith("-0.5 >= -1 ... \\u72ac\n")
        assert "-0.5" in text.splitlines()[-2]


def test_what_goes_into_a_file_is_exact(capsys: pytest.CaptureFixture[str]) -> None:
    say_exactly("a: '\u202e\x1b'\n")
    assert capsys.readouterr().out == "a: '\u202e\x1b'\n"


SCRIPT = """
import sys
from cmae_ablate.cli import app
from cmae_ablate.terminal import open_console, say

def work():
    for number in range(5000):
        say(f"line {number} {chr(0x2212)}0.5 {chr(0x72ac)}", open_console())
    open(sys.argv[1], "w").write("done")

app.app = work
sys.argv[0] = "cmae-ablate"
app.main()
"""


def command(tmp_path: Path, redirection: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command that prints much and then leaves a file, by a shell that says its exit status."""
    script, done = tmp_path / "work.py", tmp_path / "done"
    script.write_text(SCRIPT)
    line = f"'{sys.executable}' '{script}' '{done}' {redirection}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    found = subprocess.run(
        ["bash", "-c", line], env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.read_text() == "done", "the work itself was lost"
    return found


def test_a_reader_that_has_read_enough_ends_no_work_and_is_no_error(tmp_path: Path) -> None:
    found = command(tmp_path, "| head -1; exit ${PIPESTATUS[0]}")
    assert (found.returncode, found.stdout, found.stderr) == (0, "line 0 \u22120.5 \u72ac\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_an_output_that_is_full_keeps_the_work_and_ends_with_one_line_and_1(tmp_path: Path) -> None:
    found = command(tmp_path, "> /dev/full")
    assert found.returncode == 1
    assert found.stderr == (
        "standard output: No space left on device; what was printed is lost, what was done is kept\n"
    )


@pytest.mark.parametrize("redirection", [">&-", ">&- 2>&-", "2>/dev/full >/dev/null"])
def test_no_output_at_all_is_no_error(redirection: str, tmp_path: Path) -> None:
    assert command(tmp_path, redirection).returncode == 0


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_command_on_a_terminal_of_another_encoding_ends_as_on_any(encoding: str, tmp_path: Path) -> None:
    found = command(tmp_path, "", PYTHONIOENCODING=encoding)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.splitlines()[-1] == "line 4999 -0.5 \\u72ac"


def test_json_is_printed_whatever_the_encoding(tmp_path: Path) -> None:
    code = "from cmae_ablate.terminal import say_json; say_json({'a': '\\u72ac'})"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert json.loads(done.stdout) == {"a": "\u72ac"}


SENTENCE = "about 107 paired seeds (27 to 517, as the noise is uncertain) would detect 1.00 points"


def printed(text: str, *, on_terminal: bool) -> str:
    console = Console(file=io.StringIO(), width=30, force_terminal=on_terminal, color_system=None)
    say_sentence(text, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_gets_a_sentence_in_lines_of_whole_words_and_a_file_in_one() -> None:
    lines = printed(SENTENCE, on_terminal=True).splitlines()
    assert max(map(len, lines)) <= 30
    assert " ".join(lines) == SENTENCE
    assert printed(SENTENCE, on_terminal=False) == f"{SENTENCE}\n"


@pytest.mark.parametrize("path", ["/home/some body/a b c", "runs/a b/c", "~/some body/a", "../a b/c.csv"])
def test_a_path_in_a_sentence_is_not_folded_at_its_blanks(path: str) -> None:
    text = f"trials left out: {path} is of another study, or of this one at another scale"
    assert printed(text, on_terminal=True) == f"{text}\n"


def test_a_unit_with_a_slash_is_no_path() -> None:
    lines = printed("timed on this processor, 89 GFLOP/s in fp32 at best", on_terminal=True).splitlines()
    assert lines == ["timed on this processor, 89", "GFLOP/s in fp32 at best"]
