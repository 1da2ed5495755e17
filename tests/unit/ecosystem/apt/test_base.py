"""What a base from nothing starts with."""

import pytest

from ocibuild.ecosystem.apt.base import seed_entries
from ocibuild.ecosystem.apt.deb822 import decode, read_paragraphs
from ocibuild.layer.entry import EntryKind


@pytest.mark.parametrize(
    ("architecture", "links"),
    [("amd64", ["bin", "lib", "lib64", "sbin"]), ("arm64", ["bin", "lib", "sbin"]), ("s390x", ["bin", "lib", "sbin"])],
)
def test_the_links_of_merged_usr(architecture: str, links: list[str]) -> None:
    entries = {entry.path: entry for entry in seed_entries("bookworm", architecture)}
    found = {path: entry.link for path, entry in entries.items() if entry.kind is EntryKind.SYMLINK}
    assert found == {name: f"usr/{name}" for name in links}
    assert all(entries[f"usr/{name}"].kind is EntryKind.DIRECTORY for name in links)


@pytest.mark.parametrize(
    ("suite", "architecture", "stanzas"),
    [
        (
            "bookworm",
            "amd64",
            [
                ("http://ftp.debian.org/debian", "bookworm bookworm-updates", "main"),
                ("http://security.debian.org/debian-security", "bookworm-security", "main"),
            ],
        ),
        ("sid", "arm64", [("http://ftp.debian.org/debian", "sid", "main")]),
        (
            "noble",
            "amd64",
            [
                ("http://archive.ubuntu.com/ubuntu", "noble noble-updates", "main universe"),
                ("http://security.ubuntu.com/ubuntu", "noble-security", "main universe"),
            ],
        ),
        (
            "noble",
            "arm64",
            [("http://ports.ubuntu.com/ubuntu-ports", "noble noble-updates noble-security", "main universe")],
        ),
    ],
)
def test_apt_s_sources_are_the_public_ones(suite: str, architecture: str, stanzas: list[tuple[str, str, str]]) -> None:
    (sources,) = [entry for entry in seed_entries(suite, architecture) if entry.kind is EntryKind.FILE]
    distribution = "ubuntu" if suite == "noble" else "debian"
    assert sources.path == f"etc/apt/sources.list.d/{distribution}.sources"
    found = list(read_paragraphs(decode(sources.read())))
    assert [(each["URIs"], each["Suites"], each["Components"]) for each in found] == stanzas
    assert {each["Signed-By"] for each in found} == {f"/usr/share/keyrings/{distribution}-archive-keyring.gpg"}
