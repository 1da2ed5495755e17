"""The zip archive that a wheel is, read member by member in constant memory.

The format is PKWARE's APPNOTE.TXT 6.3; what a wheel has no use for is refused rather than guessed: encryption, several
disks, bytes before or after the archive, members that overlap, methods other than stored and deflate.
"""

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from isal import isal_zlib

from ocibuild.core.errors import ImageError, IntegrityError

__all__ = ["LARGEST_WHOLE_BYTES", "Member", "WheelArchive"]

LARGEST_WHOLE_BYTES = 4 << 20
"""Members up to this size are decoded in one piece; larger ones are streamed."""

_CHUNK_BYTES = 1 << 20
_InflateError = cast("type[Exception]", isal_zlib.error)  # isal's stubs give it as an instance
_LARGEST_DIRECTORY_BYTES = 16 << 20  # some 150,000 members; the largest real wheels hold 20,000
_LARGEST_DEFLATE_RATIO = 1032  # deflate cannot expand further (zlib's technical notes, "Maximum Expansion Factor")
_STORED, _DEFLATED = 0, 8
_FLAG_UTF8 = 0x800
_FLAGS_REFUSED = 0x1 | 0x20 | 0x40 | 0x2000  # encrypted, patch data, strong encryption, masked headers

_END = struct.Struct("<4s4H2LH")
_END_SIGNATURE = b"PK\x05\x06"
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s4B4H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_ZIP64_EXTRA = 1
_LIMIT16, _LIMIT32 = 0xFFFF, 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Member:
    """One file or folder of the archive. ``mode`` is the Unix mode with its type bits, 0 where none was recorded."""

    name: str
    raw_name: bytes
    method: int
    crc: int
    compressed_bytes: int
    size_bytes: int
    mode: int
    offset: int

    @property
    def is_folder(self) -> bool:
        """Whether the name ends in a slash, which is all that tells a folder."""
        return self.name.endswith("/")


class WheelArchive:
    """An open wheel: ``members`` in the order of the central directory, each name at most once.

    A context manager that closes the file. Whatever contradicts the format, or itself, is an ImageError that names the
    wheel; bytes that are not what their checksum promises are an IntegrityError.
    """

    def __init__(self, body: Path, *, name: str) -> None:
        self.name = name
        self._file: BinaryIO = body.open("rb")
        try:
            self._length = os.fstat(self._file.fileno()).st_size
            self.members = tuple(self._read_directory())
            self._check_members()
        except BaseException:
            self._file.close()
            raise
        self._by_name = {member.name: member for member in self.members}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def get(self, name: str) -> Member | None:
        """The member of this name, or None."""
        return self._by_name.get(name)

    def read(self, member: Member, *, largest_bytes: int = LARGEST_WHOLE_BYTES) -> bytes:
        """The member's bytes, checked; an ImageError where they would be more than ``largest_bytes``."""
        if member.size_bytes > largest_bytes:
            raise self._error(f"{member.name} has {member.size_bytes} bytes, more than the {largest_bytes} expected")
        # One read for the header and the data: the local extra field is seldom longer than this guess.
        guess = _LOCAL.size + len(member.raw_name) + 64 + member.compressed_bytes
        block = self._pread(member.offset, guess)
        start = self._data_start(member, block)
        data = block[start : start + member.compressed_bytes]
        if len(data) < member.compressed_bytes:
            data = self._pread(member.offset + start, member.compressed_bytes)
        if member.method == _DEFLATED:
            data = self._inflate(member, data)
        if len(data) != member.size_bytes or isal_zlib.crc32(data) != member.crc:
            raise self._corrupt(member)
        return data

    def _inflate(self, member: Member, data: bytes) -> bytes:
        decoder = isal_zlib.decompressobj(-15)
        try:
            out: bytes = decoder.decompress(data, member.size_bytes + 1)
        except _InflateError as error:
            raise self._corrupt(member) from error
        if not decoder.eof or decoder.unused_data:
            raise self._corrupt(member)
        return out

    def stream(self, member: Member) -> Iterator[bytes]:
        """The member's bytes in pieces of about 1 MiB; the last piece comes only when size and CRC are right."""
        checksum, size_bytes, held = 0, 0, b""
        for piece in self._pieces(member):
            checksum = isal_zlib.crc32(piece, checksum)
            size_bytes += len(piece)
            if size_bytes > member.size_bytes:
                raise self._corrupt(member)
            if piece and held:
                yield held
            held = piece or held
        if size_bytes != member.size_bytes or checksum != member.crc:
            raise self._corrupt(member)
        if held:
            yield held

    def _pieces(self, member: Member) -> Iterator[bytes]:
        header = self._pread(member.offset, _LOCAL.size + len(member.raw_name))
        raw = self._raw_pieces(member.offset + self._data_start(member, header), member.compressed_bytes)
        return raw if member.method == _STORED else self._inflated_pieces(member, raw)

    def _raw_pieces(self, offset: int, length: int) -> Iterator[bytes]:
        while length:
            piece = self._pread(offset, min(length, _CHUNK_BYTES))
            if not piece:
                raise self._error("the archive ends inside a member")
            yield piece
            offset += len(piece)
            length -= len(piece)

    def _inflated_pieces(self, member: Member, raw: Iterable[bytes]) -> Iterator[bytes]:
        decoder = isal_zlib.decompressobj(-15)
        try:
            for data in raw:
                pending = data
                while pending and not decoder.eof:
                    yield decoder.decompress(pending, _CHUNK_BYTES)
                    pending = decoder.unconsumed_tail
                if pending:
                    raise self._corrupt(member)
            while not decoder.eof:  # what the decoder still holds when the input is used up
                piece = decoder.decompress(b"", _CHUNK_BYTES)
                if not piece:
                    raise self._corrupt(member)
                yield piece
        except _InflateError as error:
            raise self._corrupt(member) from error
        if decoder.unused_data:
            raise self._corrupt(member)

    def _data_start(self, member: Member, block: bytes) -> int:
        """Where the data begins after the local header, which must agree with the central directory."""
        if len(block) < _LOCAL.size + len(member.raw_name):
            raise self._error(f"the archive ends inside the header of {member.name}")
        signature, _, flags, method, _, _, _, _, _, name_length, extra_length = _LOCAL.unpack_from(block)
        local_name = block[_LOCAL.size : _LOCAL.size + name_length]
        if signature != b"PK\x03\x04" or local_name != member.raw_name or method != member.method:
            raise self._error(f"the header of {member.name} contradicts the archive's directory")
        if flags & _FLAGS_REFUSED:
            raise self._error(f"{member.name} is encrypted")
        start: int = _LOCAL.size + name_length + extra_length
        return start

    def _pread(self, offset: int, length: int) -> bytes:
        return os.pread(self._file.fileno(), length, offset)

    def _error(self, message: str) -> ImageError:
        return ImageError(f"{self.name}: not a wheel that can be used: {message}")

    def _corrupt(self, member: Member) -> IntegrityError:
        return IntegrityError(
            f"{self.name}: {member.name} is corrupt: its bytes are not what the archive's checksum and size promise",
            hint="the file on the index is broken: ask for another version",
        )

    # The central directory.

    def _read_directory(self) -> Iterator[Member]:
        offset, size, count, end = self._find_directory()
        if size > _LARGEST_DIRECTORY_BYTES or offset + size != end:
            raise self._error("its directory is not where the archive says")
        directory = self._pread(offset, size)
        position = 0
        for _ in range(count):
            if position + _CENTRAL.size > len(directory):
                raise self._error("its directory is cut short")
            fields = _CENTRAL.unpack_from(directory, position)
            name_end = position + _CENTRAL.size + fields[12]
            extra_end = name_end + fields[13]
            position_after = extra_end + fields[14]
            if fields[0] != b"PK\x01\x02" or position_after > len(directory):
                raise self._error("its directory is malformed")
            yield self._member(
                fields, directory[position + _CENTRAL.size : name_end], directory[name_end:extra_end], offset
            )
            position = position_after
        if position != len(directory):
            raise self._error("its directory holds more than it counts")

    def _find_directory(self) -> tuple[int, int, int, int]:
        """Offset and size of the central directory, the number of members, and where the directory must end."""
        tail_length = min(self._length, _END.size + _LIMIT16)
        tail = self._pread(self._length - tail_length, tail_length)
        at = tail.rfind(_END_SIGNATURE)
        while at >= 0 and not self._ends_there(tail, at):
            at = tail.rfind(_END_SIGNATURE, 0, at)
        if at < 0:
            raise self._error("it is no zip archive")
        end = self._length - tail_length + at
        _, disk, first_disk, here, count, size, offset, _ = _END.unpack_from(tail, at)
        if _LIMIT16 in (here, count) or _LIMIT32 in (size, offset):
            locator = self._pread(end - _END64_LOCATOR.size, _END64_LOCATOR.size) if end >= _END64_LOCATOR.size else b""
            if locator[:4] == b"PK\x06\x07":
                return self._find_directory64(locator)
        if disk or first_disk or here != count:
            raise self._error("it is split over several files")
        return offset, size, count, end

    @staticmethod
    def _ends_there(tail: bytes, at: int) -> bool:
        return at + _END.size <= len(tail) and at + _END.size + _END.unpack_from(tail, at)[7] == len(tail)

    def _find_directory64(self, locator: bytes) -> tuple[int, int, int, int]:
        end = _END64_LOCATOR.unpack(locator)[2]
        record = self._pread(end, _END64.size) if end < self._length else b""
        if len(record) < _END64.size or record[:4] != b"PK\x06\x06":
            raise self._error("its zip64 directory is missing")
        disk, first_disk, here, count, size, offset = _END64.unpack(record)[4:]
        if disk or first_disk or here != count:
            raise self._error("it is split over several files")
        return offset, size, count, end

    def _member(self, fields: tuple[int, ...], raw_name: bytes, extra: bytes, directory_offset: int) -> Member:
        flags, method, crc, compressed, size = fields[5], fields[6], fields[9], fields[10], fields[11]
        attributes, offset = fields[17], fields[18]
        try:
            name = raw_name.decode("utf-8" if flags & _FLAG_UTF8 else "cp437")
        except UnicodeDecodeError as error:
            raise self._error(f"the name {raw_name!r} is not UTF-8") from error
        if flags & _FLAGS_REFUSED:
            raise self._error(f"{name} is encrypted")
        if method not in (_STORED, _DEFLATED):
            raise self._error(f"{name} is compressed with method {method}; wheels are stored or deflated")
        if _LIMIT32 in (compressed, size, offset):
            size, compressed, offset = self._zip64_sizes(name, extra, size, compressed, offset)
        if offset + _LOCAL.size + len(raw_name) + compressed > directory_offset:
            raise self._error(f"{name} reaches beyond the archive")
        if size > compressed * _LARGEST_DEFLATE_RATIO or (method == _STORED and size != compressed):
            raise self._error(f"{name} claims {size} bytes in {compressed}, which is impossible")
        return Member(name, raw_name, method, crc, compressed, size, attributes >> 16, offset)

    def _zip64_sizes(self, name: str, extra: bytes, size: int, compressed: int, offset: int) -> tuple[int, int, int]:
        """The 64-bit values that stand in the extra field for each 32-bit one that is all ones (APPNOTE 4.5.3)."""
        position = 0
        while position + 4 <= len(extra):
            kind, length = struct.unpack_from("<2H", extra, position)
            if kind == _ZIP64_EXTRA and position + 4 + length <= len(extra):
                values = list(struct.unpack_from(f"<{length // 8}Q", extra, position + 4))
                olds = (size, compressed, offset)
                if len(values) < olds.count(_LIMIT32):
                    break
                size, compressed, offset = (values.pop(0) if old == _LIMIT32 else old for old in olds)
                return size, compressed, offset
            position += 4 + length
        raise self._error(f"the zip64 sizes of {name} are missing")

    def _check_members(self) -> None:
        names: set[str] = set()
        end_of_last = 0
        for member in self.members:
            if member.name in names:
                raise self._error(f"{member.name} occurs twice")
            names.add(member.name)
        for member in sorted(self.members, key=lambda each: each.offset):
            if member.offset < end_of_last:
                raise self._error(f"{member.name} overlaps the member before it")
            end_of_last = member.offset + _LOCAL.size + len(member.raw_name) + member.compressed_bytes
