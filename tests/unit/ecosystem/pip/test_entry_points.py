import pytest

from ocibuild.ecosystem.pip.entry_points import is_replaced_by_wrapper, read_entry_points, shebang, wrappers


def names(groups: dict[str, dict[str, str]], version: str = "3.12") -> set[str]:
    return {name for name, _ in wrappers(groups, interpreter="/p", python_version=version, where="w")}


def test_reading_follows_importlib_metadata() -> None:
    text = "orphan = a:b\n# comment\n[console_scripts]\n x = a:b \nx=c:d\n\n[ gui_scripts]\n[other]\ny = a = b\n"
    assert read_entry_points(text) == {
        "console_scripts": {"x": "c:d"},
        " gui_scripts": {},
        "other": {"y": "a = b"},
    }


@pytest.mark.parametrize("own", ["pip", "pip3", "pip3.9"])
def test_pip_is_named_after_the_target(own: str) -> None:
    groups = {"console_scripts": {"pip": "pip:main", own: "pip:main", "pipx": "x:y"}}
    assert names(groups) == {"pip", "pip3", "pip3.12", "pipx"}


def test_versioned_pip_alone_stays() -> None:
    assert names({"console_scripts": {"pip3.9": "pip:main"}}) == {"pip3.9"}


def test_easy_install() -> None:
    groups = {"console_scripts": {"easy_install": "e:main", "easy_install-3.6": "e:main"}}
    assert names(groups) == {"easy_install", "easy_install-3.12"}


def test_gui_scripts_win_over_console_scripts() -> None:
    groups = {"console_scripts": {"x": "a:b"}, "gui_scripts": {"x": "c:d"}}
    ((_, content),) = wrappers(groups, interpreter="/p", python_version="3.12", where="w")
    assert b"from c import d" in content


@pytest.mark.parametrize(
    ("interpreter", "expected"),
    [
        ("/bin/python3", b"#!/bin/python3\n"),
        ("/" + "x" * 123, b"#!/" + b"x" * 123 + b"\n"),
        ("/" + "x" * 124, b"#!/bin/sh\n'''exec' /" + b"x" * 124 + b' "$0" "$@"\n' + b"' '''\n"),
        ("/a b/python3", b"#!/bin/sh\n'''exec' \"/a b/python3\" \"$0\" \"$@\"\n' '''\n"),
    ],
)
def test_first_lines(interpreter: str, expected: bytes) -> None:
    assert shebang(interpreter) == expected


@pytest.mark.parametrize("name", ["run", "run.exe", "run.EXE", "run-script.py", "run.pya"])
def test_setuptools_own_wrappers_are_left_out(name: str) -> None:
    assert is_replaced_by_wrapper(name, {"gui_scripts": {"run": "a:b"}})
    assert not is_replaced_by_wrapper(name, {"console_scripts": {"runner": "a:b"}})
