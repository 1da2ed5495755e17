from datetime import UTC, datetime, timedelta

import pytest

from ocibuild.core.errors import IntegrityError
from ocibuild.ecosystem.apt.keyring import Keyring
from ocibuild.ecosystem.apt.signature import check_expiry, verify_detached, verify_inline
from tests.support.apt_repository import SigningKey

KEY = SigningKey.generate("one")
OTHER = SigningKey.generate("two")
RING = Keyring("a keyring", (KEY.public,))
BODY = b"Suite: stable\n- dashed\nDate: x\n"


def test_the_signed_body_comes_back_with_its_signer() -> None:
    signed = verify_inline(KEY.clearsign(BODY), RING, where="InRelease")
    assert signed.body.rstrip(b"\n") == BODY.rstrip(b"\n")
    assert [signer.certificate for signer in signed.signers] == [KEY.fingerprint.upper()]
    assert signed.signers[0].expires is None


def test_binary_keyrings_and_several_certificates_work() -> None:
    ring = Keyring("both", (OTHER.binary + KEY.binary,))
    assert verify_inline(KEY.clearsign(BODY), ring, where="InRelease").signers


def test_only_the_signed_bytes_are_returned() -> None:
    data = b"Suite: evil\n" + KEY.clearsign(BODY) + b"Suite: evil\n"
    try:
        body = verify_inline(data, RING, where="InRelease").body
    except IntegrityError:
        return
    assert b"evil" not in body


@pytest.mark.parametrize("position", [60, 80, -60])
def test_altered_text_is_refused(position: int) -> None:
    data = bytearray(KEY.clearsign(BODY))
    data[position] ^= 1
    with pytest.raises(IntegrityError):
        verify_inline(bytes(data), RING, where="InRelease")


def test_altered_text_names_the_signer() -> None:
    data = KEY.clearsign(BODY).replace(b"stable", b"stabel")
    with pytest.raises(IntegrityError, match=r"InRelease: the signature by [0-9A-F]{40} is wrong"):
        verify_inline(data, RING, where="InRelease")


def test_a_key_that_is_missing_is_named() -> None:
    with pytest.raises(IntegrityError, match=r"signed by [0-9A-F]{40}, which a keyring does not hold"):
        verify_inline(OTHER.clearsign(BODY), RING, where="InRelease")


@pytest.mark.parametrize(
    "data", [b"", BODY, b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nx\n", b"\x00\xff" * 50]
)
def test_unsigned_text_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="no OpenPGP signature"):
        verify_inline(data, RING, where="InRelease")


def test_detached_signatures() -> None:
    signature = KEY.detached(BODY)
    assert verify_detached(BODY, signature, RING, where="Release").body == BODY
    with pytest.raises(IntegrityError, match="is wrong"):
        verify_detached(BODY + b"x", signature, RING, where="Release")
    with pytest.raises(IntegrityError, match="does not hold"):
        verify_detached(BODY, OTHER.detached(BODY), RING, where="Release")
    for garbage in (b"", b"garbage", BODY):
        with pytest.raises(IntegrityError):
            verify_detached(BODY, garbage, RING, where="Release")


def test_a_fingerprint_restricts_who_may_sign() -> None:
    data = KEY.clearsign(BODY)
    both = (KEY.public, OTHER.public)
    signing_key = verify_inline(data, RING, where="InRelease").signers[0].key
    for allowed in (KEY.fingerprint.upper(), signing_key, f"{signing_key}!"):
        assert verify_inline(data, Keyring("k", both, frozenset({allowed})), where="InRelease").signers
    with pytest.raises(IntegrityError, match="may sign this source"):
        verify_inline(data, Keyring("k", both, frozenset({OTHER.fingerprint.upper()})), where="InRelease")


def test_expiry_is_judged_at_the_time_that_is_given() -> None:
    key = SigningKey.generate("short", validity_seconds=3600)
    signed = verify_inline(key.clearsign(BODY), Keyring("k", (key.public,)), where="InRelease")
    now = datetime.now(UTC)
    check_expiry(signed, now, where="InRelease")
    with pytest.raises(IntegrityError, match=r"signed only by keys that have expired: [0-9A-F]{40} \(expired"):
        check_expiry(signed, now + timedelta(hours=2), where="InRelease")


def test_a_keyring_that_is_no_certificate_is_named() -> None:
    with pytest.raises(IntegrityError, match="broken"):
        verify_inline(KEY.clearsign(BODY), Keyring("broken", (b"not a key",)), where="InRelease")
