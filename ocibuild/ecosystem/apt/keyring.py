"""The keys that archives are signed with, and the check of a signature."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from ocibuild.core.errors import IntegrityError, OcibuildError

__all__ = ["Keyring", "shipped_keyring"]

# keyrings/README.md says where they are from.
_SHIPPED = {
    "debian": "506b815cbb32d9b6066b4a2aa524071e071761e7e7f68c3ac74f3061ba852017",
    "ubuntu": "80a36b0a6de2f69f49d2df75ef473ccde121e9e190b9ea01d20a4f63778d5c31",
}


@dataclass(frozen=True, slots=True)
class Keyring:
    """OpenPGP certificates, binary or armoured, one file after the other; ``name`` is for messages."""

    name: str
    files: tuple[bytes, ...]

    def verified(self, message: bytes, *, where: str) -> bytes:
        """The signed text of a cleartext-signed ``message`` (RFC 9580, section 7), and nothing around it.

        An IntegrityError that names ``where`` unless a certificate of this keyring made a valid signature.
        """
        from pysequoia import Cert, verify  # noqa: PLC0415 - only a fresh resolution verifies anything

        try:
            certificates = [certificate for data in self.files for certificate in Cert.split_bytes(data)]
            result = verify(bytes=message, store=lambda _: certificates)
        except (RuntimeError, ValueError) as error:
            raise IntegrityError(
                f"{where}: no valid signature by a key of {self.name}: {_first_line(error)}",
                hint="the mirror serves something else than the archive, or the archive has new keys",
            ) from error
        if not result.valid_sigs or not isinstance(result.bytes, bytes):
            raise IntegrityError(f"{where}: no valid signature by a key of {self.name}")
        return result.bytes


def shipped_keyring(distribution: str) -> Keyring:
    """The keyring of ``debian`` or ``ubuntu`` that ships with this program, checked against its pinned SHA-256."""
    folder = resources.files("ocibuild.ecosystem.apt").joinpath("keyrings")
    data = folder.joinpath(f"{distribution}-archive-keyring.pgp").read_bytes()
    if hashlib.sha256(data).hexdigest() != _SHIPPED[distribution]:
        raise OcibuildError(f"the shipped keyring of {distribution} is damaged", hint="install ocibuild again")
    return Keyring(f"the {distribution} archive keyring", (data,))


def _first_line(error: Exception) -> str:
    lines: Sequence[str] = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]
