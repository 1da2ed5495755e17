"""``apt.txt``: the Debian packages that a repository asks for."""

import re

from ocibuild.core.asks import AptAsk, Origin
from ocibuild.core.errors import RepositoryError

__all__ = ["parse_apt_txt"]

_WORD = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.]*(?:-+[a-z0-9+.]+)*)"  # Debian policy 5.6.1, and what virtual packages use
    r"(?P<remove>-)?"
    r"(?::(?P<architecture>[a-z0-9-]+))?"
    r"(?:=(?P<version>[A-Za-z0-9.+:~*-]+)|/(?P<suite>[A-Za-z0-9.+_/-]+))?"
)


def parse_apt_txt(text: str, *, file: str) -> tuple[AptAsk, ...]:
    """The asks of an ``apt.txt``, in its order.

    ``#`` starts a comment; a line may hold several words, each as ``apt-get install`` takes it: ``name``,
    ``name:architecture``, ``name=version`` (a final ``*`` matches a prefix), ``name/suite``, ``name-`` to leave a
    package out. repo2docker reads one name a line and knows no versions: what it accepts and apt understands is
    accepted here.
    A RepositoryError names file and line of anything else.
    """
    asks = []
    for number, line in enumerate(text.splitlines(), start=1):
        for word in line.partition("#")[0].split():
            found = _WORD.fullmatch(word)
            if found is None:
                raise RepositoryError(
                    f"{word!r} is not a package name",
                    file=file,
                    line=number,
                    hint="write names in lower case, such as libgl1, git=1:2.39.5-0+deb12u2 or "
                    "libreoffice/bookworm-backports, one or more on a line",
                )
            asks.append(
                AptAsk(
                    found["name"],
                    Origin(file, number),
                    architecture=found["architecture"] or "",
                    version=found["version"] or "",
                    suite=found["suite"] or "",
                    remove=found["remove"] is not None,
                )
            )
    return tuple(asks)
