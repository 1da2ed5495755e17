"""Why a layer is another one, as far as the documents of two images tell."""

from dataclasses import replace

import pytest

from ocibuild.core.digest import Digest
from ocibuild.image.image import read_image
from ocibuild.image.inspect import ImageReport, LayerReport, inspect_image
from ocibuild.image.why import explain, package_changes, weigh
from tests.support.made_images import MadeImage


def layer(name: str, *packages: str, content: str = "") -> LayerReport:
    digest = Digest.of(f"{name} {packages} {content}".encode())
    return LayerReport(digest, digest, "", 1000 + len(packages), name, "", packages)


def report(*layers: LayerReport, base: str = "") -> ImageReport:
    image = read_image(MadeImage([[]]).source())
    annotations = {"org.opencontainers.image.base.digest": base} if base else {}
    return ImageReport(replace(image, manifest=replace(image.manifest, annotations=annotations)), layers)


def reasons(before: ImageReport, after: ImageReport, **files: list[str]) -> list[str]:
    by_digest = {str(each.digest): files[each.name] for each in after.layers if each.name in files}
    return [each.reason for each in explain(before, after, files=by_digest)]


def test_what_became_of_packages() -> None:
    changes = package_changes(["apt git=1 amd64", "apt vim=1 amd64"], ["apt git=2 amd64", "apt curl=1 amd64"])
    assert (changes.added, changes.removed, changes.changed) == (("apt curl",), ("apt vim",), (("apt git", "1", "2"),))
    assert str(changes) == "apt git 1 is 2 now, apt curl is new, apt vim is gone"
    assert not package_changes(["apt git=1"], ["apt git=1"])


@pytest.mark.parametrize(
    ("before", "after", "files", "expected"),
    [
        ([layer("a")], [layer("a")], {}, [""]),
        ([layer("pip", "pip x=1")], [layer("pip", "pip x=2")], {}, ["pip x 1 is 2 now"]),
        ([layer("source")], [layer("source", content="2")], {"source": ["a", "b"]}, ["files changed: /a, /b"]),
        (
            [layer("pip", "pip x=1"), layer("postBuild")],
            [layer("pip", "pip x=2"), layer("postBuild", content="2")],
            {},
            ["pip x 1 is 2 now", "what is below it changed: pip (pip x 1 is 2 now)"],
        ),
        ([layer("postBuild")], [layer("postBuild", content="2")], {}, ["what it is made of changed: its options, variables or command"]),
        ([], [layer("pip", "pip x=1")], {}, ["there was no such layer: pip x is new"]),
        ([layer("apt", "apt x=1")], [layer("apt", "apt x=1", content="2")], {}, ["the same packages are placed otherwise (another place, owner or version of this program)"]),
    ],
)  # fmt: skip
def test_reasons(
    before: list[LayerReport], after: list[LayerReport], files: dict[str, list[str]], expected: list[str]
) -> None:
    assert reasons(report(*before), report(*after), **files) == expected


def test_another_base() -> None:
    before, after = report(layer("a"), base="sha256:1"), report(layer("a", content="2"), base="sha256:2")
    assert reasons(before, after) == ["the base is another one"]


def test_layers_of_one_name_are_told_apart_by_their_order() -> None:
    before = report(layer("apt", "apt a=1"), layer("apt", "apt b=1"))
    assert reasons(before, report(layer("apt", "apt a=1"), layer("apt", "apt b=2"))) == ["", "apt b 1 is 2 now"]


def test_weights() -> None:
    image = report(layer("a", "apt x=1"), layer("b", "apt y=1", "apt z=1"))
    found = weigh(image, {"apt y=1": 5, "apt z=1": 9})
    assert [(each.name, packages) for each, packages in found] == [("b", [("apt z=1", 9), ("apt y=1", 5)]), ("a", [])]
    assert inspect_image(image.image).size_bytes > 0
