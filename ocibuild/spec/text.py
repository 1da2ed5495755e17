"""The text of a repository's file, whatever encoding it is in."""

import codecs
import re

from ocibuild.core.errors import RepositoryError

__all__ = ["decode_text"]

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_CODING = re.compile(rb"#.*?coding[:=][ \t]*([-\w.]+)")  # PEP 263, which pip honours in requirements files


def decode_text(data: bytes, *, file: str) -> str:
    """The text: by its byte order mark, by a PEP 263 comment in the first two lines, as UTF-8, else as Latin-1.

    A RepositoryError where it holds NUL characters: no text file does.
    """
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)
    declared = next(filter(None, map(_CODING.search, data.split(b"\n", 2)[:2])), None)
    if encoding is None and declared is not None:
        encoding = declared[1].decode("ascii", "replace")
    try:
        text = data.decode(encoding or "utf-8")
    except LookupError as error:
        raise RepositoryError(f"an unknown encoding: {encoding}", file=file) from error
    except UnicodeDecodeError as error:
        if encoding is not None:
            raise RepositoryError(f"not {encoding} text: {error.reason}", file=file) from error
        text = data.decode("latin-1")
    if "\0" in text:
        raise RepositoryError("not a text file: it holds NUL characters", file=file)
    return text
