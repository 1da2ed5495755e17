"""Rules of the configuration that change a face's pattern while it is scanned."""

from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from ocibuild.ecosystem.apt.configure.fontconfig.names import folded
from ocibuild.ecosystem.apt.configure.fontconfig.pattern import Pattern, Property

__all__ = ["ScanRule", "parse_scan_rule"]

_PROPERTIES: Final = {
    "family": Property.FAMILY,
    "style": Property.STYLE,
    "fullname": Property.FULL_NAME,
    "foundry": Property.FOUNDRY,
    "postscriptname": Property.POSTSCRIPT_NAME,
    "fontformat": Property.FONT_FORMAT,
}
"""The properties whose values are text, and that a rule's tests can be tried on."""


@dataclass(frozen=True, slots=True)
class ScanRule:
    """A ``<match target="scan">`` in the file ``where``.

    ``needs`` are its tests for equal text, all of which must hold: a property and the texts that it may have.
    """

    where: str
    needs: tuple[tuple[Property, tuple[str, ...]], ...]

    def may_match(self, pattern: Pattern) -> bool:
        """Whether the rule could change this pattern. False is certain; True is not.

        Blanks and case never count, though some tests mean them: a rule that only then holds may match.
        """
        return all(
            {folded(text.encode()) for text in texts} & {folded(value) for value in pattern.strings(name)}
            for name, texts in self.needs
        )


def parse_scan_rule(element: Element, *, where: str) -> ScanRule:
    """The rule of a ``<match>`` element (fonts-conf(5)); ``needs`` leaves out tests that are not for equal text."""
    needs = []
    for test in element.findall("test"):
        name = _PROPERTIES.get(test.get("name", ""))
        is_equality = test.get("compare", "eq") == "eq" and all(value.tag == "string" for value in test)
        if name is not None and is_equality and len(test):
            needs.append((name, tuple(value.text or "" for value in test)))
    return ScanRule(where, tuple(needs))
