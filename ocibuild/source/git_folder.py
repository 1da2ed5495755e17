"""A ``.git`` folder for the image: one commit, written anew.

What git itself leaves in a clone differs each time (packing, times, logs) and may hold credentials, hooks and the
objects of every branch. This one holds the checked-out commit alone, as a shallow clone does, and its bytes depend on
nothing but the commit, the branch and the remote's address: ``git status``, ``git log`` and ``git fetch`` work in it.

Formats: gitformat-pack(5) (pack version 2 without deltas, index version 2), gitformat-index(5) version 2.
"""

import hashlib
import itertools
import struct
import subprocess
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ocibuild.core.errors import RepositoryError
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.source.git_state import GitState, ask_git, git_command, git_environment

__all__ = ["git_entries"]

_KINDS = {"commit": 1, "tree": 2, "blob": 3}
_STORED_BYTES = 65535  # the most that one block of deflate holds uncompressed (RFC 1951, 3.2.4)
_LARGE_OFFSET = 1 << 31
_DIGEST_BYTES = 20


@dataclass(frozen=True, slots=True)
class _Object:
    name: str
    kind: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _IndexEntry:
    path: bytes
    mode: int
    name: str


def git_entries(state: GitState, path: str, *, uid: int = 0, gid: int = 0, modified: int) -> Iterator[Entry]:
    """The entries of the folder ``path`` (``home/jovyan/.git``). A RepositoryError where git cannot give an object."""
    objects, index = _objects(state)
    pack = _Pack(state.folder, objects)
    files: list[tuple[str, bytes]] = [
        ("HEAD", f"ref: refs/heads/{state.branch}\n".encode() if state.branch else f"{state.commit}\n".encode()),
        ("config", _config(state)),
        ("index", _index(index)),
    ]
    if state.branch:
        files.append((f"refs/heads/{state.branch}", f"{state.commit}\n".encode()))
        if state.remote:
            files.append((f"refs/remotes/origin/{state.branch}", f"{state.commit}\n".encode()))
    if state.is_shallow:
        files.append(("shallow", f"{state.commit}\n".encode()))
    folders = {"", "objects/info", "objects/pack", "refs/heads", "refs/tags", *(name for name, _ in files)}
    parents = {above for name in folders for above in itertools.accumulate(name.split("/")[:-1], "{}/{}".format)}
    folders = (folders - {name for name, _ in files}) | parents

    def entry(name: str, kind: EntryKind, mode: int, content: bytes | None = None) -> Entry:
        where = f"{path}/{name}" if name else path
        data = content or b""
        return Entry(where, kind, mode, uid, gid, len(data), "", data, modified)

    for name in sorted(folders):
        yield entry(name, EntryKind.DIRECTORY, 0o755)
    for name, content in sorted(files):
        yield entry(name, EntryKind.FILE, 0o644, content)
    for name, size_bytes, chunks in (  # in this order: the index tells what was packed
        (f"{pack.name}.pack", pack.size_bytes, pack.chunks),
        (f"{pack.name}.idx", pack.index_bytes, pack.index_chunks),
    ):
        where = f"{path}/objects/pack/{name}"
        yield Entry(where, EntryKind.FILE, 0o444, uid, gid, size_bytes, "", chunks, modified)


def _config(state: GitState) -> bytes:
    lines = [
        "[core]",
        "\trepositoryformatversion = 0",
        "\tfilemode = true",
        "\tbare = false",
        "\tlogallrefupdates = true",
    ]
    if state.remote:
        quoted = state.remote.replace("\\", "\\\\").replace('"', '\\"')
        lines += ['[remote "origin"]', f'\turl = "{quoted}"', "\tfetch = +refs/heads/*:refs/remotes/origin/*"]
        if state.branch:
            branch = state.branch.replace("\\", "\\\\").replace('"', '\\"')
            lines += [f'[branch "{branch}"]', "\tremote = origin", f"\tmerge = refs/heads/{state.branch}"]
    return "".join(f"{line}\n" for line in lines).encode()


def _objects(state: GitState) -> tuple[list[_Object], list[_IndexEntry]]:
    """The commit, its trees and blobs, sorted by name; and what its tree lists, as an index lists it."""
    listed = ask_git(state.folder, "ls-tree", "-r", "-t", "-z", "--full-tree", state.commit)
    tree = ask_git(state.folder, "rev-parse", "--verify", f"{state.commit}^{{tree}}").strip().decode()
    names = {state.commit, tree}
    index = []
    for row in filter(None, listed.split(b"\0")):
        facts, _, path = row.partition(b"\t")
        mode, kind, name = facts.decode().split()
        if kind != "commit":  # a submodule's: it is in another repository
            names.add(name)
        if kind != "tree":
            index.append(_IndexEntry(path, int(mode, 8), name))
    asked = "".join(f"{name}\n" for name in sorted(names)).encode()
    objects = []
    for answer in ask_git(state.folder, "cat-file", "--batch-check", given=asked).decode().splitlines():
        name, kind, size = (*answer.split(" "), "", "")[:3]
        if kind not in _KINDS:
            raise RepositoryError(
                f"git has no object {name} of the checked-out commit", file=".git", hint="fetch it, or ignore .git"
            )
        objects.append(_Object(name, kind, int(size)))
    return objects, sorted(index, key=lambda entry: entry.path)


def _index(entries: Sequence[_IndexEntry]) -> bytes:
    """An index without what stat(2) says: git looks at the files once, and then writes its own."""
    parts = [struct.pack(">4sII", b"DIRC", 2, len(entries))]
    for entry in entries:
        length = min(len(entry.path), 0xFFF)
        fixed = struct.pack(">10I20sH", 0, 0, 0, 0, 0, 0, entry.mode, 0, 0, 0, bytes.fromhex(entry.name), length)
        body = fixed + entry.path
        parts.append(body + bytes(8 - len(body) % 8))
    content = b"".join(parts)
    return content + hashlib.sha1(content, usedforsecurity=False).digest()


class _Pack:
    """A pack of whole objects, stored without compression: their layer is compressed, and zlibs differ."""

    def __init__(self, folder: Path, objects: Sequence[_Object]) -> None:
        self._folder = folder
        self._objects = objects
        names = b"".join(bytes.fromhex(each.name) for each in objects)
        self.name = f"pack-{hashlib.sha1(names, usedforsecurity=False).hexdigest()}"
        self.size_bytes = 12 + sum(map(_packed_bytes, objects)) + _DIGEST_BYTES
        large = sum(offset >= _LARGE_OFFSET for offset in self._offsets())
        self.index_bytes = 8 + 256 * 4 + len(objects) * (_DIGEST_BYTES + 4 + 4) + large * 8 + 2 * _DIGEST_BYTES
        self._checksums: list[int] = []
        self._digest = b""

    def _offsets(self) -> list[int]:
        return list(itertools.accumulate((_packed_bytes(each) for each in self._objects), initial=12))[:-1]

    def chunks(self) -> Iterator[bytes]:
        """The pack's bytes."""
        state = hashlib.sha1(usedforsecurity=False)
        header = struct.pack(">4sII", b"PACK", 2, len(self._objects))
        state.update(header)
        yield header
        with _started(self._folder, "cat-file", "--batch") as process:
            assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - for the type checker
            for each in self._objects:
                # One question at a time: a pipe full of questions and one full of answers would wait for each other.
                process.stdin.write(f"{each.name}\n".encode())
                process.stdin.flush()
                checksum = 0
                for chunk in _packed(each, process.stdout):
                    checksum = zlib.crc32(chunk, checksum)
                    state.update(chunk)
                    yield chunk
                self._checksums.append(checksum)
            process.stdin.close()
        self._digest = state.digest()
        yield self._digest

    def index_chunks(self) -> Iterator[bytes]:
        """The bytes of the pack's index; to be asked for when the pack has been taken."""
        firsts = [int(each.name[:2], 16) for each in self._objects]
        fan_out = [sum(first <= number for first in firsts) for number in range(256)]
        offsets = self._offsets()
        large = [offset for offset in offsets if offset >= _LARGE_OFFSET]
        numbers = iter(range(len(large)))
        small = [offset if offset < _LARGE_OFFSET else _LARGE_OFFSET | next(numbers) for offset in offsets]
        content = b"".join(
            [
                struct.pack(">4sI256I", b"\xfftOc", 2, *fan_out),
                *(bytes.fromhex(each.name) for each in self._objects),
                struct.pack(f">{len(small)}I", *self._checksums),
                struct.pack(f">{len(small)}I", *small),
                struct.pack(f">{len(large)}Q", *large),
                self._digest,
            ]
        )
        yield content + hashlib.sha1(content, usedforsecurity=False).digest()


def _packed_bytes(each: _Object) -> int:
    blocks = max(1, -(-each.size_bytes // _STORED_BYTES))
    return len(_object_header(each)) + 2 + blocks * 5 + each.size_bytes + 4


def _object_header(each: _Object) -> bytes:
    """Kind and size, four bits and then seven at a time (gitformat-pack(5))."""
    size, byte = each.size_bytes >> 4, _KINDS[each.kind] << 4 | each.size_bytes & 15
    header = bytearray()
    while size:
        header.append(byte | 0x80)
        size, byte = size >> 7, size & 0x7F
    header.append(byte)
    return bytes(header)


def _packed(each: _Object, answers: IO[bytes]) -> Iterator[bytes]:
    """One object as a pack holds it: its header, then a zlib stream (RFC 1950) of stored blocks."""
    told = answers.readline().decode().split()
    if told != [each.name, each.kind, str(each.size_bytes)]:
        raise RepositoryError(f"git has no object {each.name} of the checked-out commit any more", file=".git")
    yield _object_header(each) + b"\x78\x01"
    left, checksum = each.size_bytes, 1
    while True:
        block = answers.read(min(left, _STORED_BYTES))
        left -= len(block)
        checksum = zlib.adler32(block, checksum)
        yield struct.pack("<BHH", left == 0, len(block), len(block) ^ 0xFFFF) + block
        if not left:
            break
        if not block:
            raise RepositoryError(f"git gave only a part of the object {each.name}", file=".git")
    answers.read(1)  # the line feed behind the object
    yield struct.pack(">I", checksum)


def _started(folder: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    command = git_command(folder, arguments)
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=git_environment())
