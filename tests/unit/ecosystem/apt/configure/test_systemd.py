from ocibuild.ecosystem.apt.configure.systemd import enable_units, enable_user_units, record_units, update_rc
from ocibuild.image.overlay import Overlay
from tests.support.made_context import made_context, made_overlay

UNIT = "[Unit]\nWantedBy=never.target\n[Install]\nWantedBy=timers.target\nAlias=other.timer\n"
STATE = "var/lib/systemd/deb-systemd-helper-enabled"


def link(overlay: Overlay, path: str) -> str:
    entry = overlay.get(path)
    assert entry is not None, path
    return entry.link


def test_a_new_unit_is_enabled_and_recorded() -> None:
    overlay = made_overlay({"usr/lib/systemd/system/a.timer": UNIT})
    enable_units(made_context(overlay, captures=("a.timer", "a.timer")))
    assert link(overlay, "etc/systemd/system/timers.target.wants/a.timer") == "/lib/systemd/system/a.timer"
    assert link(overlay, "etc/systemd/system/other.timer") == "/lib/systemd/system/a.timer"
    assert overlay.read_text(f"{STATE}/a.timer.dsh-also") == (
        "/etc/systemd/system/timers.target.wants/a.timer\n/etc/systemd/system/other.timer\n"
    )
    assert overlay.read(f"{STATE}/timers.target.wants/a.timer") == b""


def test_what_an_administrator_disabled_stays_disabled() -> None:
    overlay = made_overlay({"usr/lib/systemd/system/a.timer": UNIT})
    enable_units(made_context(overlay, captures=("a.timer",)))
    overlay.remove("etc/systemd/system/timers.target.wants/a.timer")
    enable_units(made_context(overlay, captures=("a.timer",), previous="1.0"))
    assert "etc/systemd/system/timers.target.wants/a.timer" not in overlay


def test_a_unit_that_is_not_there_or_installs_nothing_makes_nothing() -> None:
    overlay = made_overlay({"usr/lib/systemd/system/a.service": "[Service]\nExecStart=/bin/a\n"})
    before = overlay.changes()
    enable_units(made_context(overlay, captures=("a.service", "absent.service")))
    assert overlay.changes() == before


def test_an_instance_uses_its_template_and_also_is_followed() -> None:
    overlay = made_overlay(
        {
            "usr/lib/systemd/system/a@.service": "[Install]\nRequiredBy=x.target\nAlso=b.socket\n",
            "usr/lib/systemd/system/b.socket": "[Install]\nWantedBy=sockets.target\n",
        }
    )
    enable_units(made_context(overlay, captures=("a@1.service",)))
    assert link(overlay, "etc/systemd/system/x.target.requires/a@1.service") == "/lib/systemd/system/a@.service"
    assert link(overlay, "etc/systemd/system/sockets.target.wants/b.socket") == "/lib/systemd/system/b.socket"


def test_a_unit_of_every_users_manager_lies_elsewhere() -> None:
    overlay = made_overlay({"usr/lib/systemd/user/a.socket": "[Install]\nWantedBy=sockets.target\n"})
    enable_user_units(made_context(overlay, captures=("a.socket",)))
    assert link(overlay, "etc/systemd/user/sockets.target.wants/a.socket") == "/lib/systemd/user/a.socket"
    assert "var/lib/systemd/deb-systemd-user-helper-enabled/a.socket.dsh-also" in overlay


def test_a_unit_on_request_is_recorded_and_not_enabled() -> None:
    overlay = made_overlay({"usr/lib/systemd/system/a.timer": UNIT})
    record_units(made_context(overlay, captures=("a.timer",)))
    assert f"{STATE}/a.timer.dsh-also" in overlay
    assert "etc/systemd/system" not in overlay


SCRIPT = "#!/bin/sh\n### BEGIN INIT INFO\n# Default-Start:     2 S 9\n# Default-Stop:      0\n### END INIT INFO\n# Default-Start: 5\n"


def test_an_init_script_gets_its_links_once() -> None:
    overlay = made_overlay({"etc/init.d/a": SCRIPT})
    overlay.set_owner_and_mode("etc/init.d/a", mode=0o755)
    for _ in range(2):
        update_rc(made_context(overlay, captures=("a", "a")))
    links = {path for path in overlay.walk("etc") if "01" in path}
    assert links == {"etc/rc2.d/S01a", "etc/rcS.d/S01a", "etc/rc0.d/K01a"}
    assert link(overlay, "etc/rc0.d/K01a") == "../init.d/a"


def test_links_that_are_there_are_kept_and_a_script_that_cannot_run_gets_none() -> None:
    overlay = made_overlay({"etc/init.d/a": SCRIPT, "etc/init.d/b": SCRIPT}, {"etc/rc3.d/S20a": "../init.d/a"})
    overlay.set_owner_and_mode("etc/init.d/a", mode=0o755)
    update_rc(made_context(overlay, captures=("a", "b")))
    assert {path for path in overlay.walk("etc") if path.endswith(("a", "b")) and "/rc" in path} == {"etc/rc3.d/S20a"}
