"""The named places that packages come from, so that a lock holds names where this machine has addresses."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, unquote, urlsplit

from ocibuild.core.errors import UsageError
from ocibuild.ecosystem.pip.configuration import IndexSettings
from ocibuild.net.address import split_userinfo

__all__ = ["AddressBook", "Index", "Sources", "secret_forms"]

DEFAULT_SOURCE = "pypi"


@dataclass(frozen=True, slots=True)
class Index:
    """An index or a page of links: its name in locks, its URL without credentials, and the credentials."""

    name: str
    url: str
    user: str = ""
    password: str = ""

    @classmethod
    def parse(cls, name: str, url: str) -> "Index":
        """Take the credentials out of ``url``; a path becomes a ``file:`` URL."""
        if "://" not in url and not url.startswith("file:"):
            return cls(name, Path(url).absolute().as_uri())
        try:
            address, user, password = split_userinfo(url)
        except ValueError as error:
            raise UsageError(f"the address of the package index {name} is malformed") from error
        return cls(name, address, user or "", password or "")

    @property
    def local_path(self) -> Path | None:
        """The folder or file of a ``file:`` URL."""
        return Path(unquote(urlsplit(self.url).path)) if self.url.startswith("file:") else None

    @property
    def full_url(self) -> str:
        """The URL with its credentials: for a request or an environment, never for a message."""
        return _with_credentials(self.url, self.user, self.password)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where uv looks: the default index (None for the public one), further ones, and pages or folders of wheels."""

    default: Index | None
    extra: tuple[Index, ...]
    find_links: tuple[Index, ...]
    no_index: bool

    @classmethod
    def of(cls, settings: IndexSettings) -> "Sources":
        """The sources of these settings. Local ones that do not exist are left out, as pip does; uv would fail."""
        extra = [Index.parse(f"index-{number}", url) for number, url in enumerate(settings.extra_index_urls, start=1)]
        links = [Index.parse(f"find-links-{number}", url) for number, url in enumerate(settings.find_links, start=1)]
        default = Index.parse(DEFAULT_SOURCE, settings.index_url) if settings.index_url else None
        return cls(
            default=None if settings.no_index else default,
            extra=() if settings.no_index else tuple(each for each in extra if _exists(each)),
            find_links=tuple(each for each in links if _exists(each)),
            no_index=settings.no_index,
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in a message: passwords, as they are and percent-encoded."""
        return secret_forms(each.password for each in self._all())

    def arguments(self) -> list[str]:
        """The flags that tell uv of the indexes; credentials are not among them."""
        flags = [f"--index={each.name}={each.url}" for each in self.extra]
        if self.default:
            flags.append(f"--default-index={self.default.name}={self.default.url}")
        if self.extra:
            flags.append("--index-strategy=unsafe-best-match")  # pip's rule: the best version of all indexes
        return [*flags, *(["--no-index"] if self.no_index else [])]

    def variables(self) -> dict[str, str]:
        """The environment that gives uv the credentials, and the pages of links, which have no names in uv."""
        variables: dict[str, str] = {}
        for each in self._all():
            if each.user or each.password:
                name = "UV_INDEX_" + each.name.upper().replace("-", "_")
                variables |= {f"{name}_USERNAME": each.user, f"{name}_PASSWORD": each.password}
        if self.find_links:
            variables["UV_FIND_LINKS"] = ",".join(each.full_url for each in self.find_links)
        return variables

    def _all(self) -> tuple[Index, ...]:
        return (*((self.default,) if self.default else ()), *self.extra, *self.find_links)

    def named(self, index_url: str, file_url: str) -> Index | None:
        """The index that uv says a file is from, else the one whose files lie where this one does.

        None stands for the public default; ``index_url`` is empty where uv said nothing.
        """
        said = [each for each in self._all() if each.url.rstrip("/") == index_url.rstrip("/")]
        beside = [each for each in self.extra if not index_url and file_url.startswith(_files_of(each))]
        below = [each for each in self.find_links if file_url.startswith(each.url.rstrip("/") + "/")]
        return next(iter([*said, *below, *beside]), self.default)


class AddressBook:
    """Splits the URLs of files into (source, path), and knows each source's address on this machine."""

    def __init__(self) -> None:
        self._addresses: dict[str, str] = {}

    @property
    def addresses(self) -> Mapping[str, str]:
        """Source -> address, ending in a slash, or empty where the path is a whole URL.

        An address may hold credentials: it is for requests alone, never recorded and never shown.
        """
        return MappingProxyType(self._addresses)

    def of_index(self, file_url: str, index: Index | None) -> tuple[str, str]:
        """Where a file of an index is; ``index`` None is the public default.

        The part of the address that mirrors share is the path: below the folder that holds ``simple/`` and the files,
        or from Warehouse's ``packages/`` on, or below the host.
        """
        url = file_url.partition("#")[0].partition("?")[0]  # a query may sign the request: it is no part of the path
        base = _base_of(url, index)
        address = base
        if index and (index.user or index.password) and _origin(index.url) == _origin(base):
            address = _with_credentials(base, index.user, index.password)
        return self._named(index.name if index else DEFAULT_SOURCE, address), url[len(base) :]

    def of_url(self, url: str) -> tuple[str, str]:
        """Where a file is that was asked for by its URL: the path is the URL, unless it holds credentials."""
        address, user, password = split_userinfo(url)
        if not (user or password):
            return self._named("url", ""), url
        base = _origin(address) + "/"
        return self._named("url-1", _with_credentials(base, user or "", password or "")), address[len(base) :]

    def of_local(self, path: str, folder: Path) -> tuple[str, str]:
        """Where a wheel of the repository is: ``path`` is below its ``folder``."""
        return self._named("file", folder.resolve().as_uri() + "/"), quote(path)

    def of_git(self, url: str, commit: str) -> tuple[str, str]:
        """Where a checkout is from, without credentials: it is never fetched by this address alone."""
        return self._named("git", ""), f"git+{split_userinfo(url)[0]}@{commit}"

    def _named(self, name: str, address: str) -> str:
        """``name``, or ``name.2`` and so on where it already stands for another address."""
        candidate, number = name, 1
        while self._addresses.setdefault(candidate, address) != address:
            number += 1
            candidate = f"{name}.{number}"
        return candidate


def secret_forms(passwords: Iterable[str | None]) -> tuple[str, ...]:
    """The texts in which these passwords may appear: as they are and percent-encoded."""
    return tuple({form for text in passwords if text for form in (text, quote(text, safe=""))})


def _exists(index: Index) -> bool:
    return index.local_path is None or index.local_path.exists()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _base_of(url: str, index: Index | None) -> str:
    if index is not None and url.startswith(_files_of(index)):
        return _files_of(index)
    before, separator, _ = url.partition("/packages/")
    return f"{before}/" if separator else _origin(url) + "/"


def _files_of(index: Index) -> str:
    """The folder that holds an index's ``simple/``, and mostly its files."""
    return index.url.rstrip("/").removesuffix("simple").rstrip("/") + "/"


def _with_credentials(url: str, user: str, password: str) -> str:
    if not (user or password):
        return url
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest}"
