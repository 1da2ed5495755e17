import hashlib

import pytest

from ocibuild.ecosystem.apt.configure.operations import OPERATIONS
from ocibuild.image.overlay import Overlay
from tests.support.made_context import made_context, made_overlay


def run(overlay: Overlay, name: str, *words: str, text: str = "", previous: str = "") -> list[str]:
    """Why the operation was refused, if it was."""
    context = made_context(overlay, text, previous=previous)
    OPERATIONS[name](context, *words)
    return [unknown.why for unknown in context.unknown]


def shape(overlay: Overlay, path: str) -> tuple[str, str, int, int]:
    entry = overlay.get(path)
    assert entry is not None, path
    return entry.kind, oct(entry.mode), entry.uid, entry.gid


def test_a_default_is_copied_with_its_mode_on_a_new_install_only() -> None:
    overlay = made_overlay({"usr/share/a": "default"})
    overlay.set_owner_and_mode("usr/share/a", mode=0o600)
    run(overlay, "copy-missing", "usr/share/a", "root/.a", previous="1.0")
    assert "root/.a" not in overlay
    run(overlay, "copy-missing", "usr/share/a", "root/.a")
    assert shape(overlay, "root/.a") == ("file", "0o600", 0, 0)
    overlay.write("root/.a", "mine")
    run(overlay, "copy-missing", "usr/share/a", "root/.a")
    assert overlay.read_text("root/.a") == "mine"


def test_folders_and_empty_files_are_made_where_they_are_missing() -> None:
    overlay = made_overlay()
    run(overlay, "folder-missing", "var/cache/man", "755", "12", "6")
    run(overlay, "touch-missing", "var/lib/x/state", "600")
    run(overlay, "lines-missing", "etc/a.conf", "#", "one", "|", "two")
    assert shape(overlay, "var/cache/man") == ("directory", "0o755", 6, 12)
    assert shape(overlay, "var/lib/x/state") == ("file", "0o600", 0, 0)
    assert overlay.read_text("etc/a.conf") == "# one\ntwo\n"
    overlay.write("etc/a.conf", "mine")
    run(overlay, "lines-missing", "etc/a.conf", "other")
    run(overlay, "touch-missing", "etc/a.conf", "600")
    assert overlay.read_text("etc/a.conf") == "mine"


def test_an_empty_folder_becomes_a_link_and_a_full_one_is_refused() -> None:
    overlay = made_overlay({"var/lock/a": ""})
    overlay.make_folders("var/run")
    assert run(overlay, "moved-folder", "var/run", "/run") == []
    assert run(overlay, "moved-folder", "var/run", "/run") == []
    assert shape(overlay, "var/run")[0] == "symlink"
    assert len(run(overlay, "moved-folder", "var/lock", "/run/lock")) == 1


def test_usr_local_belongs_to_the_group_staff_where_the_image_says_so() -> None:
    overlay = made_overlay()
    text = "mkdir /usr/local/lib/python3.11"
    run(overlay, "usr-local-folder", "usr/local/lib/python@PYTHON@", text=text)
    assert shape(overlay, "usr/local/lib/python3.11") == ("directory", "0o755", 0, 0)
    overlay.write("etc/staff-group-for-usr-local", "")
    run(overlay, "usr-local-folder", "usr/local/lib/python@PYTHON@", text=text)
    run(overlay, "usr-local-folder", "usr/local/bin")
    assert shape(overlay, "usr/local/lib/python3.11") == ("directory", "0o755", 0, 0)
    assert shape(overlay, "usr/local/bin") == ("directory", "0o2775", 0, 50)
    run(overlay, "usr-local-folder", "usr/local/lib/python@PYTHON@", "2755", "always", text=text)
    assert shape(overlay, "usr/local/lib/python3.11") == ("directory", "0o2755", 0, 50)


def test_a_script_about_two_pythons_is_refused() -> None:
    assert len(run(made_overlay(), "touch", "var/python@PYTHON@", text="python3.11 python3.12")) == 1


def test_a_link_of_libraries_follows_its_folder() -> None:
    overlay = made_overlay()
    overlay.make_folders("usr/lib32")
    run(overlay, "library-link", "lib32")
    assert shape(overlay, "lib32")[0] == "symlink"
    overlay.remove("usr/lib32")
    run(overlay, "library-link", "lib32")
    assert "lib32" not in overlay


def test_links_replace_links_and_missing_ones_are_made() -> None:
    overlay = made_overlay({"usr/bin/touch": ""}, {"etc/localtime": "/old", "usr/bin/dangling": "nowhere"})
    run(overlay, "link", "etc/localtime", "/usr/share/zoneinfo/Etc/UTC")
    run(overlay, "link-missing", "usr/bin/touch", "/bin/touch")
    run(overlay, "link-missing", "usr/bin/dangling", "touch")
    links = {
        path: entry.link
        for path in ("etc/localtime", "usr/bin/touch", "usr/bin/dangling")
        if (entry := overlay.get(path))
    }
    assert links == {"etc/localtime": "/usr/share/zoneinfo/Etc/UTC", "usr/bin/touch": "", "usr/bin/dangling": "touch"}


@pytest.mark.parametrize(
    ("name", "words", "files", "links"),
    [
        ("absent", ("etc/old",), {"etc/old": ""}, {}),
        ("no-program", ("tool",), {"usr/sbin/tool": ""}, {}),
        ("no-program", ("tool",), {"usr/local/bin/tool": ""}, {}),
        ("absent-other", ("usr/share/hooks", "known"), {"usr/share/hooks/known": "", "usr/share/hooks/new": ""}, {}),
        ("no-link", ("usr/share/doc/a",), {}, {"usr/share/doc/a": "b"}),
        ("mode-is", ("usr/bin/a", "4755"), {"usr/bin/a": ""}, {}),
        ("not-in-ucf", ("/etc/a",), {"var/lib/ucf/hashfile": "0123  /etc/a\n"}, {}),
        ("merged-usr", (), {"sbin2": "", "lib/x": ""}, {"lib": "other", "other": "elsewhere"}),
    ],
)
def test_what_is_known_only_without_something_is_refused_with_it(
    name: str, words: tuple[str, ...], files: dict[str, str], links: dict[str, str]
) -> None:
    if name == "merged-usr":
        overlay = made_overlay()
        overlay.remove("bin")
        overlay.make_folders("bin")
        assert len(run(overlay, name)) == 1
    else:
        assert len(run(made_overlay(files, links), name, *words)) == 1
    assert run(made_overlay({"usr/bin/a": ""}), name, *words) == [] or name == "mode-is"


def test_an_old_default_becomes_the_current_one_and_a_changed_file_stays() -> None:
    old = hashlib.md5(b"old", usedforsecurity=False).hexdigest()
    overlay = made_overlay(
        {
            "usr/share/base-files/profile": "new",
            "usr/share/base-files/profile.md5sums": f"{old}\n",
            "etc/profile": "mine",
        }
    )
    run(overlay, "current-default", "profile", "etc/profile", previous="12")
    assert overlay.read_text("etc/profile") == "mine"
    overlay.write("etc/profile", "old")
    run(overlay, "current-default", "profile", "etc/profile", previous="12")
    assert overlay.read_text("etc/profile") == "new"


def test_an_empty_log_gets_its_owner_even_where_it_is_there() -> None:
    overlay = made_overlay({"var/log/wtmp": "kept"})
    run(overlay, "file", "var/log/wtmp", "664", "43")
    assert shape(overlay, "var/log/wtmp") == ("file", "0o664", 0, 43)
    assert overlay.read_text("var/log/wtmp") == "kept"
