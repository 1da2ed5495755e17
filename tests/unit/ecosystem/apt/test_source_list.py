import pytest

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.source_list import parse_source_list, parse_sources

KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEabc\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"


def test_one_line_entries() -> None:
    text = """
# a comment
deb http://mirror.example/debian bookworm main contrib # trailing
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64,arm64 signed-by=/usr/share/keyrings/a.gpg by-hash=no check-valid-until=no] https://x.example/apt/ s main
deb [ trusted=yes ] http://flat.example/repo ./
"""
    plain, optioned, flat = parse_source_list(text, file="etc/apt/sources.list")
    assert (plain.url, plain.suite, plain.components) == (
        "http://mirror.example/debian",
        "bookworm",
        ("main", "contrib"),
    )
    assert (plain.architectures, plain.signed_by, plain.use_by_hash) == (None, (), None)
    assert plain.check_valid_until
    assert str(plain.origin) == "etc/apt/sources.list:3"
    assert optioned.url == "https://x.example/apt"
    assert optioned.architectures == ("amd64", "arm64")
    assert optioned.signed_by == ("/usr/share/keyrings/a.gpg",)
    assert optioned.use_by_hash is False
    assert not optioned.check_valid_until
    assert flat.suite == "./"
    assert flat.is_trusted
    assert not plain.is_trusted


@pytest.mark.parametrize(
    "line", ["deb", "deb http://x.example/debian", "rpm http://x y z", "deb http://x.example/debian bookworm"]
)
def test_what_is_no_entry_is_named_with_its_line(line: str) -> None:
    with pytest.raises(ImageError, match=r"a\.list:2: "):
        parse_source_list(f"\n{line}\n", file="a.list")


def test_deb822_entries_are_one_for_each_address_and_suite() -> None:
    text = """# comment
Types: deb deb-src
URIs: http://a.example/debian http://b.example/debian/
Suites: bookworm bookworm-updates
Components: main
 contrib
Architectures: amd64
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://off.example/
Suites: s
Components: main
Enabled: no

Types: deb-src
URIs: http://source.example/
Suites: s
Components: main
"""
    entries = parse_sources(text, file="debian.sources")
    assert [(entry.url, entry.suite) for entry in entries] == [
        ("http://a.example/debian", "bookworm"),
        ("http://a.example/debian", "bookworm-updates"),
        ("http://b.example/debian", "bookworm"),
        ("http://b.example/debian", "bookworm-updates"),
    ]
    assert all(entry.components == ("main", "contrib") for entry in entries)
    assert all(entry.architectures == ("amd64",) for entry in entries)
    assert entries[0].signed_by == ("/usr/share/keyrings/debian-archive-keyring.gpg",)


def test_an_inline_key_is_unindented() -> None:
    indented = "".join(f" {line or '.'}\n" for line in KEY.splitlines())
    text = f"Types: deb\nURIs: https://x.example/\nSuites: s\nComponents: c\nSigned-By:\n{indented}"
    (entry,) = parse_sources(text, file="x.sources")
    assert entry.key.decode() == KEY
    assert entry.signed_by == ()


def test_fingerprints_are_upper_case() -> None:
    text = "Types: deb\nURIs: https://x.example/\nSuites: s\nComponents: c\nSigned-By: 0xabcdef! 1234abcd\n"
    (entry,) = parse_sources(text, file="x.sources")
    assert entry.signed_by == ("ABCDEF!", "1234ABCD")


def test_deb822_without_suites_is_refused() -> None:
    with pytest.raises(ImageError, match="without URIs or Suites"):
        parse_sources("Types: deb\nURIs: http://x.example/\n", file="x.sources")
