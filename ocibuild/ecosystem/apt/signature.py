"""OpenPGP signatures of Release files, verified with pysequoia.

What pysequoia does was found by trying it (0.1.35): a signature is judged at the time that it states, so one made
while its key was valid stays good after the key has expired; SHA-1 is refused; text around the armour is accepted, but
does not appear in the verified bytes, which therefore are the only bytes that are ever parsed. apt with gpgv refuses
keys that have expired by now, and so does :func:`check_expiry`, for the time that its caller names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ocibuild.core.errors import IntegrityError
from ocibuild.ecosystem.apt.keyring import Keyring

__all__ = ["Signed", "Signer", "check_expiry", "verify_detached", "verify_inline"]


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that made a good signature, and when it expires (None for never); upper-case fingerprints."""

    key: str
    certificate: str
    expires: datetime | None


@dataclass(frozen=True, slots=True)
class Signed:
    """The bytes that were signed, and by whom: at least one signer."""

    body: bytes
    signers: tuple[Signer, ...]


def verify_inline(data: bytes, keyring: Keyring, *, where: str) -> Signed:
    """The body of a clear-signed file (InRelease); an IntegrityError where no key of the keyring made its signature."""
    import pysequoia  # noqa: PLC0415 - a build with nothing to do verifies nothing

    certificates = _certificates(keyring)
    issuers: list[str] = []
    try:
        verified = pysequoia.verify(bytes=data, store=_store(certificates, issuers))
    except RuntimeError as error:
        raise _refusal(where, keyring, certificates, issuers, error) from error
    if verified.bytes is None:
        raise IntegrityError(f"{where}: signed, but without a body")
    return Signed(bytes(verified.bytes), _signers(verified.valid_sigs, certificates, keyring, where))


def verify_detached(body: bytes, signature: bytes, keyring: Keyring, *, where: str) -> Signed:
    """``body`` with its signers; an IntegrityError where no signature in ``signature`` (Release.gpg) is good."""
    import pysequoia  # noqa: PLC0415 - as above
    from pysequoia.packet import PacketPile, Tag  # noqa: PLC0415 - as above

    certificates = _certificates(keyring)
    issuers: list[str] = []
    good: list[Any] = []
    failure: RuntimeError | None = None
    try:
        packets = [bytes(packet) for packet in PacketPile.from_bytes(signature) if packet.tag == Tag.Signature]
    except RuntimeError as error:
        raise IntegrityError(f"{where}: not an OpenPGP signature: {_first_line(error)}") from error
    for packet in packets:
        try:
            verified = pysequoia.verify(
                bytes=body, store=_store(certificates, issuers), signature=pysequoia.Sig.from_bytes(packet)
            )
        except RuntimeError as error:
            failure = error
        else:
            good += verified.valid_sigs
    if not good:
        raise _refusal(where, keyring, certificates, issuers, failure) from failure
    return Signed(body, _signers(good, certificates, keyring, where))


def check_expiry(signed: Signed, time: datetime, *, where: str) -> None:
    """Refuse what is signed only by keys that had expired at ``time``: an IntegrityError that names them."""
    if any(signer.expires is None or signer.expires > time for signer in signed.signers):
        return
    keys = ", ".join(f"{signer.key} (expired {signer.expires:%Y-%m-%d})" for signer in signed.signers)
    raise IntegrityError(
        f"{where}: signed only by keys that have expired: {keys}",
        hint="use a newer keyring, or --as-of DATE for the state of a day when the key was valid",
    )


def _certificates(keyring: Keyring) -> list[Any]:
    import pysequoia  # noqa: PLC0415 - as above

    certificates = []
    for block in keyring.blocks:
        try:
            certificates += pysequoia.Cert.split_bytes(block)
        except RuntimeError as error:
            raise IntegrityError(f"{keyring.name}: not an OpenPGP certificate: {_first_line(error)}") from error
    return certificates


def _store(certificates: list[Any], issuers: list[str]) -> Any:
    def find(identifiers: Sequence[str]) -> list[Any]:
        issuers.extend(identifier.upper() for identifier in identifiers)
        return certificates

    return find


def _signers(
    signatures: Sequence[Any], certificates: Sequence[Any], keyring: Keyring, where: str
) -> tuple[Signer, ...]:
    by_fingerprint = {certificate.fingerprint.upper(): certificate for certificate in certificates}
    signers = []
    for signature in signatures:
        key, owner = signature.signing_key.upper(), signature.certificate.upper()
        # "FINGERPRINT!" names that very key; without the mark a certificate stands for its subkeys too.
        allowed = keyring.fingerprints
        if allowed and not allowed & {owner, key, f"{key}!"}:
            continue
        signers.append(Signer(key, owner, _expiry(by_fingerprint[owner], key)))
    if not signers:
        made_by = ", ".join(sorted({signature.signing_key.upper() for signature in signatures}))
        raise IntegrityError(
            f"{where}: signed by {made_by}, but only {', '.join(sorted(keyring.fingerprints))} may sign this source"
        )
    return tuple(signers)


def _expiry(certificate: Any, key: str) -> datetime | None:
    """When the key stops being valid: the earlier of its own expiry and its certificate's."""
    from pysequoia.packet import PacketPile, SignatureType, Tag  # noqa: PLC0415 - as above

    times: list[datetime] = [certificate.expiration] if certificate.expiration else []
    created: datetime | None = None
    newest: datetime | None = None
    own: datetime | None = None
    for packet in PacketPile.from_bytes(bytes(certificate)):
        if packet.tag in (Tag.PublicKey, Tag.PublicSubkey):
            created = packet.key_created if packet.fingerprint.upper() == key else None
        elif created is not None and packet.signature_type == SignatureType.SubkeyBinding:
            made = packet.signature_created
            if made is not None and (newest is None or made > newest):
                newest = made
                own = created + packet.key_validity_period if packet.key_validity_period else None
    return min([*times, own] if own else times, default=None)


def _refusal(
    where: str, keyring: Keyring, certificates: Sequence[Any], issuers: Sequence[str], error: RuntimeError | None
) -> IntegrityError:
    missing = sorted({issuer for issuer in issuers if not _is_known(issuer, certificates)})
    if missing:
        return IntegrityError(
            f"{where}: signed by {', '.join(missing)}, which {keyring.name} does not hold",
            hint="add the key of the source, if you trust it",
        )
    if issuers:
        return IntegrityError(
            f"{where}: the signature by {', '.join(sorted(set(issuers)))} is wrong: the file was altered, or the key"
            " may not sign any more",
            hint="something on the way (a proxy, a mirror) altered the file: try another mirror",
        )
    detail = f" ({_first_line(error)})" if error else ""
    return IntegrityError(f"{where}: no OpenPGP signature{detail}", hint="unsigned sources are not used")


def _is_known(issuer: str, certificates: Sequence[Any]) -> bool:
    """Whether a certificate has a key of this fingerprint or key id."""
    from pysequoia.packet import PacketPile  # noqa: PLC0415 - as above

    return any(
        (packet.fingerprint or "").upper().endswith(issuer)
        for certificate in certificates
        for packet in PacketPile.from_bytes(bytes(certificate))
    )


def _first_line(error: RuntimeError) -> str:
    return str(error).partition("\n")[0]
