"""Resolving: what is asked of pip -> packages pinned to their bytes, for the image's Python and not this machine's.

uv resolves and gives a PEP 751 document, from which ``packaging.pylock`` selects one wheel a package. No code of any
package is run: what has no wheel is named, and not built.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ocibuild.core.asks import PipAsks
from ocibuild.core.errors import MachineError
from ocibuild.core.events import EventSink, Notice, discard
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.pip.configuration import IndexSettings
from ocibuild.ecosystem.pip.target import PythonTarget

if TYPE_CHECKING:
    from ocibuild.ecosystem.pip.requirements_file import Requirements

__all__ = ["PipResolution", "resolve"]


@dataclass(frozen=True, slots=True)
class PipResolution:
    """The packages, sorted by name, and where this machine finds them.

    A package's URL is its source's address and its path, joined. ``addresses`` may hold credentials and belongs to
    this machine: it is never recorded.
    """

    packages: tuple[LockedPackage, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def resolve(
    asks: PipAsks,
    target: PythonTarget,
    settings: IndexSettings,
    *,
    folder: Path,
    cache_folder: Path,
    environment: Mapping[str, str],
    variables: Mapping[str, str] = MappingProxyType({}),
    constraints: Mapping[str, str] = MappingProxyType({}),
    exclude_newer: str | None = None,
    offline: bool = False,
    folder_in_image: str = "",
    tell: EventSink = discard,
) -> PipResolution:
    """Resolve ``asks`` for ``target`` over the indexes of ``settings`` and of the requirements files themselves.

    ``folder`` is the repository; ``cache_folder`` is uv's, kept between builds; of ``environment`` uv sees proxies,
    certificates, HOME and the like; ``variables`` fill ``${NAME}`` in requirements files. ``constraints`` are versions
    (by name) that something else in the image fixes. ``exclude_newer`` is a date or time as uv takes it: no file that
    was uploaded later is considered. ``folder_in_image`` is where the repository will be, for ``direct_url.json`` of
    local wheels.

    A bad line, an unknown name, a conflict, a wrong or missing hash is a RepositoryError; a package without a wheel for
    the target, or a line that asks for a build, a MachineError naming it; an index that cannot be asked a NetworkError.
    """
    # Imported here: a build with nothing to do imports this module, and resolves nothing.
    import tempfile  # noqa: PLC0415 - see above

    from ocibuild.ecosystem.pip.question import Question, merged, uv_for  # noqa: PLC0415 - see above
    from ocibuild.ecosystem.pip.requirements_file import read_requirements  # noqa: PLC0415 - see above
    from ocibuild.ecosystem.pip.selection import Selection, read_annotations  # noqa: PLC0415 - see above
    from ocibuild.ecosystem.pip.sources import Sources  # noqa: PLC0415 - see above

    requirements = read_requirements(asks, folder=folder, variables=variables)
    if not requirements.required:
        return PipResolution()
    _refuse_builds(requirements)
    settings = merged(settings, requirements)
    sources = Sources.of(settings)
    with tempfile.TemporaryDirectory(prefix="ocibuild-pip-") as scratch:
        uv = uv_for(
            settings, sources, requirements, folder=Path(scratch), cache_folder=cache_folder, environment=environment
        )
        question = Question(uv, target, settings, sources, requirements, constraints, exclude_newer, offline)
        answer = question.ask("--format=pylock.toml")
        for warning in answer.warnings:
            tell(Notice(warning, warning=True))
        if not answer.is_done:
            question.fail(answer)
        annotations = read_annotations(question.annotations())
    selection = Selection(requirements, target, sources, folder, folder_in_image, settings.require_hashes)
    return PipResolution(*selection.read(answer.output, annotations))


def _refuse_builds(requirements: "Requirements") -> None:
    to_build = [each for each in requirements.required if each.must_build]
    if to_build:
        raise MachineError(
            "packages would have to be built from source, which this program does not do yet: "
            + "; ".join(f"{each.origin}: {each.shown}: {each.must_build}" for each in to_build),
            hint="name a release that has a wheel, or build the wheel, put it into the repository and name its path",
        )
