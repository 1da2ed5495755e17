"""A conda package as entries of a layer: the tree that rattler makes of it, without unpacking it and without conda.

Sources: conda's ``core/link.py`` and rattler 0.28's ``install`` with ``alternative_target_prefix``, which the result
equals file by file (tests/oracle/test_conda_install.py), but for this: records are readable by everybody (0644 where
rattler writes 0600), hold nothing of the machine that made them, and leave out a file that an entry point's program
replaced; and no folder is marked as a cache.
"""

import dataclasses
import json
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.package import LockedPackage
from ocibuild.core.paths import ancestors
from ocibuild.layer.entry import Entry
from ocibuild.layer.placement import Placement

__all__ = ["PLACING_VERSION", "CondaPlaceContext", "place"]

PLACING_VERSION = 1
"""Part of every fragment's key: raise it whenever the entries made of some package change."""


@dataclass(frozen=True, slots=True)
class CondaPlaceContext:
    """All that placing a package depends on besides the package.

    ``prefix`` is the environment's path in the image without a leading slash. ``record`` is the package's record in its
    channel, as JSON text with ``fn`` and ``channel`` (a name, or an address where it has none); where it does not say
    ``depends``, the package's own metadata completes it. ``python_version`` (major and minor) and ``site_packages``
    (below the prefix) are of the environment's Python, and empty where the package is for no particular one: so it is
    placed once for all. ``requested_specs`` are what asked for the package. ``displaced`` are paths in the image whose
    place a file of another package takes (:mod:`.settle`).
    """

    prefix: str
    record: str
    python_version: str = ""
    site_packages: str = ""
    uid: int = 0
    gid: int = 0
    requested_specs: tuple[str, ...] = ()
    displaced: tuple[str, ...] = ()

    def canonical(self) -> bytes:
        """The same bytes for equal contexts, other bytes for others: part of a fragment's key."""
        fields = dataclasses.asdict(self) | {"displaced": sorted(self.displaced)}
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def place(package: LockedPackage, body: Path, context: CondaPlaceContext, *, verify_files: bool = False) -> Placement:
    """The entries of the package at ``body``: folders, then its files in the archive's order, its programs, its record.

    ``body`` is a file whose digest was verified. ``verify_files`` compares every file with the hash that the package
    lists, an IntegrityError where one differs; conda and rattler do not, and say nothing new to whoever has verified
    the whole. A package that breaks its format, or would write outside the prefix, is an ImageError; one that has no
    room for the prefix a BuildError. Nothing is unpacked to disk but texts of more than some megabytes that hold the
    prefix, and a file of any size needs constant memory.

    The notes are lines: ``post-link`` and ``pre-link`` (the script's path below the prefix), ``activate`` (scripts that
    activation runs), ``distributions`` (``NAME VERSION`` of each Python distribution).
    """
    notes: dict[str, bytes] = {}
    return Placement(_entries(package, body, context, notes, verify_files=verify_files), notes)


def _entries(
    package: LockedPackage,
    body: Path,
    context: CondaPlaceContext,
    notes: MutableMapping[str, bytes],
    *,
    verify_files: bool,
) -> Iterator[Entry]:
    # Imported here: a build with nothing to do imports this module, and places nothing.
    from ocibuild.ecosystem.conda.archive import CondaArchive  # noqa: PLC0415 - see above
    from ocibuild.ecosystem.conda.installation import Installation  # noqa: PLC0415 - see above

    with CondaArchive(body, name=package.fields.get("filename") or package.identity) as archive:
        installation = Installation(
            archive,
            package_name=package.name,
            prefix=context.prefix,
            record=json.loads(context.record),
            python_version=context.python_version,
            site_packages=context.site_packages,
            requested_specs=context.requested_specs,
            displaced=frozenset(context.displaced),
            verify_files=verify_files,
            uid=context.uid,
            gid=context.gid,
        )
        below = f"{context.prefix}/"
        folders = {folder for path in installation.paths for folder in ancestors(path) if folder.startswith(below)}
        notes.update(installation.notes())
        for folder in sorted(folders | installation.folders):
            yield Entry.directory(folder, uid=context.uid, gid=context.gid)
        yield from installation.entries()
