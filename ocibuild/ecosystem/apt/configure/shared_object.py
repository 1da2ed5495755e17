"""A shared library's constant data as its program would see it: symbols, pointers, numbers and strings by address.

Source: the System V ABI, "Object Files" and "Dynamic Linking", with the relocation numbers of the x86-64 and AArch64
processor supplements. Only 64-bit little-endian libraries are read.
"""

import struct
from dataclasses import dataclass

from ocibuild.core.errors import ImageError

__all__ = ["SharedObject"]

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_DYNAMIC = struct.Struct("<qQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_ELF_64_LITTLE = b"\x7fELF\x02\x01"
_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_STRTAB, _DT_SYMTAB, _DT_RELA, _DT_RELASZ, _DT_STRSZ = 5, 6, 7, 8, 10
# The machine -> its relocations "base + addend" and "symbol + addend"; R_*_GLOB_DAT is no constant data.
_RELATIVE = {62: 8, 183: 1027}
_ABSOLUTE = {62: 1, 183: 257}
_LONGEST_STRING_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Segment:
    offset: int
    address: int
    size_bytes: int


class SharedObject:
    """The data of a library as if it were loaded at address 0; of a damaged one an ImageError names ``where``."""

    def __init__(self, data: bytes, *, where: str) -> None:
        self._data = data
        self._where = where
        try:
            self._read()
        except struct.error as error:
            raise self._damaged("it is cut short") from error

    def _damaged(self, why: str) -> ImageError:
        return ImageError(f"{self._where} is no shared library that can be read: {why}")

    def _read(self) -> None:
        ident, _, machine, _, _, table, _, _, _, entry_bytes, count, *_ = _HEADER.unpack_from(self._data)
        if not ident.startswith(_ELF_64_LITTLE) or machine not in _RELATIVE or entry_bytes < _SEGMENT.size:
            raise self._damaged("it is not for amd64 or arm64")
        self._machine = machine
        segments = [_SEGMENT.unpack_from(self._data, table + entry_bytes * number) for number in range(count)]
        self._segments = [
            _Segment(offset, address, file_bytes)
            for kind, _, offset, address, _, file_bytes, _, _ in segments
            if kind == _PT_LOAD
        ]
        dynamic: dict[int, int] = {}
        for kind, _, offset, _, _, size, *_ in segments:
            if kind == _PT_DYNAMIC:
                part = self._data[offset : offset + size // _DYNAMIC.size * _DYNAMIC.size]
                dynamic.update(reversed(list(_DYNAMIC.iter_unpack(part))))
        if _DT_STRTAB not in dynamic or _DT_SYMTAB not in dynamic:
            raise self._damaged("it has no dynamic symbols")
        self._strings, self._symbols = dynamic[_DT_STRTAB], dynamic[_DT_SYMTAB]
        self._strings_bytes = dynamic.get(_DT_STRSZ, 0)
        self._pointers = self._relocated(
            self._bytes(dynamic[_DT_RELA], dynamic.get(_DT_RELASZ, 0)) if _DT_RELA in dynamic else b""
        )

    def _relocated(self, table: bytes) -> dict[int, int]:
        pointers = {}
        for address, info, addend in _RELOCATION.iter_unpack(
            table[: len(table) // _RELOCATION.size * _RELOCATION.size]
        ):
            kind = info & 0xFFFFFFFF
            if kind == _RELATIVE[self._machine]:
                pointers[address] = addend
            elif kind == _ABSOLUTE[self._machine]:
                value = self._symbol_at(info >> 32)[1]
                if value:
                    pointers[address] = value + addend
        return pointers

    def _bytes(self, address: int, size: int) -> bytes:
        for segment in self._segments:
            start = address - segment.address
            if start >= 0 and start + size <= segment.size_bytes:
                found = self._data[segment.offset + start : segment.offset + start + size]
                if len(found) == size:
                    return found
        raise self._damaged(f"nothing is loaded at {address:#x}")

    def _symbol_at(self, number: int) -> tuple[int, int]:
        """The offset of the symbol's name and its address; 0 where another library defines it."""
        name, _, _, section, value, _ = _SYMBOL.unpack(self._bytes(self._symbols + number * _SYMBOL.size, _SYMBOL.size))
        return name, value if section else 0

    def symbol(self, name: str) -> int | None:
        """The address of what the library defines under this name, or None."""
        # The table's end is written nowhere; in every library that a linker makes, the strings follow it.
        count = max(self._strings - self._symbols, 0) // _SYMBOL.size
        wanted = name.encode() + b"\0"
        for number in range(count):
            offset, address = self._symbol_at(number)
            if address and offset < self._strings_bytes and self._matches(self._strings + offset, wanted):
                return address
        return None

    def _matches(self, address: int, wanted: bytes) -> bool:
        try:
            return self._bytes(address, len(wanted)) == wanted
        except ImageError:
            return False

    def pointer(self, address: int) -> int:
        """The pointer that lies at ``address`` once relocated; 0 is a null pointer."""
        value: int = struct.unpack("<Q", self._bytes(address, 8))[0]
        return self._pointers.get(address, value)

    def integer(self, address: int) -> int:
        """The C ``int`` at ``address``."""
        value: int = struct.unpack("<i", self._bytes(address, 4))[0]
        return value

    def string(self, address: int) -> str:
        """The C string at ``address``, odd bytes kept as surrogates."""
        for segment in self._segments:
            start = address - segment.address
            if 0 <= start < segment.size_bytes:
                begin, limit = segment.offset + start, segment.offset + segment.size_bytes
                end = self._data.find(b"\0", begin, min(limit, begin + _LONGEST_STRING_BYTES))
                if end >= 0:
                    return self._data[begin:end].decode("utf-8", "surrogateescape")
        raise self._damaged(f"no string at {address:#x}")
