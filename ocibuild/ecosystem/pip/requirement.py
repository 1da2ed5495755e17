"""One requirement: what pip accepts as a word of ``pip install`` or as a line of a requirements file.

Sources: PEP 508, PEP 440, and pip 26.3's ``req/constructors.py`` for paths and URLs without a name.
"""

import posixpath
import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as NamedRequirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from ocibuild.core.asks import Origin
from ocibuild.core.errors import RepositoryError
from ocibuild.ecosystem.pip.source import PythonSource, SourceKind

__all__ = ["PipRequirement", "parse_requirement", "path_below", "without_credentials"]

_URL = re.compile(r"(?i)([a-z][a-z0-9.]*\+)?(https?|file|ftp|ssh|git|svn|bzr|hg|sftp)://|git\+[a-z0-9@]")
_VERSION_CONTROL = re.compile(r"(?i)(git|hg|svn|bzr)\+")
_GIT_SCHEMES = ("https", "http", "ssh", "git")
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz", ".tar.xz", ".tar.lzma")
_FRAGMENT_HASH = re.compile(r"(sha256|sha384|sha512)=([0-9a-f]+)")


@dataclass(frozen=True, slots=True)
class PipRequirement:
    """A requirement as uv is given it (``text``), the normalised name of its project, and where it stands.

    ``hashes`` are those that the line allows (``sha256:<hex>``). ``url`` is what a direct reference names, with
    credentials if it has any, and ``local_path`` its path below the repository's folder when it is a local wheel.
    ``source`` is what a wheel must be built from first, where the line names no wheel: then ``text`` is the line as it
    stands, ``name`` is empty unless the line tells it, and ``extras`` (``[a,b]``) are asked of whatever is built.
    ``settings`` are for the build backend. ``names_prerelease`` tells that a version in it is a prerelease, which lets
    pip take prereleases of that project. ``in_file`` tells a line of a requirements file, which hashes are asked of,
    from a requirement of this program or its options.
    """

    text: str
    name: str
    origin: Origin
    hashes: tuple[str, ...] = ()
    url: str = ""
    local_path: str = ""
    source: PythonSource | None = None
    extras: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    is_exact: bool = False
    names_prerelease: bool = False
    in_file: bool = False
    marker: str = ""

    @property
    def shown(self) -> str:
        """The text without credentials, for messages."""
        return without_credentials(self.text)


def parse_requirement(
    text: str,
    origin: Origin,
    *,
    folder: Path,
    hashes: tuple[str, ...] = (),
    is_editable: bool = False,
    settings: tuple[tuple[str, str], ...] = (),
) -> PipRequirement:
    """Read one requirement. Relative paths are below ``folder``, the repository's; nothing outside it is accepted.

    ``settings`` are for the backend of a build. A malformed requirement, or a local path that does not exist, is a
    RepositoryError that names the line, and so is a version control system other than git.
    """
    line = _Line(text, origin, folder, hashes, is_editable, settings)
    target, _, marker = text.partition("; ") if _URL.match(text) else text.partition(";")
    target = target.strip()
    if _URL.match(target):
        return line.direct("", target, marker.strip())
    if _looks_like_path(target, folder):
        return line.local("", target, marker.strip())
    return line.named()


def _looks_like_path(text: str, folder: Path) -> bool:
    if " @ " in text or "@" in text.partition("/")[0]:
        return False
    is_archive = text.lower().endswith(_ARCHIVES) and path_below(folder.resolve(), text) is not None
    return "/" in text or text.startswith(".") or is_archive


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    origin: Origin
    folder: Path
    hashes: tuple[str, ...]
    is_editable: bool
    settings: tuple[tuple[str, str], ...]

    def error(self, message: str, *, hint: str | None = None) -> RepositoryError:
        return RepositoryError(without_credentials(message), file=self.origin.file, line=self.origin.line, hint=hint)

    def named(self) -> PipRequirement:
        try:
            parsed = NamedRequirement(self.text)
        except InvalidRequirement as error:
            explanation = str(error).partition("\n")[0]
            single = re.search(r"[^=!<>~]=[^=]", self.text)
            hint = "a version is pinned with two equals signs: name==1.2" if single else None
            raise self.error(f"not a requirement: {self.text!r}: {explanation}", hint=hint) from error
        name = canonicalize_name(parsed.name)
        marker = str(parsed.marker) if parsed.marker else ""
        if parsed.url:
            extras = f"[{','.join(sorted(parsed.extras))}]" if parsed.extras else ""
            return self.direct(f"{name}{extras}", parsed.url, marker)
        if self.is_editable:
            raise self.error(f"{self.text!r} is neither a folder nor a checkout, and only those can be editable")
        is_exact = any(each.operator in ("==", "===") and "*" not in each.version for each in parsed.specifier)
        return PipRequirement(
            str(parsed),
            name,
            self.origin,
            self.hashes,
            settings=self.settings,
            is_exact=is_exact,
            names_prerelease=bool(parsed.specifier.prereleases),
            marker=marker,
        )

    def direct(self, name: str, url: str, marker: str) -> PipRequirement:
        """A URL, with the name and extras that were written before it, if any."""
        if _VERSION_CONTROL.match(url):
            return self.checkout(name, url, marker)
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise self.error(f"not a URL: {url!r}: {error}") from error
        if parts.scheme.lower() == "file":
            return self.local(name, unquote(parts.path), marker, fragment=parts.fragment)
        if parts.scheme.lower() not in ("http", "https"):
            raise self.error(f"{parts.scheme}: is no way to a package: {self.text!r}", hint="use https")
        if self.is_editable:
            raise self.error(f"{self.text!r} is neither a folder nor a checkout, and only those can be editable")
        path, extras = _without_extras(parts.path)
        address = parts._replace(path=path, fragment="").geturl()
        if not path.lower().endswith(".whl"):
            archive = PythonSource(SourceKind.ARCHIVE, url=address)
            return self.to_build(archive, name or extras, parts.fragment, marker)
        project = self.project(name, unquote(path.rpartition("/")[2]), extras)
        return self.exact(project, address, marker, fragment=parts.fragment)

    def checkout(self, name: str, text: str, marker: str) -> PipRequirement:
        """``git+URL[@REVISION][#egg=NAME[EXTRAS]&subdirectory=PATH]`` (pip's documentation, "VCS Support")."""
        system, _, url = text.partition("+")
        if system.lower() != "git":
            raise self.error(
                f"{self.text!r}: sources are checked out with git, not with {system}",
                hint="name a release, an archive or a git repository",
            )
        if "://" not in url:
            url = f"ssh://{url.replace(':', '/', 1)}"  # git+git@host:owner/name, which pip knows too
        address, _, fragment = url.partition("#")
        scheme, _, rest = address.partition("://")
        if scheme.lower() not in _GIT_SCHEMES or not rest or rest.startswith("-"):
            raise self.error(f"{scheme}: is no way to a git repository: {self.text!r}", hint="use git+https")
        host, slash, path = rest.partition("/")
        before, at, revision = path.rpartition("@")
        path, revision = (before, revision) if at else (path, "")
        if revision.startswith("-"):
            raise self.error(f"{revision!r} is no revision")
        source = PythonSource(SourceKind.GIT, url=f"{scheme}://{host}{slash}{path}", revision=unquote(revision))
        return self.to_build(source, name, fragment, marker)

    def local(self, name: str, text: str, marker: str, *, fragment: str = "") -> PipRequirement:
        """A path below the repository's folder."""
        text, extras = _without_extras(text)
        root = self.folder.resolve()
        path = path_below(root, text)
        if path is None:
            raise self.error(
                f"{text} does not exist in the repository, or leads out of it",
                hint="put the package into the repository, or name it by its URL",
            )
        local_path = path.relative_to(root).as_posix()
        if path.is_dir():
            if not any((path / each).is_file() for each in ("pyproject.toml", "setup.py")):
                raise self.error(f"{text} is no Python project: it has neither pyproject.toml nor setup.py")
            return self.to_build(
                PythonSource(SourceKind.FOLDER, local_path=local_path), name or extras, fragment, marker
            )
        if self.is_editable:
            raise self.error(f"{text} is neither a folder nor a checkout, and only those can be editable")
        if path.suffix.lower() != ".whl":
            archive = PythonSource(SourceKind.ARCHIVE, local_path=local_path)
            return self.to_build(archive, name or extras, fragment, marker)
        project = self.project(name, path.name, extras)
        return self.exact(project, path.as_uri(), marker, fragment=fragment, local_path=local_path)

    def to_build(self, source: PythonSource, project: str, fragment: str, marker: str) -> PipRequirement:
        """What has no wheel yet; ``project`` is its name and extras as far as they were written."""
        values = parse_qs(fragment)
        project = project if project and not project.startswith("[") else values.get("egg", [""])[0] or project
        name, bracket, extras = project.partition("[")
        subdirectory = posixpath.normpath(values.get("subdirectory", ["."])[0])
        if subdirectory.startswith(("..", "/")):
            raise self.error(f"the subdirectory {subdirectory} leads out of the source")
        if self.is_editable and source.kind is SourceKind.GIT and not name:
            raise self.error(f"{self.text!r} needs a name", hint="add #egg=NAME")
        if marker:
            self.check_marker(marker)
        normalised = str(canonicalize_name(name)) if name else ""
        source = replace(
            source,
            name=normalised,
            subdirectory="" if subdirectory == "." else subdirectory,
            is_editable=self.is_editable,
            settings=self.settings,
            why=(str(self.origin),),
        )
        return PipRequirement(
            self.text, normalised, self.origin, self.with_fragment(fragment), url=source.url, source=source,
            extras=f"[{extras}" if bracket else "", settings=self.settings, is_exact=True, marker=marker,
        )  # fmt: skip

    def check_marker(self, marker: str) -> None:
        try:
            Marker(marker)
        except InvalidMarker as error:
            raise self.error(f"not an environment marker: {marker!r}: {str(error).partition(chr(10))[0]}") from error

    def project(self, name: str, file_name: str, extras: str) -> str:
        try:
            in_file = parse_wheel_filename(file_name)[0]
        except InvalidWheelFilename as error:
            raise self.error(f"{file_name} is not the name of a wheel") from error
        if name and canonicalize_name(name.partition("[")[0]) != in_file:
            raise self.error(f"{name} is asked for, but {file_name} is a wheel of {in_file}")
        return name or f"{in_file}{extras}"

    def exact(self, project: str, url: str, marker: str, *, fragment: str, local_path: str = "") -> PipRequirement:
        return PipRequirement(
            text=f"{project} @ {url}" + (f" ; {marker}" if marker else ""),
            name=str(canonicalize_name(project.partition("[")[0])),
            origin=self.origin,
            hashes=self.with_fragment(fragment),
            url=url,
            local_path=local_path,
            is_exact=True,
            marker=marker,
        )

    def with_fragment(self, fragment: str) -> tuple[str, ...]:
        return (*self.hashes, *(f"{kind}:{value}" for kind, value in _FRAGMENT_HASH.findall(fragment)))


def path_below(root: Path, text: str) -> Path | None:
    """The existing path that ``text`` names below ``root``, links followed; None where it is none or leads outside."""
    try:
        path = (root / text).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # absent, too long, a circle of links, a NUL byte
        return None
    return path if path.is_relative_to(root) else None


def without_credentials(text: str) -> str:
    """The text with the userinfo of every URL in it taken out."""
    return re.sub(r"(?<=://)[^/@\s]+@", "", text)


def _without_extras(path: str) -> tuple[str, str]:
    found = re.fullmatch(r"(.*?)(\[[^\]/]*\])", path)
    return (found[1], found[2]) if found else (path, "")
