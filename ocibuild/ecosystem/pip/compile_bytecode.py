"""The program that compiles the modules of one wheel: run by the Python that the bytecode is for, 3.7 or newer.

This file is not imported by ocibuild:

    python -I -S compile_bytecode.py SOURCES BYTECODE

SOURCES holds, for every module, the length of its path and of its text (32 bits, little-endian) and then both; what is
written to BYTECODE holds for each, in the same order, the length of its bytecode file and the file, none where the text
is no valid module. The same sources give the same bytes: the process is new, and knows nothing else.
"""

import importlib.util
import marshal
import struct
import sys
import warnings
from pathlib import Path

_UNCHECKED_HASH = 1  # PEP 552: the source's hash is in the header, and nobody compares it


def main(sources: str, bytecode: str) -> None:
    """Compile all of them."""
    warnings.simplefilter("ignore")
    with Path(sources).open("rb") as given, Path(bytecode).open("wb") as made:
        while True:
            header = given.read(8)
            if not header:
                return
            path_bytes, text_bytes = struct.unpack("<II", header)
            path = given.read(path_bytes).decode("utf-8", "surrogateescape")
            content = compiled(given.read(text_bytes), path)
            made.write(struct.pack("<I", len(content)) + content)


def compiled(text: bytes, path: str) -> bytes:
    """The bytecode file of a module; nothing for what is no module."""
    try:
        code = compile(text, path, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, RecursionError, OverflowError):
        return b""
    header = importlib.util.MAGIC_NUMBER + struct.pack("<I", _UNCHECKED_HASH) + importlib.util.source_hash(text)
    return header + marshal.dumps(code)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
