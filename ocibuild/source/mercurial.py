"""Repositories that Mercurial fetches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ocibuild.core.errors import NetworkError, UsageError
from ocibuild.net.address import redacted
from ocibuild.source.version_control import complaint, run_program

__all__ = ["MercurialAddress", "fetch_mercurial"]

_PREFIX = "hg+"


@dataclass(frozen=True, slots=True)
class MercurialAddress:
    """Where a repository is, and which of its states is meant (None: the newest of the default branch)."""

    url: str
    ref: str | None = None

    @classmethod
    def parse(cls, text: str, *, ref: str | None = None) -> "MercurialAddress | None":
        """The address that ``text`` has the form of, or None; nothing is asked of any server.

        Mercurial's own addresses look like git's. One is taken for Mercurial's where it begins with ``hg+`` (as pip
        writes it), where its host is called ``hg.``, or where a part of its path is ``hg``.
        """
        url = text.removeprefix(_PREFIX)
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "ssh", "file"):
            return None
        if not (text.startswith(_PREFIX) or parts.netloc.startswith("hg.") or "hg" in parts.path.split("/")):
            return None
        if ref is not None and (not ref or ref.startswith("-") or "\n" in ref):
            raise UsageError(f"not a revision of Mercurial: {ref!r}", hint="name a branch, a tag or a changeset")
        return cls(url, ref)

    def __str__(self) -> str:
        return redacted(self.url) + (f" at {self.ref}" if self.ref else "")


def fetch_mercurial(address: MercurialAddress, folder: Path, *, environment: Mapping[str, str]) -> str:
    """Clone into the empty ``folder`` and update to the revision; the changeset's full name.

    No hook runs and nothing is asked on the terminal. A NetworkError says what Mercurial said; a MachineError where
    there is none here.
    """
    _run(["clone", "--quiet", "--noupdate", "--", address.url, "."], address, folder, environment)
    _run(["update", "--quiet", "--clean", "--rev", address.ref or "default"], address, folder, environment)
    return _run(["log", "--rev", ".", "--template", "{node}"], address, folder, environment).strip()


def _run(arguments: Sequence[str], address: MercurialAddress, folder: Path, environment: Mapping[str, str]) -> str:
    # HGPLAIN: no aliases and no settings that change what commands print; the hooks of clones are switched off.
    options = ("--noninteractive", "--config", "hooks.update=", "--config", "hooks.incoming=")
    command = ["hg", *options, *arguments]
    result = run_program(command, folder, {**environment, "HGPLAIN": "1"}, subject=str(address), package="mercurial")
    if result.returncode != 0:
        raise NetworkError(f"hg {arguments[0]} of {address} failed: {complaint(result)}")
    return result.stdout
