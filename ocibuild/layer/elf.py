"""What ldconfig(8) reads of a shared library, taken from its bytes as they stream by.

Source: the System V ABI's chapters "Object Files" and "Dynamic Linking"; glibc 2.36's ``elf/readelflib.c`` (which files
count, where the soname comes from).
"""

import json
import struct
from dataclasses import dataclass
from typing import Any

__all__ = ["LibraryProbe"]

_HEADER_BYTES = 64
_ET_DYN = 3
_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NULL, _DT_STRTAB, _DT_SONAME = 0, 5, 14
_LARGEST_HEAD_BYTES = 16 * 1024 * 1024
"""How much of a library's beginning is held while it streams: linkers put the strings first, before any code.

libLLVM, the largest of Debian's, has them in its first 5 MB."""
_MOST_SEGMENTS = 128
_LARGEST_DYNAMIC_BYTES = 64 * 1024
_LONGEST_SONAME_BYTES = 4096


@dataclass(frozen=True, slots=True)
class _Format:
    """How a class of ELF lays out what is read here: 32 or 64 bits, little endian."""

    bits: int
    header: struct.Struct  # e_type, e_machine, e_phoff, e_phentsize, e_phnum
    segment: struct.Struct  # p_type, p_offset, p_vaddr, p_filesz
    dynamic: struct.Struct

    def segment_fields(self, data: bytes, offset: int) -> tuple[int, int, int, int]:
        fields = self.segment.unpack_from(data, offset)
        if self.bits == 64:  # noqa: PLR2004 - the class
            kind, _, position, address, _, size = fields
        else:
            kind, position, address, _, size = fields
        return kind, position, address, size


_FORMATS = {
    1: _Format(32, struct.Struct("<HH8xI12xHH"), struct.Struct("<IIIII"), struct.Struct("<iI")),
    2: _Format(64, struct.Struct("<HH12xQ14xHH"), struct.Struct("<IIQQQQ"), struct.Struct("<qQ")),
}


class LibraryProbe:
    """Is fed a file's bytes in order and says what ldconfig would know of it."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._seen_bytes = 0
        self._head_bytes = _HEADER_BYTES
        self._dynamic = (0, 0)
        self._dynamic_data = bytearray()
        self._segments: list[tuple[int, int, int, int]] | None = None
        self._format: _Format | None = None
        self._machine = 0
        self._is_hopeless = False

    def feed(self, chunk: bytes | memoryview) -> None:
        """The next bytes of the file."""
        if self._is_hopeless:
            return
        view = memoryview(chunk)
        start, self._seen_bytes = self._seen_bytes, self._seen_bytes + len(view)
        rest = view
        while rest and len(self._data) < self._head_bytes:
            take = rest[: self._head_bytes - len(self._data)]
            self._data += take
            rest = rest[len(take) :]
            if len(self._data) == self._head_bytes:
                self._advance()
        self._keep_dynamic(view, start)

    def _advance(self) -> None:
        """What was waited for is here: the header, then the segments' table, then the first segment."""
        if self._format is None:
            self._read_header()
        elif self._segments is None:
            self._read_segments(self._format)

    def _read_header(self) -> None:
        data = bytes(self._data)
        elf_format = _FORMATS.get(data[4]) if data[:4] == b"\x7fELF" and data[5] == 1 else None
        if elf_format is None:
            self._give_up()
            return
        kind, self._machine, table, entry_bytes, count = elf_format.header.unpack_from(data, 16)
        end = table + entry_bytes * count
        fits = entry_bytes >= elf_format.segment.size and 0 < count <= _MOST_SEGMENTS and end <= _LARGEST_HEAD_BYTES
        if kind != _ET_DYN or not fits:
            self._give_up()
            return
        self._format = elf_format
        self._table = (table, entry_bytes, count)
        self._head_bytes = max(end, _HEADER_BYTES)
        if len(self._data) == self._head_bytes:
            self._read_segments(elf_format)

    def _read_segments(self, elf_format: _Format) -> None:
        table, entry_bytes, count = self._table
        data = bytes(self._data)
        self._segments = [elf_format.segment_fields(data, table + entry_bytes * number) for number in range(count)]
        dynamic = [(offset, size) for kind, offset, _, size in self._segments if kind == _PT_DYNAMIC]
        loads = [(offset, size) for kind, offset, _, size in self._segments if kind == _PT_LOAD]
        if not dynamic or not loads or dynamic[0][1] > _LARGEST_DYNAMIC_BYTES:
            self._give_up()
            return
        self._dynamic = dynamic[0]
        self._head_bytes = min(max(self._head_bytes, sum(loads[0])), _LARGEST_HEAD_BYTES)

    def _keep_dynamic(self, view: memoryview, start: int) -> None:
        offset, size = self._dynamic
        if not size:
            return
        wanted = offset + len(self._dynamic_data)
        if wanted < start and wanted < len(self._data):  # it began in a chunk before the one that told where it is
            self._dynamic_data += self._data[wanted : min(start, offset + size)]
            wanted = offset + len(self._dynamic_data)
        if wanted >= start:
            self._dynamic_data += view[wanted - start : max(offset + size - start, 0)]

    def _give_up(self) -> None:
        self._is_hopeless = True
        self._head_bytes = 0
        self._data = bytearray()

    def result(self) -> str | None:
        """JSON: ``bits``, ``machine`` (ELF's number) and ``soname`` (``null`` where there is none).

        None for what is no shared library of a little-endian machine.
        """
        if self._is_hopeless or self._format is None or self._segments is None:
            return None
        tags: dict[int, int] = {}
        dynamic = self._format.dynamic
        for tag, value in dynamic.iter_unpack(
            self._dynamic_data[: len(self._dynamic_data) // dynamic.size * dynamic.size]
        ):
            if tag == _DT_NULL:
                break
            tags.setdefault(tag, value)
        strings = self._offset_of(tags[_DT_STRTAB]) if _DT_STRTAB in tags else None
        if strings is None:
            return None
        facts: dict[str, Any] = {"bits": self._format.bits, "machine": self._machine, "soname": None}
        if _DT_SONAME in tags:
            start = strings + tags[_DT_SONAME]
            end = self._data.find(b"\0", start, start + _LONGEST_SONAME_BYTES)
            if end < 0:
                return None
            facts["soname"] = self._data[start:end].decode("utf-8", "surrogateescape")
        return json.dumps(facts, separators=(",", ":"), sort_keys=True)

    def _offset_of(self, address: int) -> int | None:
        """Where in the file the byte lies that is loaded at ``address``."""
        for kind, offset, start, size in self._segments or ():
            if kind == _PT_LOAD and start <= address < start + size:
                return address - start + offset
        return None
