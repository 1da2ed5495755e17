"""Words and variables of a Dockerfile's instructions, as Docker's shell lexer reads them.

Source: "Environment replacement" of the Dockerfile reference.
"""

import re
from collections.abc import Mapping

from ocibuild.core.asks import Origin
from ocibuild.core.errors import RepositoryError

__all__ = ["expanded", "split_words"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MODIFIER = re.compile(r":?[-+?]")


def split_words(text: str) -> list[str]:
    """The words between white space; quotation marks and backslashes keep it in a word, and stay."""
    words: list[str] = []
    word, quote, place = "", "", 0
    while place < len(text):
        character = text[place]
        if character == "\\" and quote != "'":
            word += text[place : place + 2]
            place += 2
            continue
        if character in "\"'" and quote in ("", character):
            quote = "" if quote else character
        if character.isspace() and not quote:
            words += [word] if word else []
            word = ""
        else:
            word += character
        place += 1
    return [*words, word] if word else words


def expanded(text: str, variables: Mapping[str, str], *, origin: Origin) -> str:
    """The text without its quotation marks and backslashes, and with variables in the place of their names.

    The forms are ``$NAME``, ``${NAME}``, and ``${NAME:-word}``, ``${NAME:+word}``, ``${NAME:?text}`` with or without
    the colon; an unknown variable is empty; nothing is replaced between single quotation marks. A RepositoryError, at
    ``origin``, for any other form.
    """
    return _Expansion(text, variables, origin).read(end="")


class _Expansion:
    def __init__(self, text: str, variables: Mapping[str, str], origin: Origin) -> None:
        self._text = text
        self._variables = variables
        self._origin = origin
        self._place = 0

    def read(self, *, end: str) -> str:
        """Read up to the character ``end``, or to the end of the text."""
        result, quote = "", ""
        while self._place < len(self._text):
            character = self._text[self._place]
            if character == end and not quote:
                self._place += 1
                return result
            self._place += 1
            if character in "\"'" and quote in ("", character):
                quote = "" if quote else character
            elif character == "\\" and quote != "'":
                result += self._escaped(in_quotes=bool(quote))
            elif character == "$" and quote != "'":
                result += self._variable()
            else:
                result += character
        if end or quote:
            raise self._error(f"{quote or end} is missing in {self._text!r}")
        return result

    def _escaped(self, *, in_quotes: bool) -> str:
        """The character behind a backslash; between double quotation marks only some need one."""
        following = self._text[self._place : self._place + 1]
        self._place += 1
        return following if not in_quotes or following in '"$\\' else f"\\{following}"

    def _variable(self) -> str:
        found = _NAME.match(self._text, self._place)
        if found is not None:
            self._place = found.end()
            return self._variables.get(found[0], "")
        if not self._text.startswith("{", self._place):
            return "$"
        found = _NAME.match(self._text, self._place + 1)
        if found is None:
            raise self._error(f"no variable's name in {self._text!r}")
        self._place = found.end()
        value = self._variables.get(found[0])
        if self._text.startswith("}", self._place):
            self._place += 1
            return value or ""
        modifier = _MODIFIER.match(self._text, self._place)
        if modifier is None:
            raise self._error(f"{self._text!r} has a form of variables that cannot be followed")
        self._place = modifier.end()
        word = self.read(end="}")
        is_set = bool(value) if modifier[0].startswith(":") else value is not None
        match modifier[0][-1]:
            case "-":
                return (value or "") if is_set else word
            case "+":
                return word if is_set else ""
            case _:
                if not is_set:
                    raise self._error(f"{found[0]}: {word or 'is not set'}")
                return value or ""

    def _error(self, message: str) -> RepositoryError:
        return RepositoryError(message, file=self._origin.file, line=self._origin.line)
