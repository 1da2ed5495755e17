"""An apt source that packages can come from: where it is, what of it is used, and who may sign it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from ocibuild.core.asks import AptSourceAsk
from ocibuild.core.errors import RepositoryError
from ocibuild.ecosystem.apt.keyring import Keyring

__all__ = ["Source", "asked_sources", "source_addresses"]


@dataclass(frozen=True, slots=True)
class Source:
    """A suite at an address.

    ``name`` is what a lock records instead of ``url`` (which has no trailing slash and may hold credentials); sources
    of one name have one address. ``suite`` ends in ``/`` for a flat repository, which has no components.
    ``architectures`` is None where all are taken. ``signed_by`` None means that nothing verifies the source: only
    where its user said so in so many words. ``origin`` is where it was asked for. ``as_of`` marks the state of a past
    time: there Valid-Until does not count, and keys are judged at the Release's own date.
    """

    name: str
    url: str
    suite: str
    components: tuple[str, ...]
    signed_by: Keyring | None
    origin: str
    architectures: tuple[str, ...] | None = None
    use_by_hash: bool | None = None
    check_valid_until: bool = True
    pin_priority: int | None = None
    as_of: datetime | None = None

    @property
    def is_flat(self) -> bool:
        """Whether the indexes lie beside each other instead of below ``dists``."""
        return self.suite.endswith("/")

    @property
    def folder_url(self) -> str:
        """The address of the suite's folder, without a trailing slash."""
        if not self.is_flat:
            return f"{self.url}/dists/{self.suite}"
        below = "/".join(part for part in self.suite.split("/") if part not in ("", "."))
        return f"{self.url}/{below}" if below else self.url

    @property
    def description(self) -> str:
        """Suite and components, as a lock shows them."""
        return " ".join((self.suite, *self.components))

    @property
    def site(self) -> str:
        """The host, as apt's ``Pin: origin`` names it."""
        return urlsplit(self.url).hostname or ""


def asked_sources(asks: Iterable[AptSourceAsk]) -> tuple[Source, ...]:
    """The sources that ``ocibuild.toml`` names; a RepositoryError where one has no key or no usable address."""
    sources = []
    for ask in asks:
        if not ask.signed_by.strip():
            raise RepositoryError(
                f"the apt source {ask.name} has no key",
                file=ask.origin.file,
                line=ask.origin.line,
                hint="name the file of its public key with signed-by: unsigned sources are not used",
            )
        if urlsplit(ask.url).scheme not in ("http", "https"):
            raise RepositoryError(
                f"the apt source {ask.name} is at {ask.url}, which is no http or https address",
                file=ask.origin.file,
                line=ask.origin.line,
            )
        sources.append(
            Source(
                name=ask.name,
                url=ask.url.rstrip("/"),
                suite=ask.suite,
                components=ask.components,
                signed_by=Keyring(f"the key of {ask.name}", (ask.signed_by,)),
                origin=str(ask.origin),
                architectures=ask.architectures or None,
                pin_priority=ask.pin_priority,
            )
        )
    return tuple(sources)


def source_addresses(sources: Iterable[Source]) -> dict[str, str]:
    """Name -> address; a RepositoryError where one name stands for two addresses."""
    addresses: dict[str, str] = {}
    for source in sources:
        if addresses.setdefault(source.name, source.url) != source.url:
            raise RepositoryError(f"{source.origin}: another apt source is called {source.name} too")
    return addresses
