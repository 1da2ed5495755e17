"""Resolving: what is asked of conda -> packages pinned to their bytes, for the image's system and not this machine's.

rattler solves. No code of any package is run, and no virtual package is this machine's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from types import MappingProxyType

from ocibuild.core.asks import CondaAsks, EitherAsk, PipAsks
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.conda.configuration import CondaSettings
from ocibuild.ecosystem.conda.order import package_name
from ocibuild.ecosystem.conda.target import CondaTarget

__all__ = ["CondaResolution", "resolve"]


@dataclass(frozen=True, slots=True)
class CondaResolution:
    """The packages, sorted by name, and where this machine finds them.

    A package's URL is its source's address and its path, joined. ``addresses`` may hold credentials and belongs to this
    machine: it is never recorded. ``given_up`` are preferred packages that another version or build had to replace.
    ``pip`` is what is to be asked of pip: the Python packages of a lock file, pinned, with hashes, and what no channel
    has of the things that come from either.
    """

    packages: tuple[LockedPackage, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    given_up: tuple[LockedPackage, ...] = ()
    pip: PipAsks = field(default_factory=PipAsks)


def resolve(
    asks: CondaAsks,
    target: CondaTarget,
    settings: CondaSettings,
    *,
    folder: Path,
    cache_folder: Path,
    variables: Mapping[str, str] = MappingProxyType({}),
    preferred: Sequence[LockedPackage] = (),
    as_of: date | None = None,
    offline: bool = False,
    retries: int = 3,
) -> CondaResolution:
    """Resolve ``asks`` for ``target`` over the channels that they and ``settings`` name.

    ``folder`` is the repository; ``cache_folder`` keeps the channels' indexes between builds; ``variables`` fill
    ``$NAME`` in channels. ``preferred`` are packages to take where nothing speaks against them, whatever newer versions
    there are: those of a lock in the catalogue. ``as_of``: no package that a channel got after that day (UTC). With
    ``offline`` only what ``cache_folder`` holds is asked; otherwise a server that fails ``retries`` times more.

    A bad line, an unknown channel or package, a conflict, a wrong hash in a lock file, or a package that needs what the
    target lacks is a RepositoryError; a channel that cannot be asked a NetworkError; a MachineError where py-rattler is
    not installed.
    """
    if asks.is_empty:
        return CondaResolution()
    # Imported here: a build with nothing to do imports this module, and resolves nothing.
    from ocibuild.ecosystem.conda.channel import Channels  # noqa: PLC0415 - see above
    from ocibuild.ecosystem.conda.lock_file import lock_for, read_lock_file  # noqa: PLC0415 - see above
    from ocibuild.ecosystem.conda.selection import locked_packages, preferred_records  # noqa: PLC0415 - see above
    from ocibuild.ecosystem.conda.solver import Solver  # noqa: PLC0415 - see above

    specs = [(ask.text, ask.origin) for ask in asks.packages]
    channels = Channels(asks.channels, settings, specs=specs, folder=folder, variables=variables)
    solver = Solver(channels, target, cache_folder, offline or settings.is_offline, settings.verifies_tls, retries)
    if asks.locks:
        locked = read_lock_file(lock_for(asks.locks, target), solver)
        known = {package.name for package in locked.packages}
        others = _of_pip(each for each in asks.either if package_name(each.conda.text) not in known)
        return CondaResolution(locked.packages, channels.addresses, pip=locked.pip.joined(others))
    not_after = datetime.combine(as_of, time.max, UTC) if as_of else None
    offered = solver.offered(package_name(each.conda.text) for each in asks.either)
    either = [each.conda for each in asks.either if package_name(each.conda.text) in offered]
    wanted = (*asks.packages, *either)
    records, names = solver.solve(
        wanted,
        priority=settings.priority or "flexible",
        preferred=preferred_records(preferred, channels, target, not_after),
        not_after=not_after,
    )
    packages = locked_packages(records, list(zip(names, wanted, strict=True)), channels, target)
    chosen = {package.name: package.digest for package in packages}
    given_up = tuple(each for each in preferred if chosen.get(each.name, each.digest) != each.digest)
    others = _of_pip(each for each in asks.either if each.conda not in either)
    return CondaResolution(packages, channels.addresses, given_up, others)


def _of_pip(asks: Iterable[EitherAsk]) -> PipAsks:
    return PipAsks(requirements=tuple((each.requirement, each.conda.origin) for each in asks if each.requirement))
