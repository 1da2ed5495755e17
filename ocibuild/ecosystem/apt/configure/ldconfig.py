"""/etc/ld.so.cache as ldconfig(8) writes it.

Source: glibc 2.36's ``elf/ldconfig.c`` (folders, links, which name wins), ``elf/cache.c`` and ``elf/stringtable.c``
(the order of entries and strings), ``sysdeps/generic/dl-cache.h`` (the format ``glibc-ld.so.cache1.1``).
"""

import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cmp_to_key

from ocibuild.core.paths import parent
from ocibuild.ecosystem.apt.configure.context import multiarch_triplet
from ocibuild.ecosystem.apt.deb822 import read_paragraphs
from ocibuild.image.overlay import Overlay

__all__ = ["run_ldconfig"]

_CACHE = "etc/ld.so.cache"
_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("<20sIIB3xI12x")
_ENTRY = struct.Struct("<iIIIQ")
_EXTENSION_MAGIC = 0xEAA42174
_LITTLE_ENDIAN = 2
_GENERATOR, _HWCAPS = 0, 1
_HWCAPS_BIT = 1 << 62
_LIBC6 = 3
# (bits, ELF machine) -> flags of an entry: every library of these machines is of libc 6
_FLAGS: Mapping[tuple[int, int], int] = {
    (64, 62): 0x0300 | _LIBC6,  # x86-64
    (32, 62): 0x0800 | _LIBC6,  # x32
    (32, 3): _LIBC6,  # i386
    (64, 183): 0x0A00 | _LIBC6,  # arm64
}
_NAMES = ("lib*.so*", "ld-*.so*")
_MOST_INCLUDES = 16


@dataclass(frozen=True, slots=True)
class _Library:
    soname: str
    path: str
    flags: int
    hwcaps: str = ""


def run_ldconfig(overlay: Overlay, *, architecture: str) -> tuple[str, ...]:
    """Write the cache and make the sonames' links that are missing; why it cannot be done, where it cannot."""
    libc = _libc_version(overlay)
    if libc is None:
        return ("the installed libc-bin is none of Debian's or Ubuntu's, whose ldconfig's name the cache holds",)
    libraries: list[_Library] = []
    for folder, hwcaps in _folders(overlay, architecture):
        libraries += _in_folder(overlay, folder, hwcaps)
    overlay.write(_CACHE, _cache(libraries, libc))
    return ()


def _libc_version(overlay: Overlay) -> str | None:
    """``ldconfig --version``'s first line without the program's name in brackets, as the cache's generator has it."""
    release = dict(
        line.split("=", 1) for line in overlay.read_text("usr/lib/os-release", "").splitlines() if "=" in line
    )
    vendor = {"debian": "Debian", "ubuntu": "Ubuntu"}.get(release.get("ID", "").strip('"'))
    for fields in read_paragraphs(overlay.read_text("var/lib/dpkg/status", "")):
        if vendor and fields.get("Package") == "libc-bin":
            version = fields.get("Version", "")
            upstream = version.partition("-")[0].partition("+")[0]
            return f"ldconfig ({vendor} GLIBC {version}) stable release version {upstream}"
    return None


def _folders(overlay: Overlay, architecture: str) -> Iterator[tuple[str, str]]:
    """The folders in the order of the search, each once by its real place, with the hardware's name of subfolders."""
    triplet = multiarch_triplet(architecture)
    system = [f"lib/{triplet}", f"usr/lib/{triplet}", "lib", "usr/lib"]
    seen: set[str] = set()
    for folder in [*_configured(overlay, "etc/ld.so.conf", 0), *system]:
        if not overlay.is_folder(folder) or (real := overlay.resolved(folder)) in seen:
            continue
        seen.add(real)
        yield folder, ""
        for name in overlay.children(f"{folder}/glibc-hwcaps"):
            if overlay.is_folder(f"{folder}/glibc-hwcaps/{name}"):
                yield f"{folder}/glibc-hwcaps/{name}", name


def _configured(overlay: Overlay, path: str, depth: int) -> Iterator[str]:
    for line in overlay.read_text(path, "").splitlines():
        text = line.partition("#")[0].strip()
        words = text.split()
        if words[:1] == ["include"]:
            for pattern in words[1:] if depth < _MOST_INCLUDES else ():
                for name in _matching(overlay, pattern[1:] if pattern[0] == "/" else f"{parent(path)}/{pattern}"):
                    yield from _configured(overlay, name, depth + 1)
        elif text and words[0] != "hwcap":
            yield text.strip("/")  # one folder a line, spaces and colons being part of its name


def _matching(overlay: Overlay, pattern: str) -> list[str]:
    folder, _, name_pattern = pattern.rpartition("/")
    return [f"{folder}/{name}" for name in overlay.children(folder) if fnmatchcase(name, name_pattern)]


def _in_folder(overlay: Overlay, folder: str, hwcaps: str) -> list[_Library]:
    """The libraries of one folder by soname, a file before a link, the newer of two; their links are made."""
    found: dict[str, tuple[str, bool, int]] = {}
    for name in overlay.children(folder):
        path = f"{folder}/{name}"
        is_named_so = any(fnmatchcase(name, pattern) for pattern in _NAMES)
        if not is_named_so or not overlay.is_file(path):
            continue
        facts = json.loads(overlay.library(path) or "null")
        flags = _FLAGS.get((facts["bits"], facts["machine"])) if facts else None
        if flags is None:
            continue
        soname = facts["soname"] or name
        entry = overlay.get(path)
        is_link = entry is not None and entry.kind == "symlink"
        if is_link and name != soname and not (name.endswith(".so") and soname.startswith(name)):
            is_link = False  # neither the soname's link nor the linker's: it counts as a file
        if is_link:
            soname = name
        old = found.get(soname)
        newer = old is not None and is_link == old[1] and _compared(old[0], name) < 0
        if old is None or (not is_link and old[1]) or newer:
            found[soname] = (name, is_link, flags)
    if hwcaps:  # no links are made there, and the cache names the files themselves
        return [_Library(soname, f"/{folder}/{name}", flags, hwcaps) for soname, (name, _, flags) in found.items()]
    for soname, (name, is_link, _) in found.items():
        if not is_link:
            _make_link(overlay, folder, soname, name)
    return [_Library(soname, f"/{folder}/{soname}", flags) for soname, (_, _, flags) in found.items()]


def _make_link(overlay: Overlay, folder: str, soname: str, name: str) -> None:
    path = f"{folder}/{soname}"
    entry = overlay.get(path)
    if soname == name or (entry is not None and entry.kind != "symlink"):
        return
    if entry is None or overlay.resolved(path) != overlay.resolved(f"{folder}/{name}"):
        overlay.symlink(path, name)


def _cache(libraries: Iterable[_Library], generator: str) -> bytes:
    ordered = sorted(libraries, key=cmp_to_key(_ordered))
    levels = sorted({library.hwcaps for library in ordered if library.hwcaps})
    header_bytes = _HEADER.size + _ENTRY.size * len(ordered)
    texts = [text for library in ordered for text in (library.soname, library.path)] + levels
    table, offsets = _strings(texts, header_bytes)
    entries = b"".join(
        _ENTRY.pack(
            library.flags,
            offsets[library.soname],
            offsets[library.path],
            0,
            _HWCAPS_BIT | levels.index(library.hwcaps) if library.hwcaps else 0,
        )
        for library in ordered
    )
    extension = -(-(header_bytes + len(table)) // 4) * 4
    header = _HEADER.pack(_MAGIC, len(ordered), len(table), _LITTLE_ENDIAN, extension)
    body = header + entries + table
    return body.ljust(extension, b"\0") + _extensions(extension, generator.encode(), [offsets[name] for name in levels])


def _extensions(start: int, generator: bytes, levels: list[int]) -> bytes:
    sections = 2 if levels else 1
    data = start + 8 + 16 * sections
    hwcaps = struct.pack(f"<{len(levels)}I", *levels)
    described = []
    if levels:  # its numbers must be aligned, so that they come first
        described.append(struct.pack("<IIII", _HWCAPS, 0, data, len(hwcaps)))
    described.insert(0, struct.pack("<IIII", _GENERATOR, 0, data + len(hwcaps), len(generator)))
    return struct.pack("<II", _EXTENSION_MAGIC, sections) + b"".join(described) + hwcaps + generator


def _strings(texts: Iterable[str], start: int) -> tuple[bytes, dict[str, int]]:
    """The table of strings, one that ends another lying in it, and where each begins in the file."""
    table = bytearray()
    offsets: dict[str, int] = {}
    previous = b""
    encoded = {text: text.encode("utf-8", "surrogateescape") for text in texts}
    for text, data in sorted(encoded.items(), key=lambda item: item[1][::-1], reverse=True):
        if previous.endswith(data) and previous:
            offsets[text] = start + len(table) - 1 - len(data)
        else:
            offsets[text] = start + len(table)
            table += data + b"\0"
            previous = data
    return bytes(table), offsets


def _ordered(first: _Library, second: _Library) -> int:
    """The loader's order: names downwards, then flags downwards, then those for special hardware by name."""
    return (
        _compared(second.soname, first.soname)
        or second.flags - first.flags
        or (not first.hwcaps) - (not second.hwcaps)
        or (first.hwcaps > second.hwcaps) - (first.hwcaps < second.hwcaps)
    )


def _compared(first: str, second: str) -> int:
    """``_dl_cache_libcmp``: like strcmp, but runs of digits by their numbers, and a digit after any other sign."""
    one, two = first.encode("utf-8", "surrogateescape"), second.encode("utf-8", "surrogateescape")
    i = j = 0
    while i < len(one):
        is_digit, other_is_digit = one[i : i + 1].isdigit(), two[j : j + 1].isdigit()
        if is_digit and other_is_digit:
            i_end, j_end = _digits_end(one, i), _digits_end(two, j)
            if difference := int(one[i:i_end]) - int(two[j:j_end]):
                return difference
            i, j = i_end, j_end
        elif is_digit or other_is_digit:
            return 1 if is_digit else -1
        else:
            other = two[j] if j < len(two) else 0
            if one[i] != other:
                return one[i] - other
            i, j = i + 1, j + 1
    return -(two[j] if j < len(two) else 0)


def _digits_end(data: bytes, start: int) -> int:
    while data[start : start + 1].isdigit():
        start += 1
    return start
