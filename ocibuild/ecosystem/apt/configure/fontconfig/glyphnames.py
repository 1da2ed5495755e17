"""The characters that glyphs stand for by their names."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

__all__ = ["characters_of_glyphs"]

_CODED: Final = re.compile(r"(?:uni([0-9A-F]{4})|u([0-9A-F]{4,6}))(?=\.|$)")
_EXTRA: Final = {
    "Delta": 0x394, "Omega": 0x3A9, "fraction": 0x2215, "hyphen": 0xAD, "macron": 0x2C9, "mu": 0x3BC,
    "periodcentered": 0x2219, "space": 0xA0, "Tcommaaccent": 0x21A, "tcommaaccent": 0x21B,
}  # fmt: skip
"""Second characters of some glyphs, given unless another glyph has them (FreeType's ft_extra_glyph_unicodes)."""


@cache
def _listed() -> Mapping[str, int]:
    """The Adobe Glyph List: glyph name -> character (data/README.md)."""
    text = (files("ocibuild.ecosystem.apt.configure.fontconfig") / "data/glyph_names.txt").read_text(encoding="ascii")
    pairs = (line.split() for line in text.splitlines())
    return MappingProxyType({name: int(number, 16) for name, number in pairs})


def _character(name: str) -> int:
    """The character of a name, 0 for none: FreeType's ps_unicode_value, without its mark of variants."""
    coded = _CODED.match(name)
    if coded:
        return int(coded.group(1) or coded.group(2), 16)
    return _listed().get(name.partition(".")[0], 0)


def characters_of_glyphs(names: Sequence[str]) -> dict[int, list[int]]:
    """Character -> the glyphs that stand for it, those that are no variants (``a.alt``) first.

    This is FreeType's ps_unicodes_init. Which of several equal ones it takes, its sorting decides.
    """
    found: dict[int, list[tuple[bool, int]]] = {}
    plain: set[int] = set()
    extra: dict[int, int] = {}
    for glyph, name in enumerate(names):
        if name in _EXTRA:
            extra.setdefault(_EXTRA[name], glyph)
        character = _character(name)
        if character:
            is_variant = "." in name
            found.setdefault(character, []).append((is_variant, glyph))
            if not is_variant:
                plain.add(character)
    for character, glyph in extra.items():
        if character not in plain:
            found.setdefault(character, []).append((False, glyph))
    result = {}
    for character, glyphs in found.items():
        best = min(is_variant for is_variant, _ in glyphs)
        result[character] = [glyph for is_variant, glyph in glyphs if is_variant == best]
    return result
