"""Small JSON documents by kind and key: what was resolved, what a layer was made of, where a fragment lies."""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ocibuild.core.atomic import map_os_error, replacing
from ocibuild.core.errors import OcibuildError

__all__ = ["RecordStore"]

_KIND = re.compile(r"[a-z][a-z0-9-]*")
_KEY = re.compile(r"[0-9a-f]{16,128}")


class RecordStore:
    """A folder of JSON files. A record that is damaged counts as absent: it is made again, never trusted.

    Keys are hexadecimal digests of all that the record depends on. Safe for several processes at once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, kind: str, key: str) -> Path:
        if not _KIND.fullmatch(kind) or not _KEY.fullmatch(key):
            raise OcibuildError(f"not a record's name: {kind!r}, {key!r}")
        return self._folder / kind / key[:2] / f"{key}.json"

    def get(self, kind: str, key: str) -> Any:
        """The record's value, or None where there is none; its last use is noted for eviction."""
        path = self._path(kind, key)
        try:
            with path.open("rb") as file:
                value = json.load(file)
            with contextlib.suppress(OSError):  # a store that is shared read-only still serves
                os.utime(path)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        except OSError as error:
            raise map_os_error(error, attempted=f"reading {path}") from error
        return value

    def put(self, kind: str, key: str, value: Any) -> None:
        """Write the record, replacing an older one."""
        with replacing(self._path(kind, key)) as file:
            file.write(json.dumps(value, separators=(",", ":"), sort_keys=True).encode())

    def remove(self, kind: str, key: str) -> None:
        """Forget the record; nothing happens where there is none."""
        with contextlib.suppress(FileNotFoundError):
            self._path(kind, key).unlink()

    def keys(self, kind: str) -> Iterator[str]:
        """The keys of all records of a kind, in no order."""
        for path in (self._folder / kind).glob("??/*.json"):
            if _KEY.fullmatch(path.stem):
                yield path.stem
