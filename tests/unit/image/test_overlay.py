import pytest

from ocibuild.core.errors import ImageError
from ocibuild.image.overlay import Overlay
from ocibuild.image.view import LayerTable, View, ViewEntry
from ocibuild.layer.entry import Entry

BASE = View().extended(
    [
        LayerTable(
            {
                "usr": ViewEntry("directory", 0o755),
                "usr/lib": ViewEntry("directory", 0o755),
                "lib": ViewEntry("symlink", 0o777, link="usr/lib"),
                "usr/lib/conf": ViewEntry("file", 0o600, 1, 2, size_bytes=3),
                "usr/lib/other": ViewEntry("file", 0o644, size_bytes=3),
            },
            {"usr/lib/conf": b"old", "usr/lib/other": b"old"},
        )
    ]
)


def test_writes_go_through_links_and_keep_mode_and_owner() -> None:
    overlay = Overlay(BASE)
    overlay.write("lib/conf", "new text")
    assert overlay.changes() == [Entry.file("usr/lib/conf", b"new text", mode=0o600, uid=1, gid=2)]
    assert overlay.read("usr/lib/conf") == b"new text"
    assert BASE.read("usr/lib/conf") == b"old"


def test_what_is_written_as_it_was_is_no_change() -> None:
    overlay = Overlay(BASE)
    overlay.write("usr/lib/conf", b"new")
    overlay.write("usr/lib/conf", b"old")
    overlay.symlink("lib", "usr/lib")
    overlay.make_folders("usr/lib")
    assert overlay.changes() == []


def test_removed_and_made_again() -> None:
    overlay = Overlay(BASE)
    overlay.remove("lib/other")
    assert "usr/lib/other" not in overlay
    assert overlay.changes() == [Entry.whiteout("usr/lib/other")]
    overlay.write("usr/lib/other", b"old")
    assert overlay.changes() == [Entry.file("usr/lib/other", b"old")]


def test_a_removed_folder_takes_what_was_written_into_it() -> None:
    overlay = Overlay(BASE)
    overlay.make_folders("usr/share/x")
    overlay.write("usr/share/x/file", b"1")
    assert list(overlay.walk("usr/share")) == ["usr/share/x", "usr/share/x/file"]
    overlay.remove("usr/share")
    assert overlay.changes() == []
    assert not overlay.is_folder("usr/share")
    assert overlay.children("usr") == ["lib"]


def test_there_must_be_a_folder_to_write_into() -> None:
    overlay = Overlay(BASE)
    with pytest.raises(ImageError, match="no folder /opt"):
        overlay.write("opt/x", b"")
    with pytest.raises(ImageError, match="is a folder"):
        overlay.write("usr", b"")
    with pytest.raises(ImageError, match="is a folder"):
        overlay.symlink("usr", "x")
    with pytest.raises(ImageError, match="does not exist"):
        overlay.set_owner_and_mode("opt", mode=0o700)


def test_owner_and_mode_of_files_and_folders() -> None:
    overlay = Overlay(BASE)
    overlay.set_owner_and_mode("lib/conf", uid=7)
    overlay.set_owner_and_mode("usr", mode=0o700)
    assert overlay.changes() == [
        Entry.directory("usr", mode=0o700),
        Entry.file("usr/lib/conf", b"old", mode=0o600, uid=7, gid=2),
    ]


def test_text_is_read_with_a_default() -> None:
    overlay = Overlay(BASE)
    assert overlay.read_text("lib/conf") == "old"
    assert overlay.read_text("missing", default="nothing") == "nothing"
    with pytest.raises(ImageError, match="no file"):
        overlay.read_text("missing")


def test_children_stay_right_while_things_come_and_go() -> None:
    overlay = Overlay(BASE)
    assert overlay.children("usr/lib") == ["conf", "other"]
    overlay.make_folders("usr/lib/deep/er")
    overlay.write("usr/lib/deep/er/file", b"1")
    assert list(overlay.walk("usr/lib")) == [
        "usr/lib/conf",
        "usr/lib/deep",
        "usr/lib/deep/er",
        "usr/lib/deep/er/file",
        "usr/lib/other",
    ]
    overlay.remove("usr/lib/conf")
    overlay.remove("usr/lib/deep")
    assert overlay.children("usr/lib") == ["other"]
    assert overlay.children("usr/lib/deep") == []
    assert "usr/lib/deep/er/file" not in overlay
    overlay.make_folders("usr/lib/deep")
    assert overlay.children("usr/lib/deep") == []
    assert overlay.children("") == ["lib", "usr"]
    assert BASE.children("usr/lib") == ["conf", "other"]
