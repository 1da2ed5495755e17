import pytest

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.configure.diversions import (
    divert_unmoved,
    refuse_diverted,
    require_diversion,
    undivert_unmoved,
)
from ocibuild.ecosystem.apt.configure.ownership import add_override, refuse_overridden, set_owner
from tests.support.made_context import made_context, made_overlay

DIVERSIONS = "var/lib/dpkg/diversions"
OVERRIDES = "var/lib/dpkg/statoverride"


def test_diversions_are_written_in_dpkgs_order() -> None:
    overlay = made_overlay({DIVERSIONS: ""})
    context = made_context(overlay, package="dash")
    divert_unmoved(context, "/bin/sh", "/bin/sh.distrib")
    divert_unmoved(context, "/lib/@TRIPLET@/b", "/lib/@TRIPLET@/b.x")
    divert_unmoved(context, "/c", "/c.x")
    divert_unmoved(context, "/c", "/c.x")
    assert overlay.read_text(DIVERSIONS).splitlines()[::3] == ["/c", "/bin/sh", "/lib/x86_64-linux-gnu/b"]
    undivert_unmoved(context, "/c", "/c.x")
    undivert_unmoved(context, "/absent", "/absent.x")
    assert (
        overlay.read_text(DIVERSIONS)
        == "/lib/x86_64-linux-gnu/b\n/lib/x86_64-linux-gnu/b.x\ndash\n/bin/sh\n/bin/sh.distrib\ndash\n"
    )
    assert context.unknown == []


def test_another_packages_diversion_is_refused() -> None:
    overlay = made_overlay({DIVERSIONS: "/bin/sh\n/bin/sh.x\nksh\n"})
    context = made_context(overlay, package="dash")
    divert_unmoved(context, "/bin/sh", "/bin/sh.distrib")
    refuse_diverted(context, "/bin/sh")
    require_diversion(context, "/bin/sh")
    assert len(context.unknown) == 3
    assert "ksh" in context.unknown[0].why


def test_a_malformed_list_is_an_error() -> None:
    context = made_context(made_overlay({DIVERSIONS: "/bin/sh\n/bin/sh.x\n"}))
    with pytest.raises(ImageError, match="malformed"):
        refuse_diverted(context, "/bin/sh")


def test_an_override_sets_owner_and_mode_and_is_listed_once() -> None:
    overlay = made_overlay({OVERRIDES: "root root 755 /x\n", "usr/lib/launch": "", "etc/group": "bus:x:101:\n"})
    for _ in range(2):
        add_override(made_context(overlay), "root", "bus", "4754", "/usr/lib/launch")
    assert overlay.read_text(OVERRIDES) == "root bus 4754 /usr/lib/launch\nroot root 755 /x\n"
    entry = overlay.get("usr/lib/launch")
    assert entry is not None
    assert (entry.mode, entry.gid) == (0o4754, 101)


def test_an_unknown_group_and_an_overridden_path_are_refused() -> None:
    overlay = made_overlay({OVERRIDES: "root root 755 /usr/lib/launch\n", "usr/lib/launch": "", "etc/group": ""})
    context = made_context(overlay)
    set_owner(context, "usr/lib/launch", "755", "nobody-here")
    refuse_overridden(context, "/usr/lib/launch")
    refuse_overridden(context, "/usr/lib/other")
    assert len(context.unknown) == 2
