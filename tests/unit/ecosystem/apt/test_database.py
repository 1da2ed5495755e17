"""dpkg's database of an image: what is read of it, damaged ones, and the status as dpkg writes it."""

from collections.abc import Mapping

import pytest

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.database import Diversion, DpkgDatabase, status_text
from ocibuild.ecosystem.apt.deb822 import Paragraph, read_paragraphs
from ocibuild.ecosystem.apt.ownership import FileOwners
from ocibuild.image.view import LayerTable, View, ViewEntry

STATUS = """\
Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
Conffiles:
 /etc/gone.conf 11111111111111111111111111111111

Package: libone
Status: install ok installed
Multi-Arch: same
Architecture: amd64
Version: 1

Package: libone
Status: install ok installed
Multi-Arch: same
Architecture: i386
Version: 1

Package: tool
Status: hold ok triggers-pending
Architecture: all
Version: 2
Conffiles:
 /etc/tool.conf 22222222222222222222222222222222
 /etc/old.conf 33333333333333333333333333333333 obsolete
 /etc/none.conf newconffile remove-on-upgrade
"""


def view(files: Mapping[str, str], links: Mapping[str, str] | None = None) -> View:
    entries = {path: ViewEntry("file", 0o644, size_bytes=len(text)) for path, text in files.items()}
    entries |= {path: ViewEntry("symlink", 0o777, link=text) for path, text in (links or {}).items()}
    kept = {path: text.encode() for path, text in files.items()}
    return View().extended([LayerTable(entries, kept)])


def dpkg(**files: str) -> View:
    return view({f"var/lib/dpkg/{name.replace('__', '/')}": text for name, text in files.items()})


def test_an_image_without_dpkg() -> None:
    assert DpkgDatabase.read(View()) == DpkgDatabase()


def test_packages() -> None:
    database = DpkgDatabase.read(dpkg(status=STATUS))
    assert [package.info_name for package in database.packages] == ["gone", "libone:amd64", "libone:i386", "tool"]
    assert [package.has_files for package in database.packages] == [False, True, True, True]
    tool = database.get("tool", "amd64")
    assert tool is not None
    assert tool.flagged_conffiles("obsolete") == {"/etc/old.conf"}
    assert tool.flagged_conffiles("remove-on-upgrade") == {"/etc/none.conf"}


@pytest.mark.parametrize(
    ("name", "architecture", "found"),
    [
        ("libone", "i386", "libone:i386"),
        ("libone", "arm64", None),
        ("libone", "all", "libone:amd64"),
        ("tool", "amd64", "tool"),
        ("gone", "all", None),
        ("none", "all", None),
    ],
)
def test_a_package_by_name(name: str, architecture: str, found: str | None) -> None:
    package = DpkgDatabase.read(dpkg(status=STATUS)).get(name, architecture)
    assert (package.info_name if package else None) == found


def test_what_was_last_put_at_a_conffile() -> None:
    database = DpkgDatabase.read(dpkg(status=STATUS))
    assert database.conffile_md5("tool", "all", "/etc/tool.conf") == "2" * 32
    assert database.conffile_md5("gone", "all", "/etc/gone.conf") == "1" * 32
    assert database.conffile_md5("other", "all", "/etc/gone.conf") == "1" * 32
    assert database.conffile_md5("tool", "all", "/etc/none.conf") == ""


def test_a_distroless_image() -> None:
    text = "Package: {}\nVersion: 1\nArchitecture: amd64\n"
    files = {f"status.d/{name}": text.format(name) for name in ("base", "libc6")} | {"status.d/base.md5sums": "x  y\n"}
    database = DpkgDatabase.read(view({f"var/lib/dpkg/{name}": text for name, text in files.items()}))
    assert [(package.name, package.has_files) for package in database.packages] == [("base", True), ("libc6", True)]


def test_diversions_overrides_and_architectures() -> None:
    database = DpkgDatabase.read(
        view(
            {
                "var/lib/dpkg/diversions": "/bin/sh\n/bin/sh.distrib\ndash\n/usr/bin/x\n/usr/bin/y\n:\n",
                "var/lib/dpkg/statoverride": "root games 2755 /usr/bin/a b\n#7 #8 0644 /c\n",
                "var/lib/dpkg/arch": "amd64\ni386\n",
                "etc/passwd": "root:x:0:0::/root:/bin/sh\n",
                "etc/group": "games:x:60:\n",
            }
        )
    )
    assert database.diversions == (
        Diversion("bin/sh", "bin/sh.distrib", "dash"),
        Diversion("usr/bin/x", "usr/bin/y", ":"),
    )
    assert database.overrides == (("usr/bin/a b", 0o2755, 0, 60), ("c", 0o644, 7, 8))
    assert database.architectures == ("amd64", "i386")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"status": "Version: 1\n"}, "a stanza without Package"),
        ({"diversions": "/a\n/b\n"}, "not a multiple of three"),
        ({"statoverride": "root root 0644\n"}, "malformed line: 'root root 0644'"),
        ({"statoverride": "root root 0999 /a\n"}, "malformed line"),
        ({"statoverride": "nobody root 0644 /a\n"}, "names 'nobody'"),
        ({"statoverride": "#x root 0644 /a\n"}, "names '#x'"),
    ],
)
def test_damaged_databases(files: Mapping[str, str], said: str) -> None:
    with pytest.raises(ImageError, match=said):
        DpkgDatabase.read(dpkg(**files))


def test_the_status_is_ordered_and_its_values_are_kept() -> None:
    text = "Package: b\nHomepage: x  \nDescription: y\n long\n .\nVersion: 1 \nStatus: install ok installed\n"
    paragraphs = [*read_paragraphs(text), Paragraph({"Package": "a", "Version": "1"})]
    assert status_text(paragraphs) == (
        "Package: a\nVersion: 1\n\n"
        "Package: b\nStatus: install ok installed\nVersion: 1 \nDescription: y\n long\n .\nHomepage: x  \n\n"
    )


def test_whose_a_path_is() -> None:
    image = view(
        {
            "var/lib/dpkg/status": STATUS,
            "var/lib/dpkg/diversions": "/bin/tool\n/bin/tool.real\nlibone\n",
            "var/lib/dpkg/info/tool.list": "/.\n/bin\n/bin/tool\n/usr/share\n",
            "var/lib/dpkg/info/libone:amd64.list": "/.\n/bin/tool\n/usr/share\n",
            "usr/bin/tool": "",
        },
        {"bin": "usr/bin"},
    )
    database = DpkgDatabase.read(image)
    owners = FileOwners(image, database)
    assert [package.info_name for package in owners.at("usr/bin/tool")] == ["libone:amd64"]
    assert [package.info_name for package in owners.at("usr/bin/tool.real")] == ["tool"]
    assert [package.info_name for package in owners.at("usr/share")] == ["libone:amd64", "tool"]
    assert owners.at("bin/tool") == []
