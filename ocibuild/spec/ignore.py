"""``.dockerignore`` and ``.containerignore``: which of the repository's files stay out of the image.

Source: Docker's documentation, "Build context", ".dockerignore files": patterns are those of Go's ``filepath.Match``
with ``**`` for any number of folders; the last pattern that matches a path, or a folder above it, decides.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import takewhile

from ocibuild.core.errors import RepositoryError
from ocibuild.core.paths import ancestors

__all__ = ["IGNORE_FILES", "IgnoreRules"]

IGNORE_FILES = (".dockerignore", ".containerignore")
"""Both count where both are there, as if they were one file, in this order."""


@dataclass(frozen=True, slots=True)
class _Rule:
    form: re.Pattern[str]
    is_exception: bool


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """Patterns in their order. Without any, nothing is ignored."""

    rules: tuple[_Rule, ...] = ()

    @classmethod
    def parse(cls, text: str, *, file: str) -> "IgnoreRules":
        """Read one file. A RepositoryError names file and line of a pattern that has no meaning."""
        rules = []
        for number, line in enumerate(text.splitlines(), start=1):
            pattern = line.strip()
            if not pattern or pattern.startswith("#"):
                continue
            is_exception = pattern.startswith("!")
            pattern = pattern.removeprefix("!").strip()
            if not pattern:
                raise RepositoryError("'!' without a pattern", file=file, line=number)
            clean = posixpath.normpath(pattern).lstrip("/")
            try:
                rules.append(_Rule(re.compile(_regular_expression(clean), re.DOTALL), is_exception))
            except (re.error, ValueError) as error:
                raise RepositoryError(
                    f"{pattern!r} is no pattern: {error}",
                    file=file,
                    line=number,
                    hint="put \\ before a literal [ or \\",
                ) from error
        return cls(tuple(rules))

    def __add__(self, other: "IgnoreRules") -> "IgnoreRules":
        return IgnoreRules(self.rules + other.rules)

    def ignores(self, path: str) -> bool:
        """Whether the file at this path of the repository stays out."""
        ignored = False
        for rule in self.rules:
            if rule.is_exception == ignored and any(map(rule.form.fullmatch, (path, *ancestors(path)))):
                ignored = not rule.is_exception
        return ignored

    def kept(self, paths: Iterable[tuple[str, bool]]) -> set[str]:
        """Of these paths (each with whether it is a folder) those that the image holds.

        A folder that is ignored is kept all the same where something in it is kept.
        """
        kept = {path for path, _ in paths if not self.ignores(path)}
        for path in list(kept):
            kept.update(ancestors(path))
        return kept


class _Wildcard(Enum):
    STAR = "*"
    FOLDERS = "**"


def _regular_expression(pattern: str) -> str:
    """The pattern as a regular expression for whole paths.

    It takes time in proportion to the path, whatever the pattern: of all stars in one name, and of all ``**``, only the
    last needs to be tried at more than the first place that fits, so the others are atomic (as in Python's fnmatch).
    """
    chunks: list[list[str | _Wildcard]] = [[]]
    for token in _tokens(pattern):
        if token is not _Wildcard.FOLDERS:
            chunks[-1].append(token)
        elif chunks[-1] or len(chunks) == 1:  # "**/**" is one of them
            chunks.append([])
    first, *others = chunks
    parts = [_names(first)]
    for place, chunk in enumerate(others, start=1):
        if not chunk:
            parts.append(".*")
        elif place < len(others) and chunk[-1] == "/":
            parts.append(f"(?>(?:.*?/)??{_names(chunk)})")
        else:
            parts.append(f"(?:.*/)?{_names(chunk)}")
    return "".join(parts)


def _names(tokens: list[str | _Wildcard]) -> str:
    """Names with stars in them, none of which matches a slash."""
    text, is_open = "", False
    for place, token in enumerate(tokens, start=1):
        if isinstance(token, str):
            text += token
            continue
        has_more = _Wildcard.STAR in takewhile(lambda each: each != "/", tokens[place:])
        text += (")" if is_open else "") + ("(?>[^/]*?" if has_more else "[^/]*")
        is_open = has_more
    return text


def _tokens(pattern: str) -> Iterator[str | _Wildcard]:
    """The pattern's wildcards, and regular expressions for each of its other characters and classes."""
    place = 0
    while place < len(pattern):
        character = pattern[place]
        if pattern.startswith("**", place):
            # "**/" is any number of folders, none included; behind "**" the slash need not be there
            place += 3 if pattern.startswith("/", place + 2) else 2
            yield _Wildcard.FOLDERS
        elif character == "[":
            text, place = _character_class(pattern, place)
            yield text
        else:
            place += 2 if character == "\\" else 1
            if place > len(pattern):
                raise ValueError("a backslash at the end")
            if character == "*":
                yield _Wildcard.STAR
            else:
                yield "[^/]" if character == "?" else re.escape(pattern[place - 1])


def _character_class(pattern: str, start: int) -> tuple[str, int]:
    """``[abc]``, ``[a-z]`` or ``[^a-z]`` at ``start``, and the place behind it; it never matches a slash."""
    place = start + 1
    is_negated = pattern.startswith("^", place)
    place += is_negated
    members: list[str] = []
    while place < len(pattern) and (pattern[place] != "]" or not members):
        if pattern[place] == "\\":
            place += 1
        if place == len(pattern):
            break
        members.append(re.escape(pattern[place]) if pattern[place] != "-" else "-" if members else "\\-")
        place += 1
    if place >= len(pattern):
        raise ValueError("'[' without ']'")
    return f"(?!/)[{'^' if is_negated else ''}{''.join(members)}]", place + 1
