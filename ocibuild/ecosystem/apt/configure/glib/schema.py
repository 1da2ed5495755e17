"""Settings schemas and their keys, and what a compiled file holds of them.

Source: GLib 2.74's ``gio/glib-compile-schemas.c`` (unchanged in 2.84 but for internals).
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.configure.glib.gvariant import Variant
from ocibuild.ecosystem.apt.configure.glib.gvdb import GvdbTable, gvdb_file
from ocibuild.ecosystem.apt.configure.glib.hash_table import GHashTable
from ocibuild.ecosystem.apt.configure.glib.word_map import WordMap

__all__ = ["Key", "Schema", "compiled"]


@dataclass(slots=True)
class Key:
    """A key with its default value. ``words_kind`` is ``c`` for choices, ``e`` for an enumeration, ``f`` for flags.

    ``localised`` is ``m`` or ``t`` (LC_MESSAGES, LC_TIME) where ``message`` is to be translated, else ``""``.
    """

    type: str
    words: WordMap = field(default_factory=WordMap)
    words_kind: str = "c"
    default: Variant | None = None
    localised: str = ""
    message: str = ""
    minimum: Variant | None = None
    maximum: Variant | None = None
    desktops: GHashTable[Variant] = field(default_factory=GHashTable)
    is_override: bool = False

    def allows(self, value: Variant) -> bool:
        """Whether the value lies in the range, or consists of the words, that the key asks for."""
        if self.minimum is not None and self.maximum is not None:
            inside: bool = self.minimum.value <= value.value <= self.maximum.value
            return inside
        return not self.words or all(word in self.words for word in _strings(value.value))

    def overriding(self) -> "Key":
        """The key of an ``<override>``: the same but for the value."""
        return Key(
            self.type,
            deepcopy(self.words),
            self.words_kind,
            minimum=self.minimum,
            maximum=self.maximum,
            is_override=True,
        )

    def compiled(self) -> Variant:
        """The tuple that stands in the file."""
        if self.default is None:
            raise ImageError("a key has no default value")
        members = [self.default]
        if self.localised:
            members.append(Variant("(y(ys))", (ord("l"), (ord(self.localised), self.message))))
        if self.words:
            members.append(Variant("(yau)", (ord(self.words_kind), self.words.words())))
        if self.minimum is not None and self.maximum is not None:
            kind = f"(y({self.type}{self.type}))"
            members.append(Variant(kind, (ord("r"), (self.minimum.value, self.maximum.value))))
        if len(self.desktops):
            members.append(Variant("(ya{sv})", (ord("d"), tuple(self.desktops.items()))))
        return Variant(f"({''.join(member.type for member in members)})", tuple(member.value for member in members))


def _strings(value: Any) -> Iterable[str]:
    """The strings in (arrays of, maybes of) strings."""
    return (value,) if isinstance(value, str) else (text for part in value for text in _strings(part))


@dataclass(slots=True)
class Schema:
    """A schema with its keys; a child (``name/``) is listed among them by the schema that it names."""

    path: str | None
    gettext_domain: str | None
    extends: str | None
    list_of: str | None
    keys: GHashTable[Key | str] = field(default_factory=GHashTable)

    def table(self) -> GvdbTable:
        """What the file holds of the schema."""
        table = GvdbTable()
        is_localised = False
        for name, key in self.keys.items():
            table.insert(name, Variant("s", key) if isinstance(key, str) else key.compiled(), is_listed=True)
            is_localised = is_localised or (isinstance(key, Key) and bool(key.localised))
        for name, text in ((".path", self.path), (".extends", self.extends), (".list-of", self.list_of)):
            if text is not None:
                table.insert(name, Variant("s", text))
        if is_localised and self.gettext_domain is not None:
            table.insert(".gettext-domain", Variant("s", self.gettext_domain))
        return table


def compiled(schemas: GHashTable[Schema]) -> bytes:
    """The file ``gschemas.compiled``."""
    root = GvdbTable()
    for name, schema in schemas.items():
        root.insert(name, schema.table(), is_listed=True)
    return gvdb_file(root)
