"""Resolving: what is asked of pip -> packages pinned to their bytes, for the image's Python and not this machine's.

uv resolves and gives a PEP 751 document, from which ``packaging.pylock`` selects one file a package. No code of any
package is run on this machine: a source that must be built first is named (:class:`PipResolution`, ``missing``), its
wheel is built in the image's root, and the same is resolved again with what that wheel says of itself.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ocibuild.core.asks import PipAsks
from ocibuild.core.events import EventSink, Notice, discard
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.ecosystem.pip.configuration import IndexSettings
from ocibuild.ecosystem.pip.source import PythonSource
from ocibuild.ecosystem.pip.target import PythonTarget

if TYPE_CHECKING:
    from ocibuild.ecosystem.pip.built import BuiltWheel
    from ocibuild.spec.preferred import PreferredPackage

__all__ = ["PipResolution", "given_up", "resolve"]


@dataclass(frozen=True, slots=True)
class PipResolution:
    """The packages, sorted by name, and where this machine finds them.

    A package's URL is its source's address and its path, joined. ``addresses`` may hold credentials and belongs to
    this machine: it is never recorded.

    Where ``missing`` is not empty the resolution is not final: wheels of these sources must be built, and what they
    depend on is unknown until then. ``packages`` are the others that are known so far.
    """

    packages: tuple[LockedPackage, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    missing: tuple[PythonSource, ...] = ()


def resolve(
    asks: PipAsks,
    target: PythonTarget,
    settings: IndexSettings,
    *,
    folder: Path,
    cache_folder: Path,
    environment: Mapping[str, str],
    variables: Mapping[str, str] = MappingProxyType({}),
    provided: Mapping[str, str] = MappingProxyType({}),
    replaces_provided: bool = False,
    exclude_newer: str | None = None,
    offline: bool = False,
    folder_in_image: str = "",
    built: "Mapping[str, BuiltWheel]" = MappingProxyType({}),
    unsuitable: Mapping[tuple[str, str], str] = MappingProxyType({}),
    tell: EventSink = discard,
) -> PipResolution:
    """Resolve ``asks`` for ``target`` over the indexes of ``settings`` and of the requirements files themselves.

    ``folder`` is the repository; ``cache_folder`` is uv's, kept between builds; of ``environment`` uv sees proxies,
    certificates, HOME and the like; ``variables`` fill ``${NAME}`` in requirements files. ``exclude_newer`` is a date
    or time as uv takes it: no file that was uploaded later is considered. ``folder_in_image`` is where the
    repository will be, for ``direct_url.json`` of local packages. ``provided`` are versions (by normalised name) that
    the environment has already, from elsewhere: they are taken and are not in the answer. With ``replaces_provided``
    another version is taken where something that is required speaks against one. ``built`` are the wheels built so far,
    by the keys of their sources; ``unsuitable`` are names and versions of sources that turned out not to be for this
    target, and why.

    A version is chosen as ``pip install`` chooses it: the newest that fits, whether it has a wheel or only its source.
    A bad line, an unknown name, a conflict, a wrong or missing hash is a RepositoryError; an index that cannot be asked
    a NetworkError; what uv cannot resolve for a MachineError.
    """
    # Imported here: a build with nothing to do imports this module, and resolves nothing.
    import tempfile  # noqa: PLC0415 - see above

    from ocibuild.ecosystem.pip.direct import Direct  # noqa: PLC0415 - see above
    from ocibuild.ecosystem.pip.provided import without_provided, write_provided  # noqa: PLC0415 - see above
    from ocibuild.ecosystem.pip.question import Question, merged, uv_for  # noqa: PLC0415 - see above
    from ocibuild.ecosystem.pip.requirements_file import read_requirements  # noqa: PLC0415 - see above
    from ocibuild.ecosystem.pip.selection import Selection, read_annotations  # noqa: PLC0415 - see above
    from ocibuild.ecosystem.pip.sources import Sources  # noqa: PLC0415 - see above
    from ocibuild.spec.preferred import preferred_packages  # noqa: PLC0415 - see above

    requirements = read_requirements(asks, folder=folder, variables=variables, formats=settings.formats)
    if not requirements.required:
        return PipResolution()
    settings = merged(settings, requirements)
    preferred: dict[str, PreferredPackage] = {}
    for file in asks.preferred:
        preferred |= preferred_packages(file.text, file=file.path, environment=target.environment())
    with tempfile.TemporaryDirectory(prefix="ocibuild-pip-") as scratch:
        if provided:
            settings = settings.joined(IndexSettings(find_links=(write_provided(provided, Path(scratch)),)))
        sources = Sources.of(settings)
        direct = Direct.of(requirements, built, target=target, folder=Path(scratch))
        uv = uv_for(
            settings, sources, requirements, folder=Path(scratch), cache_folder=cache_folder, environment=environment
        )
        question = Question(
            uv,
            target,
            settings,
            sources,
            direct.requirements,
            {} if replaces_provided else provided,
            exclude_newer,
            offline,
            known={(each.name, each.version): each for each in (wheel.metadata for wheel in built.values())},
            overrides=direct.overrides,
            unsuitable=unsuitable,
            preferred={package.name: package.version for package in preferred.values()} | dict(provided),
            undated=frozenset(provided),
        )
        answer = question.resolved()
        if not answer.is_done:
            asked_for = direct.asked_for(answer)
            if asked_for:
                return PipResolution(missing=(*direct.missing, *asked_for))
            question.fail(answer)
        annotations = read_annotations(question.annotations())
    selection = Selection(
        direct.requirements,
        target,
        sources,
        folder,
        folder_in_image,
        settings.require_hashes,
        direct=direct.wheels,
        built=built,
    )
    packages, addresses = without_provided(*selection.read(answer.output, annotations), provided)
    missing = (*direct.missing, *selection.missing)
    if not missing:  # else the same is resolved again
        for warning in answer.warnings:
            tell(Notice(warning, warning=True))
    return PipResolution(packages, addresses, missing)


def given_up(asks: PipAsks, target: PythonTarget, packages: Collection[LockedPackage]) -> list[str]:
    """Sentences on the preferences of layers that these packages of a resolution do not agree with."""
    from ocibuild.spec.preferred import preferred_packages  # noqa: PLC0415 - see above

    versions: dict[str, str] = {}
    for file in asks.preferred:
        found = preferred_packages(file.text, file=file.path, environment=target.environment())
        versions |= {package.name: package.version for package in found.values()}
    return [
        f"{package.name} {package.version} is taken, and not {versions[package.name]}, which a layer prefers"
        for package in packages
        if package.ecosystem is Ecosystem.PIP and versions.get(package.name, package.version) != package.version
    ]
