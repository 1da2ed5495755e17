"""Which repositories R packages come from, on this machine and as an image may know them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date

from ocibuild.core.defaults import r_defaults
from ocibuild.core.errors import UsageError
from ocibuild.core.r_asks import REPOSITORY_VARIABLE, RAsks
from ocibuild.ecosystem.r.repository import snapshot_address
from ocibuild.image.view import View
from ocibuild.lock import PlatformLock
from ocibuild.net.address import split_userinfo

__all__ = ["codename_of", "machine_addresses", "repository_variables"]

_VARIABLE = "R_REPOSITORIES"
"""What the profile of layers/r reads."""

_FIRST = "r"


def machine_addresses(
    asks: RAsks, codename: str, environment: Mapping[str, str], *, lock: PlatformLock | None = None
) -> dict[str, str]:
    """Where the repositories are on this machine, by name, without a slash at the end; credentials may be in them.

    Those of ``asks``, else the public one's packages of the day, of today where none is said; of the day on which the
    packages of ``lock`` were there. A UsageError where the environment names no http or https address.
    """
    chosen = environment.get(REPOSITORY_VARIABLE)
    if chosen and not chosen.startswith(("http://", "https://")):
        raise UsageError(f"{REPOSITORY_VARIABLE}={chosen} is no http or https address")
    days = [source.date for source in lock.sources if source.name == _FIRST] if lock is not None else []
    if asks.day is None and days:
        asks = replace(asks, day=date.fromisoformat(days[0]))
    found = _addresses(asks, codename, chosen or r_defaults()["repository"])
    return {f"{_FIRST}{number}" if number else _FIRST: address for number, address in enumerate(found)}


def repository_variables(
    asks: RAsks, view: View, environment: Mapping[str, str]
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """What tells the R of an image where packages come from: in the image, and for steps on this machine besides.

    In the image there is no mirror of this machine, and nowhere are credentials.
    """
    codename = codename_of(view)
    public = _addresses(asks, codename, r_defaults()["repository"])
    here = tuple(machine_addresses(asks, codename, environment).values())
    return _variables(public), _variables(here) if here != public else {}


def _variables(addresses: Iterable[str]) -> Mapping[str, str]:
    return {_VARIABLE: " ".join(split_userinfo(address)[0] for address in addresses)}


def codename_of(view: View) -> str:
    """The release's name in the base's os-release(5), empty where it says none."""
    for path in ("etc/os-release", "usr/lib/os-release"):
        text = view.read_if_there(path)
        for line in (text or b"").decode("utf-8", "replace").splitlines():
            name, _, value = line.partition("=")
            if name == "VERSION_CODENAME":
                return value.strip().strip("\"'")
    return ""


def _addresses(asks: RAsks, codename: str, repository: str) -> tuple[str, ...]:
    return asks.repositories or (snapshot_address(repository, codename=codename, day=asks.day),)
