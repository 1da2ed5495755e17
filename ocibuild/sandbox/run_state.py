"""What the processes of a run on the trap share: a file that ``ocibuild-root`` maps, laid out as root/state.h says."""

import itertools
import mmap
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from ocibuild.core.errors import UsageError
from ocibuild.sandbox.entrance import Bind
from ocibuild.sandbox.execution import Execution, InodeKey, Owner

__all__ = ["Phase", "RunFacts", "RunState"]

_MAGIC = b"ocibuild-root 1\0"
_HEADER = struct.Struct("=16sQ10I8Q4096s4096s64s65s7x4096s2IQ")
_BINDING = struct.Struct("=4I")
_BORROWED = struct.Struct("=2I4096s")
_OWNER = struct.Struct("=4Q")
_ATTRIBUTE = struct.Struct("=2Q2I64s168s")
_BINDING_LIMIT, _BORROWED_LIMIT, _ATTRIBUTE_LIMIT = 128, 64, 4096
_LEAST_CAPACITY = 1 << 20
_GONE = (1 << 64) - 1

_HAS_NETWORK = 1  # enum in state.h
_READ_ONLY, _FOLDER = 1, 2  # enum binding_flags
_DECIDED = 1
_BINDINGS_AT = _HEADER.size
_BORROWED_AT = _BINDINGS_AT + _BINDING_LIMIT * _BINDING.size


class _Header(NamedTuple):
    """``struct state`` up to its arrays."""

    magic: bytes
    size_bytes: int
    flags: int
    start_uid: int
    start_gid: int
    binding_count: int
    table_lock: int
    borrow_lock: int
    told: int
    attribute_count: int
    phase: int
    refusal: int
    root_device: int
    root_file_device: int
    owner_capacity: int
    owner_count: int
    owners_at: int
    attributes_at: int
    texts_at: int
    texts_size: int
    root: bytes
    loader: bytes
    short_root: bytes
    host_name: bytes
    made_folder: bytes = b""
    made_count: int = 0
    made_at_nanoseconds: int = 0
    made_at_seconds: int = 0


class Phase:
    """How far a run's start came (enum phase)."""

    NONE, FILTERED, STARTED = range(3)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run needs to know. ``root`` is absolute and without links; ``short_root`` a link to it, or empty."""

    root: Path
    loader: Path
    short_root: str
    devices: tuple[int, int]
    binds: tuple[Bind, ...]


def _aligned(offset: int) -> int:
    return -(-offset // mmap.PAGESIZE) * mmap.PAGESIZE


class RunState:
    """A run's file, open. A context manager: closing does not remove it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        self._memory = mmap.mmap(self._descriptor, 0)
        header = self._header()
        self._owner_capacity = header.owner_capacity
        self._owners_at, self._attributes_at = header.owners_at, header.attributes_at

    @classmethod
    def make(cls, file: Path, facts: RunFacts, execution: Execution, owners: Mapping[InodeKey, Owner]) -> Self:
        """Write a new file. It is sparse: what the run does not use takes no room.

        A UsageError where there are more bindings than fit, or a path is too long.
        """
        texts, bindings = _bindings(facts.binds)
        capacity = _LEAST_CAPACITY
        while capacity < 4 * len(owners):
            capacity *= 2
        owners_at = _aligned(_BORROWED_AT + _BORROWED_LIMIT * _BORROWED.size)
        attributes_at = _aligned(owners_at + capacity * _OWNER.size)
        texts_at = _aligned(attributes_at + _ATTRIBUTE_LIMIT * _ATTRIBUTE.size)
        size_bytes = _aligned(texts_at + len(texts))
        identity = execution.identity
        header = _Header(
            magic=_MAGIC,
            size_bytes=size_bytes,
            flags=_HAS_NETWORK if execution.network else 0,
            start_uid=identity.uid,
            start_gid=identity.gid,
            binding_count=len(bindings),
            table_lock=0,
            borrow_lock=0,
            told=0,
            attribute_count=0,
            phase=Phase.NONE,
            refusal=0,
            root_device=facts.devices[0],
            root_file_device=facts.devices[1],
            owner_capacity=capacity,
            owner_count=len(owners),
            owners_at=owners_at,
            attributes_at=attributes_at,
            texts_at=texts_at,
            texts_size=len(texts),
            root=_path_bytes(facts.root, 4096),
            loader=_path_bytes(facts.loader, 4096),
            short_root=_path_bytes(facts.short_root, 64),
            host_name=os.fsencode(execution.host_name or "")[:64],
        )
        with file.open("xb") as stream:
            stream.truncate(size_bytes)
        with file.open("r+b") as stream:
            stream.write(_HEADER.pack(*header) + b"".join(bindings))
            stream.seek(texts_at)
            stream.write(texts)
        state = cls(file)
        state._place_owners(owners)
        return state

    def _header(self) -> _Header:
        return _Header(*_HEADER.unpack_from(self._memory, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.close()
        os.close(self._descriptor)

    @property
    def phase(self) -> int:
        """How far the start came, one of :class:`Phase`."""
        return self._header().phase

    @property
    def refusal(self) -> int:
        """The errno with which the kernel refused the filter, or 0."""
        return self._header().refusal

    def decided_owners(self) -> dict[InodeKey, Owner]:
        """The owners of the files that the run decided."""
        return {
            (inode, birth): (owner & 0xFFFFFFFF, owner >> 32)
            for inode, birth, owner, flags in self._owner_entries()
            if inode not in (0, _GONE) and flags & _DECIDED
        }

    def attributes(self) -> dict[InodeKey, dict[str, bytes]]:
        """The extended attributes that the run could only record."""
        found: dict[InodeKey, dict[str, bytes]] = {}
        size_bytes = _ATTRIBUTE_LIMIT * _ATTRIBUTE.size
        for offset, length in self._extents(self._attributes_at, size_bytes):
            for entry in _ATTRIBUTE.iter_unpack(self._memory[offset : offset + length]):
                inode, birth, value_size, is_used, name, value = entry
                if is_used:
                    text = name.partition(b"\0")[0].decode("utf-8", "surrogateescape")
                    found.setdefault((inode, birth), {})[text] = value[:value_size]
        return found

    def take_folders_away(self) -> None:
        """Remove the working folder that was made for the run, unless something was put into it."""
        header = self._header()
        folder = Path(os.fsdecode(header.made_folder.partition(b"\0")[0]))
        for _ in range(header.made_count):
            try:
                folder.rmdir()
            except OSError:  # the program keeps it
                return
            folder = folder.parent
        if header.made_count:
            changed_ns = header.made_at_seconds * 1_000_000_000 + header.made_at_nanoseconds
            with suppress(OSError):
                os.utime(folder, ns=(folder.stat().st_atime_ns, changed_ns))

    def give_modes_back(self) -> None:
        """Undo what processes that were killed had changed for a moment (root/access.c)."""
        for number in range(_BORROWED_LIMIT):
            offset = _BORROWED_AT + number * _BORROWED.size
            is_used, mode, path = _BORROWED.unpack_from(self._memory, offset)
            if is_used:
                with suppress(OSError):
                    Path(os.fsdecode(path.partition(b"\0")[0])).chmod(mode)

    def _place_owners(self, owners: Mapping[InodeKey, Owner]) -> None:
        """Fill the table as owners.c does it (first_place)."""
        mask = self._owner_capacity - 1
        for (inode, birth), (uid, gid) in owners.items():
            place = ((inode * 0x9E3779B97F4A7C15 & _GONE) >> 32) & mask
            offset = self._owners_at + place * _OWNER.size
            while self._memory[offset : offset + 8] != bytes(8):
                place = (place + 1) & mask
                offset = self._owners_at + place * _OWNER.size
            _OWNER.pack_into(self._memory, offset, inode, birth, uid | gid << 32, 0)

    def _owner_entries(self) -> Iterator[tuple[int, int, int, int]]:
        size_bytes = self._owner_capacity * _OWNER.size
        extents = self._extents(self._owners_at, size_bytes)
        return itertools.chain.from_iterable(
            _OWNER.iter_unpack(self._memory[offset : offset + length]) for offset, length in extents
        )

    def _extents(self, start: int, size_bytes: int) -> Iterator[tuple[int, int]]:
        """The parts of the file that hold data, as whole pages."""
        end = start + size_bytes
        self._memory.flush()
        at = start
        while at < end:
            try:
                data = os.lseek(self._descriptor, at, os.SEEK_DATA)
            except OSError:  # nothing more
                return
            hole = min(os.lseek(self._descriptor, data, os.SEEK_HOLE), end)
            if data >= end:
                return
            yield data, hole - data
            at = hole


def _path_bytes(path: str | Path, size: int) -> bytes:
    text = os.fsencode(path)
    if len(text) >= size:
        raise UsageError(f"a path is too long for the sandbox: {path}")
    return text


def _bindings(binds: tuple[Bind, ...]) -> tuple[bytes, list[bytes]]:
    if len(binds) > _BINDING_LIMIT:
        raise UsageError(f"{len(binds)} files and folders are to appear in the root, at most {_BINDING_LIMIT} may")
    texts, entries = bytearray(), []
    for bind in binds:
        places = []
        for text in (bind.target, bind.source):
            places.append(len(texts))
            texts += os.fsencode(text) + b"\0"
        flags = (0 if bind.writable else _READ_ONLY) | (_FOLDER if Path(bind.source).is_dir() else 0)
        entries.append(_BINDING.pack(*places, flags, 0))
    return bytes(texts), entries
