"""The hash of a certificate's subject, by which OpenSSL looks for authorities in a folder.

Source: OpenSSL 3.0's ``crypto/x509/x_name.c`` (the canonical encoding of a name) and ``x509_cmp.c``
(``X509_NAME_hash_ex``); ITU-T X.690 for DER; RFC 5280 section 4.1 for the certificate; RFC 7468 for its text form.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

__all__ = ["pem_certificates", "subject_hash"]

_PEM = re.compile(rb"-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE|X509 CRL)-----\s(.*?)-----END \1-----", re.DOTALL)
_SEQUENCE, _SET, _VERSION, _UTF8 = 0x30, 0x31, 0xA0, 0x0C
# the tags of text that is compared without regard to its kind, with how its bytes are read
_TEXT = {
    0x0C: "utf-8",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1A: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
_SPACE = " \t\n\v\f\r"
_FIELDS_BEFORE_SUBJECT = 4


def pem_certificates(content: bytes) -> list[bytes]:
    """The DER bytes of what lies in a PEM file: certificates and lists of revoked ones; a ValueError where damaged."""
    try:
        return [base64.b64decode(b"".join(found[2].split()), validate=True) for found in _PEM.finditer(content)]
    except binascii.Error as error:
        raise ValueError(f"its base64 is damaged: {error}") from error


def subject_hash(certificate: bytes) -> str:
    """Eight hexadecimal digits, as ``openssl x509 -subject_hash`` prints them; a ValueError for malformed DER."""
    _, body, _ = _read(certificate, 0)
    _, signed, _ = _read(body, 0)
    fields = [(tag, content) for tag, content, _ in _all(signed)]
    if fields and fields[0][0] == _VERSION:
        del fields[0]
    if len(fields) <= _FIELDS_BEFORE_SUBJECT:
        raise ValueError("it has no subject")
    canonical = b"".join(_canonical_set(content) for _, content, _ in _all(fields[_FIELDS_BEFORE_SUBJECT][1]))
    digest = hashlib.sha1(canonical, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


def _canonical_set(content: bytes) -> bytes:
    values = []
    for _, pair, _ in _all(content):
        (_, _, identifier), (tag, value, whole) = _all(pair)
        if tag in _TEXT:
            words = value.decode(_TEXT[tag]).strip(_SPACE)
            lowered = re.sub(f"[{_SPACE}]+", " ", words).encode().lower()
            whole = _encoded(_UTF8, lowered)
        values.append(_encoded(_SEQUENCE, identifier + whole))
    return _encoded(_SET, b"".join(sorted(values)))


def _all(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The elements one after another: tag, content, the whole."""
    position = 0
    while position < len(data):
        tag, content, end = _read(data, position)
        yield tag, content, data[position:end]
        position = end


def _read(data: bytes, start: int) -> tuple[int, bytes, int]:
    if len(data) < start + 2:
        raise ValueError("its DER is cut short")
    tag, length, position = data[start], data[start + 1], start + 2
    if length & 0x80:
        count = length & 0x7F
        length, position = int.from_bytes(data[position : position + count], "big"), position + count
    if position + length > len(data):
        raise ValueError("its DER is cut short")
    return tag, data[position : position + length], position + length


def _encoded(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:  # noqa: PLR2004 - DER's short form
        return bytes([tag, length]) + content
    count = -(-length.bit_length() // 8)
    return bytes([tag, 0x80 | count]) + length.to_bytes(count, "big") + content
