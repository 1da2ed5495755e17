"""The table of known script parts: which part is done by which operations.

``known_scripts.toml`` is the data. An entry holds the part's key (:attr:`ScriptPart.key`), where it was seen, and what
it does as words: the name of an operation (:mod:`ocibuild.ecosystem.apt.configure.operations`) and its arguments.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from ocibuild.ecosystem.apt.configure.package import ConfiguredPackage, UnknownScript
from ocibuild.ecosystem.apt.configure.parts import ScriptPart, split_script

__all__ = ["KnownPart", "known_parts", "script_parts", "unknown_scripts", "unknown_why"]

_MEMBERS = ("preinst", "postinst")


@dataclass(frozen=True, slots=True)
class KnownPart:
    """What a known part does.

    ``does`` are the operations of ``preinst install`` or ``postinst configure``, ``triggered`` those of ``postinst
    triggered``. ``new_install_only`` is set where what an upgrade would do is not known.
    """

    does: tuple[tuple[str, ...], ...]
    triggered: tuple[tuple[str, ...], ...]
    new_install_only: bool


@cache
def known_parts() -> Mapping[str, KnownPart]:
    """The shipped table, by key."""
    text = resources.files(__package__).joinpath("known_scripts.toml").read_text("utf-8")
    return {
        entry["sha256"]: KnownPart(
            tuple(tuple(words.split()) for words in entry["does"]),
            tuple(tuple(words.split()) for words in entry.get("triggered", ())),
            entry.get("only", "") == "install",
        )
        for entry in tomllib.loads(text)["part"]
    }


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
    if known.new_install_only and package.previous_version:
        return f"known for a new install only, and {package.previous_version} is installed"
    return ""


def _first_words(lines: Sequence[str]) -> str:
    return f"its own text is not known ({len(lines)} lines)"
