import hashlib

import pytest

from ocibuild.ecosystem.apt.configure.context import Context
from ocibuild.ecosystem.apt.configure.maintscript import run_helper_calls
from ocibuild.image.overlay import Overlay
from tests.support.made_context import made_context, made_overlay

STATUS = "var/lib/dpkg/status"
SHIPPED = hashlib.md5(b"shipped", usedforsecurity=False).hexdigest()
REMOVE = 'dpkg-maintscript-helper rm_conffile /etc/a 1.5\\~ -- "$@"'


def tree(content: str) -> Overlay:
    status = (
        "Package: other\nConffiles:\n /etc/a 00000000000000000000000000000000\n\n"
        f"Package: hello\nConffiles:\n /etc/b {SHIPPED}\n /etc/a {SHIPPED} obsolete\nVersion: 2.0\n\n"
    )
    return made_overlay({STATUS: status, "etc/a": content})


def run(overlay: Overlay, *calls: str, previous: str = "1.0", member: str = "postinst") -> Context:
    context = made_context(overlay, captures=calls, previous=previous, member=member)
    run_helper_calls(context)
    return context


def test_an_unchanged_configuration_file_that_is_not_shipped_any_more_goes() -> None:
    overlay = tree("shipped")
    run(overlay, REMOVE)
    assert "etc/a" not in overlay
    assert overlay.read_text(STATUS).count("/etc/a") == 1


def test_a_changed_one_is_kept_under_another_name() -> None:
    overlay = tree("mine")
    run(overlay, REMOVE)
    assert "etc/a" not in overlay
    assert overlay.read_text("etc/a.dpkg-bak") == "mine"


@pytest.mark.parametrize(
    ("previous", "member"), [("", "postinst"), ("1.5", "postinst"), ("1.6-1", "postinst"), ("1.0", "preinst")]
)
def test_it_stays_on_a_new_install_and_from_the_version_on_that_does_not_ship_it(previous: str, member: str) -> None:
    overlay = tree("shipped")
    run(overlay, REMOVE, previous=previous, member=member)
    assert "etc/a" in overlay


def test_a_file_of_another_package_stays() -> None:
    overlay = tree("shipped")
    overlay.write(STATUS, overlay.read_text(STATUS).replace(f" /etc/a {SHIPPED} obsolete\n", ""))
    run(overlay, REMOVE)
    assert "etc/a" in overlay


@pytest.mark.parametrize(
    ("call", "links", "refused"),
    [
        ("symlink_to_dir /usr/share/doc/a b 1.5", {"usr/share/doc/a": "b"}, 1),
        ("symlink_to_dir /usr/share/doc/a b 1.5", {}, 0),
        ("dir_to_symlink /etc ../x 1.5 hello", {}, 1),
        ("mv_conffile /etc/a /etc/c 1.5", {}, 1),
        ("mv_conffile /etc/a /etc/c 0.5", {}, 0),
        ("supports rm_conffile", {}, 1),
        ("rm_conffile", {}, 1),
    ],
)
def test_what_is_not_done_as_data_is_refused_where_it_would_act(call: str, links: dict[str, str], refused: int) -> None:
    overlay = tree("shipped")
    for path, target in links.items():
        overlay.make_folders(path.rpartition("/")[0])
        overlay.symlink(path, target)
    assert len(run(overlay, f'dpkg-maintscript-helper {call} -- "$@"').unknown) == refused
