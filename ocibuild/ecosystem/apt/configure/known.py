"""The table of known script parts: which part is done by which operations.

``known_scripts.toml`` is the data. An entry holds the part's key (:attr:`ScriptPart.key`), where it was seen, and what
it does as lines of words: the name of an operation (:mod:`ocibuild.ecosystem.apt.configure.operations`) and its
arguments.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from ocibuild.ecosystem.apt.configure.package import ConfiguredPackage, UnknownScript
from ocibuild.ecosystem.apt.configure.parts import ScriptPart, split_script
from ocibuild.ecosystem.apt.version import compare

__all__ = ["KnownPart", "known_parts", "script_parts", "unknown_scripts", "unknown_why"]

_MEMBERS = ("preinst", "postinst")
Operations = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class KnownPart:
    """What a known part does.

    ``install`` are the operations of ``preinst install`` or ``postinst configure`` where no version was configured
    before, ``upgrade`` those where one was, from version ``since`` on (``""``: any); None where that is not known.
    ``triggered`` are those of ``postinst triggered``, None where that is not known.
    """

    install: Operations
    upgrade: Operations | None
    since: str
    triggered: Operations | None

    def does(self, previous_version: str) -> "Operations | None":
        """What is to be done where ``previous_version`` was configured before (``""`` for none); None if not known."""
        if not previous_version:
            return self.install
        return None if self.since and compare(previous_version, self.since) < 0 else self.upgrade


@cache
def known_parts() -> Mapping[str, KnownPart]:
    """The shipped table, by key."""
    text = resources.files(__package__).joinpath("known_scripts.toml").read_text("utf-8")
    return {entry["sha256"]: _known_part(entry) for entry in tomllib.loads(text)["part"]}


def _known_part(entry: Mapping[str, Any]) -> KnownPart:
    install = _operations(entry["does"])
    upgrade = install if "upgrade" not in entry else _operations(entry["upgrade"])
    is_snippet = " snippet, " in entry["seen"]  # debhelper's snippets ask for "configure" and leave triggers alone
    triggered = _operations(entry["triggered"]) if "triggered" in entry else () if is_snippet else None
    return KnownPart(install, None if entry.get("only") == "install" else upgrade, entry.get("since", ""), triggered)


def _operations(lines: Sequence[str]) -> Operations:
    return tuple(tuple(line.split()) for line in lines)


def script_parts(package: ConfiguredPackage, member: str) -> list[ScriptPart]:
    """The parts of one of the package's scripts that do something; nothing where it has no such script."""
    content = package.scripts.get(member)
    if content is None:
        return []
    parts = split_script(
        member, content, package=package.name, version=package.version, architecture=package.architecture
    )
    return [part for part in parts if not part.is_empty]


def unknown_scripts(packages: Iterable[ConfiguredPackage]) -> tuple[UnknownScript, ...]:
    """The scripts of these packages that are not known as data, each once; pure, from the scripts alone."""
    found = []
    for package in packages:
        for member in _MEMBERS:
            reasons = [why for part in script_parts(package, member) if (why := unknown_why(part, package))]
            if reasons:
                found.append(UnknownScript(package.name, member, "; ".join(dict.fromkeys(reasons))))
    return tuple(found)


def unknown_why(part: ScriptPart, package: ConfiguredPackage) -> str:
    """Why the part cannot be done as data for this package; ``""`` where it can."""
    known = known_parts().get(part.key)
    if known is None:
        return f"a snippet of {part.tool} is not known" if part.tool else _first_words(part.normalised.splitlines())
    if known.does(package.previous_version) is not None:
        return ""
    since = f" or an upgrade from {known.since} on" if known.since else ""
    return f"known for a new install{since}, and {package.previous_version} is installed"


def _first_words(lines: Sequence[str]) -> str:
    return f"its own text is not known ({len(lines)} lines)"
