"""What installing one wheel writes where: pip's rules, without touching a file system."""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ocibuild.core.errors import ImageError
from ocibuild.core.paths import folders_above
from ocibuild.ecosystem.pip.entry_points import is_replaced_by_wrapper, read_entry_points, wrappers
from ocibuild.ecosystem.pip.record import Row, checked, hash_of, read_record, write_record
from ocibuild.ecosystem.pip.wheel import Member, WheelArchive

__all__ = ["Installation", "Target"]

_LARGEST_METADATA_BYTES = 16 << 20  # a RECORD of some 150,000 files; the largest real ones name 20,000
_REGULAR_FILE, _TYPE_BITS = 0o100000, 0o170000
# A control character (NUL and line feeds among them), a backslash, or an empty, "." or ".." component.
_UNSAFE_PATH = re.compile(r"[\x00-\x1f\\]|(?:\A|/)\.{0,2}(?:/|\Z)")
_DATA_KEYS = ("purelib", "platlib", "headers", "scripts", "data")


@dataclass(frozen=True, slots=True)
class Target:
    """A file to write: a member of the archive as it is, or (``member`` is None) ``content``.

    ``recorded_hash`` is what the wheel's RECORD says of a member, empty where it says nothing.
    """

    path: str
    mode: int
    member: Member | None = None
    content: bytes = b""
    recorded_hash: str = ""


class Installation:
    """The files of one wheel under one prefix. The arguments are those of :class:`.place.PipPlaceContext`."""

    def __init__(
        self,
        archive: WheelArchive,
        *,
        package_name: str,
        prefix: str,
        python_version: str,
        interpreter: str,
        requested: bool,
        direct_url: str,
    ) -> None:
        self._archive = archive
        self._prefix = prefix
        self._python_version = python_version
        self._interpreter = interpreter
        self._requested = requested
        self._direct_url = direct_url
        self._library = f"{prefix}/lib/python{python_version}/site-packages"
        self._info = self._find_info(package_name)
        self._check_wheel_version()
        self._rows = read_record(self._text("RECORD") or "", where=archive.name)
        if not self._rows:
            raise self._error("it has no RECORD")
        self._groups = read_entry_points(self._text("entry_points.txt") or "")
        self._schemes = self._scheme_folders()

    def targets(self) -> list[Target]:
        """Every file, in the order of the paths.

        An ImageError where two files claim one path, where a file would be a folder of another, or where a path leads
        out of its folder.
        """
        hashes = {path: recorded for path, recorded, _ in self._rows}
        installed: dict[str, str] = {}  # the member's name -> the path as the new RECORD names it
        changed: dict[str, bytes] = {}
        files: dict[str, Target] = {}
        generated = dict(self._generated())
        record = f"{self._info}/RECORD"
        for member in self._archive.members:
            place = None if member.is_folder else self._place_of(member)
            if place is None:
                continue
            installed[member.name] = self._row_path(place)
            path = self._canonical(place)
            if path in files:
                raise self._error(f"two files would be {path}")
            if path in generated or member.name == record:
                continue
            target = Target(path, self._mode(member), member, recorded_hash=hashes.get(member.name, ""))
            if self._is_script(member.name):
                target = self._script(target, member)
                if target.member is None:
                    changed[member.name] = target.content
            files[path] = target
        files |= {path: Target(path, mode, content=content) for path, (mode, content) in generated.items()}
        content = write_record(self._new_rows(installed, changed, generated))
        files[f"{self._library}/{record}"] = Target(f"{self._library}/{record}", 0o644, content=content)
        self._check_folders(files)
        return [files[path] for path in sorted(files)]

    # What the wheel says of itself.

    def _find_info(self, package_name: str) -> str:
        found = {member.name.partition("/")[0] for member in self._archive.members}
        infos = sorted(name for name in found if name.endswith(".dist-info"))
        if len(infos) != 1:
            raise self._error(f"it has {len(infos)} .dist-info folders instead of one")
        own = re.sub(r"[-_.]+", "-", infos[0].partition("-")[0]).lower()
        if package_name and own != re.sub(r"[-_.]+", "-", package_name).lower():
            raise self._error(f"it holds {own}, not {package_name}")
        return infos[0]

    def _text(self, name: str) -> str | None:
        member = self._archive.get(f"{self._info}/{name}")
        if member is None:
            return None
        try:
            return self._archive.read(member, largest_bytes=_LARGEST_METADATA_BYTES).decode()
        except UnicodeDecodeError as error:
            raise self._error(f"{member.name} is not UTF-8") from error

    def _check_wheel_version(self) -> None:
        text = self._text("WHEEL")
        if text is None:
            raise self._error("it has no WHEEL file")
        lines = (line.partition(":") for line in text.splitlines())
        version = next((value.strip() for key, _, value in lines if key.lower() == "wheel-version"), "")
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)*", version):
            raise self._error(f"its Wheel-Version is {version!r}")
        if int(version.partition(".")[0]) > 1:
            raise self._error(f"its Wheel-Version {version} is newer than the format this program knows (1.0)")

    # Where files go.

    def _scheme_folders(self) -> dict[str, str]:
        """The folders of ``NAME.data``, as sysconfig's scheme "venv" and pip's headers have them."""
        name = self._info.partition("-")[0]
        headers = f"{self._prefix}/include/site/python{self._python_version}/{name}"
        folders = (self._library, self._library, headers, f"{self._prefix}/bin", self._prefix)
        return dict(zip(_DATA_KEYS, folders, strict=True))

    def _place_of(self, member: Member) -> str | None:
        """The path that pip would write the member to, or None where it leaves it out."""
        name = member.name
        if _UNSAFE_PATH.search(name):
            raise self._error(f"the path {name!r} is not safe")
        parts = name.split("/")
        if not parts[0].endswith(".data"):
            return f"{self._library}/{name}"
        if len(parts) < 3 or parts[1] not in self._schemes:  # noqa: PLR2004 - NAME.data, a key, a path
            raise self._error(f"{name} lies in none of {', '.join(_DATA_KEYS)}")
        if parts[1] == "scripts" and is_replaced_by_wrapper(parts[-1], self._groups):
            return None
        return "/".join((self._schemes[parts[1]], *parts[2:]))

    def _canonical(self, place: str) -> str:
        """``lib64`` is a link to ``lib`` in a venv, and no entry may have a link above it."""
        linked = f"{self._prefix}/lib64"
        if place == linked:
            raise self._error("it would replace the environment's lib64")
        return f"{self._prefix}/lib{place[len(linked) :]}" if place.startswith(f"{linked}/") else place

    def _row_path(self, place: str) -> str:
        if place.startswith(f"{self._library}/"):
            return place[len(self._library) + 1 :]
        return posixpath.relpath(f"/{place}", f"/{self._library}")

    @staticmethod
    def _mode(member: Member) -> int:
        """As in pip, all that is kept is whether a member is a regular file that somebody may execute."""
        is_executable = member.mode & _TYPE_BITS == _REGULAR_FILE and member.mode & 0o111
        return 0o755 if is_executable else 0o644

    @staticmethod
    def _is_script(name: str) -> bool:
        parts = name.split("/", 2)
        return parts[0].endswith(".data") and parts[1] == "scripts"

    def _script(self, target: Target, member: Member) -> Target:
        """A program of the wheel: executable, and for Python ones the interpreter's path in the first line.

        The specification lets installers add the executable bit, which wheels made on Windows lack; pip does not.
        """
        pieces = self._archive.stream(member)
        if not next(pieces, b"").startswith(b"#!python"):
            return Target(target.path, 0o755, member, recorded_hash=target.recorded_hash)
        data = self._archive.read(member, largest_bytes=_LARGEST_METADATA_BYTES)
        checked(data, target.recorded_hash, where=f"{self._archive.name}: {member.name}")
        rest = data.partition(b"\n")[2]
        return Target(target.path, 0o755, content=f"#!{self._interpreter}\n".encode() + rest)

    # What pip adds.

    def _generated(self) -> Iterable[tuple[str, tuple[int, bytes]]]:
        programs = wrappers(
            self._groups,
            interpreter=self._interpreter,
            python_version=self._python_version,
            where=self._archive.name,
        )
        for name, content in programs:
            yield f"{self._prefix}/bin/{name}", (0o755, content)
        info = f"{self._library}/{self._info}"
        yield f"{info}/INSTALLER", (0o644, b"pip\n")
        if self._direct_url:
            yield f"{info}/direct_url.json", (0o644, self._direct_url.encode())
        if self._requested:
            yield f"{info}/REQUESTED", (0o644, b"")

    def _new_rows(
        self, installed: dict[str, str], changed: dict[str, bytes], generated: dict[str, tuple[int, bytes]]
    ) -> list[Row]:
        """The rows of the installed RECORD: the wheel's own under their new paths, then what was added.

        As in pip, a row of a file that is not installed stays, and a file without a row gets one without a hash.
        """
        remaining = dict(installed)
        added = {self._row_path(path): content for path, (_, content) in generated.items()}
        rows = []
        for path, recorded, size in self._rows:
            new_path = remaining.pop(path, path)
            if path in changed:
                rows.append((new_path, hash_of(changed[path]), str(len(changed[path]))))
            elif new_path not in added:
                rows.append((new_path, recorded, size))
        rows += [(path, "", "") for path in remaining.values() if path not in added]
        rows += [(path, hash_of(content), str(len(content))) for path, content in added.items()]
        return rows

    def _check_folders(self, files: dict[str, Target]) -> None:
        for folder in sorted(folders_above(files) & files.keys()):
            raise self._error(f"{folder} would be a file and a folder")

    def _error(self, message: str) -> ImageError:
        return ImageError(f"{self._archive.name}: not a wheel that can be used: {message}")
