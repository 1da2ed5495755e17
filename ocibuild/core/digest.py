"""Content digests, as the OCI image specification writes them (descriptor.md, "Digests")."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ocibuild.core.errors import UsageError

__all__ = ["Digest"]

_FORM = re.compile(r"(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128})")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """An algorithm and the lower-case hexadecimal hash it gave."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> "Digest":
        """Read ``sha256:<64 hex>`` or ``sha512:<128 hex>``; anything else is a UsageError."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise UsageError(f"not a digest: {text!r}", hint="a digest is sha256: and 64 lower-case hexadecimal digits")
        return cls(found[1] or found[3], found[2] or found[4])

    @classmethod
    def sha256(cls, hex_text: str) -> "Digest":
        """The SHA-256 digest with this hexadecimal text; a UsageError where it is not one."""
        return cls.parse(f"sha256:{hex_text}")

    @classmethod
    def of(cls, data: bytes | Iterable[bytes]) -> "Digest":
        """The SHA-256 digest of these bytes, or of these chunks one after the other."""
        state = hashlib.sha256()
        for chunk in (data,) if isinstance(data, bytes) else data:
            state.update(chunk)
        return cls("sha256", state.hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"
