"""Names of images, as repo2docker takes and makes them."""

import re
import string

__all__ = ["default_image_name", "is_valid_image_name"]

# The grammar of references in distribution, as repo2docker checks it: the host begins in lower case, and a tag is ASCII
# (there it may be any letter, which no registry takes).
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:[a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])(?:\.{_LABEL})*(?::[0-9]+)?/"
_END = r"(?::\w[\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
_NAME = re.compile(rf"(?:{_HOST})?{_COMPONENT}(?:/{_COMPONENT})*{_END}", re.ASCII)
_SAFE = frozenset(string.ascii_letters + string.digits)


def is_valid_image_name(name: str) -> bool:
    """Whether repo2docker takes it for an image's name."""
    return _NAME.fullmatch(name) is not None


def default_image_name(repository: str, *, subdir: str | None, content: str) -> str:
    """The name that repo2docker gives: address, folder and content, what a name cannot hold written as ``-HEX``.

    Source: escapism's ``escape`` with ``-`` as its character, then lower case.
    """
    text = f"{repository}{subdir or ''}{content}".encode()
    escaped = "".join(chr(byte) if chr(byte) in _SAFE else f"-{byte:02X}" for byte in text)
    return f"r2d{escaped}".lower()
