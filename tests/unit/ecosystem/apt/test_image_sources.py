from collections.abc import Mapping

import pytest

from ocibuild.core.defaults import apt_defaults
from ocibuild.core.errors import ImageError, RepositoryError
from ocibuild.core.events import Event, Notice
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.apt.image_sources import image_preferences, image_sources
from ocibuild.ecosystem.apt.keyring import shipped_keyring
from ocibuild.ecosystem.apt.mirrors import Mirrors
from ocibuild.ecosystem.apt.source import Source
from ocibuild.image.view import View, ViewEntry

ARM64 = Platform.parse("linux/arm64")
MIRRORS = Mirrors(configured="http://mine.example/debian")
PUBLIC = apt_defaults("debian")["mirror"]
SECURITY = apt_defaults("debian")["security"]


def view_of(files: Mapping[str, str | bytes]) -> View:
    kept = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    entries: dict[str, ViewEntry] = {}
    for path, data in kept.items():
        parts = path.split("/")
        for count in range(1, len(parts)):
            entries["/".join(parts[:count])] = ViewEntry("directory", 0o755)
        entries[path] = ViewEntry("file", 0o644, size_bytes=len(data))
    return View(entries, kept=kept)


def read(files: Mapping[str, str | bytes], **options: bool) -> tuple[tuple[Source, ...], list[str]]:
    events: list[Event] = []
    sources = image_sources(view_of(files), ARM64, MIRRORS, events=events.append, **options)
    return sources, [event.message for event in events if isinstance(event, Notice)]


def test_the_distributions_archives_are_read_from_this_builds_mirror_with_the_images_keys() -> None:
    sources, notices = read(
        {
            "etc/apt/sources.list.d/debian.sources": f"Types: deb\nURIs: {PUBLIC}\nSuites: bookworm bookworm-updates\n"
            f"Components: main\nSigned-By: /usr/share/keyrings/k.gpg\n\nTypes: deb\nURIs: {SECURITY}\n"
            "Suites: bookworm-security\nComponents: main\nSigned-By: /usr/share/keyrings/k.gpg\n",
            "usr/share/keyrings/k.gpg": b"the key",
        }
    )
    assert [(source.name, source.url, source.suite) for source in sources] == [
        ("debian", "http://mine.example/debian", "bookworm"),
        ("debian", "http://mine.example/debian", "bookworm-updates"),
        ("debian-security", SECURITY, "bookworm-security"),
    ]
    assert all(source.signed_by and source.signed_by.blocks == (b"the key",) for source in sources)
    assert not notices


def test_a_third_party_keeps_its_address_and_is_named_without_credentials() -> None:
    sources, _ = read(
        {
            "etc/apt/sources.list.d/vendor.list": "deb [arch=arm64 signed-by=/etc/apt/keyrings/v.asc]"
            " https://user:secret@vendor.example/linux/debian/$(ARCH) bookworm stable\n",
            "etc/apt/keyrings/v.asc": b"armour",
        }
    )
    (source,) = sources
    assert source.name == "vendor.example/linux/debian/arm64"
    assert source.url == "https://user:secret@vendor.example/linux/debian/arm64"
    assert source.architectures == ("arm64",)


def test_without_signed_by_all_keys_of_the_image_count() -> None:
    sources, _ = read(
        {
            "etc/apt/sources.list": "deb http://vendor.example/d s main\ndeb [signed-by=ABCD] http://vendor.example/d t main\n",
            "etc/apt/trusted.gpg": b"one",
            "etc/apt/trusted.gpg.d/b.asc": b"three",
            "etc/apt/trusted.gpg.d/a.gpg": b"two",
            "etc/apt/trusted.gpg.d/c.txt": b"no key",
        }
    )
    assert sources[0].signed_by is not None
    assert sources[0].signed_by.blocks == (b"one", b"two", b"three")
    assert sources[0].signed_by.fingerprints == frozenset()
    assert sources[1].signed_by is not None
    assert sources[1].signed_by.fingerprints == {"ABCD"}


def test_a_distributions_missing_keyring_is_the_shipped_one_and_a_third_partys_is_an_error() -> None:
    line = "deb [signed-by=/usr/share/keyrings/gone.gpg] {} bookworm main\n"
    sources, _ = read({"etc/apt/sources.list": line.format(PUBLIC)})
    assert sources[0].signed_by == shipped_keyring("debian")
    with pytest.raises(ImageError, match=r"/etc/apt/sources\.list:1: /usr/share/keyrings/gone\.gpg"):
        read({"etc/apt/sources.list": line.format("http://vendor.example/d")})


def test_trusted_sources_are_used_only_when_allowed() -> None:
    files: dict[str, str | bytes] = {"etc/apt/sources.list": "deb [trusted=yes] http://u:p@vendor.example/d ./\n"}
    sources, notices = read(files)
    assert sources == ()
    assert notices == [
        "/etc/apt/sources.list:1: http://vendor.example/d is marked as trusted without a signature and is not used"
    ]
    sources, _ = read(files, allow_trusted=True)
    assert sources[0].signed_by is None


def test_local_media_are_left_out() -> None:
    sources, notices = read({"etc/apt/sources.list": "deb file:/srv/repo ./\ndeb http://vendor.example/d ./\n"})
    assert [source.url for source in sources] == ["http://vendor.example/d"]
    assert len(notices) == 1


def test_an_image_without_sources_has_those_of_its_release() -> None:
    sources, notices = read({"usr/lib/os-release": 'ID=debian\nVERSION_CODENAME="trixie"\n'})
    assert [source.suite for source in sources] == ["trixie", "trixie-updates", "trixie-security"]
    assert notices
    for text in ("ID=alpine\n", "ID=debian\n"):
        with pytest.raises(RepositoryError, match="no apt sources"):
            read({"etc/os-release": text})


def test_a_broken_list_is_named_with_its_line() -> None:
    with pytest.raises(ImageError, match=r"/etc/apt/sources\.list:1"):
        read({"etc/apt/sources.list": "deb what\n"})


def test_preferences_and_the_default_release() -> None:
    preferences = image_preferences(
        view_of(
            {
                "etc/apt/preferences": "Package: a\nPin: version 1\nPin-Priority: 900\n",
                "etc/apt/preferences.d/b.pref": "Package: b\nPin: version 2\nPin-Priority: 901\n",
                "etc/apt/preferences.d/c": "Package: c\nPin: version 3\nPin-Priority: 902\n",
                "etc/apt/preferences.d/d.bak": "Package: d\nPin: version 3\nPin-Priority: 902\n",
                "etc/apt/apt.conf.d/10release": 'APT::Default-Release "stable";\n',
            }
        )
    )
    assert [pin.packages for pin in preferences.pins] == [("a",), ("b",), ("c",)]
    assert preferences.target_release == "stable"
