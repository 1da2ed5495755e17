"""Paragraphs of fields: the format of Packages indexes, Release files, control files and dpkg's status (deb822(5)).

Text is decoded as UTF-8 with ``surrogateescape``, so that what is not UTF-8 comes out again as the same bytes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

__all__ = ["Paragraph", "decode", "encode", "read_paragraphs", "split_paragraphs"]

# A name, blanks that dpkg allows, a colon, the rest of the line, and continuation lines. A line that is neither
# (dpkg refuses such a file, apt overlooks the line) belongs to no field.
_FIELD = re.compile(r"^([!-9;-~]+)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.MULTILINE)
_BREAK = re.compile(r"\n\r*\n[\r\n]*")
_COMMENT = re.compile(r"^#[^\n]*\n?", re.MULTILINE)
_BLANKS: Final = " \t\r"


def decode(data: bytes) -> str:
    """The text of such a file."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """The bytes that :func:`decode` read."""
    return text.encode("utf-8", "surrogateescape")


class Paragraph(Mapping[str, str]):
    r"""The fields of one paragraph, in their order.

    Names are looked up without regard to case and iterate as they are written; of a name that occurs twice the last
    value counts, in the first one's place. A value has no blanks around it; its continuation lines keep their leading
    blank, so ``Conffiles`` and ``Description`` values are ``"\n /etc/..."`` and ``"short\n long\n ."``.
    """

    __slots__ = ("_names", "_raw")

    def __init__(self, fields: Mapping[str, str] | None = None) -> None:
        """A paragraph of these fields: name -> value, with continuation lines as described above."""
        self._names: dict[str, str] = {}
        self._raw: dict[str, str] = {}
        for name, value in (fields or {}).items():
            self._put(name, value if value.startswith("\n") else f" {value}")

    @classmethod
    def parse(cls, text: str) -> "Paragraph":
        """The fields of the paragraph ``text``. Lines that are no field are overlooked, as apt does."""
        paragraph = cls()
        for name, raw in _FIELD.findall(text):
            paragraph._put(name, raw)
        return paragraph

    def _put(self, name: str, raw: str) -> None:
        key = name.lower()
        self._names.setdefault(key, name)
        self._raw[key] = raw

    def __getitem__(self, name: str) -> str:
        raw = self._raw[name.lower()]
        return raw.lstrip(_BLANKS).rstrip()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._names.values())

    def __len__(self) -> int:
        return len(self._raw)

    def __repr__(self) -> str:
        return f"Paragraph({dict(self)!r})"

    @property
    def text(self) -> str:
        """The paragraph as lines, each ended by a line feed, without the empty line behind it.

        Values stand there exactly as they were read, trailing blanks included (dpkg keeps them in its status file).
        """
        return "".join(f"{self._names[key]}:{raw}\n" for key, raw in self._raw.items())

    def ordered(self, names: Iterable[str]) -> "Paragraph":
        """This paragraph with its fields in this order, which must name each of them once."""
        ordered = Paragraph()
        for name in names:
            ordered._put(name, self._raw[name.lower()])
        return ordered

    def with_fields(self, changes: Mapping[str, str | None]) -> "Paragraph":
        """This paragraph with other values for some fields: None takes one away, a new one comes last."""
        changed = Paragraph()
        changed._names = dict(self._names)
        changed._raw = dict(self._raw)
        for name, value in changes.items():
            if value is None:
                changed._names.pop(name.lower(), None)
                changed._raw.pop(name.lower(), None)
            else:
                changed._put(name, value if value.startswith("\n") else f" {value}")
        return changed


def split_paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of ``text`` as text, without the empty lines between them."""
    parts = _BREAK.split(text) if "\r" in text or "\n\n\n" in text else text.split("\n\n")
    for part in parts:
        stripped = part.strip("\r\n")
        if stripped:
            yield stripped


def read_paragraphs(text: str, *, comments: bool = False) -> Iterator[Paragraph]:
    """The paragraphs of ``text`` that hold a field; ``comments`` drops lines that begin with ``#`` first.

    Only hand-written files (``.sources``, apt_preferences) have comments.
    """
    for part in split_paragraphs(_COMMENT.sub("", text) if comments else text):
        paragraph = Paragraph.parse(part)
        if paragraph:
            yield paragraph
