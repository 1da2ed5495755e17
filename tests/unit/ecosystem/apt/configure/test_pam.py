from ocibuild.ecosystem.apt.configure.pam import pam_auth_update
from ocibuild.image.overlay import Overlay
from tests.support.made_context import made_context, made_overlay

TEMPLATE = """\
# head
# here are the per-package modules (the "Primary" block)
$auth_primary
# here's the fallback if no module succeeds
auth	requisite			pam_deny.so
# and here are more per-package modules (the "Additional" block)
$auth_additional
# end of pam-auth-update config
"""
UNIX = """\
Name: Unix authentication
Default: yes
Priority: 256
Auth-Type: Primary
Auth:
	[success=end default=ignore]	pam_unix.so nullok try_first_pass
Auth-Initial:
	[success=end default=ignore]	pam_unix.so nullok
Session-Type: Additional
Session:
	required	pam_unix.so
"""
OTHER = """\
Name: Other
Default: yes
Priority: 128
Auth-Type: Primary
Auth:
	[success=end default=ignore]	pam_other.so   use_first_pass
Auth-Initial:
	never
Session-Type: Additional
Session-Interactive-Only: yes
Session:
	optional	pam_other.so
"""
OFF = "Name: Off\nDefault: no\nPriority: 512\nAuth-Type: Primary\nAuth:\n\trequired\tpam_off.so\n"
TYPES = ("auth", "account", "password", "session", "session-noninteractive")


def tree(**profiles: str) -> Overlay:
    return made_overlay(
        {
            **{f"usr/share/pam/common-{kind}": TEMPLATE for kind in TYPES},
            **{f"usr/share/pam-configs/{name}": text for name, text in profiles.items()},
            "etc/pam.d/other": "",
            "var/lib/x": "",
        }
    )


def lines(overlay: Overlay, kind: str) -> list[str]:
    return [line for line in overlay.read_text(f"etc/pam.d/common-{kind}").splitlines() if not line.startswith("#")]


def test_profiles_by_priority_the_first_with_its_own_lines_and_jumps_counted() -> None:
    overlay = tree(unix=UNIX, other=OTHER, off=OFF)
    pam_auth_update(made_context(overlay))
    assert lines(overlay, "auth") == [
        "auth\t[success=2 default=ignore]\tpam_unix.so nullok",
        "auth\t[success=1 default=ignore]\tpam_other.so use_first_pass",
        "auth\trequisite\t\t\tpam_deny.so",
    ]
    assert overlay.read_text("var/lib/pam/seen") == "off\nunix\nother\n"
    assert overlay.read_text("var/lib/pam/auth").startswith(
        "Module: unix\n[success=end default=ignore]\tpam_unix.so nullok\n"
    )


def test_a_stack_without_a_primary_module_gets_one_that_permits() -> None:
    overlay = tree(unix=UNIX, other=OTHER)
    pam_auth_update(made_context(overlay))
    assert lines(overlay, "session")[0] == "session\t[default=1]\t\t\tpam_permit.so"
    assert overlay.read_text("var/lib/pam/session").startswith(
        "Module: null\n[default=1]\t\t\tpam_permit.so\nModule: unix\n"
    )
    assert any("pam_other" in line for line in lines(overlay, "session"))
    assert not any("pam_other" in line for line in lines(overlay, "session-noninteractive"))


def test_a_new_profile_joins_and_one_seen_and_disabled_stays_out() -> None:
    overlay = tree(unix=UNIX)
    pam_auth_update(made_context(overlay))
    overlay.write("var/lib/pam/seen", "unix\nother\n")
    overlay.write("usr/share/pam-configs/other", OTHER)
    overlay.write("usr/share/pam-configs/new", OTHER.replace("pam_other", "pam_new"))
    pam_auth_update(made_context(overlay, previous="1.0"))
    text = overlay.read_text("etc/pam.d/common-auth")
    assert "pam_new.so" in text
    assert "pam_other.so" not in text


def test_a_stack_that_was_changed_by_hand_is_refused_and_left() -> None:
    overlay = tree(unix=UNIX)
    overlay.write("etc/pam.d/common-auth", "auth required pam_mine.so\n")
    context = made_context(overlay)
    pam_auth_update(context)
    assert "changed by hand" in context.unknown[0].why
    assert overlay.read_text("etc/pam.d/common-auth") == "auth required pam_mine.so\n"
