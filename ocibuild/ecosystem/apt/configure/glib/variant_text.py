"""GVariant values written as text.

Source: GLib's documentation, "GVariant Text Format". Of values without a given type (inside of ``<...>``) those whose
type the first element of each container shows are read.
"""

import re
import sys
from typing import Any

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.configure.glib.gvariant import INTEGER_RANGES, Variant, element_type, is_type, member_types

__all__ = ["parse_variant"]

_WORD = re.compile(
    r"""
    [ \t\n\r\f\v]*(
      [-+.0-9][-+.0-9A-Za-z]*
    | b?'(?:[^'\\]|\\.)*' | b?"(?:[^"\\]|\\.)*"
    | [a-z][a-zA-Z0-9]*
    | @[^\s,:>\]]+?(?=[\s,:>\]\['"<]|$)
    | [][(){}<>,:]
    )""",
    re.VERBOSE | re.DOTALL,
)
_SPACES = " \t\n\r\f\v"
_KEYWORDS = {
    "boolean": "b", "byte": "y", "int16": "n", "uint16": "q", "int32": "i", "uint32": "u", "handle": "h", "int64": "x",
    "uint64": "t", "double": "d", "string": "s", "objectpath": "o", "signature": "g",
}  # fmt: skip
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\n": ""}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_OBJECT_PATH = re.compile(r"/|(/[A-Za-z0-9_]+)+")
_DECIMAL, _OCTAL, _HEXADECIMAL = re.compile(r"0|[1-9][0-9]*"), re.compile(r"0[0-7]+"), re.compile(r"0[xX][0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?([0-9]+\.?[0-9]*([eE][-+]?[0-9]+)?|\.[0-9]+([eE][-+]?[0-9]+)?|inf|infinity|nan)")
_SURROGATES = range(0xD800, 0xE000)
_DEEPEST = 64


def parse_variant(kind: str, text: str) -> Variant:
    """The value of type ``kind`` that the text is; a ImageError where it is none, or one that is not modelled."""
    parser = _Parser(text)
    value = parser.value(kind)
    if parser.word:
        raise parser.error(f"{parser.word!r} behind the value")
    return Variant(kind, value.value)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._depth = 0
        self.word = ""
        self._next()

    def error(self, why: str) -> ImageError:
        return ImageError(f"no GVariant text that can be read: {why}, in {self._text.strip()[:200]!r}")

    def _next(self) -> str:
        """Take the word that was looked at, and look at the next; ``""`` at the end."""
        taken = self.word
        found = _WORD.match(self._text, self._position)
        if found is None:
            if self._text[self._position :].strip(_SPACES):
                raise self.error(f"an odd character at {self._position}")
            self.word = ""
        else:
            self.word = found[1]
            self._position = found.end()
        return taken

    def _expect(self, word: str) -> None:
        if self.word != word:
            raise self.error(f"{self.word!r} where {word!r} belongs")
        self._next()

    def value(self, kind: str | None) -> Variant:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self.error("too deep")
        try:
            return self._value(kind)
        finally:
            self._depth -= 1

    def _value(self, kind: str | None) -> Variant:
        word = self.word
        if word.startswith("@"):
            self._next()
            if not is_type(word[1:]):
                raise self.error(f"{word!r} is no type")
            return self._agreeing(kind, self.value(word[1:]))
        if word in _KEYWORDS:
            self._next()
            return self._agreeing(kind, self.value(_KEYWORDS[word]))
        if (kind is not None and kind.startswith("m")) or word in ("nothing", "just"):
            return self._maybe(kind)
        readers = {"[": self._array, "{": self._dictionary, "(": self._tuple, "<": self._variant}
        return readers.get(word, self._scalar)(kind)

    def _variant(self, kind: str | None) -> Variant:
        self._next()
        inner = self.value(None)
        self._expect(">")
        return self._agreeing(kind, Variant("v", inner))

    def _agreeing(self, kind: str | None, found: Variant) -> Variant:
        if kind is None or kind == found.type:
            return found
        if kind == f"m{found.type}":
            return Variant(kind, (found.value,))
        raise self.error(f"a value of type {found.type} where {kind} belongs")

    def _maybe(self, kind: str | None) -> Variant:
        if kind is not None and not kind.startswith("m"):
            raise self.error(f"{self.word!r} where {kind} belongs")
        if self.word == "nothing":
            if kind is None:
                raise self.error("'nothing' of no type")
            self._next()
            return Variant(kind, ())
        if self.word == "just":
            self._next()
        inner = self.value(element_type(kind) if kind else None)
        return Variant(f"m{inner.type}", (inner.value,))

    def _list(self, end: str, kinds: Any) -> list[Variant]:
        """Values separated by commas up to ``end``; ``kinds`` gives each its type from those before it."""
        self._next()
        values: list[Variant] = []
        while self.word != end:
            if values:
                self._expect(",")
                if self.word == end and end == ")" and len(values) == 1:
                    break
            values.append(self.value(kinds(values)))
        self._next()
        return values

    def _array(self, kind: str | None) -> Variant:
        if kind is not None and not kind.startswith("a"):
            raise self.error(f"an array where {kind} belongs")
        element = element_type(kind) if kind else None
        values = self._list("]", lambda before: element or (before[0].type if before else None))
        if kind is None and not values:
            raise self.error("an empty array of no type")
        return Variant(kind or f"a{values[0].type}", tuple(value.value for value in values))

    def _tuple(self, kind: str | None) -> Variant:
        if kind is not None and not kind.startswith("("):
            raise self.error(f"a tuple where {kind} belongs")
        members = member_types(kind) if kind else None
        values = self._list(")", lambda before: None if members is None else self._member(members, len(before)))
        if members is not None and len(values) != len(members):
            raise self.error(f"{len(values)} values where {kind} belongs")
        return Variant(kind or f"({''.join(value.type for value in values)})", tuple(value.value for value in values))

    def _member(self, members: list[str], number: int) -> str:
        if number >= len(members):
            raise self.error("too many values in a tuple")
        return members[number]

    def _dictionary(self, kind: str | None) -> Variant:
        """``{}``, ``{key: value, ...}``, or the single entry ``{key, value}``."""
        if kind is not None and not kind.startswith(("a{", "{")):
            raise self.error(f"a dictionary where {kind} belongs")
        types: list[str | None] = list(member_types(kind.removeprefix("a"))) if kind else [None, None]
        entries: list[tuple[Any, Any]] = []
        self._next()
        is_single = False
        while self.word != "}":
            if entries:
                self._expect(",")
            key = self.value(types[0])
            is_single = not entries and self.word == ","
            self._expect("," if is_single else ":")
            value = self.value(types[1])
            types = [key.type, value.type]
            entries.append((key.value, value.value))
            if is_single and self.word != "}":
                raise self.error("a dictionary's entry of three values")
        self._next()
        if kind is None and not entries:
            raise self.error("an empty dictionary of no type")
        if is_single != (kind is not None and kind.startswith("{")):
            raise self.error("an entry where a dictionary belongs, or the other way round")
        return Variant(kind or f"a{{{types[0]}{types[1]}}}", entries[0] if is_single else tuple(entries))

    def _scalar(self, kind: str | None) -> Variant:
        word = self._next()
        if word in ("true", "false"):
            return self._agreeing(kind, Variant("b", word == "true"))
        if word[:1] in ("'", '"'):
            return self._string(word, kind or "s")
        if word[:2] in ("b'", 'b"'):
            raise self.error("a byte string, which is not modelled")
        if _FLOAT.fullmatch(word) or word[:1] in ("-", "+") or word[:1].isdigit():
            return self._number(word, kind)
        raise self.error(f"{word!r} where a value belongs")

    def _string(self, word: str, kind: str) -> Variant:
        def unescaped(found: re.Match[str]) -> str:
            code = found[1]
            if code[0] in "uU":
                if len(code) == 1:
                    raise self.error("an incomplete escape")
                number = int(code[1:], 16)
                if not number or number > sys.maxunicode or number in _SURROGATES:
                    raise self.error("an escape of no character")
                return chr(number)
            return _ESCAPES.get(code, code)

        text = _ESCAPE.sub(unescaped, word[1:-1])
        if kind == "o" and not _OBJECT_PATH.fullmatch(text):
            raise self.error(f"{text!r} is no object path")
        if kind == "g" and not is_type(f"({text})"):
            raise self.error(f"{text!r} is no signature")
        if kind not in ("s", "o", "g"):
            raise self.error(f"a string where {kind} belongs")
        return Variant(kind, text)

    def _number(self, word: str, kind: str | None) -> Variant:
        digits = word.lstrip("-+") if word[1:2] not in ("-", "+") else ""
        bases = ((_HEXADECIMAL, 16), (_OCTAL, 8), (_DECIMAL, 10))
        base = next((base for form, base in bases if form.fullmatch(digits)), 0)
        if kind is None:
            kind = "i" if base else "d"
        if kind == "d":
            if not _FLOAT.fullmatch(word):
                raise self.error(f"{word!r} is no number")
            return Variant(kind, float(word))
        if kind not in INTEGER_RANGES or not base:
            raise self.error(f"{word!r} where {kind} belongs")
        number = int(digits, base) * (-1 if word.startswith("-") else 1)
        smallest, largest = INTEGER_RANGES[kind]
        if not smallest <= number <= largest:
            raise self.error(f"{word} is out of the range of {kind}")
        return Variant(kind, number)
