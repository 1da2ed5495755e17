"""Sources that are named directly, by a path, a URL or a checkout, and the wheels that were built of them.

uv is given those wheels in their place. What a package's own metadata names by a URL is treated the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.markers import Marker

from ocibuild.core.asks import Origin
from ocibuild.core.errors import RepositoryError
from ocibuild.ecosystem.pip.built import BuiltWheel
from ocibuild.ecosystem.pip.explanation import unbuilt_urls
from ocibuild.ecosystem.pip.hash_checking import error_at
from ocibuild.ecosystem.pip.requirement import PipRequirement, parse_requirement
from ocibuild.ecosystem.pip.requirements_file import Requirements
from ocibuild.ecosystem.pip.source import PythonSource
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.ecosystem.pip.uv import UvAnswer

__all__ = ["Direct"]


@dataclass(frozen=True, slots=True)
class Direct:
    """``requirements`` name wheels only; those whose wheel is not built yet are left out, and are ``missing``.

    ``wheels`` are the built ones by name. ``overrides`` are requirements that stand for what packages, not the
    repository, ask for by URL.
    """

    requirements: Requirements
    missing: tuple[PythonSource, ...] = ()
    wheels: Mapping[str, BuiltWheel] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, requirements: Requirements, built: Mapping[str, BuiltWheel], *, target: PythonTarget, folder: Path
    ) -> "Direct":
        """Sort out the requirements of a target; ``folder`` is for links to the wheels, under their own names."""
        for constraint in requirements.constraints:
            if constraint.source is not None:
                raise error_at(constraint, f"a constraint cannot name a source: {constraint.shown}")
        links = folder / "wheels"
        links.mkdir()
        required: list[PipRequirement] = []
        missing: list[PythonSource] = []
        wheels: dict[str, BuiltWheel] = {}
        for requirement in requirements.required:
            source = requirement.source
            if source is None:
                required.append(requirement)
            elif not _applies(requirement, target):
                continue
            elif source.key in built:
                wheel = built[source.key]
                _check(requirement, wheel)
                wheels[wheel.metadata.name] = wheel
                required.append(_of_wheel(requirement, wheel, links))
            else:
                missing.append(source)
        known = {wheel.source.key for wheel in wheels.values()}
        others = [wheel for wheel in built.values() if not wheel.source.is_of_index and wheel.source.key not in known]
        wheels |= {wheel.metadata.name: wheel for wheel in others}
        overrides = tuple(f"{wheel.metadata.name} @ {_linked(wheel, links)}" for wheel in others)
        return cls(replace(requirements, required=tuple(required)), tuple(missing), wheels, overrides)

    def asked_for(self, answer: UvAnswer) -> tuple[PythonSource, ...]:
        """The sources that uv could not look into, because a package asks for them by URL."""
        found = []
        for name, url in unbuilt_urls(answer):
            if "file:" in url.partition("//")[0]:  # a package's own metadata may ask for anything
                raise RepositoryError(f"a package asks for {url}, which is not in the repository")
            requirement = parse_requirement(f"{name} @ {url}", Origin(f"a dependency of {name}"), folder=Path("/"))
            if requirement.source is not None and name not in self.wheels:
                found.append(replace(requirement.source, why=()))
        return tuple(found)


def _applies(requirement: PipRequirement, target: PythonTarget) -> bool:
    environment = {name: str(value) for name, value in target.environment().items()}
    return not requirement.marker or Marker(requirement.marker).evaluate(environment)


def _check(requirement: PipRequirement, wheel: BuiltWheel) -> None:
    if requirement.name and requirement.name != wheel.metadata.name:
        raise error_at(requirement, f"{requirement.name} is asked for, but it is the source of {wheel.metadata.name}")


def _of_wheel(requirement: PipRequirement, wheel: BuiltWheel, links: Path) -> PipRequirement:
    name = wheel.metadata.name
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return replace(requirement, name=name, text=f"{name}{requirement.extras} @ {_linked(wheel, links)}{marker}")


def _linked(wheel: BuiltWheel, links: Path) -> str:
    """The URL of the wheel under its own name, which uv reads."""
    link = links / wheel.file_name
    if not link.is_symlink():
        link.symlink_to(wheel.path.absolute())
    return link.as_uri()
