"""Small shared libraries made by hand: one loaded segment with a dynamic section, symbols, strings and relocations."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["MadeLibrary"]

MACHINES = {"amd64": 62, "arm64": 183, "i386": 3, "armhf": 40}
RELATIVE = {"amd64": 8, "arm64": 1027}
_DATA_START = 0x1000
_IDENT = b"\x7fELF%c\x01\x01" + bytes(9)


@dataclass
class MadeLibrary:
    """What is put into the library; ``bytes(...)`` of it is the file.

    ``data`` lies at address 0x1000; each of ``pointers`` (address -> value) is relocated, ``symbols`` name addresses.
    ``notes`` are (name, type, description) of note segments, ``padding_bytes`` lie before the dynamic strings.
    """

    architecture: str = "amd64"
    soname: str | None = None
    needed: Sequence[str] = ()
    data: bytes = b""
    symbols: Mapping[str, int] = field(default_factory=dict)
    pointers: Mapping[int, int] = field(default_factory=dict)
    notes: Sequence[tuple[bytes, int, bytes]] = ()
    padding_bytes: int = 0
    flags: int = 0
    kind: int = 3

    def __bytes__(self) -> bytes:
        is_64 = self.architecture in RELATIVE
        strings = bytearray(b"\0")
        offsets = {}
        names = [*self.needed, *([self.soname] if self.soname is not None else []), *self.symbols]
        for name in names:
            offsets[name] = len(strings)
            strings += name.encode() + b"\0"
        pieces = bytearray(self.data)

        def place(piece: bytes) -> int:
            pieces.extend(bytes(-len(pieces) % 8))
            address = _DATA_START + len(pieces)
            pieces.extend(piece)
            return address

        relocations = b"".join(
            struct.pack("<QQq", address, RELATIVE.get(self.architecture, 0), value)
            for address, value in self.pointers.items()
        )
        notes = b"".join(
            struct.pack("<III", len(name), len(text), number)
            + name.ljust(-(-len(name) // 4) * 4, b"\0")
            + text.ljust(-(-len(text) // (8 if is_64 else 4)) * (8 if is_64 else 4), b"\0")
            for name, number, text in self.notes
        )
        relocations_at, notes_at = place(relocations), place(notes)
        pieces.extend(bytes(self.padding_bytes))
        symbols = bytes(24) + b"".join(
            struct.pack("<IBBHQQ", offsets[name], 0x11, 0, 1, address, 8) for name, address in self.symbols.items()
        )
        symbols_at = place(symbols)
        strings_at = _DATA_START + len(pieces)
        pieces.extend(strings)
        dynamic = [(1, offsets[name]) for name in self.needed]
        dynamic += [(14, offsets[self.soname])] if self.soname is not None else []
        dynamic += [(5, strings_at), (6, symbols_at), (10, len(strings))]
        dynamic += [(7, relocations_at), (8, len(relocations))] if relocations else []
        packed = b"".join(struct.pack("<qQ" if is_64 else "<iI", *entry) for entry in [*dynamic, (0, 0)])
        dynamic_at = place(packed)
        segments = [(1, _DATA_START, len(pieces)), (2, dynamic_at, len(packed))]
        segments += [(4, notes_at, len(notes))] if notes else []
        return self._header(segments).ljust(_DATA_START, b"\0") + bytes(pieces)

    def _header(self, segments: Sequence[tuple[int, int, int]]) -> bytes:
        machine = MACHINES[self.architecture]
        is_64 = self.architecture in RELATIVE
        if is_64:
            header = struct.pack(
                "<HHIQQQIHHHHHH", self.kind, machine, 1, 0, 64, 0, self.flags, 64, 56, len(segments), 0, 0, 0
            )
            table = [struct.pack("<IIQQQQQQ", kind, 6, at, at, at, size, size, 8) for kind, at, size in segments]
        else:
            header = struct.pack(
                "<HHIIIIIHHHHHH", self.kind, machine, 1, 0, 52, 0, self.flags, 52, 32, len(segments), 0, 0, 0
            )
            table = [struct.pack("<IIIIIIII", kind, at, at, at, size, size, 6, 4) for kind, at, size in segments]
        return _IDENT % (2 if is_64 else 1) + header + b"".join(table)
