import random
from collections.abc import Callable, Iterator

import pytest

from ocibuild.core.errors import BuildError
from ocibuild.ecosystem.conda.placeholder import program_line, replaced_in_binary, replaced_in_text

OLD = "/opt/placeholder/placehold"
NEW = "/srv/env"
Replace = Callable[[list[bytes]], bytes]


def text(chunks: list[bytes]) -> bytes:
    return b"".join(replaced_in_text(chunks, OLD, NEW))


def binary(chunks: list[bytes]) -> bytes:
    return b"".join(replaced_in_binary(chunks, OLD, NEW, where="x"))


def test_text() -> None:
    old, new = OLD.encode(), NEW.encode()
    assert text([b"a" + old + b"/b" + old + old]) == b"a" + new + b"/b" + new + new
    assert text([b"nothing"]) == b"nothing"
    assert text([b""]) == text([]) == b""
    wide = OLD.encode("utf-16-le")
    assert text([b"\xff\xfe" + wide]) == b"\xff\xfe" + NEW.encode("utf-16-le")


def test_binary_strings_keep_their_room() -> None:
    old, new = OLD.encode(), NEW.encode()
    room = bytes(len(old) - len(new))
    assert binary([b"x" + old + b"/lib\0rest"]) == b"x" + new + b"/lib" + room + b"\0rest"
    assert binary([old + b":" + old + b"\0" + b"y"]) == new + b":" + new + room + room + b"\0y"
    assert binary([old]) == new + room, "the end of the file ends a string too"
    assert binary([b"\0" + old + b"\0\0" + old + b"\0"]) == b"\0" + new + room + b"\0\0" + new + room + b"\0"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_strings_end_with_a_whole_zero(encoding: str) -> None:
    old, new, zero = (each.encode(encoding) for each in (OLD, NEW, "\0"))
    unit = len(zero)
    tail = "Ā".encode(encoding)  # holds a zero byte of its own
    data = bytes(8) + old + tail + zero + b"\xff" * unit
    assert binary([data]) == bytes(8) + new + tail + bytes(len(old) - len(new)) + zero + b"\xff" * unit


def pieces_of(data: bytes, generator: random.Random, *, least: int) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        size = generator.randint(1, 40)
        size = max(size, least) if position == 0 else size
        yield data[position : position + size]
        position += size


@pytest.mark.parametrize("replace", [text, binary])
def test_chunks_do_not_matter(replace: Replace) -> None:
    generator = random.Random(1)
    words = [
        OLD.encode(),
        OLD.encode("utf-16-le"),
        OLD.encode("utf-32-be"),
        b"\0",
        b"\0\0\0\0",
        b"/opt/",
        b"q",
        b"\n",
        OLD[:9].encode(),
    ]
    for _ in range(300):
        data = b"".join(generator.choices(words, k=generator.randint(1, 12)))
        whole = replace([data])
        assert replace(list(pieces_of(data, generator, least=0))) == whole
        assert replace is text or len(whole) == len(data)


def test_the_first_line_is_rewritten_whatever_the_chunks_behind_it() -> None:
    line = b"#!" + OLD.encode() + b"/bin/" + b"d/" * 60 + b"python3.11 -E\n"
    data = line + b"print('" + OLD.encode() + b"')\n"
    whole = text([data])
    assert whole.startswith(b"#!/bin/sh\n'''exec' \"/srv/env/bin/d/d/")
    assert text([line, *(bytes((byte,)) for byte in data[len(line) :])]) == whole


def test_a_prefix_that_is_too_long() -> None:
    with pytest.raises(BuildError, match=r"lib/x\.so has room for a prefix of 26 bytes, and the environment's has 27"):
        list(replaced_in_binary([OLD.encode()], OLD, "/" + "x" * 26, where="lib/x.so"))
    assert list(replaced_in_binary([b"none here"], OLD, "/" + "x" * 26, where="lib/x.so"))


def test_program_lines() -> None:
    assert program_line("/srv/env/bin/python3.11") == "#!/srv/env/bin/python3.11"
    assert program_line("/srv/my env/bin/python") == "#!/bin/sh\n'''exec' \"/srv/my env/bin/python\" \"$0\" \"$@\" #'''"
    assert program_line("/x" * 70 + "/perl", " -w") == "#!/usr/bin/env perl -w"
    assert program_line("/" + "x" * 124).startswith("#!/x")
    assert program_line("/" + "x" * 125).startswith("#!/usr/bin/env")


def test_a_huge_string_needs_little_memory() -> None:
    import tracemalloc  # noqa: PLC0415 - only here

    def chunks() -> Iterator[bytes]:
        yield OLD.encode()
        for _ in range(64):
            yield b"x" * (1 << 20)

    tracemalloc.start()
    size = sum(len(piece) for piece in replaced_in_binary(chunks(), OLD, NEW, where="x"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == (64 << 20) + len(OLD)
    assert peak < 24 << 20
