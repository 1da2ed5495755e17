import pytest

from ocibuild.ecosystem.apt.configure import ConfiguredPackage, configure, run
from ocibuild.image.overlay import Overlay
from tests.support.made_context import made_overlay

OPENSSL = b"#!/bin/sh -e\n\nif [ ! -e /usr/lib/ssl ]\nthen\n  echo Linking /usr/lib/ssl to /etc/ssl\n  ln -sf /etc/ssl /usr/lib/ssl\nfi\n"
SHARED_MIME = (
    b'#!/bin/sh\nset -e\n\nif [ "$1" = "triggered" ]; then\n    if which update-mime-database >/dev/null 2>&1; then\n'
    b"        update-mime-database /usr/share/mime\n    fi\n    exit 0\nfi\n"
    b"if which update-mime-database >/dev/null 2>&1; then\n    update-mime-database /usr/share/mime\nfi\n"
)
INTERESTED: dict[str, str | bytes] = {
    "var/lib/dpkg/status": "Package: mime\nArchitecture: amd64\nVersion: 1\n\nPackage: web\nArchitecture: amd64\nVersion: 1\n",
    "var/lib/dpkg/triggers/File": "/usr/share/mime/packages mime/noawait\n",
    "var/lib/dpkg/triggers/reload": "web\n",
    "var/lib/dpkg/info/mime.postinst": SHARED_MIME,
    "var/lib/dpkg/info/web.postinst": "#!/bin/sh\nreload-it\n",
}


def package(name: str, **scripts: bytes) -> ConfiguredPackage:
    return ConfiguredPackage(name, "amd64", "2.0", "", scripts)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The caches that were asked for."""
    asked: list[str] = []

    def make_cache(name: str, overlay: Overlay, *, architecture: str) -> tuple[str, ...]:
        asked.append(name)
        return ()

    monkeypatch.setattr(run, "make_cache", make_cache)
    return asked


def test_a_known_script_does_its_work(made: list[str]) -> None:
    overlay = made_overlay()
    assert configure(overlay, [package("openssl", postinst=OPENSSL)], architecture="amd64").unknown == ()
    assert [entry.path for entry in overlay.changes() if entry.path == "usr/lib/ssl"] == ["usr/lib/ssl"]
    assert made == []


def test_with_an_unknown_script_nothing_is_done(made: list[str]) -> None:
    overlay = made_overlay()
    packages = [package("openssl", postinst=OPENSSL), package("odd", preinst=b"#!/bin/sh\nreboot\n")]
    report = configure(overlay, packages, architecture="amd64")
    assert [(unknown.package, unknown.member) for unknown in report.unknown] == [("odd", "preinst")]
    assert "usr/lib/ssl" not in overlay


def test_a_file_that_somebody_watches_makes_a_cache_once(made: list[str]) -> None:
    overlay = made_overlay({**INTERESTED, "var/lib/dpkg/info/new.list": "/.\n/usr\n/usr/share/mime/packages/new.xml\n"})
    assert configure(overlay, [package("new")], architecture="amd64").unknown == ()
    assert made == ["mime-database"]


def test_a_path_that_went_activates_a_trigger_too(made: list[str]) -> None:
    configure(made_overlay(INTERESTED), [], architecture="amd64", changed_paths=["/usr/share/mime/packages/old.xml"])
    assert made == ["mime-database"]


def test_a_path_that_nobody_watches_activates_nothing(made: list[str]) -> None:
    overlay = made_overlay({**INTERESTED, "var/lib/dpkg/info/new.list": "/usr/share/mime/packages-of-mine/x\n"})
    assert configure(overlay, [package("new")], architecture="amd64").unknown == ()
    assert made == []


def test_a_package_configured_now_is_not_triggered_again(made: list[str]) -> None:
    overlay = made_overlay({**INTERESTED, "var/lib/dpkg/info/mime.list": "/usr/share/mime/packages/own.xml\n"})
    configure(overlay, [package("mime", postinst=SHARED_MIME)], architecture="amd64")
    assert made == ["mime-database"]


def test_a_trigger_whose_script_is_not_known_is_reported(made: list[str]) -> None:
    report = configure(
        made_overlay(INTERESTED), [package("new", triggers=b"activate-noawait reload\n")], architecture="amd64"
    )
    assert [unknown.package for unknown in report.unknown] == ["web"]
    assert "reload" in report.unknown[0].why


def test_a_known_script_whose_work_when_triggered_is_not_known_is_reported(made: list[str]) -> None:
    files = {**INTERESTED, "var/lib/dpkg/info/web.postinst": OPENSSL}
    report = configure(made_overlay(files), [package("new", triggers=b"activate reload # now\n")], architecture="amd64")
    assert [unknown.package for unknown in report.unknown] == ["web"]


def test_a_cache_that_cannot_be_made_is_reported_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "make_cache", lambda name, overlay, *, architecture: (f"{name} of {architecture}",))
    report = configure(made_overlay(INTERESTED), [package("mime", postinst=SHARED_MIME)], architecture="arm64")
    assert [(unknown.package, unknown.why) for unknown in report.unknown] == [("mime", "mime-database of arm64")]
