"""Two root file systems side by side: what is in one only, and what differs."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

__all__ = ["EXPLAINED", "differences"]

_ENVIRONMENT = "srv/conda/envs/notebook"
EXPLAINED = {
    r"(proc|sys|dev|run|tmp)(/.*)?": "mounts, and what lies in them",
    r"etc/(hostname|hosts|resolv\.conf)": "empty files that buildah leaves where it mounted its own",
    r"(pip|wheels|usr/local/bin/uv|home/jovyan/\.cache(/uv)?)": "where the benchmark mounted the peer's caches",
    r"usr/share/ocibuild/lock\.json": "ours lists this image's packages, the peer's those of the base alone",
    rf"{_ENVIRONMENT}/(\.lock|pyvenv\.cfg)": "which program made the environment",
    rf"{_ENVIRONMENT}/bin/[^/]*": "uv words the scripts of entry points otherwise than pip",
    rf"{_ENVIRONMENT}/lib/[^/]*/site-packages/[^/]*\.dist-info/(INSTALLER|RECORD|REQUESTED|uv_cache\.json)": "which program installed",
    r"var/log/.*": "logs of apt, dpkg and fontconfig",
    r"var/lib/dpkg/(lock.*|triggers/Lock|status-old)|var/cache/debconf/.*|var/cache/ldconfig/aux-cache": "traces of a run",
    r"var/lib/apt/extended_states": "the order of packages",
    r"usr/(lib|share)/.*/__pycache__(/.*)?": "byte code that Debian's scripts make, and ocibuild leaves to the first import",
    rf"{_ENVIRONMENT}/lib/.*/__pycache__(/.*)?": "byte code that a step compiled in passing, and ocibuild leaves out",
    r"var/cache/fontconfig/[^/]*": "times of folders, which ours fixes",
}
"""Paths (whole, as regular expressions) that may differ between the two images, and why."""


def differences(ours: Path, theirs: Path) -> dict[str, list[str]]:
    """What differs, by the reason that :data:`EXPLAINED` gives; all that no reason explains is under ``""``."""
    found: dict[str, list[str]] = {}
    left, right = dict(_tree(ours)), dict(_tree(theirs))
    for path in sorted(left.keys() | right.keys()):
        if left.get(path) != right.get(path):
            reason = next((why for pattern, why in EXPLAINED.items() if re.fullmatch(pattern, path)), "")
            found.setdefault(reason, []).append(f"{path}: {left.get(path)} and {right.get(path)}")
    return found


def _tree(root: Path) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Each path below ``root`` with its mode, owner and content; times are not compared."""
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder) / name
            status = path.lstat()
            facts = (oct(status.st_mode), status.st_uid, status.st_gid)
            if stat.S_ISLNK(status.st_mode):
                yield str(path.relative_to(root)), (*facts, str(path.readlink()))
            elif stat.S_ISREG(status.st_mode):
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()[:12]
                yield str(path.relative_to(root)), (*facts, digest)
            else:
                yield str(path.relative_to(root)), facts
