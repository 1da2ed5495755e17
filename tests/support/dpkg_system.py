"""A small system under a real dpkg, and the same system installed by this program: for comparing the two.

::

    system = DpkgSystem(folder)
    system.install(make_deb("one"), ...)          # dpkg --root --install
    ours = system.ours(make_deb("two"), removals=("one:all",))   # what this program makes of the next step: path -> facts
    system.install(make_deb("two"))
    assert ours == system.tree()

The packages may have no maintainer scripts: nothing is run in the system.
"""

import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ocibuild.core.digest import Digest
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.ecosystem.apt.database import DpkgDatabase, InstalledPackage
from ocibuild.ecosystem.apt.installation import Installation
from ocibuild.ecosystem.apt.place import place
from ocibuild.ecosystem.apt.removal import removed_packages, whiteouts
from ocibuild.ecosystem.apt.settle import PlacedDeb, first_context, settle
from ocibuild.ecosystem.apt.state import make_state
from ocibuild.image.recording import Recorder
from ocibuild.image.rootfs import write_rootfs
from ocibuild.image.view import LayerTable, View, ViewEntry
from ocibuild.layer.entry import WHITEOUT_PREFIX, Entry, EntryKind
from ocibuild.layer.reader import read_entries
from ocibuild.plan.skeleton import declared_folders, skeleton
from tests.support.apt_repository import MadeDeb
from tests.support.made_images import MadeImage
from tests.support.trees import tree

__all__ = ["DpkgSystem", "view_entries"]

# dpkg's own traces: logs, locks, backups, and the list of available packages, which only dselect used.
_TRACES = (
    "status-old",
    "diversions-old",
    "statoverride-old",
    "/lock",
    "lock-frontend",
    "/triggers/Lock",
    "dpkg.log",
    "/available",
    "/parts",
    "/updates",
    "/tmp.ci",
)


class DpkgSystem:
    """A root folder that dpkg manages, ``root`` in ``folder``.

    Where it is not there yet it is made, empty; ``merged`` makes bin, lib and sbin links into usr first.
    """

    def __init__(self, folder: Path, *, merged: bool = True) -> None:
        self.root = folder / "root"
        self._folder = folder
        self._count = 0
        if self.root.exists():
            return
        for name in ("var/lib/dpkg/info", "var/lib/dpkg/triggers", "etc", "usr"):
            (self.root / name).mkdir(parents=True)
        for name in ("status", "diversions", "statoverride"):
            (self.root / f"var/lib/dpkg/{name}").touch()
        (self.root / "var/lib/dpkg/info/format").write_text("1\n")
        (self.root / "var/lib/dpkg/arch").write_text("amd64\ni386\n")
        (self.root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\ngames:x:5:60::/:/bin/sh\n")
        (self.root / "etc/group").write_text("root:x:0:\ngames:x:60:\n")
        for name in ("bin", "lib", "sbin") if merged else ():
            (self.root / "usr" / name).mkdir()
            (self.root / name).symlink_to(f"usr/{name}")

    def dpkg(self, *arguments: str | Path) -> None:
        """Run dpkg on the system; a test that expects a failure catches CalledProcessError."""
        options = ["--force-script-chrootless", "--force-confold", "--force-unsafe-io", "--log=/dev/null"]
        command = ["dpkg", f"--root={self.root}", *options, *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})

    def install(self, *debs: MadeDeb) -> None:
        """Install these packages with dpkg, in one run."""
        self.dpkg("--install", *(self._file(deb) for deb in debs))

    def unpack(self, *debs: MadeDeb) -> None:
        """Unpack these packages with dpkg, whatever they depend on; conffiles are left beside their places."""
        self.dpkg("--force-depends", "--force-bad-path", "--unpack", *(self._file(deb) for deb in debs))

    def tree(self) -> dict[str, tuple[object, ...]]:
        """What the system holds now, without dpkg's traces and without times."""
        return _facts(self.root)

    def ours(self, *debs: MadeDeb, removals: Sequence[str] = ()) -> dict[str, tuple[object, ...]]:
        """What the system holds once this program has installed and removed these packages, as :meth:`tree` tells it."""
        base = self._entries()
        installation = self._installation(_view(base), debs, removals)
        state = make_state(installation)
        assert state.unknown == ()
        return _facts(self._written([base, *self._changes(installation), list(state.entries)]))

    def ours_unconfigured(self, *debs: MadeDeb, removals: Sequence[str] = ()) -> Path:
        """A copy of the system with these packages unpacked, and with what the step that configures them needs."""
        installation = self.installation(*debs, removals=removals)
        state = make_state(installation)
        assert state.unknown != ()
        self._count += 1
        target = self._folder / f"ours-{self._count}"
        subprocess.run(["cp", "-a", self.root, target], check=True)
        for entries in (*self._changes(installation), state.entries):
            for entry in entries:
                _apply(entry, target)
        return target

    def installation(self, *debs: MadeDeb, removals: Sequence[str] = ()) -> Installation:
        """The installation of these packages on the system as it is now."""
        return self._installation(_view_of(self.root), debs, removals)

    def _installation(self, view: View, debs: Sequence[MadeDeb], removals: Sequence[str]) -> Installation:
        database = DpkgDatabase.read(view)
        removed = removed_packages(removals, database)
        placed = self._placed(debs, removed, view, database)
        gone = whiteouts(placed, removed, view=view, database=database)
        full = view.extended([_table(gone), *(deb.table for deb in placed)])
        return Installation(placed, removed, view, full, database, "amd64")

    def _changes(self, installation: Installation) -> tuple[list[Entry], list[Entry]]:
        """What goes, and what the packages bring."""
        placed, view, database = installation.placed, installation.base, installation.database
        gone = whiteouts(placed, installation.removed, view=view, database=database)
        return gone, self._entries_of_last([deb.table for deb in placed], view)

    def ours_unpacked(self, *debs: MadeDeb) -> dict[str, tuple[object, ...]]:
        """What the system holds once this program has placed these packages, before dpkg's state is written."""
        base = self._entries()
        view = _view(base)
        tables = [deb.table for deb in self._placed(debs, (), view, DpkgDatabase.read(view))]
        return _facts(self._written([base, self._entries_of_last(tables, view)]))

    def _entries_of_last(self, tables: Sequence[LayerTable], view: View) -> list[Entry]:
        folders = skeleton(tables, below=view, declared=declared_folders(tables))
        return folders + [e for _, entries in self._last for e in entries if e.kind is not EntryKind.DIRECTORY]

    def _written(self, layers: Sequence[list[Entry]]) -> Path:
        self._count += 1
        target = self._folder / f"ours-{self._count}"
        write_rootfs(MadeImage(list(layers)).source(), target)
        return target

    def _placed(
        self, debs: Sequence[MadeDeb], removed: Sequence[InstalledPackage], view: View, database: DpkgDatabase
    ) -> list[PlacedDeb]:
        packages = [_locked(deb, database) for deb in debs]
        contexts = [first_context(package, view=view, database=database) for package in packages]
        for _ in range(3):
            self._last = []
            placed = []
            for package, deb, context in zip(packages, debs, contexts, strict=True):
                placement = place(package, self._file(deb), context)
                entries = [_kept(entry) for entry in placement.entries]
                self._last.append((package, entries))
                placed.append(PlacedDeb(package, context, _table(entries), placement.notes))
            changed = settle(placed, view=view, database=database, removed=removed)
            if not changed:
                return placed
            contexts = [changed.get(number, context) for number, context in enumerate(contexts)]
        raise AssertionError("not settled")

    def _entries(self) -> list[Entry]:
        path = self._folder / "base.tar"
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
            for child in sorted(self.root.iterdir()):
                archive.add(child, child.name)
        with path.open("rb") as stream:
            return [_kept(entry) for entry in read_entries(stream, where="base")]

    def _file(self, deb: MadeDeb) -> Path:
        path = self._folder / deb.filename
        path.write_bytes(deb.data)
        return path


def _kept(entry: Entry) -> Entry:
    """The entry with its content in memory."""
    fields = (entry.path, entry.kind, entry.mode, entry.uid, entry.gid, entry.size_bytes, entry.link, entry.read())
    return Entry(*fields, entry.modified, entry.attributes)


def _table(entries: Sequence[Entry]) -> LayerTable:
    recorder = Recorder("made")
    for entry in recorder.passing(entries):
        for _ in entry.chunks():
            pass
    return recorder.table()


def _view(entries: Sequence[Entry]) -> View:
    contents: Mapping[str, bytes] = {entry.path: entry.read() for entry in entries}

    def read_content(path: str, _: ViewEntry) -> bytes:
        return contents[path]

    return View(read_content=read_content).extended([_table(entries)])


def _view_of(root: Path) -> View:
    """The tree as an image; a file is read when it is asked for."""
    return View(view_entries(root), read_content=lambda path, _: (root / path).read_bytes())


def view_entries(root: Path) -> dict[str, ViewEntry]:
    """Path -> what it is in the tree; devices and the like are left out."""
    entries = {}
    for path in root.rglob("*"):
        status, name = path.lstat(), str(path.relative_to(root))
        mode, owner = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
        if path.is_symlink():
            entries[name] = ViewEntry("symlink", 0o777, *owner, link=str(path.readlink()))
        elif path.is_dir():
            entries[name] = ViewEntry("directory", mode, *owner)
        elif path.is_file():
            entries[name] = ViewEntry("file", mode, *owner, size_bytes=status.st_size)
    return entries


def _apply(entry: Entry, root: Path) -> None:
    """Make the entry, or take away what it hides, in a tree whose parents are no links there."""
    path = root / entry.path
    if path.name.startswith(WHITEOUT_PREFIX):
        hidden = path.with_name(path.name.removeprefix(WHITEOUT_PREFIX))
        shutil.rmtree(hidden) if hidden.is_dir() and not hidden.is_symlink() else hidden.unlink()
        return
    if entry.kind is EntryKind.DIRECTORY:
        path.mkdir(exist_ok=True)
    else:
        path.unlink(missing_ok=True)
        if entry.kind is EntryKind.SYMLINK:
            path.symlink_to(entry.link)
        else:
            path.write_bytes(entry.read())
    os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
    if entry.kind is not EntryKind.SYMLINK:
        path.chmod(entry.mode)
    os.utime(path, (entry.modified, entry.modified), follow_symlinks=False)


def _locked(deb: MadeDeb, database: DpkgDatabase) -> LockedPackage:
    installed = database.get(deb.name, deb.architecture)
    return LockedPackage(
        Ecosystem.APT,
        deb.name,
        deb.version,
        deb.architecture,
        "made",
        deb.filename,
        Digest.of(deb.data),
        fields={"previous": installed.version} if installed else {},
    )


def _facts(root: Path) -> dict[str, tuple[object, ...]]:
    """Path -> mode, owner, content and hard link; times are left out, for dpkg keeps those of the packages."""
    found = {path: facts[:5] if len(facts) > 3 else facts for path, facts in tree(root).items()}
    return {path: facts for path, facts in found.items() if not any(trace in f"/{path}" for trace in _TRACES)}
