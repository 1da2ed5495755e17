"""How the lock records a package whose wheel was built: by its source, which is what another machine can find again.

Its ``digest`` is the source archive's, or of the tree of a folder or checkout. The fields say the rest: ``built_from``
(the kind of source), ``wheel`` (the SHA-256 of the wheel in its normal form), ``built_with`` (JSON: the packages of the
build environment with their hashes), ``commit``, ``subdirectory``, ``editable``, ``settings``, ``changes`` (what an
editable build left in its folder), and of folders, whose content no lock pins, ``requires_dist``.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from packaging.utils import parse_wheel_filename

from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.ecosystem.pip.built import BuiltWheel, WheelMetadata
from ocibuild.ecosystem.pip.source import PythonSource, SourceKind
from ocibuild.ecosystem.pip.sources import AddressBook
from ocibuild.net.address import split_userinfo

__all__ = ["built_direct_url", "located_directly", "locked_built", "recorded_requirements"]


def locked_built(
    built: BuiltWheel,
    place: tuple[str, str],
    *,
    requested: bool,
    why: tuple[str, ...],
    fields: Mapping[str, str],
    architecture: str,
) -> LockedPackage:
    """The package of a built wheel; ``place`` is the named source and path of what it was built from.

    ``fields`` are those that the package would have if its wheel had been found; ``architecture`` is the target's, for
    wheels that are not for any.
    """
    source, path = place
    tags = parse_wheel_filename(built.file_name)[3]
    facts = {
        "filename": built.file_name,
        "built_from": built.source.kind.value,
        "wheel": built.digest.hex,
        "built_with": built.built_with,
        "commit": built.commit,
        "subdirectory": built.source.subdirectory,
        "editable": "yes" if built.source.is_editable else "",
        "requires_dist": recorded_requirements(built.metadata) if built.source.kind is SourceKind.FOLDER else "",
        "settings": json.dumps(built.source.settings) if built.source.settings else "",
        "changes": built.changes.hex if built.changes else "",
    }
    return LockedPackage(
        ecosystem=Ecosystem.PIP,
        name=built.metadata.name,
        version=built.metadata.version,
        architecture="any" if all(tag.platform == "any" for tag in tags) else architecture,
        source=source,
        path=path,
        digest=built.source_digest,
        size_bytes=built.source.size_bytes,
        requested=requested,
        why=why,
        fields={name: text for name, text in {**fields, **facts}.items() if text or name == "requires"},
    )


def recorded_requirements(metadata: WheelMetadata) -> str:
    """What a built wheel depends on, as the lock holds it of a folder of the repository."""
    return json.dumps(sorted(metadata.requires_dist))


def located_directly(source: PythonSource, built: BuiltWheel, book: AddressBook, folder: Path) -> tuple[str, str]:
    """Where a source is that a requirement names directly: the named source and the path of a lock."""
    if source.local_path:
        return book.of_local(source.local_path, folder)
    if source.kind is SourceKind.GIT:
        return book.of_git(source.url, built.commit)
    return book.of_url(source.url)


def built_direct_url(built: BuiltWheel, folder_in_image: str) -> str:
    """The ``direct_url.json`` that pip writes for what was not found on an index (PEP 610), with the image's paths."""
    source = built.source
    value: dict[str, Any] = {"url": _recorded_url(source, folder_in_image)}
    if source.local_path and not folder_in_image:
        return ""
    if source.subdirectory:
        value["subdirectory"] = source.subdirectory
    if source.kind is SourceKind.FOLDER:
        value["dir_info"] = {"editable": True} if source.is_editable else {}
    elif source.kind is SourceKind.GIT:
        value["vcs_info"] = {"vcs": "git", "commit_id": built.commit} | (
            {"requested_revision": source.revision} if source.revision else {}
        )
    else:
        sha256 = built.source_digest.hex
        value["archive_info"] = {"hash": f"sha256={sha256}", "hashes": {"sha256": sha256}}
    return json.dumps(value, sort_keys=True)


def _recorded_url(source: PythonSource, folder_in_image: str) -> str:
    if source.local_path:
        return Path(f"{folder_in_image or '/'}/{source.local_path}").as_uri().removesuffix("/.")
    url, user, password = split_userinfo(source.url)
    scheme, _, rest = url.partition("://")
    # PEP 610: the user "git" of a checkout is no secret.
    is_kept = source.kind is SourceKind.GIT and user == "git" and not password and not urlsplit(url).username
    return f"{scheme}://git@{rest}" if is_kept else url
