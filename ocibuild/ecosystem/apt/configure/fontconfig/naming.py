"""The family, style, full name, PostScript name and foundry of a face, from its names."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.describe import add_full_name, english_name
from ocibuild.ecosystem.apt.configure.fontconfig.names import (
    ISO,
    MAC,
    UNICODE,
    WINDOWS,
    NameRecord,
    folded,
    name_records,
)
from ocibuild.ecosystem.apt.configure.fontconfig.pattern import PatternBuilder, Property
from ocibuild.ecosystem.apt.configure.fontconfig.release import Release
from ocibuild.ecosystem.apt.configure.fontconfig.sfnt import SfntFace

__all__ = ["add_names", "foundry_of_notice"]

_PLATFORMS: Final = (WINDOWS, UNICODE, MAC, ISO)
"""The order in which fontconfig reads platforms."""

_FAMILIES, _STYLES, _FULL_NAMES = (21, 16, 1), (22, 17, 2), (18, 4)
_POSTSCRIPT, _TRADEMARK, _MANUFACTURER = 6, 7, 8
_UNDETERMINED: Final = b"und"
_NOT_IN_POSTSCRIPT: Final = b"\x04()/<>[]{}\t\f\r\n "
_POSTSCRIPT_CHARACTERS: Final = frozenset(range(0x21, 0x7F)) - frozenset(b"%()/<>[]{}")
_NOTICES: Final = (
    (b"Adobe", b"adobe"), (b"Bigelow", b"b&h"), (b"Bitstream", b"bitstream"), (b"Gnat", b"culmus"),
    (b"Iorsh", b"culmus"), (b"HanYang System", b"hanyang"), (b"Font21", b"hwan"), (b"IBM", b"ibm"),
    (b"International Typeface Corporation", b"itc"), (b"Linotype", b"linotype"), (b"LINOTYPE-HELL", b"linotype"),
    (b"Microsoft", b"microsoft"), (b"Monotype", b"monotype"), (b"Omega", b"omega"), (b"Tiro Typeworks", b"tiro"),
    (b"URW", b"urw"), (b"XFree86", b"xfree86"), (b"Xorg", b"xorg"),
)  # fmt: skip
"""Words of a notice that tell its foundry, in the order in which fontconfig looks for them (src/fcfoundry.h)."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Kinds of names that give one property, best first."""

    numbers: tuple[int, ...]
    name: Property
    language: Property


_KINDS: Final = (
    _Kind(_FAMILIES, Property.FAMILY, Property.FAMILY_LANGUAGE),
    _Kind(_FULL_NAMES, Property.FULL_NAME, Property.FULL_NAME_LANGUAGE),
    _Kind(_STYLES, Property.STYLE, Property.STYLE_LANGUAGE),
)


def foundry_of_notice(notice: bytes | None) -> bytes | None:
    """The foundry that a notice names."""
    return next((foundry for words, foundry in _NOTICES if words in notice), None) if notice else None


def add_names(face: SfntFace, pattern: PatternBuilder, *, path: str, release: Release, notice: bytes | None) -> bytes:
    """Add all names of the face to its pattern; returns the foundry.

    ``path`` gives the family of a face without one, ``notice`` (of PostScript outlines) a foundry.
    """
    table = name_records(face)
    records = sorted(
        enumerate(table),
        key=lambda item: (item[1].encoding, not item[1].is_english(), item[1].language, item[0]),
    )
    by_kind: dict[tuple[int, int], list[NameRecord]] = {}
    for _, record in records:
        by_kind.setdefault((record.platform, record.name), []).append(record)
    for platform in _PLATFORMS:
        for kind in _KINDS:
            for number in kind.numbers:
                for record in by_kind.get((platform, number), ()):
                    _add_name(pattern, kind, record, release)
    foundry = _foundry(face, by_kind, release) or foundry_of_notice(notice) or b"unknown"
    _add_defaults(face, pattern, path, frozenset(number for _, number in by_kind))
    pattern.add(Property.POSTSCRIPT_NAME, _postscript_name(table, release) or _postscript_name_of_family(pattern))
    return foundry


def _add_name(pattern: PatternBuilder, kind: _Kind, record: NameRecord, release: Release) -> None:
    text = record.text(release)
    if text is None:
        return
    text = text.strip(b" ")
    present = pattern.strings(kind.name)
    if any(folded(text) == folded(other) for other in present):
        return
    pattern.add(kind.name, text)
    language = record.language_tag()
    if language is None:
        return
    for _ in range(len(present) - len(pattern.strings(kind.language))):
        pattern.add(kind.language, _UNDETERMINED)
    pattern.add(kind.language, language.encode())


def _foundry(face: SfntFace, by_kind: dict[tuple[int, int], list[NameRecord]], release: Release) -> bytes | None:
    """The vendor that OS/2 names, else the one that trademark or manufacturer tell."""
    windows = face.windows_metrics
    if windows and windows.version >= 1 and windows.vendor[0]:
        return windows.vendor
    for platform in _PLATFORMS:
        for number in (_TRADEMARK, _MANUFACTURER):
            for record in by_kind.get((platform, number), ()):
                foundry = foundry_of_notice(record.text(release))
                if foundry is not None:
                    return foundry
    return None


def _add_defaults(face: SfntFace, pattern: PatternBuilder, path: str, kinds: frozenset[int]) -> None:
    """What stands for a name that is missing: the file's name for the family, and family and style for the full name.

    ``kinds`` are the kinds of names that there are: where fontconfig could read none of a kind, FreeType may.
    """
    for numbers, name in ((_FAMILIES, Property.FAMILY), (_STYLES, Property.STYLE)):
        if not pattern.strings(name) and kinds & frozenset(numbers):
            raise face.unmodelled(f"no {name.name.lower()} that can be read")
    if not pattern.strings(Property.FAMILY):
        stem = path.rpartition("/")[2]
        pattern.add(Property.FAMILY, (stem.rpartition(".")[0] or stem).encode("utf-8", "surrogateescape"))
        pattern.add(Property.FAMILY_LANGUAGE, b"en")
    if not pattern.strings(Property.STYLE):
        pattern.add(Property.STYLE, b"Regular")
        pattern.add(Property.STYLE_LANGUAGE, b"en")
    if not pattern.strings(Property.FULL_NAME):
        add_full_name(pattern, where=face.where)


def _postscript_name(records: Sequence[NameRecord], release: Release) -> bytes | None:
    """The PostScript name that FreeType gives: Windows' before Mac's, English (United States) before others."""
    for platform, encodings, english in ((WINDOWS, (0, 1), 0x409), (MAC, (0,), 0)):
        named = [
            record
            for record in records
            if (record.platform, record.name) == (platform, _POSTSCRIPT) and record.encoding in encodings
        ]
        chosen = [record for record in named if record.language == english][-1:] or named[:1]
        for record in chosen:
            content = record.content[: len(record.content) & ~1] if platform == WINDOWS else record.content
            units = struct.unpack(f">{len(content) // 2}H", content) if platform == WINDOWS else tuple(content)
            allowed = bytes(unit for unit in units if unit in _POSTSCRIPT_CHARACTERS)
            if len(allowed) == len(units) or (release.repairs_postscript_names and allowed):
                return allowed
    return None


def _postscript_name_of_family(pattern: PatternBuilder) -> bytes:
    """The English family with a dash in place of what PostScript does not allow in a name."""
    family = english_name(pattern, Property.FAMILY, Property.FAMILY_LANGUAGE)[:255]
    return bytes(ord("-") if byte in _NOT_IN_POSTSCRIPT else byte for byte in family)
