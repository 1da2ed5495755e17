"""Reading files out of fragments again: what a later phase needs of a package and was not kept when it was placed."""

from collections.abc import Iterator

from ocibuild.core.errors import ImageError
from ocibuild.image.view import ReadContent, ViewEntry
from ocibuild.layer.compression import Compression, open_decompressed
from ocibuild.layer.entry import EntryKind
from ocibuild.layer.limited import limited
from ocibuild.layer.reader import read_entries
from ocibuild.store.store import Store
from ocibuild.work.fragments import FragmentLocation, FragmentStore

__all__ = ["FragmentContents"]

_LARGEST_CACHED_BYTES = 32 << 20
"""A fragment up to this size is kept whole while its files are asked for, one after the other."""


class FragmentContents:
    """Gives the bytes of files whose view entry names a fragment; others are left to ``base``.

    Satisfies :data:`ocibuild.image.view.ReadContent`.
    """

    def __init__(self, store: Store, base: ReadContent) -> None:
        self._fragments = FragmentStore(store)
        self._base = base
        self._last: tuple[str, dict[str, bytes]] = ("", {})

    def __call__(self, path: str, entry: ViewEntry) -> bytes:
        """The content of the file; an ImageError where the fragment is not in the store any more."""
        for compression in Compression:
            location = self._fragments.locate(entry.layer, compression)
            if location is not None:
                return self._read(path, entry.layer, location, compression)
        return self._base(path, entry)

    def _read(self, path: str, key: str, location: FragmentLocation, compression: Compression) -> bytes:
        if self._last[0] == key and path in self._last[1]:
            return self._last[1][path]
        whole = sum(cut.raw_bytes for cut in location.cuts) <= _LARGEST_CACHED_BYTES
        found: dict[str, bytes] = {}
        for name, content in self._files(location, compression, wanted=None if whole else path):
            found[name] = content
            if name == path and not whole:
                return content
        if whole:
            self._last = (key, found)
        if path not in found:
            raise ImageError(f"the fragment {key} does not hold /{path}")
        return found[path]

    def _files(
        self, location: FragmentLocation, compression: Compression, *, wanted: str | None
    ) -> Iterator[tuple[str, bytes]]:
        with self._fragments.open(location) as blob:
            part = limited(blob, location.size_bytes)
            raw = open_decompressed(part, compression, where=f"layer {location.blob}")
            for entry in read_entries(raw, where=f"layer {location.blob}"):
                if entry.kind is EntryKind.FILE and wanted in (None, entry.path):
                    yield entry.path, entry.read()
