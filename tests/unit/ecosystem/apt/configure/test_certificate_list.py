from ocibuild.ecosystem.apt.configure.certificate_list import configure_certificates
from tests.support.made_context import made_context, made_overlay

LIST = "etc/ca-certificates.conf"
FILES = {
    "usr/share/ca-certificates/mozilla/B.crt": "",
    "usr/share/ca-certificates/mozilla/A.crt": "",
    "usr/share/ca-certificates/mozilla/readme.txt": "",
    "usr/local/x": "",
}


def names(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_every_certificate_is_trusted_on_a_new_install() -> None:
    overlay = made_overlay(FILES)
    overlay.set_owner_and_mode("usr/local", mode=0o2775, gid=50)
    configure_certificates(made_context(overlay))
    assert names(overlay.read_text(LIST)) == ["mozilla/A.crt", "mozilla/B.crt"]
    entry = overlay.get("usr/local/share/ca-certificates")
    assert entry is not None
    assert (entry.mode, entry.gid) == (0o2775, 50)


def test_an_upgrade_trusts_what_is_new_and_keeps_what_was_decided() -> None:
    overlay = made_overlay(
        {
            **FILES,
            LIST: "# mine\n!mozilla/B.crt\nmozilla/Gone.crt\nlocal.crt\n",
            "usr/local/share/ca-certificates/local.crt": "",
        }
    )
    configure_certificates(made_context(overlay, previous="1.0"))
    assert overlay.read_text(LIST) == "# mine\n!mozilla/B.crt\n!mozilla/Gone.crt\nlocal.crt\nmozilla/A.crt\n"
