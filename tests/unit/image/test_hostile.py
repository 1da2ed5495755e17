"""Documents and archives changed at random: whatever comes, an error of this program's own or a finding, never a crash."""

import contextlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from ocibuild.core.digest import Digest
from ocibuild.core.errors import OcibuildError
from ocibuild.image.check import check_image
from ocibuild.image.document import Document, canonical_json
from ocibuild.image.image import read_image
from ocibuild.image.inspect import inspect_image
from ocibuild.image.rootfs import write_rootfs
from ocibuild.image.scan import scan_layer
from ocibuild.image.source import members
from ocibuild.image.translation import OciTypedSource
from ocibuild.layer.compression import Compression
from tests.support.made_images import MadeImage, MemorySource, raw_tar, replace_config, replace_manifest
from tests.support.random_trees import random_layers

ODD: list[Any] = [
    None,
    0,
    -1,
    1 << 70,
    True,
    "",
    "x",
    [],
    {},
    [None],
    [{}],
    {"a": 1},
    1.5,
    "\ud800",
    "../x",
    "\0",
    "sha256:00",
]


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(found for key, item in inner for found in places(item, (*place, key)))]


def change_a_value(value: dict[str, Any], rng: random.Random) -> None:
    *path, last = rng.choice(places(value)[1:])
    holder: Any = value
    for key in path:
        holder = holder[key]
    holder[last] = rng.choice(ODD)


def change_a_header(raw: bytes, rng: random.Random) -> bytes:
    """Another byte in a tar header, under a right checksum: what is read on is what an attacker wrote."""
    changed = bytearray(raw)
    start = rng.randrange(len(raw) // 512) * 512
    changed[start + rng.choice([0, 100, 124, 148, 156, 157, 257, 345]) + rng.randrange(8)] = rng.choice(
        [0, 32, 0x80, 0xFF, 0x2E, 0x2F, 0x37, rng.randrange(256)]
    )
    block = changed[start : start + 512]
    changed[start + 148 : start + 156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 256)
    return bytes(changed)


def changed_source(seed: int) -> MemorySource:
    rng = random.Random(seed)
    image = MadeImage(random_layers(seed % 7, 2), rng.choice(list(Compression)))
    what = rng.choice(["config", "manifest", "header", "blob"])
    if what == "header":
        image.raw[0] = change_a_header(raw_tar(image.layers[0]), rng)
    source = image.source()
    if what == "config":
        replace_config(source, lambda value: change_a_value(value, rng))
    elif what == "manifest":
        value = json.loads(source.top.content)
        change_a_value(value, rng)
        source.top = Document.of(source.top.descriptor.media_type, canonical_json(value))
    elif what == "blob":

        def change_a_blob(manifest: dict[str, Any]) -> None:
            layer = manifest["layers"][0]
            blob = bytearray(source.blobs[layer["digest"]])
            blob[rng.randrange(len(blob))] ^= 1 << rng.randrange(8)
            layer.update(digest=str(Digest.of(bytes(blob))), size=len(blob))
            source.blobs[layer["digest"]] = bytes(blob)

        replace_manifest(source, change_a_blob)
    return source


@pytest.mark.parametrize("seed", range(150))
def test_nothing_crashes(tmp_path: Path, seed: int) -> None:
    source = changed_source(seed)
    check_image(source)
    with contextlib.suppress(OcibuildError):
        list(members(OciTypedSource(source)))
        image = read_image(source)
        inspect_image(image).to_json()
        for layer in image.layers:
            with source.open_blob(layer.descriptor) as stream:
                scan_layer(stream, layer.descriptor, diff_id=None, where="test")
        write_rootfs(source, tmp_path / "root")
    assert {path.name for path in tmp_path.iterdir()} <= {"root"}
