"""The order in which apt's cache meets packages: the last rule by which apt chooses between equal providers.

apt numbers a package when it is first mentioned: by its own stanza or in a relation of another one, index by index in
the order of the sources, dpkg's status last (apt 2.6, pkgcachegen.cc, NewPackage). Working the numbers out for every
package would cost more than all the rest of solving, so they are looked for in the texts when two providers are equal.
"""

from collections.abc import Sequence

__all__ = ["FirstMentions"]

# The fields of a stanza in the order in which apt reads them; the last ones create packages too.
_FIELDS = (
    "Package",
    "Pre-Depends",
    "Depends",
    "Conflicts",
    "Breaks",
    "Recommends",
    "Suggests",
    "Replaces",
    "Enhances",
    "Provides",
)
_ORDER = {field: place for place, field in enumerate(_FIELDS)}
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789+-._")

Mention = tuple[int, int, int, int]
"""Number of the text, start of the stanza, place of the field in apt's order, offset."""


class FirstMentions:
    """Looks for first mentions in the texts of the indexes, in their order."""

    def __init__(self, texts: Sequence[str], architecture: str, *, multiple: bool) -> None:
        """``multiple`` tells whether packages of several architectures occur; one alone needs no look at them."""
        self._texts = texts
        self._architecture = architecture
        self._multiple = multiple
        self._known: dict[tuple[str, str], Mention] = {}

    def of(self, name: str, architecture: str) -> Mention:
        """The first mention of this package; behind all texts where there is none."""
        known = self._known.get((name, architecture))
        if known is None:
            known = next(
                (
                    mention
                    for number, text in enumerate(self._texts)
                    if (mention := self._in_text(number, text, name, architecture)) is not None
                ),
                (len(self._texts), 0, 0, 0),
            )
            self._known[name, architecture] = known
        return known

    def _in_text(self, number: int, text: str, name: str, architecture: str) -> Mention | None:
        position = 0
        first: Mention | None = None
        end = len(text)
        while 0 <= (found := text.find(name, position)) < end:
            position = found + len(name)
            place = self._field_place(text, found, position)
            if place is None or not self._counts(text, found, position, architecture):
                continue
            start = text.rfind("\n\n", 0, found) + 1
            if first is None or (number, start, place, found) < first:
                first = (number, start, place, found)
            # within the same stanza an earlier field may follow; later stanzas cannot be first
            after = text.find("\n\n", position)
            end = len(text) if after < 0 else after
        return first

    @staticmethod
    def _field_place(text: str, start: int, end: int) -> int | None:
        """The place of the field that holds the whole word ``text[start:end]``, None where it is none."""
        if text[start - 1 : start] in _NAME_CHARACTERS or text[end : end + 1] in _NAME_CHARACTERS:
            return None
        line = text.rfind("\n", 0, start) + 1
        while text[line : line + 1] in (" ", "\t") and line > 0:
            line = text.rfind("\n", 0, line - 1) + 1
        return _ORDER.get(text[line : text.find(":", line)])

    def _counts(self, text: str, start: int, end: int, architecture: str) -> bool:
        """Whether the mention creates the package of this architecture: ``name:any`` creates another one."""
        if text[end : end + 1] == ":":
            qualifier = text[end + 1 : end + 1 + len(architecture)]
            return qualifier == architecture or (qualifier[:6] == "native" and architecture == self._architecture)
        if not self._multiple:
            return True
        first, after = text.rfind("\n\n", 0, start) + 1, text.find("\n\n", end)
        stanza = text[first : len(text) if after < 0 else after]
        if f"\nArchitecture: {architecture}\n" in stanza:
            return True
        return architecture == self._architecture and "\nArchitecture: all\n" in stanza
