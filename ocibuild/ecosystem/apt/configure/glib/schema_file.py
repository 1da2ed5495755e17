"""Reading ``*.gschema.xml`` and ``*.enums.xml``.

Source: GLib 2.74's ``gio/gschema.dtd`` and ``gio/glib-compile-schemas.c``. That program ignores a file with an error in
it; here the error is raised, since a file that Debian ships has none.
"""

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import TypeVar
from xml.parsers import expat

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.configure.glib.gvariant import INTEGER_RANGES, is_type
from ocibuild.ecosystem.apt.configure.glib.hash_table import GHashTable
from ocibuild.ecosystem.apt.configure.glib.schema import Key, Schema
from ocibuild.ecosystem.apt.configure.glib.variant_text import parse_variant
from ocibuild.ecosystem.apt.configure.glib.word_map import WordMap

__all__ = ["SchemaReader"]

_SPACES = " \t\n\r\f\v"
_KEY_NAME = re.compile(r"[a-z](?:-?[a-z0-9])*")
_LONGEST_NAME = 1024
_LARGEST_ENUM, _LARGEST_FLAG = (-(2**31), 2**31 - 1), (0, 2**32 - 1)
_LOCALISED = {"messages": "m", "time": "t"}
_SHORTEST_NICK = 2
_Noun = TypeVar("_Noun")
_Start = Callable[[Mapping[str, str]], None]


class SchemaReader:
    """Reads files one after the other into ``schemas``; a file may use what one before it defines."""

    def __init__(self) -> None:
        self.schemas: GHashTable[Schema] = GHashTable()
        self._words: dict[tuple[str, str], WordMap] = {}
        self._domain: str | None = None
        self._schema: Schema | None = None
        self._key: Key | None = None
        self._map: WordMap | None = None
        self._text: list[str] | None = None
        self._stack: list[str] = []
        # (the element around, the element) -> attributes required, attributes optional, what it does
        self._elements: Mapping[tuple[str, str], tuple[str, str, _Start]] = {
            ("", "schemalist"): ("", "gettext-domain", self._schemalist),
            ("schemalist", "schema"): ("id", "path gettext-domain extends list-of", self._start_schema),
            ("schemalist", "enum"): ("id", "", self._start_words),
            ("schemalist", "flags"): ("id", "", self._start_words),
            ("enum", "value"): ("nick value", "", self._value),
            ("flags", "value"): ("nick value", "", self._value),
            ("schema", "key"): ("name", "type enum flags", self._start_key),
            ("schema", "child"): ("name schema", "", self._child),
            ("schema", "override"): ("name", "l10n context", self._start_override),
            ("key", "default"): ("", "l10n context", self._start_default),
            ("key", "summary"): ("", "", self._prose),
            ("key", "description"): ("", "", self._prose),
            ("key", "range"): ("", "min max", self._range),
            ("key", "choices"): ("", "", self._choices),
            ("choices", "choice"): ("value", "", self._choice),
            ("key", "aliases"): ("", "", self._aliases),
            ("aliases", "alias"): ("value target", "", self._alias),
        }

    def read(self, data: bytes, *, where: str) -> None:
        """Read a file; an ImageError names ``where`` and the line of what is wrong or not modelled."""
        parser = expat.ParserCreate("UTF-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.EntityDeclHandler = self._entity
        self._stack.clear()
        try:
            parser.Parse(data, True)
        except (ImageError, expat.ExpatError) as error:
            why = getattr(error, "message", str(error))
            raise ImageError(f"{where}, line {parser.CurrentLineNumber}: {why}") from error

    def _entity(self, *_: object) -> None:
        raise ImageError("an entity is declared, which a schema has no use for")

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)
        elif text.strip(_SPACES):
            raise ImageError(f"text inside <{self._stack[-1]}>")

    def _start(self, element: str, given: dict[str, str]) -> None:
        attributes = {name: value for name, value in given.items() if ":" not in name}
        container = self._stack[-1] if self._stack else ""
        self._stack.append(element)
        form = self._elements.get((container, element))
        if form is None or self._text is not None:
            raise ImageError(f"<{element}> does not belong into <{container}>")
        required, optional = (set(names.split()) for names in form[:2])
        missing, odd = required - attributes.keys(), attributes.keys() - required - optional
        if missing or odd:
            raise ImageError(f"<{element}> has no {sorted(missing)}, or should not have {sorted(odd)}")
        form[2](attributes)

    def _end(self, element: str) -> None:
        self._stack.pop()
        text, self._text = self._text, None
        if element in ("default", "override") and text is not None:
            key = _inside(self._key)
            key.default = parse_variant(key.type, "".join(text))
            key.message = f"{key.message}{''.join(text).strip(_SPACES)}" if key.localised else ""
        if element in ("default", "override", "range", "choices") and self._key is not None:
            self._check_default(self._key)
        if element in ("enum", "flags") and not self._map:
            raise ImageError(f"<{element}> without a value")
        if element == "key" and _inside(self._key).default is None:
            raise ImageError("<key> without <default>")
        if element in ("key", "override"):
            self._key = None

    def _check_default(self, key: Key) -> None:
        if key.default is not None and not key.allows(key.default):
            raise ImageError("the default value is not among the values allowed")

    def _schemalist(self, attributes: Mapping[str, str]) -> None:
        self._domain = attributes.get("gettext-domain")

    def _start_schema(self, attributes: Mapping[str, str]) -> None:
        name, path = attributes["id"], attributes.get("path")
        extends, list_of = attributes.get("extends"), attributes.get("list-of")
        if name in self.schemas:
            raise ImageError(f"the schema {name} is defined twice")
        for other in (extends, list_of):
            known = self.schemas.get(other) if other is not None else None
            if other is not None and (known is None or known.path is not None):
                raise ImageError(f"the schema {name} builds on {other}, which is not defined before or has a path")
        parent = self.schemas.get(extends) if extends is not None else None
        if parent is not None and list_of is not None and not self._is_subclass(list_of, parent.list_of):
            raise ImageError(f"the schema {name} is a list of {list_of}, and {extends} of {parent.list_of}")
        if parent is not None and list_of is None:
            list_of = parent.list_of
        if path is not None and not (path.startswith("/") and path.endswith(":/" if list_of else "/")):
            raise ImageError(f"the schema {name} has the path {path!r}")
        self._schema = Schema(path, attributes.get("gettext-domain", self._domain), extends, list_of)
        self.schemas[name] = self._schema

    def _is_subclass(self, name: str, possible_parent: str | None) -> bool:
        current: str | None = name
        while current is not None and current != possible_parent:
            schema = self.schemas.get(current)
            current = schema.extends if schema else None
        return current is not None

    def _start_words(self, attributes: Mapping[str, str]) -> None:
        where = (self._stack[-1], attributes["id"])
        if where in self._words:
            raise ImageError(f"{where[1]} is defined twice")
        self._map = self._words[where] = WordMap()

    def _value(self, attributes: Mapping[str, str]) -> None:
        is_flag = self._stack[-2] == "flags"
        nick, number = attributes["nick"], _integer(attributes["value"])
        smallest, largest = _LARGEST_FLAG if is_flag else _LARGEST_ENUM
        if len(nick.encode()) < _SHORTEST_NICK or number is None or not smallest <= number <= largest:
            raise ImageError(f"the value {attributes['value']!r} of {nick!r} is out of range, or the nick too short")
        if is_flag and number & (number - 1):
            raise ImageError(f"the flag {nick!r} has more than one bit")
        if number or not is_flag:
            _inside(self._map).add(nick, number, is_unique=True)

    def _start_key(self, attributes: Mapping[str, str]) -> None:
        schema, name = _inside(self._schema), attributes["name"]
        if schema.list_of is not None or name in schema.keys or not _is_key_name(name):
            raise ImageError(f"the key {name!r} is given twice, in a list, or has a bad name")
        parent = self._parent(schema)
        while parent is not None:
            shadowed = parent.keys.get(name)
            if shadowed is not None and not (isinstance(shadowed, Key) and shadowed.is_override):
                raise ImageError(f"the key {name!r} hides one of a schema that is extended")
            parent = self._parent(parent)
        kinds = [kind for kind in ("type", "enum", "flags") if kind in attributes]
        if len(kinds) != 1:
            raise ImageError(f"the key {name!r} needs one of type, enum, flags")
        self._key = self._new_key(kinds[0], attributes[kinds[0]])
        schema.keys[name] = self._key

    def _parent(self, schema: Schema) -> Schema | None:
        return self.schemas.get(schema.extends) if schema.extends is not None else None

    def _new_key(self, kind: str, name: str) -> Key:
        if kind == "type":
            if not is_type(name):
                raise ImageError(f"{name!r} is no type")
            return Key(name)
        words = self._words.get((kind, name))
        if words is None:
            raise ImageError(f"the {kind} {name} are not defined before")
        return Key("as" if kind == "flags" else "s", deepcopy(words), kind[0])

    def _child(self, attributes: Mapping[str, str]) -> None:
        schema, name = _inside(self._schema), f"{attributes['name']}/"
        if name in schema.keys or not _is_key_name(attributes["name"]):
            raise ImageError(f"the child {name!r} is given twice, or has a bad name")
        schema.keys[name] = attributes["schema"]

    def _start_override(self, attributes: Mapping[str, str]) -> None:
        schema, name = _inside(self._schema), attributes["name"]
        parent, original = self._parent(schema), None
        while parent is not None and original is None:
            original = parent.keys.get(name)
            parent = self._parent(parent)
        if not isinstance(original, Key) or name in schema.keys:
            raise ImageError(f"there is no key {name!r} to override, or it is overridden twice")
        self._key = original.overriding()
        self._start_default(attributes)
        schema.keys[name] = self._key

    def _start_default(self, attributes: Mapping[str, str]) -> None:
        key, category, context = _inside(self._key), attributes.get("l10n"), attributes.get("context")
        if category is None and context is not None:
            raise ImageError("a context for a value that is not translated")
        if category is not None and (category not in _LOCALISED or _inside(self._schema).gettext_domain is None):
            raise ImageError(f"l10n={category!r} is not known, or there is no gettext-domain")
        if key.default is not None:
            raise ImageError("two values for one key")
        key.localised = _LOCALISED[category] if category is not None else ""
        key.message = f"{context}\x04" if context is not None else ""
        self._text = []

    def _prose(self, _attributes: Mapping[str, str]) -> None:
        self._text = []

    def _range(self, attributes: Mapping[str, str]) -> None:
        key = _inside(self._key)
        if key.minimum is not None or not (key.type in INTEGER_RANGES or key.type == "d") or key.type == "h":
            raise ImageError(f"a range for a key of type {key.type}, or two of them")
        smallest, largest = INTEGER_RANGES.get(key.type, ("-inf", "inf"))
        key.minimum = parse_variant(key.type, attributes.get("min", str(smallest)))
        key.maximum = parse_variant(key.type, attributes.get("max", str(largest)))
        if key.minimum.value > key.maximum.value:
            raise ImageError("a range that ends before it begins")

    def _choices(self, _attributes: Mapping[str, str]) -> None:
        key = _inside(self._key)
        if key.words or key.words_kind == "e" or key.type.lstrip("am") != "s":
            raise ImageError(f"choices for a key of type {key.type}, or two of them")

    def _choice(self, attributes: Mapping[str, str]) -> None:
        _inside(self._key).words.add(attributes["value"])

    def _aliases(self, _attributes: Mapping[str, str]) -> None:
        if not _inside(self._key).words:
            raise ImageError("aliases of no words")

    def _alias(self, attributes: Mapping[str, str]) -> None:
        _inside(self._key).words.add_alias(attributes["value"], attributes["target"])


def _inside(noun: _Noun | None) -> _Noun:
    """What the element around the present one made; the table of elements sees to it that it is there."""
    if noun is None:
        raise ImageError("an element stands outside of the one that it belongs to")
    return noun


def _is_key_name(name: str) -> bool:
    return len(name) <= _LONGEST_NAME and _KEY_NAME.fullmatch(name) is not None


def _integer(text: str) -> int | None:
    """``strtoll`` with base 0 of the whole text."""
    found = re.fullmatch(r"\s*([-+]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", text)
    if found is None:
        return None
    digits = found[2]
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits.startswith("0") else 10
    return int(digits, base) * (-1 if found[1] == "-" else 1)
