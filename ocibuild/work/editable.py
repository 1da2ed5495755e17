"""What an editable install leaves in its project's folder, such as compiled modules and ``.egg-info``.

The project's own files are not changed on this machine: the build works on a copy, at the place that the project will
have in the image. What it wrote there belongs to the image, on top of the repository's files.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ocibuild.core.digest import Digest
from ocibuild.core.package import LockedPackage
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.reader import read_entries
from ocibuild.layer.tar import END_OF_ARCHIVE, write_entries
from ocibuild.plan.source_layer import TreePlace
from ocibuild.source.folder import read_folder
from ocibuild.source.tree import SourceFile, SourceTree
from ocibuild.store.store import Store

__all__ = ["editable_entries", "store_changes"]


def editable_entries(packages: Sequence[LockedPackage], store: Store, place: TreePlace) -> Iterator[Entry]:
    """What the editable installs among these packages left in the repository, whose files are at ``place``.

    The entries go on top of the repository's, in the same layer or a later one. Paths of several are in their order.
    """
    for package in packages:
        changes = package.fields.get("changes")
        if not changes:
            continue
        with store.blobs.open(Digest.sha256(changes)) as stream:
            for entry in read_entries(stream, where=f"what {package.identity} left in its folder"):
                path = f"{place.path}/{entry.path}".lstrip("/")
                yield replace(entry, path=path, uid=place.uid, gid=place.gid, modified=place.modified)


def store_changes(before: SourceTree, folder: Path, store: Store, *, local_path: str) -> Digest | None:
    """Keep what of ``folder`` is new or other than in ``before``: a tar archive in the store, None for nothing.

    ``local_path`` is where the folder is in the repository; paths in the archive are the repository's.
    """
    after = read_folder(folder)
    known = {file.path: file for file in before.files}
    changed = [file for file in after.files if known.get(file.path) != file]
    if not changed:
        return None
    prefix = "" if local_path == "." else f"{local_path}/"
    with store.blobs.writer(where="what an editable build left in its folder") as writer:
        for piece in write_entries(_entry(file, after, prefix) for file in changed):
            writer.write(piece)
        writer.write(END_OF_ARCHIVE)
    return writer.digest


def _entry(file: SourceFile, tree: SourceTree, prefix: str) -> Entry:
    path = f"{prefix}{file.path}"
    if file.link is not None:
        return Entry.symlink(path, file.link)
    if file.is_folder:
        return Entry.directory(path)
    mode = 0o755 if file.is_executable else 0o644
    return Entry(path, EntryKind.FILE, mode, size_bytes=file.size_bytes, content=partial(tree.stream, file))
