"""The lock of a catalogue layer: versions of Python packages that are preferred, with the hashes of their files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from ocibuild.core.errors import RepositoryError

if TYPE_CHECKING:
    from packaging.markers import Environment

__all__ = ["PreferredPackage", "preferred_packages"]

_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;]+)(?:\s*;\s*(?P<marker>.+?))?")
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class PreferredPackage:
    """A version, and the hashes (``sha256:<hex>``) of all of its files."""

    name: str
    version: str
    hashes: frozenset[str]


def preferred_packages(text: str, *, file: str, environment: "Environment") -> Mapping[str, PreferredPackage]:
    """The packages of a lock that hold in this environment (PEP 508), by their normalised names.

    ``text`` is a requirements file as ``uv pip compile --universal --generate-hashes`` writes it. A RepositoryError
    names file and line of a line that pins no version, or has no hash.
    """
    from packaging.markers import Marker  # noqa: PLC0415 - a build with nothing to do resolves nothing
    from packaging.utils import canonicalize_name  # noqa: PLC0415 - as above

    found: dict[str, PreferredPackage] = {}
    known: dict[str, bool] = {}  # few markers, many packages
    for number, line in _joined(text):
        hashes = frozenset(_HASH.findall(line))
        pin = _PIN.fullmatch(line.partition("--hash")[0].strip())
        if pin is None or not hashes:
            raise RepositoryError(f"not a pinned package with its hashes: {line[:80]!r}", file=file, line=number)
        marker = pin["marker"] or ""
        if marker and marker not in known:
            known[marker] = Marker(marker).evaluate(cast("Mapping[str, str]", environment))
        if not marker or known[marker]:
            name = canonicalize_name(pin["name"])
            found[name] = PreferredPackage(name, pin["version"], hashes)
    return found


def _joined(text: str) -> list[tuple[int, str]]:
    """Lines with those that continue them, without comments, each with the number of its first line."""
    lines: list[tuple[int, str]] = []
    is_continued = False
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        part = line.removesuffix("\\").strip()
        if is_continued:
            start, before = lines[-1]
            lines[-1] = (start, f"{before} {part}")
        else:
            lines.append((number, part))
        is_continued = line.endswith("\\")
    return lines
