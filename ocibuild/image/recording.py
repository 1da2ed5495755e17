"""Making the table of a layer or package while its entries stream by on their way elsewhere."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ocibuild.image.view import LayerTable, ViewEntry
from ocibuild.layer.elf import LibraryProbe
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.observation import LARGEST_KEPT_BYTES, is_kept, is_library

__all__ = ["Recorder"]

_MOST_KEPT_BYTES = 128 << 20
"""Of one layer. Real ones keep a tenth of it; what a hostile base has beyond is read from its layer when needed."""


class Recorder:
    """Collects a :class:`LayerTable`. Contents are looked at as they pass, in bounded memory.

    ``layer`` is written into every entry of the table: the blob or fragment that holds the content.
    """

    def __init__(self, layer: str) -> None:
        self._layer = layer
        self._entries: dict[str, ViewEntry] = {}
        self._kept: dict[str, bytes] = {}
        self._kept_bytes = 0
        self._libraries: dict[str, str] = {}

    def passing(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The same entries, each recorded when its content has been taken; an untaken content is not observed."""
        for entry in entries:
            if entry.kind is EntryKind.FILE and (is_kept(entry.path) or is_library(entry.path)):
                yield self._observed(entry)
            else:
                yield entry
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Record an entry whose content is of no interest."""
        if (
            entry.kind is not EntryKind.FILE and entry.path in self._entries
        ):  # a path that occurs twice: the last counts
            self._kept.pop(entry.path, None)
            self._libraries.pop(entry.path, None)
        shape = entry
        if entry.kind is EntryKind.HARDLINK and entry.link in self._entries:
            target = self._entries[entry.link]  # the header of a hard link may say anything: the file decides
            shape = replace(entry, mode=target.mode, uid=target.uid, gid=target.gid, modified=target.modified)
        self._entries[entry.path] = ViewEntry(
            entry.kind.value,
            shape.mode,
            shape.uid,
            shape.gid,
            entry.size_bytes,
            entry.link,
            self._layer,
            shape.modified,
        )

    def _observed(self, entry: Entry) -> Entry:
        probe = LibraryProbe() if is_library(entry.path) else None
        keep = is_kept(entry.path) and entry.size_bytes <= min(LARGEST_KEPT_BYTES, _MOST_KEPT_BYTES - self._kept_bytes)
        self._kept_bytes += entry.size_bytes if keep else 0

        def chunks() -> Iterator[bytes | memoryview]:
            kept = bytearray()
            for chunk in entry.chunks():
                if keep:
                    kept += chunk
                if probe is not None:
                    probe.feed(chunk)
                yield chunk
            if keep:
                self._kept[entry.path] = bytes(kept)
            facts = probe.result() if probe is not None else None
            if facts is not None:
                self._libraries[entry.path] = facts

        return replace(entry, content=chunks)

    def table(self) -> LayerTable:
        """What has been recorded so far."""
        return LayerTable(self._entries, self._kept, self._libraries)
