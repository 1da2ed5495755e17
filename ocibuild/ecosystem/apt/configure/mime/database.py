"""What the source files in ``usr/share/mime/packages`` say of all types together.

Source: the Shared MIME-info Database specification 0.21, section 2; the order of everything is that of shared-mime-info
2.2's ``src/update-mime-database.c`` (2.4's is the same), whose hash tables are GLib's.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.configure.glib.hash_table import GHashTable
from ocibuild.ecosystem.apt.configure.mime.element import LANGUAGE, Element, parse_xml
from ocibuild.ecosystem.apt.configure.mime.magic import (
    Magic,
    Match,
    TreeMagic,
    number_attribute,
    read_magic,
    read_tree_magic,
)

__all__ = ["Glob", "MimeDatabase"]

_NO_GLOBS, _NO_MAGIC = "__NOGLOBS__", b"__NOMAGIC__"


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern of file names; ``is_reset`` stands for ``<glob-deleteall>``."""

    type: str
    pattern: str
    weight: int
    is_case_sensitive: bool = False
    is_reset: bool = False


@dataclass(slots=True)
class MimeDatabase:
    """Everything by type, pattern, alias or ``namespace name``; ``types`` has the elements of each type's own file."""

    types: GHashTable[list[Element]] = field(default_factory=GHashTable)
    globs: GHashTable[list[Glob]] = field(default_factory=GHashTable)
    parents: GHashTable[list[str]] = field(default_factory=GHashTable)
    aliases: GHashTable[str] = field(default_factory=GHashTable)
    namespaces: GHashTable[str] = field(default_factory=GHashTable)
    icons: GHashTable[str] = field(default_factory=GHashTable)
    generic_icons: GHashTable[str] = field(default_factory=GHashTable)
    magics: list[Magic] = field(default_factory=list)
    tree_magics: list[TreeMagic] = field(default_factory=list)

    def read(self, data: bytes) -> None:
        """Add a source file; an ImageError for what the reference would leave out, or is not modelled."""
        root = parse_xml(data)
        if root.name != "mime-info":
            raise ImageError(f"the root element is <{root.name}>, not <mime-info>")
        for element in root.children:
            name = element.attributes.get("type", "")
            if element.name != "mime-type" or name.count("/") != 1 or {".", "..", ""} & {*name.split("/")}:
                raise ImageError(f"<{element.name}> with the type {name!r}")
            if self.types.get(name) is None:
                self.types[name] = []
            for child in element.children:
                self._read_field(name, child)

    def _read_field(self, mime_type: str, element: Element) -> None:
        readers: Mapping[str, Callable[[str, Element], bool]] = {
            "glob": self._read_glob,
            "glob-deleteall": self._read_glob_reset,
            "magic": self._read_magic,
            "magic-deleteall": self._read_magic_reset,
            "treemagic": self._read_tree_magic,
            "comment": self._read_comment,
            "acronym": self._read_prose,
            "expanded-acronym": self._read_prose,
            "alias": self._read_alias,
            "sub-class-of": self._read_parent,
            "root-XML": self._read_namespace,
            "generic-icon": self._read_icon,
            "icon": self._read_icon,
        }
        reader = readers.get(element.name)
        if reader is None and " " in element.name:
            raise ImageError(f"<{element.name}> of {mime_type} would have to be copied, which is not modelled")
        if reader is not None and reader(mime_type, element):
            self.types[mime_type].append(element)

    # Each reader tells whether the type's own file has the element too.

    def _read_prose(self, _mime_type: str, _element: Element) -> bool:
        return True

    def _read_comment(self, mime_type: str, element: Element) -> bool:
        """A comment replaces the one in its language that is there."""
        fields, language = self.types[mime_type], element.attributes.get(LANGUAGE)
        for number, old in enumerate(fields):
            if old.name == "comment" and old.attributes.get(LANGUAGE) == language:
                del fields[number]
                break
        return True

    def _read_glob(self, mime_type: str, element: Element) -> bool:
        pattern, is_case_sensitive = (
            element.attributes.get("pattern", ""),
            element.attributes.get("case-sensitive") == "true",
        )
        if not pattern or "\n" in pattern or pattern == "*":
            raise ImageError(f"<glob> of {mime_type} with the pattern {pattern!r}")
        if not is_case_sensitive:
            pattern = _ascii_lower(pattern)
        glob = Glob(mime_type, pattern, number_attribute(element, "weight"), is_case_sensitive)
        self.globs[pattern] = [*(self.globs.get(pattern) or ()), glob]
        return True

    def _read_glob_reset(self, mime_type: str, _element: Element) -> bool:
        self.globs[_NO_GLOBS] = [*(self.globs.get(_NO_GLOBS) or ()), Glob(mime_type, _NO_GLOBS, 0, is_reset=True)]
        return True

    def _read_magic(self, mime_type: str, element: Element) -> bool:
        self.magics.append(read_magic(element, mime_type))
        return False

    def _read_magic_reset(self, mime_type: str, _element: Element) -> bool:
        self.magics.append(Magic(mime_type, 0, (Match(_NO_MAGIC),), is_reset=True))
        return False

    def _read_tree_magic(self, mime_type: str, element: Element) -> bool:
        self.tree_magics.append(read_tree_magic(element, mime_type))
        return False

    def _read_alias(self, mime_type: str, element: Element) -> bool:
        self.aliases[_other_type(element)] = mime_type
        return True

    def _read_parent(self, mime_type: str, element: Element) -> bool:
        self.parents[mime_type] = [*(self.parents.get(mime_type) or ()), _other_type(element)]
        return True

    def _read_namespace(self, mime_type: str, element: Element) -> bool:
        address, name = element.attributes.get("namespaceURI"), element.attributes.get("localName")
        if address is None or name is None or not address + name or {" ", "\n"} & {*address, *name}:
            raise ImageError(f"<root-XML> of {mime_type} with namespaceURI={address!r}, localName={name!r}")
        self.namespaces[f"{address} {name}"] = mime_type
        return False

    def _read_icon(self, mime_type: str, element: Element) -> bool:
        name = element.attributes.get("name")
        if name is not None:
            (self.icons if element.name == "icon" else self.generic_icons)[mime_type] = name
        return name is not None

    def globs_by_weight(self) -> list[Glob]:
        """All patterns, the weightiest first, those that reset others before them."""
        found = [glob for _, globs in self.globs.items() for glob in globs]
        return sorted(found, key=lambda glob: (not glob.is_reset, 0 if glob.is_reset else -glob.weight))

    def sorted_magics(self) -> Iterator[Magic]:
        """All magic, those of the highest priority first, those that reset others before them."""
        resets = [magic for magic in self.magics if magic.is_reset]
        yield from resets
        rest = [magic for magic in self.magics if not magic.is_reset]
        yield from sorted(rest, key=lambda magic: (-magic.priority, magic.type.encode().split(b"/")))

    def sorted_tree_magics(self) -> list[TreeMagic]:
        """All tree magic, that of the highest priority first."""
        return sorted(self.tree_magics, key=lambda magic: (-magic.priority, magic.type.encode().split(b"/")))


def _other_type(element: Element) -> str:
    name = element.attributes.get("type", "")
    if "/" not in name:
        raise ImageError(f"<{element.name}> with the type {name!r}")
    return name


def _ascii_lower(text: str) -> str:
    return "".join(character.lower() if character.isascii() else character for character in text)
