import json
from typing import Any

import pytest

from ocibuild.core.descriptor import DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_MANIFEST, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import BuildError, ImageError
from ocibuild.core.platform import Platform
from ocibuild.image.index import ImageIndex


def member(platform: str | None) -> dict[str, Any]:
    value: dict[str, Any] = {
        "mediaType": DOCKER_MANIFEST,
        "size": 100,
        "digest": str(Digest.of(str(platform).encode())),
    }
    if platform is not None:
        os, architecture, *variant = platform.split("/")
        value["platform"] = {"os": os, "architecture": architecture} | ({"variant": variant[0]} if variant else {})
    return value


def index(*platforms: str | None, **changes: Any) -> ImageIndex:
    value = {"schemaVersion": 2, "mediaType": DOCKER_MANIFEST_LIST, "manifests": [member(p) for p in platforms]}
    return ImageIndex.parse(json.dumps(value | changes).encode(), where="python:3.12")


def digest(platform: str | None) -> Digest:
    return Digest.of(str(platform).encode())


PUBLIC = ("linux/amd64", "unknown/unknown", "linux/arm/v5", "linux/arm/v7", "linux/arm64/v8", "windows/amd64")


@pytest.mark.parametrize(
    ("there", "wanted", "chosen"),
    [
        (PUBLIC, "linux/amd64", "linux/amd64"),
        (PUBLIC, "linux/arm64", "linux/arm64/v8"),
        (PUBLIC, "linux/arm64/v8", "linux/arm64/v8"),
        (PUBLIC, "linux/arm/v7", "linux/arm/v7"),
        (("linux/arm/v6", "linux/arm"), "linux/arm/v7", "linux/arm"),
        (("linux/arm/v5", "linux/arm/v6"), "linux/arm/v7", "linux/arm/v6"),
        (("linux/amd64/v3", "linux/amd64"), "linux/amd64", "linux/amd64"),
        (("linux/amd64/v1",), "linux/amd64", "linux/amd64/v1"),
        ((None,), "linux/arm64", None),
    ],
)
def test_the_right_manifest_is_chosen(there: tuple[str | None, ...], wanted: str, chosen: str | None) -> None:
    assert index(*there).choose(Platform.parse(wanted), where="x").digest == digest(chosen)


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        (PUBLIC, "linux/s390x"),
        (("linux/amd64/v3",), "linux/amd64"),
        (("linux/arm/v5",), "linux/arm/v7"),
        ((None, None), "linux/amd64"),
        ((), "linux/amd64"),
    ],
)
def test_what_there_is_is_listed_where_nothing_fits(there: tuple[str | None, ...], wanted: str) -> None:
    with pytest.raises(ImageError, match=f"no image for {wanted}") as raised:
        index(*there).choose(Platform.parse(wanted), where="python:3.12")
    for platform in there:
        if platform is not None and not platform.startswith("unknown"):
            assert platform in str(raised.value)
    assert "unknown" not in str(raised.value)


def test_the_first_of_two_equal_platforms_is_chosen() -> None:
    value = [member("linux/amd64"), member("linux/amd64") | {"digest": str(digest("second"))}]
    found = index(manifests=value).choose(Platform(), where="x")
    assert found.digest == digest("linux/amd64")


def test_an_index_is_all_or_nothing() -> None:
    amd64, arm64 = Platform.parse("amd64"), Platform.parse("arm64")
    images = {amd64: Descriptor(OCI_MANIFEST, digest("a"), 1), arm64: Descriptor(OCI_MANIFEST, digest("b"), 2)}
    document = ImageIndex.of(images, platforms=[arm64, amd64]).document()
    again = ImageIndex.parse(document.content, where="x")
    assert [entry.platform for entry in again.members] == ["linux/arm64", "linux/amd64"]
    assert again.choose(amd64, where="x").digest == digest("a")
    with pytest.raises(BuildError, match="linux/s390x"):
        ImageIndex.of(images, platforms=[amd64, Platform.parse("s390x")])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": []}, "between an index and a manifest"),
        ({"manifests": None}, "without manifests"),
        ({"manifests": ["x"]}, "manifest 0"),
        ({"schemaVersion": "2"}, "not an image index"),
        ({"mediaType": DOCKER_MANIFEST}, "not an image index"),
    ],
)
def test_what_is_malformed_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        index("linux/amd64", **changes)
