"""The folder that a build reads: as it is named, or fetched from where it is."""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ocibuild.core.atomic import map_os_error
from ocibuild.core.errors import UsageError
from ocibuild.core.events import EventSink, PhaseStarted
from ocibuild.source.git_state import read_git_state
from ocibuild.store.store import Store

if TYPE_CHECKING:
    from ocibuild.net.client import HttpClient

__all__ = ["Source", "open_source_folder"]

_UNNAMED = "repository"


@dataclass(frozen=True, slots=True)
class Source:
    """A repository's folder. ``name`` is what its image is called where nobody says.

    ``origin`` is its address without credentials (``local`` for a folder), ``revision`` what exactly was fetched
    (``None`` for a folder, as repo2docker's labels have it), ``commit_time`` in seconds since the epoch, if it has one.
    """

    folder: Path
    name: str
    origin: str = "local"
    revision: str = "None"
    commit_time: int | None = None

    @classmethod
    def at(cls, folder: Path) -> Self:
        """A folder of this machine, as it is."""
        return cls(folder, folder.resolve().name)


@contextlib.contextmanager
def open_source_folder(
    text: str,
    *,
    ref: str | None,
    subdir: str | None,
    store: Store,
    environment: Mapping[str, str],
    events: EventSink,
    ca_file: Path | None = None,
) -> Iterator[Source]:
    """The folder that ``text`` names, or what is fetched from the address that it is, as long as the block runs.

    Raises what parsing and fetching it do, and a UsageError where it has no folder ``subdir``.
    """
    path = Path(text)
    if text and path.is_dir():
        if ref is not None:
            raise UsageError("--ref is for repositories that are fetched, and a folder is taken as it is")
        yield _within(Source.at(path), subdir)
        return
    if text and path.exists():
        raise UsageError(f"{text} is a file, and a repository is a folder", hint="name the folder that it is in")
    from ocibuild.net.client import HttpClient  # noqa: PLC0415 - a folder needs no network

    try:
        store.folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="source-", dir=store.folder))
    except OSError as error:
        raise map_os_error(error, attempted="making a folder for the source") from error
    try:
        folder = scratch / "checkout"
        folder.mkdir()
        with HttpClient(environment=environment, ca_file=ca_file, events=events) as http:
            source = _fetched(text, ref, folder, http=http, environment=environment, events=events)
        yield _within(source, subdir)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _fetched(
    text: str, ref: str | None, folder: Path, *, http: "HttpClient", environment: Mapping[str, str], events: EventSink
) -> Source:
    from ocibuild.net.address import redacted  # noqa: PLC0415 - as above
    from ocibuild.source.address import parse_source, resolve_source  # noqa: PLC0415 - as above
    from ocibuild.source.deposit.client import DepositClient  # noqa: PLC0415 - as above
    from ocibuild.source.git import GitAddress, fetch_git  # noqa: PLC0415 - as above
    from ocibuild.source.mercurial import MercurialAddress, fetch_mercurial  # noqa: PLC0415 - as above

    client = DepositClient(http, events=events)
    address = resolve_source(parse_source(text, ref=ref), text, client)
    events(PhaseStarted("fetching", str(address)))
    if isinstance(address, GitAddress):
        revision = fetch_git(address, folder, environment=environment, events=events).commit
    elif isinstance(address, MercurialAddress):
        revision = fetch_mercurial(address, folder, environment=environment)
    else:
        revision = address.fetch(folder, client)
    git = read_git_state(folder)
    return Source(folder, _name(text), redacted(text), revision, git.commit_time if git is not None else None)


def _within(source: Source, subdir: str | None) -> Source:
    """The source of a folder inside it, where one is asked for."""
    if not subdir:
        return source
    folder = (source.folder / subdir).resolve()
    if not folder.is_relative_to(source.folder.resolve()) or not folder.is_dir():
        raise UsageError(
            f"--subdir: {source.folder if source.origin == 'local' else source.origin} has no folder {subdir}"
        )
    return Source(folder, f"{source.name}-{_name(subdir)}", source.origin, source.revision, source.commit_time)


def _name(text: str) -> str:
    """The last part of an address that can be an image's name."""
    parts = re.findall(r"[a-z0-9]+(?:[._-][a-z0-9]+)*", text.lower().removesuffix("/").removesuffix(".git"))
    return parts[-1] if parts else _UNNAMED
