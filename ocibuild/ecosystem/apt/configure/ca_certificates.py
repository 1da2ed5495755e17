"""/etc/ssl/certs as update-ca-certificates(8) makes it: links, the bundle, and the links named by hashes.

Source: ca-certificates 20230311's ``update-ca-certificates``; OpenSSL 3.0's ``apps/rehash.c``.
"""

import re

from ocibuild.ecosystem.apt.configure.certificate_name import pem_certificates, subject_hash
from ocibuild.image.overlay import Overlay

__all__ = ["update_ca_certificates"]

_LIST = "etc/ca-certificates.conf"
_SHIPPED = "usr/share/ca-certificates"
_LOCAL = "usr/local/share/ca-certificates"
_TARGET = "etc/ssl/certs"
_BUNDLE = f"{_TARGET}/ca-certificates.crt"
_HOOKS = "etc/ca-certificates/update.d"
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
_READ_SUFFIXES = (".pem", ".crt", ".cer", ".crl")


def update_ca_certificates(overlay: Overlay) -> tuple[str, ...]:
    """Bring the folder up to date; why it cannot be done, where it cannot: a hook would run, a file is damaged."""
    hooks = [f"/{_HOOKS}/{name} would have to run" for name in overlay.children(_HOOKS)]
    if hooks:
        return tuple(hooks)
    lines = [line for line in overlay.read_text(_LIST, "").splitlines() if line and not line.startswith("#")]
    overlay.make_folders(_TARGET)
    for line in lines:
        if line.startswith("!"):
            _remove(overlay, line.removeprefix("!"))
    shipped = [f"{_SHIPPED}/{line}" for line in lines if not line.startswith("!")]
    local = sorted(path for path in overlay.walk(_LOCAL) if path.endswith(".crt"))
    wanted = [path for path in [*shipped, *local] if overlay.is_file(path)]
    for path in wanted:
        overlay.symlink(f"{_TARGET}/{_link_name(path)}", f"/{path}")
    for name in overlay.children(_TARGET):
        if _is_link(overlay, name) and not overlay.is_file(f"{_TARGET}/{name}"):
            overlay.remove(f"{_TARGET}/{name}")
    reasons = _rehash(overlay)
    if wanted:
        contents = [overlay.read(path) for path in wanted]
        overlay.write(_BUNDLE, b"".join(c if c.endswith(b"\n") or not c else c + b"\n" for c in contents), mode=0o644)
    return reasons


def _link_name(path: str) -> str:
    name = path.rpartition("/")[2].removesuffix(".crt")
    return re.sub(r"[()]", "=", re.sub(r"[ ,]", "_", name)) + ".pem"


def _remove(overlay: Overlay, name: str) -> None:
    link = f"{name.rpartition('/')[2].removesuffix('.crt')}.pem"
    if _is_link(overlay, link):
        overlay.remove(f"{_TARGET}/{link}")


def _is_link(overlay: Overlay, name: str) -> bool:
    entry = overlay.get(f"{_TARGET}/{name}")
    return entry is not None and entry.kind == "symlink"


def _rehash(overlay: Overlay) -> tuple[str, ...]:
    """``openssl rehash``: a link HASH.NUMBER to each file that holds one certificate; numbers in use are kept."""
    entries = {name: overlay.get(f"{_TARGET}/{name}") for name in overlay.children(_TARGET)}
    links = {
        name: entry.link
        for name, entry in entries.items()
        if entry is not None and entry.kind == "symlink" and _HASHED.fullmatch(name)
    }
    wanted, reasons = _hashed_files(overlay, [name for name in entries if name not in links])
    kept = {link: name for link, name in links.items() if name in wanted.get(link.partition(".")[0], {}).values()}
    for link in links:
        if link not in kept:
            overlay.remove(f"{_TARGET}/{link}")
    for digest, files in wanted.items():
        linked = {name for link, name in kept.items() if link.startswith(digest)}
        number = 0
        for name in files.values():
            if name in linked:
                continue
            while f"{digest}.{number}" in kept:
                number += 1
            overlay.symlink(f"{_TARGET}/{digest}.{number}", name)
            kept[f"{digest}.{number}"] = name
    return tuple(reasons)


def _hashed_files(overlay: Overlay, names: list[str]) -> tuple[dict[str, dict[bytes, str]], list[str]]:
    """Hash of the subject -> certificate -> the first file that holds it and nothing else; and what is damaged."""
    found: dict[str, dict[bytes, str]] = {}
    reasons = []
    for name in names:
        path = f"{_TARGET}/{name}"
        if path == _BUNDLE or not name.endswith(_READ_SUFFIXES) or not overlay.is_file(path):
            continue
        try:
            certificates = pem_certificates(overlay.read(path))
            if len(certificates) == 1:
                found.setdefault(subject_hash(certificates[0]), {}).setdefault(certificates[0], name)
        except ValueError as error:
            reasons.append(f"/{path} is no certificate that OpenSSL would read: {error}")
    return found, reasons
