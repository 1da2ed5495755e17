"""Prefixes are put into files as rattler does it, over made-up files of every encoding and length."""

import asyncio
import random
from pathlib import Path
from typing import Literal

import pytest

from ocibuild.ecosystem.conda.placeholder import replaced_in_binary, replaced_in_text
from tests.support.conda_channel import File, Recipe, write_channel

rattler = pytest.importorskip("rattler")

PLACEHOLDER = "/opt/made/placehol"
# A prefix with a blank, which no first line can name, and one that first lines have no room for.
PREFIXES = ("/srv/env", "/s/with blank", "/a", "/srv/exactly/as/lo")


def made_up(count: int) -> list[tuple[Literal["text", "binary"], bytes]]:
    generator = random.Random(7)
    old = PLACEHOLDER.encode()

    def wide(encoding: str) -> list[bytes]:
        """Whole units of one encoding, so that a big-endian text is where it is in real files: aligned."""
        texts = [PLACEHOLDER, PLACEHOLDER + "/lib", "\0", "\0", "x", "\n", PLACEHOLDER[:7]]
        return [text.encode(encoding) for text in texts] + [b"\xff\xff\xff\xff"]

    plain = [old, old, old + b"/lib", b"\0", b"\0", b"x", b"/opt", b"\n", b"\xff", old[:7], b"\0\0\0\0"]
    families = [plain, plain, plain, *map(wide, ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"))]
    starts = [
        b"#!" + old + b"/bin/python", b"#! " + old + b"/bin/perl -w", b"#!/usr/bin/env python", b"#!" + old + b"/bin/pypy3 -E",
        b"#!" + old + b"/" + b"long/" * 30 + b"python3.11 -s", b"#!" + old + b"/" + b"long/" * 30 + b"ruby", b"#!",
        b"#!/usr/" + b"long/" * 30 + b"python", b"#!" + old + b"/bin/a\\ b/python x", b"#!relative " + b"x" * 130,
        b"#!" + old + b"/bin/python\xff" + b"y" * 120, b"#!\t" + old + b"/bin/python " + b"z" * 120,
    ]  # fmt: skip
    files: list[tuple[Literal["text", "binary"], bytes]] = []
    for number in range(count):
        start = generator.choice([b"", *starts]) if number % 2 else b""
        words = plain if start else generator.choice(families)
        data = b"".join(generator.choices(words, k=generator.randint(1, 9)))
        end = generator.choice([b"\n", b"\r\n", b""]) if start else b""
        files.append(("text" if number % 2 else "binary", start + end + data))
    return files


@pytest.mark.parametrize("prefix", PREFIXES)
def test_rattlers_bytes(tmp_path: Path, prefix: str) -> None:
    files = made_up(400)
    listed = [
        File(f"x/{number}", data, prefix=mode, placeholder=PLACEHOLDER) for number, (mode, data) in enumerate(files)
    ]
    channel = write_channel(tmp_path / "channel", [Recipe("made-up", files=listed)])

    async def install() -> None:
        gateway = rattler.Gateway(cache_dir=tmp_path / "cache")
        records = await rattler.solve(
            [rattler.Channel(channel.as_uri())], ["made-up"], gateway=gateway, platforms=["linux-64"]
        )
        await rattler.install(
            records, tmp_path / "prefix", cache_dir=tmp_path / "packages", platform=rattler.Subdir("linux-64"),
            show_progress=False, alternative_target_prefix=prefix,
        )  # fmt: skip

    asyncio.run(install())
    wrong = []
    for number, (mode, data) in enumerate(files):
        theirs = (tmp_path / f"prefix/x/{number}").read_bytes()
        if mode == "text":
            ours = b"".join(replaced_in_text([data], PLACEHOLDER, prefix))
        else:
            ours = b"".join(replaced_in_binary([data], PLACEHOLDER, prefix, where="x"))
        if ours != theirs:
            wrong.append((mode, data, ours, theirs))
    assert wrong == []
