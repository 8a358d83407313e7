"""Text that LaTeX sets as it is, or as near as it can."""

from __future__ import annotations

import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest

from cmae_ablate.report.tex_text import replaced, tex_text


def test_a_label_cannot_run_latex() -> None:
    assert tex_text("\\input{x}") == r"\textbackslash{}input\{x\}"
    assert tex_text("a_b") == r"a\_b"


def test_latin_letters_keep_their_accents_and_need_no_remark() -> None:
    assert tex_text("é ñ Å ž ǐ") == r"\'{e} \~{n} \r{A} \v{z} \v{\i{}}"
    assert replaced("é ñ Å ž ǐ \u03b1 → ß") == {}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Щука", "Shchuka"),  # as in passports: ICAO 9303 gives SHCH for U+0429
        ("\ufb01t \uff21\uff22", "fit AB"),
        ("ą", "a"),
        ("基", "{[}U+57FA{]}"),
        ("a\u200d\ufe0fb", "ab"),
    ],
)
def test_what_has_no_glyph_is_set_as_the_nearest_that_has(text: str, shown: str) -> None:
    assert tex_text(text) == shown


def test_two_signs_do_not_become_one() -> None:
    assert tex_text("a--b") == "a-{}-b"


def test_only_words_wider_than_the_room_may_be_broken() -> None:
    assert "allowbreak" not in tex_text("two-sided words", room=60)
    assert tex_text("two_sided-words", room=30).count("allowbreak") >= 3
    assert "allowbreak" not in tex_text("x" * 99)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs Debian's texlive-latex-base")
def test_plain_pdflatex_sets_every_character_of_the_usual_blocks(tmp_path: Path) -> None:
    blocks = [(0x20, 0x250), (0x370, 0x530), (0x1E00, 0x2000), (0x2010, 0x2060), (0x20A0, 0x2400)]
    known = [chr(c) for low, high in blocks for c in range(low, high) if unicodedata.category(chr(c)) != "Cn"]
    body = "\n\n".join(tex_text(f"{character} x") for character in known)
    text = rf"\documentclass{{article}}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "all.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout[-1000:]
    assert b"Missing character" not in (tmp_path / "all.log").read_bytes()
