"""Which R packages an image needs: what is asked for, with all that it depends on, from repositories and from Debian.

R knows one version of a package in a repository, the newest that fits R; what depends on it must do with that. So this
is a walk and no search. Source: R, ``?install.packages`` (dependencies = NA) and ``?available.packages`` (the filters
"R_version", "OS_type" and "duplicates"); its package choice is compared in tests/oracle/test_r_install.py. What R would
only find out while it installs, a version that does not do, is an error here before anything is fetched.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from ocibuild.core.errors import RepositoryError
from ocibuild.core.r_asks import RAsk, RRequirement, RVersion
from ocibuild.ecosystem.r.repository import RIndex, archived_path, package_path
from ocibuild.ecosystem.r.standard_packages import BASE_PACKAGES
from ocibuild.spec.r_description import RDescription

__all__ = ["Archived", "ChosenPackage", "DebianChoice", "RSolution", "Surroundings", "resolve"]

Archived = Callable[[str, str], tuple[str, RDescription] | None]
"""Looks for a version of a package that no index names: the address of the repository that has it, and its record."""

_MOST_GUESSES = 3
_OTHER_R = "choose a base with another R (apt:bookworm has 4.2, apt:trixie 4.5)"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is there besides the repositories. Names of Debian's packages are in lower case, without ``r-cran-``.

    ``present`` are packages that the image has by then, and ``debian`` those that could be installed: name -> version.
    With ``prefers_debian`` such a package is taken before one of a repository.
    """

    r_version: str
    present: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    debian: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    prefers_debian: bool = False


@dataclass(frozen=True, slots=True)
class ChosenPackage:
    """A package of the repository at ``address``, below which it is at ``path``. ``why`` as in :class:`.LockedPackage`.

    ``is_current`` tells that the repository's index names this version.
    """

    description: RDescription
    address: str
    path: str
    requested: bool
    why: tuple[str, ...]
    is_current: bool = True


@dataclass(frozen=True, slots=True)
class DebianChoice:
    """A package that Debian gives, and the ask that led to it."""

    name: str
    ask: RAsk


@dataclass(frozen=True, slots=True)
class RSolution:
    """``packages`` come after what they depend on, as far as they do not go in a circle. ``left_out`` are optional."""

    packages: tuple[ChosenPackage, ...] = ()
    debian: tuple[DebianChoice, ...] = ()
    left_out: tuple[RAsk, ...] = ()


def resolve(
    asks: Sequence[RAsk],
    indexes: Sequence[RIndex],
    surroundings: Surroundings,
    *,
    archived: Archived = lambda _name, _version: None,
) -> RSolution:
    """The packages of these asks. A RepositoryError names file and line of the ask that cannot be fulfilled.

    That is where a package or a version is nowhere to be had, needs another R, or is needed in two versions. Of several
    repositories the newest version counts, and the first that has it.
    """
    return _Walk(indexes, surroundings, archived, _pins(asks)).solution(asks)


@dataclass(frozen=True, slots=True)
class _Need:
    """A requirement, who has it (a package, or ``""`` for the ask itself), and the ask behind it."""

    requirement: RRequirement
    by: str
    ask: RAsk

    @property
    def reason(self) -> str:
        return self.by or str(self.ask.origin)

    def error(self, message: str, hint: str | None = None) -> RepositoryError:
        origin = self.ask.origin
        asked = "" if not self.by else f" ({self.ask.requirement.name} leads to it)"
        return RepositoryError(f"{message}{asked}", file=origin.file, line=origin.line, hint=hint)

    @property
    def subject(self) -> str:
        """Who wants what, for messages: ``dplyr needs rlang (>= 1.1.0)``."""
        return f"{self.by} needs {self.requirement}" if self.by else f"{self.requirement} is asked for"


@dataclass(slots=True)
class _Chosen:
    description: RDescription
    address: str
    is_current: bool
    requested: bool = False
    why: list[str] = field(default_factory=list)

    @property
    def path(self) -> str:
        description = self.description
        if self.is_current:
            return package_path(description)
        return archived_path(description.name, description.version)


def _pins(asks: Iterable[RAsk]) -> Mapping[str, str]:
    """The exact versions that are asked for, by name; a RepositoryError where two differ."""
    pins: dict[str, RAsk] = {}
    for ask in asks:
        exact = ask.requirement.exact
        if not exact:
            continue
        other = pins.setdefault(ask.requirement.name, ask)
        if RVersion.parse(other.requirement.exact) != RVersion.parse(exact):
            raise RepositoryError(
                f"{ask} is asked for, and {other} in {other.origin}", file=ask.origin.file, line=ask.origin.line
            )
    return {name: ask.requirement.exact for name, ask in pins.items()}


class _Walk:
    def __init__(
        self, indexes: Sequence[RIndex], surroundings: Surroundings, archived: Archived, pins: Mapping[str, str]
    ) -> None:
        self._indexes = indexes
        self._around = surroundings
        self._archived = archived
        self._pins = pins
        self._chosen: dict[str, _Chosen] = {}
        self._debian: dict[str, DebianChoice] = {}
        self._left_out: list[RAsk] = []

    def solution(self, asks: Sequence[RAsk]) -> RSolution:
        waiting = [_Need(ask.requirement, "", ask) for ask in asks]
        for need in waiting:  # grows while it is walked through
            waiting += self._met(need)
        packages = tuple(
            ChosenPackage(
                chosen.description,
                chosen.address,
                package_path(chosen.description)
                if chosen.is_current
                else archived_path(name, chosen.description.version),
                chosen.requested,
                tuple(chosen.why),
                chosen.is_current,
            )
            for name in self._order()
            for chosen in (self._chosen[name],)
        )
        return RSolution(packages, tuple(self._debian.values()), tuple(self._left_out))

    def _met(self, need: _Need) -> list[_Need]:
        """Meet a need; what the package that meets it needs itself."""
        requirement, name = need.requirement, need.requirement.name
        if name == "R" or name in BASE_PACKAGES:
            self._check_r(need)
            return []
        known = self._chosen.get(name)
        if known is not None:
            self._check_chosen(need, known)
            known.why += [need.reason] if need.reason not in known.why else []
            known.requested = known.requested or not need.by
            return []
        if name in self._debian or self._is_present(requirement):
            return []
        if self._around.prefers_debian and self._takes_debian(need):
            return []
        found = self._found(need)
        if found is None:
            return []
        found.requested, found.why = not need.by, [need.reason]
        self._chosen[name] = found
        return [_Need(each, name, need.ask) for each in self._needs(need, found.description)]

    def _check_r(self, need: _Need) -> None:
        """R's own packages have R's version."""
        if not need.requirement.allows(self._around.r_version):
            raise need.error(
                f"{need.subject}, and the image has R {self._around.r_version}",
                f"{_OTHER_R}, or an older version of the package",
            )

    def _check_chosen(self, need: _Need, known: _Chosen) -> None:
        if not need.requirement.allows(known.description.version):
            raise need.error(
                f"{need.subject}, and the image gets {need.requirement.name} {known.description.version} "
                f"({', '.join(known.why)})",
                "ask for versions that go together, or for packages of another day (runtime.txt: r-2025-06-22)",
            )

    def _is_present(self, requirement: RRequirement) -> bool:
        version = self._around.present.get(requirement.name.lower())
        return version is not None and _allows(requirement, version) and self._fits_pin(requirement.name, version)

    def _fits_pin(self, name: str, version: str) -> bool:
        return name not in self._pins or _allows(RRequirement(name, "==", self._pins[name]), version)

    def _takes_debian(self, need: _Need) -> bool:
        name = need.requirement.name
        version = self._around.debian.get(name.lower())
        if version is None or not _allows(need.requirement, version) or not self._fits_pin(name, version):
            return False
        self._debian[name] = DebianChoice(name, need.ask)
        return True

    def _found(self, need: _Need) -> _Chosen | None:
        """The package for a need; None where Debian has it, or it is optional and nobody does."""
        name = need.requirement.name
        candidates = [
            _Chosen(description, index.address, is_current=True)
            for index in self._indexes
            for description in self._records(index, need)
        ]
        fitting = [each for each in candidates if self._fits_r(each.description)]
        exact = self._pins.get(name, need.requirement.exact)
        if exact:
            fitting = [each for each in fitting if RVersion.parse(each.description.version) == RVersion.parse(exact)]
            old = None if fitting else self._archived(name, exact)
            if old is not None:
                fitting = [_Chosen(old[1], old[0], is_current=False)]
        allowed = [each for each in fitting if need.requirement.allows(each.description.version)]
        if allowed:
            return max(allowed, key=lambda each: RVersion.parse(each.description.version))
        if self._takes_debian(need):
            return None
        if need.ask.is_optional and not need.by:
            self._left_out.append(need.ask)
            return None
        raise self._nowhere(need, candidates, fitting)

    def _records(self, index: RIndex, need: _Need) -> list[RDescription]:
        try:
            return index.get(need.requirement.name)
        except ValueError as error:
            raise need.error(f"{index.shown_address} describes {need.requirement.name} wrongly: {error}") from error

    def _fits_r(self, description: RDescription) -> bool:
        """The filters "R_version" and "OS_type" of ``available.packages``."""
        if description.fields.get("OS_type", "unix") != "unix":
            return False
        try:
            wanted = [each for each in description.requirements("Depends") if each.name == "R"]
        except ValueError:
            return False
        return all(each.allows(self._around.r_version) for each in wanted)

    def _needs(self, need: _Need, description: RDescription) -> tuple[RRequirement, ...]:
        try:
            return description.needs
        except ValueError as error:
            raise need.error(f"{description.name} {description.version} is described wrongly: {error}") from error

    def _nowhere(self, need: _Need, candidates: Sequence[_Chosen], fitting: Sequence[_Chosen]) -> RepositoryError:
        name = need.requirement.name
        if fitting:
            versions = ", ".join(dict.fromkeys(each.description.version for each in fitting))
            hint = f"ask for a version of its own: {name}@VERSION" if not need.requirement.exact else None
            return need.error(f"{need.subject}, and the repositories have {name} {versions}", hint)
        exact = self._pins.get(name, need.requirement.exact)
        if candidates and not exact:
            return need.error(
                f"{need.subject}, and every version of it needs another R or system; the image has "
                f"R {self._around.r_version}",
                f"{_OTHER_R}, or packages of an earlier day",
            )
        places = ", ".join(index.shown_address for index in self._indexes) or "no repository is set up"
        if candidates:
            versions = ", ".join(dict.fromkeys(each.description.version for each in candidates))
            return need.error(f"{need.subject}; {name} {exact} is not in {places} (there is {versions})")
        known = {other for index in self._indexes for other in index.names}
        same = [other for other in known if other.lower() == name.lower()]
        close = same or difflib.get_close_matches(name, known, _MOST_GUESSES, cutoff=0.8)
        hint = f"did you mean {' or '.join(sorted(close))}?" if close else None
        return need.error(f"{need.subject}, and no repository has it: {places}", hint)

    def _order(self) -> list[str]:
        """What is needed before what needs it; where packages go in a circle, the one that was reached first last."""
        ordered: dict[str, None] = {}
        entered: set[str] = set()
        for root in self._chosen:
            stack = [(root, False)]
            while stack:
                name, is_left = stack.pop()
                if is_left:
                    ordered[name] = None
                elif name not in entered:
                    entered.add(name)
                    stack.append((name, True))
                    needs = [each.name for each in self._chosen[name].description.needs]
                    stack += [(each, False) for each in reversed(needs) if each in self._chosen]
        return list(ordered)


def _allows(requirement: RRequirement, version: str) -> bool:
    try:
        return requirement.allows(version)
    except ValueError:  # Debian's version of something that is none of R's
        return False
