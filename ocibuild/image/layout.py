"""OCI image layouts (image-spec, image-layout.md): a folder of blobs and an index of named images."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from ocibuild.core.atomic import PARTIAL_PREFIX, check_replaceable, map_os_error, replacing
from ocibuild.core.descriptor import OCI_INDEX, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, UsageError
from ocibuild.core.events import EventSink, discard
from ocibuild.image.document import Document, canonical_json, parse_object
from ocibuild.image.source import ImageSource, Member, copied_chunks, members, read_document
from ocibuild.image.translation import OciTypedSource

__all__ = [
    "DEFAULT_TAG",
    "INDEX_FILE",
    "LAYOUT_FILE",
    "LAYOUT_MARK",
    "LayoutSource",
    "LayoutTarget",
    "blob_name",
    "check_layout_target",
    "chosen_descriptor",
    "layout_index",
    "write_layout",
]

DEFAULT_TAG = "latest"
INDEX_FILE = "index.json"
LAYOUT_FILE = "oci-layout"
LAYOUT_MARK = canonical_json({"imageLayoutVersion": "1.0.0"})
_REF_NAME = "org.opencontainers.image.ref.name"
_SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True)
class LayoutTarget:
    """``DIR[:TAG]`` of ``oci:DIR[:TAG]``, or ``FILE[:TAG]`` of an archive; ``tag`` is None where none is given."""

    path: Path
    tag: str | None = None

    @classmethod
    def parse(cls, text: str) -> "LayoutTarget":
        """Split at the first colon, as skopeo and podman do; a UsageError where the path is empty."""
        path, colon, tag = text.partition(":")
        if not path or (colon and not tag):
            raise UsageError(f"not a place for an image: {text!r}", hint="write DIR or DIR:TAG, such as oci:image:1.0")
        return cls(Path(path), tag or None)

    def __str__(self) -> str:
        return f"{self.path}:{self.tag}" if self.tag else str(self.path)


class LayoutSource:
    """An image in a layout folder; satisfies :class:`~ocibuild.image.source.ImageSource`.

    Without a tag the image is the one tagged ``latest``, else the only one.
    """

    def __init__(self, target: LayoutTarget) -> None:
        self._folder = target.path
        self._tag = target.tag
        self.name = f"oci:{target}"
        try:
            is_layout = (self._folder / LAYOUT_FILE).is_file()
        except OSError as error:
            raise ImageError(f"{self.name}: cannot read {self._folder}: {error.strerror}") from error
        if not is_layout:
            raise ImageError(f"{self.name}: {self._folder} is no OCI image layout: it has no file {LAYOUT_FILE!r}")

    def root(self) -> Document:
        """See :class:`ImageSource`."""
        try:
            content = (self._folder / INDEX_FILE).read_bytes()
        except OSError as error:
            raise ImageError(f"{self.name}: cannot read {INDEX_FILE}: {error.strerror}") from error
        return self.document(chosen_descriptor(content, self._tag, where=self.name))

    def document(self, descriptor: Descriptor) -> Document:
        """See :class:`ImageSource`."""
        return read_document(self.open_blob(descriptor), descriptor, where=self.name)

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """See :class:`ImageSource`."""
        try:
            return self.blob_path(descriptor).open("rb")
        except FileNotFoundError as error:
            raise ImageError(f"{self.name}: the blob {descriptor.digest} is missing") from error
        except OSError as error:
            raise ImageError(f"{self.name}: cannot read blob {descriptor.digest}: {error.strerror}") from error

    def blob_path(self, descriptor: Descriptor) -> Path:
        """See :class:`ImageSource`."""
        return self._folder / blob_name(descriptor.digest)


def blob_name(digest: Digest) -> str:
    """Where a layout keeps a blob, relative to its root."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def chosen_descriptor(index: bytes, tag: str | None, *, where: str) -> Descriptor:
    """What a layout's index.json names ``tag``: by default ``latest``, else the only one that there is.

    An ImageError lists the tags that there are.
    """
    entries = _entries(index, where=where)
    tags = [_tag(entry) for entry in entries]
    found = [entry for entry, its in zip(entries, tags, strict=True) if its == (tag or DEFAULT_TAG)]
    if not found and tag is None and len(entries) == 1:
        found = entries
    if not found:
        there = ", ".join(its or "one without a tag" for its in tags)
        raise ImageError(f"{where}: no image tagged {tag or DEFAULT_TAG}; there is {there or 'none at all'}")
    descriptor = Descriptor.from_json(found[-1], where=f"{where}: {INDEX_FILE}")
    annotations = {name: text for name, text in descriptor.annotations.items() if name != _REF_NAME}
    return replace(descriptor, annotations=annotations)


def layout_index(root: Descriptor, tag: str, *, existing: bytes | None = None, where: str = "") -> bytes:
    """The index.json of a layout in which ``tag`` names ``root``, and other tags of ``existing`` what they named.

    The tag is an annotation of the descriptor, not of the index: only there do skopeo, podman and umoci find it.
    """
    value: dict[str, Any] = {"schemaVersion": _SCHEMA_VERSION, "mediaType": OCI_INDEX, "manifests": []}
    if existing:
        value |= parse_object(existing, where=f"{where}: {INDEX_FILE}")
        value["manifests"] = [entry for entry in _entries(existing, where=where) if _tag(entry) != tag]
    value["manifests"].append(replace(root, annotations={**root.annotations, _REF_NAME: tag}).to_json())
    return canonical_json(value)


def write_layout(source: ImageSource, target: LayoutTarget, *, events: EventSink = discard) -> Descriptor:
    """Copy the source's image, with every platform of an index, into a layout folder under the target's tag.

    The folder is made where it is missing; other images in it stay. Blobs that the source keeps as files are
    hard-linked where the file system can. Each blob appears whole or not at all, and index.json is replaced last:
    whenever this is interrupted, the tag names what it named before. Returns the descriptor of the manifest or index,
    which is the source's own but for Docker's types (:mod:`ocibuild.image.translation`). A folder that was made for a
    write that failed is removed; in an older layout, blobs that no tag needs may stay.

    An ImageError for blobs that are not what the image says, a MachineError where the folder cannot be written, a
    UsageError where it is something else.
    """
    folder = target.path
    check_layout_target(target)
    source = OciTypedSource(source)
    root = source.root()
    try:
        with contextlib.ExitStack() as undo:
            if not folder.exists():
                undo.callback(_remove_unmarked, folder)
            for member in members(source, root):
                _write_blob(source, member, folder / blob_name(member.descriptor.digest), events)
            with _locked(folder):
                _name(root.descriptor, target.tag or DEFAULT_TAG, folder)
            undo.pop_all()
    except OSError as error:
        raise map_os_error(error, attempted=f"writing oci:{target}") from error
    return root.descriptor


def _remove_unmarked(folder: Path) -> None:
    """Remove what this process began, unless another one has made a layout of it meanwhile."""
    if not (folder / LAYOUT_FILE).exists():
        shutil.rmtree(folder, ignore_errors=True)


def _write_blob(source: ImageSource, member: Member, path: Path, events: EventSink) -> None:
    descriptor = member.descriptor
    if path.is_file() and path.stat().st_size == descriptor.size_bytes:
        return
    if member.document is not None:
        with replacing(path) as file:
            file.write(member.document.content)
    elif not _linked(source.blob_path(descriptor), path, descriptor.size_bytes):
        with replacing(path) as file:
            file.writelines(copied_chunks(source, descriptor, events=events))


def _name(root: Descriptor, tag: str, folder: Path) -> None:
    if not (folder / LAYOUT_FILE).exists():
        with replacing(folder / LAYOUT_FILE) as file:
            file.write(LAYOUT_MARK)
    path = folder / INDEX_FILE
    existing = path.read_bytes() if path.exists() else None
    with replacing(path) as file:
        file.write(layout_index(root, tag, existing=existing, where=str(path)))


def check_layout_target(target: LayoutTarget) -> None:
    """A UsageError for a folder with other things in it: a slip of the pen (``oci:.``), not a place for blobs.

    What else :func:`write_layout` would raise is told as far as it can be before anything is made.
    """
    folder = target.path
    check_replaceable(folder / INDEX_FILE)
    if (folder / LAYOUT_FILE).is_file() or not folder.exists():
        return
    # A killed write leaves blobs without the mark, which is written last but one.
    if not folder.is_dir() or any(
        path.name != "blobs" and not path.name.startswith(PARTIAL_PREFIX) for path in folder.iterdir()
    ):
        raise UsageError(
            f"{folder} exists and is no OCI image layout", hint="name a folder that does not exist, or a layout"
        )


def _linked(blob: Path | None, path: Path, size_bytes: int) -> bool:
    """Whether ``path`` could be made a hard link to the source's own file."""
    if blob is None:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if blob.stat().st_size != size_bytes:
            return False  # the copy reads it and says what is wrong
        os.link(blob, path)
    except OSError:  # another file system, or one without hard links: copy
        return False
    return True


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two builds may name images in one layout at once; where the file system has no locks, the last one wins."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _entries(index: bytes, *, where: str) -> list[dict[str, Any]]:
    entries = parse_object(index, where=f"{where}: {INDEX_FILE}").get("manifests")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ImageError(f"{where}: {INDEX_FILE} has no list of manifests")
    return entries


def _tag(entry: Mapping[str, Any]) -> str:
    annotations = entry.get("annotations")
    tag = annotations.get(_REF_NAME) if isinstance(annotations, dict) else None
    return tag if isinstance(tag, str) else ""
