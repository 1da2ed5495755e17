"""A download that is not finished: its bytes, kept so that a later process can go on where this one ended."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ocibuild.core.atomic import PARTIAL_PREFIX
from ocibuild.core.digest import Digest
from ocibuild.core.turns import locked_file

__all__ = ["Partial"]

_READ_BYTES = 1 << 20
_LONGEST_NOTE_BYTES = 4096


class Partial:
    """The beginning of a blob, in a file that only this object writes.

    ``validator`` is the strong ETag or Last-Modified of the file at the server that the bytes came from ("" where
    there was none), so that a server whose file changed meanwhile sends it anew (RFC 9110, 13.1.5).
    """

    def __init__(self, file: BinaryIO, path: Path, digest: Digest) -> None:
        self._file = file
        self.path = path
        self._note = path.with_name(path.name + ".json")
        self._algorithm = digest.algorithm
        self._hash = hashlib.new(digest.algorithm)
        self.size_bytes = 0
        self.validator = ""
        for block in iter(lambda: file.read(_READ_BYTES), b""):
            self._hash.update(block)
            self.size_bytes += len(block)
        if self.size_bytes:
            self.validator = self._noted_validator()

    def _noted_validator(self) -> str:
        try:
            with self._note.open("rb") as file:
                validator = json.loads(file.read(_LONGEST_NOTE_BYTES))["validator"]
        except (OSError, ValueError, KeyError, TypeError):
            return ""
        return validator if isinstance(validator, str) else ""

    @property
    def digest(self) -> Digest:
        """The digest of what is there so far."""
        return Digest(self._algorithm, self._hash.hexdigest())

    def write(self, block: bytes) -> None:
        """Append a block."""
        self._file.write(block)
        self._hash.update(block)
        self.size_bytes += len(block)

    def restart(self, *, validator: str = "") -> None:
        """Drop all bytes; the next ones come from a file with this validator."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.new(self._algorithm)
        self.size_bytes = 0
        self.validator = validator
        if validator:
            self._note.write_text(json.dumps({"validator": validator}))
        else:
            self._note.unlink(missing_ok=True)

    def finish(self) -> Path:
        """Flush and return the file, which the caller moves to its place."""
        self._file.flush()
        self._note.unlink(missing_ok=True)
        return self.path

    def discard(self) -> None:
        """Remove the file: its bytes are wrong, or its space is needed."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    @classmethod
    @contextlib.contextmanager
    def claimed(cls, folder: Path, digest: Digest) -> Iterator["Partial"]:
        """The partial file of this digest in ``folder``, which this process has for itself until the block ends.

        What an earlier process left is there already. Where another one writes it at this moment, or the file system
        has no locks, a private file is given instead, removed at the end, as is one that stayed empty. The names begin
        as all unfinished files in a store do, so that those that nobody takes up again are pruned. Raises OSError.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{PARTIAL_PREFIX}download-{digest.hex}"
        file = _locked(path)
        is_private = file is None
        if file is None:
            path = path.with_name(f"{path.name}-{os.getpid()}-{os.urandom(4).hex()}")
            file = path.open("x+b")
        with file:
            partial = cls(file, path, digest)
            try:
                yield partial
            finally:  # while it is locked: nobody else may have begun to fill it
                if is_private or not partial.size_bytes:
                    partial.discard()


def _locked(path: Path) -> BinaryIO | None:
    """The file, opened and locked, or None where that cannot be."""
    try:
        return locked_file(path)
    except OSError:
        return None
