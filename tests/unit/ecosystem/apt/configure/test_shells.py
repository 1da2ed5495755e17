from ocibuild.ecosystem.apt.configure.shells import add_shells, update_shells
from tests.support.made_context import made_context, made_overlay

FILES = {
    "usr/share/debianutils/shells": "# valid login shells\n/bin/sh\n",
    "usr/share/debianutils/shells.d/bash": "/bin/bash#the usual one\n",
    "var/lib/dpkg/status": "",
}


def test_shells_come_from_the_template_and_the_packages_with_their_real_paths() -> None:
    overlay = made_overlay(FILES)
    update_shells(overlay)
    expected = ["/bin/sh", "/usr/bin/sh", "/bin/bash", "/usr/bin/bash"]
    assert overlay.read_text("var/lib/shells.state").splitlines() == expected
    assert overlay.read_text("etc/shells").splitlines() == ["# valid login shells", *expected]


def test_what_an_administrator_added_stays_and_what_was_taken_away_stays_away() -> None:
    overlay = made_overlay({**FILES, "usr/share/debianutils/shells.d/bash": "/bin/bash\n"})
    update_shells(overlay)
    overlay.write("etc/shells", overlay.read_text("etc/shells").replace("/bin/sh\n/usr/bin/sh\n", "/opt/fish\n"))
    update_shells(overlay)
    assert overlay.read_text("etc/shells").splitlines() == [
        "# valid login shells",
        "/opt/fish",
        "/bin/bash",
        "/usr/bin/bash",
    ]


def test_the_shell_of_a_removed_package_goes() -> None:
    overlay = made_overlay({**FILES, "usr/share/debianutils/shells.d/bash": "/bin/bash\n"})
    update_shells(overlay)
    overlay.remove("usr/share/debianutils/shells.d/bash")
    update_shells(overlay)
    assert "bash" not in overlay.read_text("etc/shells")


def test_a_shell_is_added_once_with_its_real_path() -> None:
    overlay = made_overlay({"etc/shells": "/bin/sh\n"})
    for _ in range(2):
        add_shells(made_context(overlay), "/bin/tmux")
    assert overlay.read_text("etc/shells").splitlines() == ["/bin/sh", "/bin/tmux", "/usr/bin/tmux"]
