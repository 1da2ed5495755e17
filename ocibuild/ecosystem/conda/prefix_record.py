"""The record of an installed package, ``conda-meta/NAME-VERSION-BUILD.json``.

What conda, mamba and rattler read to know what an environment holds. Source: rattler's ``prefix_record.rs``, with whose
records these agree as objects, but for what means something only on the machine that installed: the cache's folder, and
how files were linked from it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["InstalledPath", "record_path", "write_record"]


@dataclass(frozen=True, slots=True)
class InstalledPath:
    """One path as it was placed, below the prefix; what is empty or None is not written.

    ``original_path`` is where it would be if another package's file were not there. ``sha256`` is of what the package
    holds, ``sha256_in_prefix`` of what lies in the prefix where that differs (of a link: its text), and ``size_bytes``
    of the latter. ``mode`` and ``placeholder`` say how a prefix in it was replaced.
    """

    path: str
    kind: str
    sha256: str = ""
    sha256_in_prefix: str = ""
    size_bytes: int | None = None
    original_path: str = ""
    mode: str = ""
    placeholder: str = ""
    no_link: bool = False

    @property
    def order(self) -> list[str]:
        """By what the paths of a record are sorted: the parts of the path as the package has it."""
        return (self.original_path or self.path).split("/")

    def to_json(self) -> dict[str, Any]:
        """The path as the record holds it."""
        fields = {
            "_path": self.path,
            "original_path": self.original_path,
            "path_type": self.kind,
            "no_link": self.no_link,
            "sha256": self.sha256,
            "sha256_in_prefix": self.sha256_in_prefix,
            "size_in_bytes": self.size_bytes,
            "file_mode": self.mode,
            "prefix_placeholder": self.placeholder,
        }
        return {key: value for key, value in fields.items() if value not in ("", None) and value is not False}


def record_path(file_name: str) -> str:
    """Where the record of the package of this file name is, below the prefix."""
    return f"conda-meta/{file_name.removesuffix('.conda').removesuffix('.tar.bz2')}.json"


def write_record(
    record: Mapping[str, Any], paths: Sequence[InstalledPath], *, requested_specs: Sequence[str] = ()
) -> bytes:
    """The text of a record; ``record`` is the package's as its channel's repodata has it, with ``fn`` and ``url``."""
    ordered = sorted(paths, key=lambda path: path.order)
    encode = json.JSONEncoder(ensure_ascii=False).encode
    members = {**record, "requested_specs": list(requested_specs)}
    lines = [f"  {encode(key)}: {encode(value)}" for key, value in members.items()]
    # One path a line: json's own indentation is the work of its slow encoder, and takes longer than placing the files.
    lines.append(_list("files", [encode(path.path) for path in ordered]))
    listed = _list("paths", [encode(path.to_json()) for path in ordered])
    lines.append(f'  "paths_data": {{\n  "paths_version": 1,\n{listed}\n  }}')
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _list(name: str, elements: Sequence[str]) -> str:
    return f'  "{name}": [' + ",".join(f"\n    {element}" for element in elements) + ("\n  ]" if elements else "]")
