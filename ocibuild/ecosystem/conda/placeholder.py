"""Putting the prefix of an environment where the prefix of a package's build stands: in texts, programs and libraries.

A package is built under a long made-up path, its placeholder, and lists the files that hold it. Source: conda's
``core/portability.py`` and rattler 0.28's ``install``, with whose results these functions agree byte for byte: in the
encodings that are looked for, in what ends a string, and in the first lines of scripts. Where one binary holds
placeholders of several encodings, it is conda's order that counts: one encoding after the other.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from ocibuild.core.errors import BuildError

__all__ = ["program_line", "replaced_in_binary", "replaced_in_text"]

Chunks = Iterable[bytes | memoryview]

_LONGEST_SHEBANG_BYTES = 127  # what every Linux kernel reads of a first line
_SHEBANG = re.compile(r"#! *(?P<program>/(?:\\ |[^ \n\r\t])*)(?P<arguments>[^\n]*)")
_PYTHON = re.compile(r"python(?:\d+(?:\.\d+)?)?")
_ENCODINGS = (("utf-8", 1), ("utf-16-le", 2), ("utf-16-be", 2), ("utf-32-le", 4), ("utf-32-be", 4))
"""Each with the bytes of its smallest unit, which is also what ends a string."""


def replaced_in_text(chunks: Chunks, placeholder: str, prefix: str) -> Iterator[bytes]:
    """The text with every placeholder replaced; a first line that the kernel could not use is written otherwise.

    The first chunk must hold the whole first line. Otherwise chunks of any sizes give the same bytes.
    """
    rest = iter(chunks)
    first = bytes(next(rest, b""))
    if first.startswith(b"#!"):
        line, newline, first = first.partition(b"\n")
        yield _moved_first_line(line.decode("utf-8", "replace"), placeholder, prefix).encode() + newline
    pieces: Iterator[bytes] = (bytes(chunk) for chunk in chain((first,), rest))
    for encoding, _ in _ENCODINGS:
        pieces = _replaced(pieces, placeholder.encode(encoding), prefix.encode(encoding))
    yield from pieces


def replaced_in_binary(chunks: Chunks, placeholder: str, prefix: str, *, where: str) -> Iterator[bytes]:
    """The same number of bytes, with every placeholder replaced and the strings that held one padded with NUL bytes.

    A BuildError that names ``where`` for a prefix that is longer than a placeholder found. Strings of any length and
    chunks of any sizes need constant memory.
    """
    pieces: Iterator[bytes] = (bytes(chunk) for chunk in chunks)
    for encoding, unit_bytes in _ENCODINGS:
        pieces = _Strings(placeholder.encode(encoding), prefix.encode(encoding), unit_bytes, where).replaced(pieces)
    return pieces


def program_line(program: str, arguments: str = "") -> str:
    """The first line of a script that is run by ``program`` (an absolute path), without a line feed.

    The kernel reads 127 bytes and splits at the first blank: where that does not do, Python is run through ``/bin/sh``
    in a way that Python itself reads as a string, and anything else through ``/usr/bin/env`` by its name alone.
    """
    line = f"#!{program}{arguments}"
    if " " not in program and len(line.encode()) <= _LONGEST_SHEBANG_BYTES:
        return line
    return _indirect(program, arguments)


def _indirect(program: str, arguments: str) -> str:
    name = program.rpartition("/")[2]
    if _PYTHON.fullmatch(name):
        return f"#!/bin/sh\n'''exec' \"{program}\"{arguments} \"$0\" \"$@\" #'''"
    return f"#!/usr/bin/env {name}{arguments}"


# Texts.


def _moved_first_line(line: str, placeholder: str, prefix: str) -> str:
    """A first line with the prefix in it, in rattler's order: with a blank in the prefix it is rewritten before."""
    if " " in prefix:
        return _rewritten(line).replace(placeholder, prefix) if placeholder in line else line
    moved = line.replace(placeholder, prefix)
    return moved if len(moved.encode()) <= _LONGEST_SHEBANG_BYTES else _rewritten(moved)


def _rewritten(line: str) -> str:
    found = _SHEBANG.fullmatch(line)
    return line if found is None else _indirect(found["program"], found["arguments"])


def _replaced(chunks: Iterable[bytes], old: bytes, new: bytes) -> Iterator[bytes]:
    held = b""
    for chunk in chunks:
        pieces = (held + chunk).split(old)
        ready = new.join(pieces)
        kept = min(len(old) - 1, len(pieces[-1]))  # a placeholder may have begun there
        held = ready[len(ready) - kept :]
        yield ready[: len(ready) - kept]
    yield held


# Binaries.


@dataclass(slots=True)
class _Strings:
    """Replaces one encoding's placeholder in NUL-terminated strings; the terminator is a unit in the string's step."""

    old: bytes
    new: bytes
    unit_bytes: int
    where: str
    _offset: int = 0  # in the file, of the data that is looked at
    _start: int = 0  # in the file, of the string that is read
    _missing: int = 0  # by how much that string has become shorter
    _passed: int = -1  # in the file, the last place that was found not to be one
    _is_inside: bool = False

    def replaced(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        held = b""
        for chunk in chunks:
            data = held + chunk
            # A placeholder counts only before the end of its string, which may begin in the last bytes of the two.
            ready, position = self._scan(data, len(data) - self.unit_bytes + 1)
            kept = min(len(self.old) + 2 * self.unit_bytes, len(data) - position)  # a placeholder may have begun there
            held = data[len(data) - kept :]
            self._offset += len(data) - kept
            yield b"".join((*ready, data[position : len(data) - kept]))
        ready, position = self._scan(held, len(held))
        yield b"".join((*ready, held[position:], bytes(self._missing)))

    def _scan(self, data: bytes, limit: int) -> tuple[list[bytes], int]:
        """The pieces up to the last placeholder or end of a string before ``limit``, and how far that is."""
        ready: list[bytes] = []
        position = 0
        while True:
            end = self._end_of_string(data, position) if self._is_inside else -1
            found = self._next(data, position, end if end >= 0 else max(limit, 0))
            if found >= 0:
                if len(self.new) > len(self.old):
                    raise BuildError(
                        f"{self.where} has room for a prefix of {len(self.old) // self.unit_bytes} bytes, "
                        f"and the environment's has {len(self.new) // self.unit_bytes}",
                        hint="choose a shorter prefix for the environment",
                    )
                ready += (data[position:found], self.new)
                if not self._is_inside:
                    self._start, self._is_inside = self._offset + found, True
                self._missing += len(self.old) - len(self.new)
                position = found + len(self.old)
            elif end >= 0:
                ready += (data[position:end], bytes(self._missing))
                self._missing, self._is_inside = 0, False
                position = end
            else:
                return ready, position

    def _next(self, data: bytes, position: int, end: int) -> int:
        """Where the next placeholder is, or -1.

        Between zeros, a little-endian text is a big-endian one as well, one unit less a byte before it. As in rattler,
        it counts as what is aligned in the file.
        """
        found = data.find(self.old, position, end)
        while found >= 0 and not self._is_inside and self._is_big_endian(data, found):
            self._passed = self._offset + found
            found = data.find(self.old, found + 1, end)
        return found

    def _is_big_endian(self, data: bytes, found: int) -> bool:
        before = self.unit_bytes - 1
        where = self._offset + found
        if where <= self._passed:  # it was looked at before, with the bytes in front of it
            return True
        has_zeros = found >= before and not any(data[found - before : found])
        return bool(before and has_zeros and where % self.unit_bytes and self.old.endswith(bytes(before)))

    def _end_of_string(self, data: bytes, position: int) -> int:
        """Where the terminator of the current string is, or -1 where it is not in the data."""
        terminator = bytes(self.unit_bytes)
        end = data.find(terminator, position)
        while end >= 0 and (self._offset + end - self._start) % self.unit_bytes:
            end = data.find(terminator, end + 1)
        return end
