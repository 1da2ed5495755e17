"""Which files the hashes in requirements files allow.

Source: pip 26.3's "Hash-checking Mode" and ``resolution/resolvelib``: as soon as one line has a hash, every package
that the files need must be pinned and have one.
"""

from collections.abc import Mapping
from typing import Any

from ocibuild.core.errors import RepositoryError
from ocibuild.ecosystem.pip.built import BuiltWheel
from ocibuild.ecosystem.pip.requirement import PipRequirement
from ocibuild.ecosystem.pip.requirements_file import Requirements
from ocibuild.ecosystem.pip.source import SourceKind

__all__ = ["error_at", "keep_hashed"]

_HINT = "make the file with a tool that lists dependencies too, such as uv pip compile --generate-hashes"


def keep_hashed(
    document: dict[str, Any],
    requirements: Requirements,
    requires: Mapping[str, set[str]],
    direct: Mapping[str, BuiltWheel],
) -> None:
    """Drop the files of a PEP 751 document that no hash allows; every package that the files need must keep one.

    ``requires`` are the packages that each package needs. ``direct`` are wheels built of what requirements name
    directly, by name: of those it is the source's hash that counts. A RepositoryError names the line.
    """
    files = [line for line in (*requirements.required, *requirements.constraints) if line.in_file]
    for requirement in requirements.required:
        if requirement.in_file and not requirement.is_exact:
            raise error_at(requirement, f"{requirement.text} must be pinned with == where hashes are required")
        if requirement.in_file and requirement.source and requirement.source.kind is not SourceKind.ARCHIVE:
            raise error_at(requirement, f"{requirement.shown} has no hash, and hashes are required")
    needed = _reachable({line.name for line in files}, requires)
    for package in document.get("packages", ()):
        if package["name"] in needed:
            lines = [line for line in files if line.name == package["name"]]
            _keep_allowed(package, lines, direct.get(package["name"]))


def _keep_allowed(package: dict[str, Any], lines: list[PipRequirement], built: BuiltWheel | None) -> None:
    allowed = {value for line in lines for value in line.hashes}
    where = f"{package['name']}=={package.get('version', '')}".removesuffix("==")
    if not allowed:
        message = f"hashes are required, and none is given for {where}"
        raise error_at(lines[0], message) if lines else RepositoryError(message, hint=_HINT)
    if built is not None:
        artifacts = [{"hashes": {"sha256": built.source_digest.hex}}]
    else:
        single = [package[form] for form in ("archive", "sdist") if form in package]
        artifacts = [*package.get("wheels", ()), *single]
    kept = [each for each in artifacts if _hashes(each) & allowed]
    if not kept:
        found = sorted({value for each in artifacts for value in _hashes(each)})
        raise error_at(
            lines[0],
            f"no file of {where} for this target has a hash that is given here; "
            f"the index says {', '.join(found) or 'nothing'}",
        )
    if "archive" not in package:
        package["wheels"] = [each for each in kept if each is not package.get("sdist")]
        if package.get("sdist") not in kept:
            package.pop("sdist", None)


def _hashes(artifact: Mapping[str, Any]) -> set[str]:
    return {f"{kind}:{value}" for kind, value in artifact.get("hashes", {}).items()}


def _reachable(names: set[str], requires: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        found |= waiting
        waiting = {each for name in waiting for each in requires.get(name, ())} - found
    return found


def error_at(requirement: PipRequirement | None, message: str) -> RepositoryError:
    """The error at the line of a requirement, if there is one."""
    origin = requirement.origin if requirement else None
    return RepositoryError(message, file=origin.file if origin else None, line=origin.line if origin else None)
