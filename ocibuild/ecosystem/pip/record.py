"""RECORD: the list of a wheel's files with their hashes, in the wheel and as installed.

Source: packaging.python.org, "Recording installed projects" and "Binary distribution format".
"""

import base64
import csv
import hashlib
import io
from collections.abc import Iterable, Iterator

from ocibuild.core.errors import ImageError, IntegrityError

__all__ = ["Row", "checked", "checked_stream", "hash_of", "read_record", "write_record"]

Row = tuple[str, str, str]
"""Path, hash as ``sha256=<base64>`` and size in bytes; the last two may be empty."""

_ALGORITHMS = frozenset({"sha256", "sha384", "sha512"})  # the specification forbids md5 and sha1


def read_record(text: str, *, where: str) -> list[Row]:
    """The rows of a RECORD, in its order; missing columns are empty, further ones are ignored, as pip does.

    An ImageError that names the wheel ``where`` for what is no CSV.
    """
    rows = []
    try:
        for cells in csv.reader(text.splitlines()):
            if cells:
                path, recorded, size = (*cells, "", "")[:3]
                rows.append((path, recorded, size))
    except csv.Error as error:
        raise ImageError(f"{where}: its RECORD is malformed: {error}") from error
    return rows


def write_record(rows: Iterable[Row]) -> bytes:
    """A RECORD with these rows, sorted, as pip writes it."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(sorted(rows))
    return text.getvalue().encode()


def hash_of(data: bytes, algorithm: str = "sha256") -> str:
    """The hash of these bytes as RECORD writes it."""
    return _text(algorithm, hashlib.new(algorithm, data).digest())


def checked(data: bytes, recorded: str, *, where: str) -> bytes:
    """``data``, or an IntegrityError naming ``where`` if its hash is not the recorded one; no hash allows anything."""
    if recorded and hash_of(data, _algorithm(recorded, where)) != recorded:
        raise _mismatch(where, recorded)
    return data


def checked_stream(pieces: Iterable[bytes], recorded: str, *, where: str) -> Iterator[bytes]:
    """The pieces as they come; an IntegrityError after the last one if all of them together differ from RECORD."""
    if not recorded:
        yield from pieces
        return
    algorithm = _algorithm(recorded, where)
    state = hashlib.new(algorithm)
    for piece in pieces:
        state.update(piece)
        yield piece
    if _text(algorithm, state.digest()) != recorded:
        raise _mismatch(where, recorded)


def _text(algorithm: str, digest: bytes) -> str:
    return f"{algorithm}={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _algorithm(recorded: str, where: str) -> str:
    algorithm = recorded.partition("=")[0]
    if algorithm not in _ALGORITHMS:
        raise ImageError(f"{where}: RECORD holds a hash that proves nothing: {recorded}")
    return algorithm


def _mismatch(where: str, recorded: str) -> IntegrityError:
    return IntegrityError(
        f"{where} differs from the hash in the wheel's RECORD, {recorded}",
        hint="the wheel was changed after it was built, or built wrongly: ask for another version",
    )
