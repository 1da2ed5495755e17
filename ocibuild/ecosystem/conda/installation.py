"""What installing one conda package writes where: rattler's rules, without touching a file system."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ocibuild.core.errors import BuildError, ImageError
from ocibuild.core.paths import ancestors, clean_path
from ocibuild.ecosystem.conda.archive import CondaArchive
from ocibuild.ecosystem.conda.channel import channel_address
from ocibuild.ecosystem.conda.content import patched, verified
from ocibuild.ecosystem.conda.distributions import distributions_among
from ocibuild.ecosystem.conda.entry_points import wrapper
from ocibuild.ecosystem.conda.metadata import ListedPath, PackageInfo
from ocibuild.ecosystem.conda.prefix_record import InstalledPath, record_path, write_record
from ocibuild.layer.entry import Content, Entry, EntryKind

__all__ = ["CLOBBERS", "Installation"]

CLOBBERS = "__clobbers__"
"""The folder below the prefix where files go whose place another package's file took, each package's by itself."""

_WRAPPER_MODE = 0o775  # as rattler makes them
_RECORD_MODE = 0o644
_ACTIVATION = "etc/conda/activate.d/"


@dataclass(frozen=True, slots=True)
class _Place:
    """A path below the prefix, and the one that the package meant where another package's file has that."""

    path: str
    original: str = ""


@dataclass(frozen=True, slots=True)
class _Target:
    """A path that the package lists, and its place."""

    listed: ListedPath
    place: _Place


class Installation:
    """The files of one package under one prefix. The arguments are those of :class:`.place.CondaPlaceContext`.

    ``paths`` are all places in the image, of files, links, programs and the record; ``folders`` those that the package
    lists as such. Everything is checked before the first entry, but for what only the archive's members can tell.
    """

    def __init__(
        self,
        archive: CondaArchive,
        *,
        package_name: str,
        prefix: str,
        record: Mapping[str, Any],
        python_version: str = "",
        site_packages: str = "",
        requested_specs: Sequence[str] = (),
        displaced: frozenset[str] = frozenset(),
        verify_files: bool = False,
        uid: int = 0,
        gid: int = 0,
    ) -> None:
        self._archive = archive
        self._prefix = prefix
        self._python_version = python_version
        self._site_packages = clean_path(site_packages, where=archive.name)
        self._requested_specs = requested_specs
        self._displaced = displaced
        self._verify_files = verify_files
        self._uid, self._gid = uid, gid
        self._info = PackageInfo.read(archive)
        self._name = str(self._info.index.get("name", ""))
        if self._name != package_name:
            raise self._error(f"it holds {self._name}, not {package_name}")
        if self._info.is_noarch_python and not (python_version and site_packages):
            raise BuildError(
                f"{archive.name} needs a Python to be placed for, and the environment has none",
                hint="ask for python beside it",
            )
        self._record = _completed(record, self._info.index)
        self._programs = [(point, self._place_of(f"bin/{point.name}")) for point in self._info.entry_points]
        programs = {place for _, place in self._programs}
        targets = [_Target(each, self._place_of(self._moved(each.path))) for each in self._info.paths.values()]
        # A program that an entry point asks for takes the place of the package's own file of that name.
        self._targets = {each.listed.path: each for each in targets if each.place not in programs}
        self._record_place = self._place_of(record_path(str(self._record["fn"])))
        self.folders = {
            self._in_image(each.place) for each in self._targets.values() if each.listed.kind == "directory"
        }
        self.paths = self._checked_paths()
        self._installed: dict[str, InstalledPath] = {}
        self._modes: dict[str, int] = {}  # of the regular files, which hard links have too

    # Where files go.

    def _moved(self, path: str) -> str:
        """Modules and scripts of a noarch package go where the environment's Python has its own."""
        if self._info.is_noarch_python:
            for folder, place in (("site-packages/", self._site_packages), ("python-scripts/", "bin")):
                if path.startswith(folder):
                    return f"{place}/{path[len(folder) :]}"
        return path

    def _place_of(self, path: str) -> _Place:
        if f"{self._prefix}/{path}" in self._displaced:
            return _Place(f"{CLOBBERS}/{self._name}/{path}", path)
        return _Place(path)

    def _in_image(self, place: _Place) -> str:
        return f"{self._prefix}/{place.path}"

    def _checked_paths(self) -> list[str]:
        """All places but folders; an ImageError where two things claim one, or one would be a folder of another."""
        places = [each.place for each in self._targets.values() if each.listed.kind != "directory"]
        paths = [self._in_image(place) for place in (*places, *(place for _, place in self._programs))]
        paths.append(self._in_image(self._record_place))
        found = set(paths)
        if len(found) != len(paths):
            twice = min(path for path, count in Counter(paths).items() if count > 1)
            raise self._error(f"two files would be /{twice}")
        for path in (*paths, *self.folders):
            blocked = found.intersection(ancestors(path))
            if blocked:
                raise self._error(f"/{path} would lie below /{min(blocked)}, which is no folder")
        if found & self.folders:
            raise self._error(f"/{min(found & self.folders)} would be a folder and a file")
        return paths

    # The entries.

    def entries(self) -> Iterator[Entry]:
        """Files and links in the archive's order, then programs, then the record; to be taken in order.

        An ImageError where the archive lacks what the package lists.
        """
        for member in self._archive.members():
            target = self._targets.get(member.path)
            if target is None or member.kind is EntryKind.DIRECTORY:
                continue
            if member.path in self._installed or target.listed.kind == "directory":
                raise self._error(f"{member.path} occurs twice, or is no folder as it is listed")
            yield from self._entry(member, target)
        missing = [path for path, target in self._targets.items() if target.listed.kind != "directory"]
        missing = [path for path in missing if path not in self._installed]
        if missing:
            raise self._error(f"it lists {missing[0]}, which is not in it")
        written = [*self._installed.values(), *self._folder_records()]
        for point, place in self._programs:
            content = wrapper(point, interpreter=f"/{self._prefix}/bin/python{self._python_version}")
            yield Entry.file(self._in_image(place), content, mode=_WRAPPER_MODE, uid=self._uid, gid=self._gid)
            digest = hashlib.sha256(content).hexdigest()
            program = InstalledPath(place.path, "unix_python_entry_point", digest, "", len(content), place.original)
            written.append(program)
        content = write_record(self._record, written, requested_specs=self._requested_specs)
        path = self._in_image(self._record_place)
        yield Entry.file(path, content, mode=_RECORD_MODE, uid=self._uid, gid=self._gid)

    def _entry(self, member: Entry, target: _Target) -> Iterator[Entry]:
        """The one entry of a member; what the record says of it is known when the next entry is asked for."""
        if member.kind is EntryKind.SYMLINK:
            yield Entry.symlink(self._in_image(target.place), member.link, uid=self._uid, gid=self._gid)
            text = member.link.encode("utf-8", "surrogateescape")
            size_bytes = len(text) if target.listed.size_bytes is None else target.listed.size_bytes
            self._note(target, "softlink", size_bytes, hashlib.sha256(text).hexdigest())
        elif member.kind is EntryKind.HARDLINK:
            yield from self._hard_link(member, target)
        elif member.kind is EntryKind.FILE:
            yield from self._file(member, target)
        else:
            raise self._error(f"{member.path} is neither a file nor a link")

    def _file(self, member: Entry, target: _Target) -> Iterator[Entry]:
        where, listed = f"{self._archive.name}: {member.path}", target.listed
        content = verified(member, listed, where=self._archive.name) if self._verify_files else member.content
        if not listed.placeholder and listed.sha256:
            yield self._file_entry(member, target, content, member.size_bytes)
            self._note(target, "hardlink", member.size_bytes)
            return
        prefix = f"/{self._prefix}"
        with patched(content, member.size_bytes, listed, prefix=prefix, where=where) as result:
            yield self._file_entry(member, target, result.chunks, result.size_bytes)
            self._note(target, "hardlink", result.size_bytes, result.digest())

    def _file_entry(self, member: Entry, target: _Target, content: Content, size_bytes: int) -> Entry:
        mode = self._modes[target.listed.path] = member.mode & 0o777
        path = self._in_image(target.place)
        return Entry(path, EntryKind.FILE, mode, self._uid, self._gid, size_bytes, content=content)

    def _hard_link(self, member: Entry, target: _Target) -> Iterator[Entry]:
        """A second name of a file: a hard link where the file is placed as it would be under this name."""
        shared, listed = self._targets.get(member.link), target.listed
        is_same = shared is not None and (
            (shared.listed.placeholder, shared.listed.mode) == (listed.placeholder, listed.mode)
        )
        if is_same and shared is not None and member.link in self._modes:
            path = self._in_image(target.place)
            mode = self._modes[listed.path] = self._modes[member.link]
            yield Entry(path, EntryKind.HARDLINK, mode, self._uid, self._gid, link=self._in_image(shared.place))
            first = self._installed[member.link]
            self._note(target, "hardlink", first.size_bytes, first.sha256_in_prefix)
            return
        for original in self._archive.members():
            if original.path == member.link and original.kind is EntryKind.FILE:
                yield from self._file(original, target)
                return
        raise self._error(f"{member.path} is a link to {member.link}, which is no file in it")

    # The record.

    def _note(self, target: _Target, kind: str, size_bytes: int | None, digest: str = "") -> None:
        """What the record says of a path; ``digest`` is of what lies in the prefix, empty for what the package has."""
        listed = target.listed
        self._installed[listed.path] = InstalledPath(
            target.place.path,
            listed.kind or kind,
            sha256=listed.sha256,
            sha256_in_prefix="" if digest == listed.sha256 else digest,
            size_bytes=size_bytes,
            original_path=target.place.original,
            mode=listed.mode,
            placeholder=listed.placeholder,
            no_link=listed.no_link,
        )

    def _folder_records(self) -> Iterator[InstalledPath]:
        for target in self._targets.values():
            if target.listed.kind == "directory":
                yield InstalledPath(target.place.path, "directory", original_path=target.place.original)

    def notes(self) -> dict[str, bytes]:
        """What later phases want to know: the notes of :func:`.place.place`."""
        places = sorted(target.place.path for target in self._targets.values())
        scripts = {kind: f"bin/.{self._name}-{kind}.sh" for kind in ("pre-link", "post-link")}
        lines = {kind: [path] for kind, path in scripts.items() if path in places}
        lines["activate"] = [path for path in places if path.startswith(_ACTIVATION) and path.endswith(".sh")]
        lines["distributions"] = [f"{name} {version}" for name, version in distributions_among(places).items()]
        return {name: "\n".join(texts).encode() for name, texts in lines.items() if texts}

    def _error(self, message: str) -> ImageError:
        return ImageError(f"{self._archive.name}: not a conda package that can be used: {message}")


def _completed(record: Mapping[str, Any], index: Mapping[str, Any]) -> dict[str, Any]:
    """The channel's record, or where it is not known, what the package says of itself with what the record has.

    Its addresses are the public ones of the channel: a mirror is the business of the machine that used it.
    """
    own = {}
    if "depends" not in record:
        own = {"depends": []} | {key: value for key, value in index.items() if value not in (None, [], "", {})}
    channel = channel_address(str(record["channel"]))
    url = f"{channel}{record['subdir']}/{record['fn']}"
    return {**own, **record, "url": url, "channel": channel}
