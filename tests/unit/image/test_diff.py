from dataclasses import replace

import pytest

from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.image.config import ImageConfig
from ocibuild.image.diff import FileChange, TreeReader, ValueChange, compare_files, compare_images, compare_locks
from ocibuild.image.image import read_image
from ocibuild.layer.compression import Compression
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.lock import PlatformLock
from tests.support.made_images import MadeImage, MemorySource, replace_config

BASE = [Entry.file("same", b"1"), Entry.file("edited", b"1"), Entry.file("gone", b"1"), Entry.symlink("link", "same")]


def files(before: MemorySource, after: MemorySource) -> dict[str, tuple[str, ...]]:
    reader = TreeReader()
    trees = [reader.read(source, read_image(source)) for source in (before, after)]
    return {change.path: change.aspects for change in compare_files(*trees)}


def test_files_are_compared_by_what_they_are() -> None:
    changed = [
        Entry.file("edited", b"2"),
        Entry.whiteout("gone"),
        Entry.file("new", b""),
        Entry.symlink("link", "edited"),
        Entry.file("same", b"1", mode=0o600, uid=7),
    ]
    assert files(MadeImage([BASE]).source(), MadeImage([BASE, changed]).source()) == {
        "edited": ("content",),
        "gone": ("removed",),
        "link": ("link",),
        "new": ("added",),
        "same": ("mode", "owner"),
    }


def test_how_files_are_packed_makes_no_difference() -> None:
    hard = [*BASE[:1], Entry("hard", EntryKind.HARDLINK, 0o644, link="same"), *BASE[1:]]
    plain = [[*BASE[:1], Entry.file("hard", b"1")], BASE[1:]]
    assert files(MadeImage([hard], Compression.GZIP).source(), MadeImage(plain).source()) == {}


def test_shared_layers_are_read_once() -> None:
    before, after = MadeImage([BASE]).source(), MadeImage([BASE, [Entry.file("x", b"")]]).source()
    assert files(before, after) == {"x": ("added",)}
    layer = str(read_image(before).manifest.layers[0].digest)
    assert (before.opened + after.opened).count(layer) == 1


def test_a_layer_that_is_not_the_one_named_is_refused() -> None:
    source = MadeImage([BASE]).source()
    replace_config(source, lambda config: config["rootfs"].update(diff_ids=[str(Digest.of(b""))]))
    with pytest.raises(ImageError, match="diff_id"):
        files(source, source)


def test_variables_and_labels_are_compared_one_by_one() -> None:
    config = replace(
        ImageConfig(MadeImage([]).platform), environment={"A": "1", "B": "2"}, labels={"l": "x"}, user="root"
    )
    other = replace(config, environment={"A": "1", "B": "3", "C": "4"}, labels={}, user="jovyan")
    difference = compare_images(*(read_image(MadeImage([BASE], config=value).source()) for value in (config, other)))
    assert difference.configuration == (
        ValueChange("config.User", "root", "jovyan"),
        ValueChange("config.Env.B", "2", "3"),
        ValueChange("config.Labels.l", "x", None),
        ValueChange("config.Env.C", None, "4"),
    )
    assert difference.layers == ()
    assert not difference.is_empty


def test_equal_images_do_not_differ() -> None:
    images = [read_image(MadeImage([BASE]).source()) for _ in range(2)]
    assert compare_images(*images).is_empty
    assert compare_images(*images).to_json() == {"configuration": [], "layers": [], "files": None}


def test_layers_are_compared_by_their_plain_bytes() -> None:
    before, after = (read_image(MadeImage([BASE, [Entry.file("x", content)]]).source()) for content in (b"1", b"2"))
    changes = compare_images(before, after).layers
    assert [(change.before is None, change.after is None) for change in changes] == [(False, True), (True, False)]
    assert changes[0].name == str(before.config.diff_ids[1])


def test_packages_of_locks_are_compared_by_version() -> None:
    def lock(**versions: str) -> PlatformLock:
        return PlatformLock(
            "scratch",
            packages=tuple(
                LockedPackage(Ecosystem.APT, name, version, "amd64", "debian", name, Digest.of(name.encode()))
                for name, version in versions.items()
            ),
        )

    assert compare_locks(lock(git="1", curl="7"), lock(git="2", jq="1")) == (
        ValueChange("apt git:amd64", "1", "2"),
        ValueChange("apt curl:amd64", "7", None),
        ValueChange("apt jq:amd64", None, "1"),
    )


def test_a_change_of_a_file_as_json() -> None:
    reader = TreeReader()
    source = MadeImage([BASE]).source()
    tree = reader.read(source, read_image(source))
    value = FileChange("same", tree.get("same"), None).to_json()
    assert value["path"] == "/same"
    assert value["before"]["sha256"] == Digest.of(b"1").hex
    assert (value["before"]["mode"], value["after"]) == ("0644", None)
