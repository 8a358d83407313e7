"""How LaTeX writes characters beyond ASCII with nothing but Computer Modern: tables, no rules.

`EXACT` is set as meant; what `LATINISED` holds is written in Latin letters instead.
"""

from __future__ import annotations


def _pairs(text: str) -> dict[str, str]:
    """`a b c d` as {a: b, c: d}."""
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


_MATHS = _pairs("""
    ± pm × times ÷ div ≤ leq ≥ geq ≠ neq ≈ approx ∼ sim ≡ equiv ∝ propto ∞ infty ∈ in ∉ notin ∅
    emptyset ∩ cap ∪ cup ⊂ subset ⊆ subseteq ∀ forall ∃ exists ∇ nabla ∂ partial ∑ sum ∏ prod ∫ int
    ∘ circ ⋅ cdot · cdot ⊕ oplus ⊗ otimes ⊙ odot ⊥ perp ∥ parallel ← leftarrow ↑ uparrow →
    rightarrow ↓ downarrow ↔ leftrightarrow ⇐ Leftarrow ⇒ Rightarrow ⇔ Leftrightarrow ↦ mapsto ℓ ell
    ℜ Re ℑ Im ′ prime ¬ neg « ll » gg † dagger ‡ ddagger α alpha β beta γ gamma δ delta ε epsilon ζ
    zeta η eta θ theta ι iota κ kappa λ lambda μ mu ν nu ξ xi π pi ρ rho σ sigma τ tau υ upsilon φ
    phi χ chi ψ psi ω omega ς varsigma ϑ vartheta ϕ phi ϖ varpi ϱ varrho ϵ epsilon µ mu Γ Gamma Δ
    Delta Θ Theta Λ Lambda Ξ Xi Π Pi Σ Sigma Υ Upsilon Φ Phi Ψ Psi Ω Omega
""")
_COMMANDS = _pairs("""
    \\ textbackslash ~ textasciitilde ^ textasciicircum < textless > textgreater | textbar `
    textasciigrave … dots • textbullet § S ¶ P © copyright £ pounds ß ss æ ae Æ AE œ oe Œ OE ø o Ø O
    ł l Ł L ı i ȷ j
""")
_AS_IS = _pairs("""
    " '' [ {[} ] {]} − $-$ – -- — --- ‑ - ‐ - ‘ ` ’ ' “ `` ” '' ¡ !` ¿ ?` ° $^\\circ$ ¹ $^1$ ² $^2$
    ³ $^3$ Α A Β B Ε E Ζ Z Η H Ι I Κ K Μ M Ν N Ο O Ρ P Τ T Χ X ο o
""")

EXACT = {
    **{character: f"\\{character}" for character in "{}$&#%_"},
    **{sign: f"$\\{name}$" for sign, name in _MATHS.items()},
    **{sign: f"\\{name}{{}}" for sign, name in _COMMANDS.items()},
    **_AS_IS,
    "\N{NO-BREAK SPACE}": "~",
}

ACCENTS = {
    **{"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u"},
    **{"\u0307": ".", "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v"},
    **{"\u0323": "d", "\u0327": "c", "\u0331": "b"},
}
"""Combining marks, and the commands that put them on a letter."""
BELOW = "\u0323\u0327\u0331"
"""Those of them that leave the dot of i and j where it is."""

LATINISED = {
    **_pairs("""
    а a б b в v г g ґ g д d е e є ye ж zh з z и i і i ї yi й y к k л l м m н n о o п p р r с s т t у
    u ф f х kh ц ts ч ch ш sh щ shch ъ ' ы y ь ' э e ю yu я ya ё yo ђ dj ј j љ lj њ nj ћ c џ dz ў u
    ѓ g ќ k ѕ dz ð d þ th đ d ħ h ŋ ng ŧ t ĸ q € EUR ¥ JPY ¢ ct ® (R) ¦ / ª a º o ⁄ / ‚ , „ ,,
"""),
    "\N{CURRENCY SIGN}": "",
}
