"""What a wheel must be built from: an archive, a folder of the repository, or a commit.

Sources: pip 26.3's ``models/link.py`` and ``vcs/versioncontrol.py`` (URLs of version control), PEP 610
(subdirectories), PEP 660 (editable installs).
"""

from dataclasses import dataclass, field
from enum import StrEnum

from ocibuild.core.digest import Digest
from ocibuild.core.package import LockedPackage
from ocibuild.net.address import redacted, split_userinfo

__all__ = ["PythonSource", "SourceKind", "body_digest", "is_built"]


class SourceKind(StrEnum):
    """The forms that a project's source comes in."""

    ARCHIVE = "archive"
    FOLDER = "folder"
    GIT = "git"


@dataclass(frozen=True, slots=True)
class PythonSource:
    """A source to build a wheel from, before it is fetched.

    ``name`` (normalised) and ``version`` are empty where only the build tells them. An archive has a ``url``, which may
    hold credentials, or, in the repository, a ``local_path`` below its folder; a folder has a ``local_path`` (``.`` is
    the repository itself); a checkout has a ``url`` and a ``revision`` (a branch, tag or commit, empty for the default
    branch). ``subdirectory`` is where the project is in it. ``sha256`` is the archive's hash where the index tells it.
    ``is_of_index`` tells a file of an index from what a requirement names directly. ``settings`` are for the build
    backend (PEP 517, "Config settings"). ``why`` says who asks: ``requirements.txt:3``, or a dependant's name.
    """

    kind: SourceKind
    name: str = ""
    version: str = ""
    url: str = field(default="", repr=False)
    local_path: str = ""
    revision: str = ""
    subdirectory: str = ""
    sha256: str = ""
    size_bytes: int | None = None
    is_of_index: bool = False
    is_editable: bool = False
    settings: tuple[tuple[str, str], ...] = ()
    why: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What tells this source from every other, without credentials; not what it holds, which fetching tells."""
        where = f"{self.name}=={self.version}" if self.is_of_index else self.local_path or split_userinfo(self.url)[0]
        parts = (self.kind.value, where, self.revision, self.subdirectory, self.sha256, str(self.settings))
        return "\n".join((*parts, "editable" if self.is_editable else ""))

    def __str__(self) -> str:
        """The source in words, without credentials: ``docopt 0.6.2``, ``./tools``, ``git+https://host/x@main``."""
        if self.is_of_index:
            return f"{self.name} {self.version}"
        if self.kind is SourceKind.GIT:
            revision = f"@{self.revision}" if self.revision else ""
            where = f"git+{redacted(self.url)}{revision}"
        elif self.local_path:
            where = "." if self.local_path == "." else f"./{self.local_path}"
        else:
            where = redacted(self.url)
        where = f"{where}#subdirectory={self.subdirectory}" if self.subdirectory else where
        return f"{self.name} ({where})" if self.name else where


def is_built(package: LockedPackage) -> bool:
    """Whether the lock names a source for the package, and its wheel is built (:mod:`.built_lock`)."""
    return "wheel" in package.fields


def body_digest(package: LockedPackage) -> Digest:
    """The digest of the wheel that is placed: of a built package the lock's own digest is its source's."""
    built = package.fields.get("wheel")
    return Digest.sha256(built) if built else package.digest
