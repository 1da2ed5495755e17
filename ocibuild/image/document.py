"""The JSON documents of an image: an index, a manifest or a configuration, as bytes that a digest names."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError

__all__ = ["LARGEST_DOCUMENT_BYTES", "Document", "canonical_json", "parse_json", "parse_object", "text_mapping"]

LARGEST_DOCUMENT_BYTES = 4 << 20
"""The most that registries take of a manifest (distribution-spec, "Pushing Manifests"); also held for configurations,
so that a hostile source cannot fill the memory."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document's bytes and the descriptor that they were verified against."""

    descriptor: Descriptor
    content: bytes

    @classmethod
    def of(cls, media_type: str, content: bytes) -> "Document":
        """The document of these bytes, whose digest and size are computed."""
        return cls(Descriptor(media_type, Digest.of(content), len(content)), content)

    @classmethod
    def verified(cls, descriptor: Descriptor, content: bytes, *, where: str) -> "Document":
        """The document, if the bytes are what the descriptor promises; an ImageError that names ``where`` if not."""
        if len(content) != descriptor.size_bytes:
            raise ImageError(f"{where}: {len(content)} bytes where its descriptor says {descriptor.size_bytes}")
        actual = Digest.of(content) if descriptor.digest.algorithm == "sha256" else _sha512(content)
        if actual != descriptor.digest:
            raise ImageError(f"{where}: its digest is {actual}, expected {descriptor.digest}")
        return cls(descriptor, content)


def _sha512(content: bytes) -> Digest:
    return Digest("sha512", hashlib.sha512(content).hexdigest())


def canonical_json(value: Any) -> bytes:
    """The one way in which this program writes a document: keys sorted, no white space, ASCII only.

    The same value gives the same bytes on every machine. Escaping all but ASCII keeps text that is not valid Unicode
    (a lone surrogate in a base's label) writable.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def parse_json(content: bytes, *, where: str) -> Any:
    """The JSON value in ``content``; an ImageError that names ``where`` for anything else, or for over 4 MiB."""
    if len(content) > LARGEST_DOCUMENT_BYTES:
        raise ImageError(f"{where}: a document of over {LARGEST_DOCUMENT_BYTES} bytes")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{where}: not a JSON document: {error}") from error


def parse_object(content: bytes, *, where: str) -> dict[str, Any]:
    """As :func:`parse_json`, and an ImageError for a value that is no object."""
    value = parse_json(content, where=where)
    if not isinstance(value, dict):
        raise ImageError(f"{where}: a JSON {type(value).__name__} where an object was expected")
    return value


def text_mapping(value: Any, *, where: str) -> dict[str, str]:
    """A JSON object of texts such as labels or annotations; null reads as empty, as Docker writes it."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ImageError(f"{where}: not an object of texts: {str(value)[:200]}")
    return dict(value)
