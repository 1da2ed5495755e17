"""The shared MIME database in ``usr/share/mime``, which ``update-mime-database`` makes of its ``packages`` folder."""

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.configure.mime.cache import cache_file
from ocibuild.ecosystem.apt.configure.mime.database import MimeDatabase
from ocibuild.ecosystem.apt.configure.mime.texts import text_files, type_file
from ocibuild.ecosystem.apt.deb822 import read_paragraphs
from ocibuild.image.overlay import Overlay

__all__ = ["make_mime_database"]

_FOLDER = "usr/share/mime"
_SOURCES = f"{_FOLDER}/packages"
_OVERRIDE = "Override.xml"
_KNOWN_VERSIONS = ("2.2", "2.4")
# Folders in which files of types that are gone are deleted; 2.4 added the last.
_MEDIA = (
    "all", "uri", "print", "text", "application", "image", "audio", "inode", "video", "message", "model", "multipart",
    "x-content", "x-epoc", "x-scheme-handler", "font", "chemical",
)  # fmt: skip


def make_mime_database(overlay: Overlay) -> tuple[str, ...]:
    """Write the database: ``mime.cache``, the text files, and a file for each type.

    Byte for byte what update-mime-database of shared-mime-info 2.2 and 2.4 (Debian 12 and 13) writes. Returns why it
    cannot be done: another version, a source file with an error, which that program would leave out in part, or with
    elements of another namespace; then nothing is written.
    """
    version = _version(overlay)
    if version not in _KNOWN_VERSIONS:
        return (f"the installed shared-mime-info has the version {version or 'none'}, of which nothing is known",)
    names = [name for name in overlay.children(_SOURCES) if name.endswith(".xml")]
    database = MimeDatabase()
    for name in sorted(names, key=lambda name: (name == _OVERRIDE, name.encode("utf-8", "surrogateescape"))):
        try:
            database.read(overlay.read(f"{_SOURCES}/{name}"))
        except ImageError as error:
            return (f"/{_SOURCES}/{name}: {error}",)
    files = text_files(database, version=version)
    try:
        for mime_type, fields in database.types.items():
            files[f"{_lower(mime_type)}.xml"] = type_file(mime_type, fields).encode("utf-8", "surrogateescape")
    except ImageError as error:
        return (f"/{_SOURCES}: {error}",)
    files["mime.cache"] = cache_file(database)
    _remove_old_types(overlay, database, version)
    for name, data in files.items():
        overlay.make_folders(f"{_FOLDER}/{name}".rpartition("/")[0])
        overlay.write(f"{_FOLDER}/{name}", data)
    return ()


def _version(overlay: Overlay) -> str | None:
    for fields in read_paragraphs(overlay.read_text("var/lib/dpkg/status", "")):
        if fields.get("Package") == "shared-mime-info":
            return fields.get("Version", "").partition("-")[0].partition("+")[0]
    return None


def _remove_old_types(overlay: Overlay, database: MimeDatabase, version: str) -> None:
    for media in _MEDIA[:-1] if version == _KNOWN_VERSIONS[0] else _MEDIA:
        for name in overlay.children(f"{_FOLDER}/{media}"):
            if name.endswith(".xml") and f"{media}/{name.removesuffix('.xml')}" not in database.types:
                overlay.remove(f"{_FOLDER}/{media}/{name}")


def _lower(text: str) -> str:
    return "".join(character.lower() if character.isascii() else character for character in text)
