import io
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from ocibuild.core.descriptor import DOCKER_MANIFEST_LIST, OCI_INDEX, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import IntegrityError
from ocibuild.core.platform import Platform
from ocibuild.image.check import check_image
from ocibuild.image.document import Document, canonical_json
from ocibuild.image.finding import Finding, Severity
from ocibuild.layer.compression import Compression
from ocibuild.layer.entry import Entry, EntryKind
from tests.support.made_images import MadeImage, MemorySource, raw_tar, replace_config, replace_manifest

LAYERS = [
    [
        Entry.directory("usr"),
        Entry.directory("usr/lib"),
        Entry.symlink("lib", "usr/lib"),
        Entry.file("usr/lib/a", b"a" * 20_000),
        Entry("usr/lib/hard", EntryKind.HARDLINK, 0o644, link="usr/lib/a"),
        Entry.directory("gone"),
        Entry.file("gone/file", b""),
    ],
    [Entry.file("usr/lib/b", b"b"), Entry.whiteout("gone"), Entry.directory("usr"), Entry.directory("usr/lib")],
]
IMAGE = MadeImage(LAYERS)


def whats(findings: list[Finding]) -> str:
    return "\n".join(str(finding) for finding in findings)


@pytest.mark.parametrize("compression", list(Compression))
def test_a_sound_image_has_no_findings(compression: Compression) -> None:
    assert check_image(MadeImage(LAYERS, compression).source()) == []


def index_of(source: MemorySource, platform: dict[str, str], media_type: str = OCI_INDEX) -> MemorySource:
    member = source.top.descriptor.to_json() | {"platform": platform}
    value = {"schemaVersion": 2, "mediaType": media_type, "manifests": [member]}
    return MemorySource(Document.of(media_type, canonical_json(value)), source.blobs)


def test_a_sound_index_has_no_findings() -> None:
    platform = {"os": "linux", "architecture": "amd64"}
    assert check_image(index_of(IMAGE.source(), platform, DOCKER_MANIFEST_LIST)) == []


def layer(source: MemorySource, number: int) -> str:
    manifest = json.loads(source.top.content)
    return str(manifest["layers"][number]["digest"])


def flip_a_byte(source: MemorySource) -> None:
    blob = bytearray(source.blobs[layer(source, 0)])
    blob[len(blob) // 2] ^= 1
    source.blobs[layer(source, 0)] = bytes(blob)


def change_a_size(manifest: dict[str, Any]) -> None:
    manifest["layers"][1]["size"] += 1


def change_a_diff_id(config: dict[str, Any]) -> None:
    config["rootfs"]["diff_ids"][1] = str(Digest.of(b"something else"))


# The six faults of which no single other tool finds all (skopeo 1.9, umoci 0.4, oci-image-tool 1.0, podman 4.3).
@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (flip_a_byte, "layer 1 .* its digest is"),
        (lambda source: source.blobs.pop(layer(source, 1)), "layer 2 .* is missing"),
        (lambda source: replace_manifest(source, change_a_size), "layer 2 .* bytes where the manifest says"),
        (lambda source: replace_config(source, change_a_diff_id), "layer 2 .* its diff_id is"),
        (lambda source: replace_config(source, lambda c: c["rootfs"]["diff_ids"].pop()), "1 diff_ids for 2 layers"),
        (lambda source: replace_config(source, lambda c: c["history"].pop()), "1 history entries .* for 2 layers"),
    ],
)
def test_the_six_faults_are_found(break_it: Callable[[MemorySource], object], message: str) -> None:
    source = IMAGE.source()
    break_it(source)
    findings = check_image(source)
    assert [finding for finding in findings if finding.severity is Severity.ERROR]
    assert re.search(message, whats(findings)), whats(findings)


@pytest.mark.parametrize("compression", list(Compression))
def test_an_end_of_archive_inside_a_layer_is_found(compression: Compression) -> None:
    raw = raw_tar(LAYERS[0]) + raw_tar(LAYERS[1])
    findings = check_image(MadeImage(LAYERS, compression, raw={0: raw}).source())
    assert "data behind an end-of-archive block" in whats(findings)
    assert all("its digest" not in finding.what and "diff_id" not in finding.what for finding in findings)


def with_blob(
    change: Callable[[bytes], bytes], compression: Compression, media_type: str | None = None
) -> MemorySource:
    """The image with another blob as its first layer, whose digest and size are right."""
    source = MadeImage(LAYERS, compression).source()
    blob = change(source.blobs[layer(source, 0)])
    source.blobs[str(Digest.of(blob))] = blob

    def name_it(manifest: dict[str, Any]) -> None:
        manifest["layers"][0].update(digest=str(Digest.of(blob)), size=len(blob))
        manifest["layers"][0]["mediaType"] = media_type or manifest["layers"][0]["mediaType"]

    replace_manifest(source, name_it)
    return source


SKIPPABLE = bytes.fromhex("502a4d18") + (4).to_bytes(4, "little") + b"note"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (with_blob(lambda blob: blob[:-20], Compression.ZSTD), "cut short"),
        (with_blob(lambda blob: blob[:-20], Compression.GZIP), "cut short"),
        (with_blob(lambda blob: blob[:-2000], Compression.NONE), "cut short|diff_id"),
        (with_blob(lambda blob: blob[:-4] + b"wxyz", Compression.GZIP), "corrupt gzip data"),
        (with_blob(lambda blob: blob, Compression.GZIP, OCI_LAYER_ZSTD), "not zstd data"),
        (with_blob(lambda blob: blob, Compression.ZSTD, OCI_LAYER_GZIP), "not gzip data"),
        (with_blob(lambda blob: blob, Compression.GZIP, "application/x-tar"), "unknown type application/x-tar"),
        (with_blob(lambda blob: SKIPPABLE + blob, Compression.ZSTD), "a skippable frame comes first"),
        (with_blob(lambda _: b"", Compression.ZSTD), "not zstd data"),
        (
            with_blob(lambda _: b"no tar at all" * 100, Compression.NONE),
            "not a tar header|not a number in a tar header",
        ),
    ],
)
def test_broken_layers_are_found(source: MemorySource, message: str) -> None:
    findings = check_image(source)
    assert re.search(message, whats(findings)), whats(findings)
    assert "layer 1" in findings[0].where


def test_a_skippable_frame_further_on_is_sound() -> None:
    assert check_image(with_blob(lambda blob: blob + SKIPPABLE, Compression.ZSTD)) == []


def foreign_tar(name: str, **fields: Any) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        member = tarfile.TarInfo(name)
        for field, value in fields.items():
            setattr(member, field, value)
        archive.addfile(member)
    return data.getvalue()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([Entry.file("lib/x", b"")], "/lib/x lies below a symbolic link: /lib"),
        ([Entry.symlink("out", "/../.."), Entry.file("out/x", b"")], "/out/x lies below a symbolic link: /out"),
        ([Entry.file("usr/lib/a/x", b"")], "/usr/lib/a/x lies below a file: /usr/lib/a"),
        ([Entry.file("b", b""), Entry.file("b", b"")], "/b occurs twice"),
        (
            [Entry("h", EntryKind.HARDLINK, 0o644, link="usr/lib/a")],
            "/h is a hard link to what the layer does not hold",
        ),
        ([Entry("h", EntryKind.HARDLINK, 0o644, link="h")], "/h is a hard link to what the layer does not hold"),
        ([Entry.directory("d"), Entry("h", EntryKind.HARDLINK, 0o644, link="d")], "/h is a hard link to a folder"),
        (
            [Entry.file("f", b""), Entry("h", EntryKind.HARDLINK, 0o600, link="f")],
            "another mode or owner than its file",
        ),
        ([Entry.file("gone/a/b", b""), Entry.file("gone/.wh..wh..opq", b"")], "comes after entries of its folder"),
        ([Entry.whiteout("nothing")], "is a whiteout of what no layer below holds"),
        ([Entry.file("gone", b""), Entry.whiteout("gone")], "is a whiteout of what the same layer holds"),
        ([Entry.file(".wh.gone", b"x")], "is a whiteout, but not an empty file"),
        ([Entry.file(".wh..wh.aufs", b"")], "is a whiteout of an unknown form"),
        ([Entry.file("n" * 256, b"")], "is longer than Linux' file systems allow"),
    ],
)
def test_entries_against_the_rules_are_found(entries: list[Entry], message: str) -> None:
    findings = check_image(MadeImage([LAYERS[0], entries]).source())
    assert message in whats(findings)
    assert {finding.where.split(" sha256")[0] for finding in findings} == {
        f"{MadeImage([LAYERS[0], entries]).documents()[0].descriptor.digest} layer 2"
    }


@pytest.mark.parametrize("name", ["../etc/passwd", "a/../../b", "ok/.."])
def test_paths_that_leave_the_image_are_found(name: str) -> None:
    findings = check_image(MadeImage([LAYERS[0]], raw={0: foreign_tar(name)}).source())
    assert "leaves its folder" in whats(findings)


def test_opaque_whiteouts_and_replacing_kinds_are_sound() -> None:
    above = [
        Entry.directory("gone"),
        Entry.file("gone/.wh..wh..opq", b""),
        Entry.file("gone/new", b""),
        Entry.file("lib", b"a file in place of the link"),
    ]
    assert check_image(MadeImage([LAYERS[0], above]).source()) == []


def test_of_many_equal_faults_ten_are_shown() -> None:
    entries = [Entry.file(f"lib/{number}", b"") for number in range(25)]
    findings = check_image(MadeImage([LAYERS[0], entries]).source())
    assert len(findings) == 11
    assert "15 more" in findings[-1].what


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("created"), "no time of creation"),
        (lambda c: c.pop("history"), "no history"),
        (lambda c: c.update(os="plan9"), "plan9"),
        (lambda c: c.pop("rootfs"), "no rootfs"),
    ],
)
def test_a_wrong_configuration_is_found(change: Callable[[dict[str, Any]], None], message: str) -> None:
    source = IMAGE.source()
    replace_config(source, change)
    assert message in whats(check_image(source))


def test_a_wrong_configuration_type_is_found() -> None:
    source = IMAGE.source()
    replace_manifest(source, lambda manifest: manifest["config"].update(mediaType="text/plain"))
    assert "unknown type text/plain" in whats(check_image(source))


def test_an_index_that_tells_another_platform_is_found() -> None:
    findings = check_image(index_of(IMAGE.source(), {"os": "linux", "architecture": "arm64"}))
    assert "for linux/amd64, but its index says linux/arm64" in whats(findings)


def test_a_missing_member_of_an_index_is_found_and_the_rest_is_checked() -> None:
    good, bad = IMAGE.source(), replace(IMAGE, platform=Platform.parse("arm64")).source()
    flip_a_byte(good)
    members = [source.top.descriptor.to_json() for source in (bad, good)]
    blobs = good.blobs
    value = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": members}
    findings = check_image(MemorySource(Document.of(OCI_INDEX, canonical_json(value)), blobs))
    assert "is missing" in whats(findings)
    assert "its digest is" in whats(findings)


def test_an_error_of_the_source_while_reading_is_a_finding() -> None:
    """A registry's reader finds a wrong digest itself, at the end of the blob."""

    class Breaking(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            if not data:
                raise IntegrityError("the server sent other bytes")
            return data

    class Source(MemorySource):
        def open_blob(self, descriptor: Descriptor) -> BinaryIO:
            content = self.blobs[str(descriptor.digest)]
            return Breaking(content) if descriptor.media_type == OCI_LAYER_ZSTD else io.BytesIO(content)

    sound = IMAGE.source()
    findings = check_image(Source(sound.top, sound.blobs))
    assert [finding.what for finding in findings] == ["the server sent other bytes"] * 2


def test_more_layers_than_docker_takes_are_told() -> None:
    layers = [[Entry.file(f"f{number}", b"")] for number in range(126)]
    assert "126 layers" in whats(check_image(MadeImage(layers).source()))


def test_a_large_layer_is_checked_in_constant_memory() -> None:
    """400 MB of zeros in one file; the whole process stays below 120 MB."""
    script = """
import hashlib, io, itertools, pathlib, re, sys
sys.path.insert(0, sys.argv[1])
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.tar import END_OF_ARCHIVE, write_entries
from ocibuild.layer.compression import Compression, compressor_for
from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.image.check import check_image
from tests.support.made_images import MadeImage, replace_config, replace_manifest
size = 400 << 20
big = Entry("big", EntryKind.FILE, 0o644, size_bytes=size, content=lambda: (bytes(1 << 20) for _ in range(size >> 20)))
compress, state, blob = compressor_for(Compression.ZSTD).compress, hashlib.sha256(), io.BytesIO()
for chunk in itertools.chain(write_entries([big]), [END_OF_ARCHIVE]):
    state.update(chunk)
    blob.write(compress(chunk))
blob = blob.getvalue()
source = MadeImage([[]]).source()
replace_config(source, lambda c: c["rootfs"].update(diff_ids=["sha256:" + state.hexdigest()]))
digest = Digest.of(blob)
replace_manifest(source, lambda m: m["layers"][0].update(digest=str(digest), size=len(blob)))
source.blobs[str(digest)] = blob
assert check_image(source) == [], check_image(source)
# not ru_maxrss, which a child inherits from the process that forked it
print(re.search("VmHWM:\\s*([0-9]+)", pathlib.Path("/proc/self/status").read_text())[1])
"""
    result = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parents[3])], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) < 120_000
