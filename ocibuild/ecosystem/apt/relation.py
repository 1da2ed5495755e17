"""Relations between packages: the syntax of Depends, Conflicts, Provides and the like (Debian Policy 7.1)."""

import re
from dataclasses import dataclass
from functools import lru_cache

from ocibuild.core.errors import ImageError

__all__ = ["Group", "Relation", "parse_groups", "parse_provides"]

_RELATION = re.compile(
    r"""\s* (?P<name> [^\s():,|\[\]<>]+ )
        (?: : (?P<qualifier> [a-z0-9-]+ ) )?
        \s* (?: \( \s* (?P<operator> <<|<=|<|>>|>=|>|= )? \s* (?P<version> [^)<>=\s][^)]*? ) \s* \) )?
        \s* (?: \[ (?P<architectures> [^\]]* ) \] )?
        \s* (?P<profiles> (?: < [^>]* > \s* )* )""",
    re.VERBOSE,
)
# "<" and ">" meant "or equal" before dpkg 1.4; apt and dpkg still read them so. apt takes no operator for "=".
_OPERATORS = {"<": "<=", ">": ">=", "": "=", None: "="}


@dataclass(frozen=True, slots=True)
class Relation:
    """One alternative: a package name and what is demanded of it.

    ``operator`` is ``""`` where any version will do, else one of ``<<``, ``<=``, ``=``, ``>=``, ``>>``. ``qualifier``
    is the word behind a colon (``any``, ``native`` or an architecture). ``architectures`` restricts the relation to
    some architectures; ``profiles`` is kept as written, for it concerns source packages alone.
    """

    name: str
    operator: str = ""
    version: str = ""
    qualifier: str = ""
    architectures: tuple[str, ...] = ()
    profiles: str = ""

    def __str__(self) -> str:
        qualifier = f":{self.qualifier}" if self.qualifier else ""
        version = f" ({self.operator} {self.version})" if self.operator else ""
        architectures = f" [{' '.join(self.architectures)}]" if self.architectures else ""
        profiles = f" {self.profiles}" if self.profiles else ""
        return f"{self.name}{qualifier}{version}{architectures}{profiles}"


Group = tuple[Relation, ...]
"""Alternatives, joined by ``|``: one of them is enough."""


def _parse_relation(text: str, whole: str) -> Relation:
    found = _RELATION.fullmatch(text)
    if found is None:
        raise ImageError(f"malformed relation {text.strip()!r} in {whole[:200]!r}")
    version = found["version"] or ""
    return Relation(
        name=found["name"],
        operator=_OPERATORS.get(found["operator"], found["operator"]) if version else "",
        version=version,
        qualifier=found["qualifier"] or "",
        architectures=tuple((found["architectures"] or "").split()),
        profiles=found["profiles"].strip(),
    )


@lru_cache(maxsize=32768)
def parse_groups(text: str) -> tuple[Group, ...]:
    """The groups of a relation field, in their order; an empty group (a stray comma) is overlooked.

    A malformed relation is an ImageError: apt and dpkg refuse the whole file for it.
    """
    return tuple(
        tuple(_parse_relation(alternative, text) for alternative in group.split("|"))
        for group in text.split(",")
        if group.strip()
    )


def parse_provides(text: str) -> tuple[Relation, ...]:
    """The names of a Provides field, in their order.

    An operator other than ``=`` makes no sense there; apt warns and drops the name, and so does this.
    """
    return tuple(group[0] for group in parse_groups(text) if group[0].operator in ("", "="))
