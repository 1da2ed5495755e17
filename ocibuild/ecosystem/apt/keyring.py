"""The certificates that may sign a source, and the ones shipped with the program."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from ocibuild.core.errors import IntegrityError

__all__ = ["Keyring", "shipped_keyring"]


@dataclass(frozen=True, slots=True)
class Keyring:
    """OpenPGP certificates (RFC 9580, 10.1) under the name that messages use.

    Each block of ``blocks`` holds one or more certificates, armoured or not. Where ``fingerprints`` is not empty, only
    keys with one of these count (hexadecimal, upper case; sources.list(5), Signed-By).
    """

    name: str
    blocks: tuple[bytes, ...]
    fingerprints: frozenset[str] = frozenset()


@cache
def shipped_keyring(distribution: str) -> Keyring:
    """The archive keyring of ``debian`` or ``ubuntu``; an IntegrityError where the installed file was altered."""
    import tomli  # noqa: PLC0415 - a build with nothing to do verifies nothing

    folder = resources.files("ocibuild.ecosystem.apt").joinpath("keyrings")
    entry = tomli.loads(folder.joinpath("keyrings.toml").read_text("utf-8"))[distribution]
    data = folder.joinpath(entry["file"]).read_bytes()
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise IntegrityError(
            f"the keyring {entry['file']} is not the one that was shipped", hint="install ocibuild anew"
        )
    return Keyring(f"{entry['package']} {entry['version']}", (data,))
