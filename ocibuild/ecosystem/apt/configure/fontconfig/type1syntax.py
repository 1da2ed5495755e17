"""Whether the text of a Type 1 font is written as such fonts are: FreeType refuses some of what is not."""

import re
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.unmodelled import UnmodelledError

__all__ = ["check_program", "check_text"]

_NUMBER: Final = rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_NAME: Final = rb"[^\s/()<>\[\]{}%]+"
_STRING: Final = re.compile(rb"\((?:[^()\\]|\\.|\([^()]*\))*\)", re.DOTALL)
_COMMENT: Final = re.compile(rb"^%[^\r\n]*", re.MULTILINE)
_PLAIN: Final = frozenset(range(0x20, 0x7F)) | frozenset(b"\t\n\f\r")
_ENCODING: Final = (
    rb"(?:(?:StandardEncoding|ISOLatin1Encoding)|256\s+array\s+0\s+1\s+255\s*"
    rb"\{\s*1\s+index\s+exch\s*/\.notdef\s+put\s*\}\s*for(?:\s+dup\s+\d+\s*/"
    + _NAME
    + rb"\s+put)*)(?:\s+readonly)?\s+def\s"
)
_NUMBERS: Final = rb"\[\s*(?:" + _NUMBER + rb"\s*)*\]"
_FOUR_NUMBERS: Final = rb"(?:\{\s*|\[\s*)(?:" + _NUMBER + rb"\s*){4}[}\]]"
# FreeType refuses matrices that are odd enough: only upright and slanted fonts of about 1000 units are modelled.
_SCALE: Final = rb"(?:0?\.00(?:0[5-9]|[1-4])\d*|[1-4](?:\.\d*)?[eE]-0?3)\s+"
_SLANT: Final = rb"-?(?:0(?:\.0*)?|0?\.000\d*|\d(?:\.\d*)?[eE]-0?[4-9])\s+"
_MATRIX: Final = rb"\[\s*" + _SCALE + rb"(?:" + _SLANT + rb"){2}" + _SCALE + _NUMBER + rb"\s+" + _NUMBER + rb"\s*\]"
_INTEGER: Final = rb"\s[-+]?\d+\s"
_DECIMAL: Final = rb"\s" + _NUMBER + rb"[\s}]"
_BOOLEAN: Final = rb"\s(?:true|false)\s"
_TEXT_NEEDS: Final = {
    b"FontMatrix": _MATRIX, b"FontBBox": _FOUR_NUMBERS, b"Encoding": _ENCODING, b"FontType": rb"\s1\s",
    b"PaintType": _INTEGER, b"FontName": rb"/" + _NAME + rb"\s",
}  # fmt: skip
_TEXT_MAY_HAVE: Final = {
    b"ItalicAngle": _DECIMAL, b"isFixedPitch": _BOOLEAN, b"UnderlinePosition": _DECIMAL,
    b"UnderlineThickness": _DECIMAL,
    b"FSType": _INTEGER, b"StrokeWidth": _DECIMAL, b"UniqueID": _INTEGER,
}  # fmt: skip
_PROGRAM_NEEDS: Final = {b"Private": rb"\d+\s+dict\s+dup\s+begin\s"}
_PROGRAM_MAY_HAVE: Final = {
    b"BlueValues": _NUMBERS, b"OtherBlues": _NUMBERS, b"FamilyBlues": _NUMBERS, b"FamilyOtherBlues": _NUMBERS,
    b"StdHW": _NUMBERS, b"StdVW": _NUMBERS, b"StemSnapH": _NUMBERS, b"StemSnapV": _NUMBERS, b"BlueScale": _DECIMAL,
    b"BlueShift": _DECIMAL, b"BlueFuzz": _DECIMAL, b"ExpansionFactor": _DECIMAL, b"LanguageGroup": _INTEGER,
    b"UniqueID": _INTEGER, b"lenIV": _INTEGER, b"password": _INTEGER, b"ForceBold": _BOOLEAN,
    b"MinFeature": rb"(?:\{\s*|\[\s*)\d+\s+\d+\s*[}\]]",
}  # fmt: skip


def check_text(text: bytes, *, where: str) -> None:
    """Refuse the part before eexec as an UnmodelledError unless all that FreeType reads of it is well-formed."""
    bare = _STRING.sub(b"()", _COMMENT.sub(b"", text))
    if b"\0" in text or b"%" in bare or bare.count(b"(") != text_strings(text):
        raise UnmodelledError(f"{where}: strings or comments that are odd")
    _check(bare, _TEXT_NEEDS, _TEXT_MAY_HAVE, where)


def check_program(program: bytes, *, where: str) -> None:
    """Refuse the decrypted part, its binary pieces taken away, in the same way."""
    bare = _STRING.sub(b"()", program)
    _check(bare, _PROGRAM_NEEDS, _PROGRAM_MAY_HAVE, where)


def text_strings(text: bytes) -> int:
    """How many strings there are outside of comments."""
    return len(_STRING.findall(_COMMENT.sub(b"", text)))


def _check(bare: bytes, needs: dict[bytes, bytes], may_have: dict[bytes, bytes], where: str) -> None:
    if not set(bare) <= _PLAIN or any(
        bare.count(a) != bare.count(b) for a, b in ((b"[", b"]"), (b"{", b"}"), (b"(", b")"))
    ):
        raise UnmodelledError(f"{where}: a font program that is damaged")
    for key, value in {**needs, **may_have}.items():
        uses = len(re.findall(rb"/%s(?![^\s/()<>\[\]{}%%])" % key, bare))
        good = len(re.findall(rb"/%s(?:\s*(?=[\s/\[{])|\s+)%s" % (key, value), bare))
        if uses != good or (key in needs and not uses):
            raise UnmodelledError(f"{where}: a font program whose {key.decode()} is odd")
