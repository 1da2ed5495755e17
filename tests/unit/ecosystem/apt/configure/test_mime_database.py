"""The golden files were written by update-mime-database 2.2 from the ``packages`` beside them."""

import re
from pathlib import Path

import pytest

from ocibuild.ecosystem.apt.configure.mime_database import make_mime_database
from ocibuild.image.overlay import Overlay
from ocibuild.image.view import View

GOLDEN = Path(__file__).parent / "golden/mime"
FOLDER = "usr/share/mime"


def overlay_with(sources: dict[str, bytes], *, version: str = "2.2-1") -> Overlay:
    overlay = Overlay(View())
    for folder in (f"{FOLDER}/packages", "var/lib/dpkg"):
        overlay.make_folders(folder)
    overlay.write("var/lib/dpkg/status", f"Package: shared-mime-info\nVersion: {version}\n")
    for name, data in sources.items():
        overlay.write(f"{FOLDER}/packages/{name}", data)
    return overlay


def one_type(inside: str) -> str:
    return (
        '<mime-info xmlns="http://www.freedesktop.org/standards/shared-mime-info">'
        f'<mime-type type="a/b">{inside}</mime-type></mime-info>'
    )


def test_the_database_is_as_the_reference_writes_it() -> None:
    overlay = overlay_with({path.name: path.read_bytes() for path in (GOLDEN / "packages").iterdir()})
    assert make_mime_database(overlay) == ()
    wanted = {str(path.relative_to(GOLDEN)): path.read_bytes() for path in GOLDEN.rglob("*") if path.is_file()}
    made = {path: overlay.read(path) for path in overlay.walk(FOLDER) if overlay.is_file(path)}
    assert {path.removeprefix(f"{FOLDER}/"): data for path, data in made.items()} == wanted


def test_types_that_are_gone_lose_their_files() -> None:
    overlay = overlay_with({"a.xml": one_type("").replace("a/b", "text/b").encode()})
    for folder in ("text", "chemical", "unheard-of"):
        overlay.make_folders(f"{FOLDER}/{folder}")
        overlay.write(f"{FOLDER}/{folder}/old.xml", b"")
    assert make_mime_database(overlay) == ()
    assert overlay.children(f"{FOLDER}/text") == ["b.xml"]
    assert overlay.children(f"{FOLDER}/chemical") == ["old.xml"]
    assert overlay.children(f"{FOLDER}/unheard-of") == ["old.xml"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<mime-info", "line 1: unclosed token"),
        ("<mime-info/>", "not <mime-info>"),
        (one_type("").replace("a/b", "../b"), "with the type '../b'"),
        (one_type("").replace("a/b", "ab"), "with the type 'ab'"),
        (one_type("<glob/>"), "with the pattern ''"),
        (one_type('<glob pattern="*.x" weight="101"/>'), "weight='101'"),
        (one_type("<magic/>"), "without <match>"),
        (one_type('<magic><match type="string" value="x" offset="5:2"/></magic>'), "offset='5:2'"),
        (one_type('<magic><match type="big64" value="1" offset="0"/></magic>'), "type 'big64'"),
        (one_type('<magic><match type="byte" value="256" offset="0"/></magic>'), "too large for byte"),
        (one_type('<magic><match type="byte" value="one" offset="0"/></magic>'), "is no number"),
        (one_type('<magic><match type="string" value="x" mask="0xffff" offset="0"/></magic>'), "the mask '0xffff'"),
        (one_type('<treemagic><treematch path="A" type="any"/></treemagic>'), "no <treematch>"),
        (one_type('<alias type="none"/>'), "<alias> with the type 'none'"),
        (one_type('<root-XML namespaceURI="a b" localName=""/>'), "namespaceURI='a b'"),
        (one_type('<x:y xmlns:x="other"/>'), "<other y> of a/b would have to be copied"),
        (one_type("<comment><![CDATA[x]]></comment>"), "cannot be copied as it is"),
        (one_type("<comment><b/></comment>"), "cannot be copied as it is"),
        ('<!DOCTYPE m [<!ENTITY e "eeee">]>' + one_type("<comment>&e;</comment>"), "an entity"),
        ("<a>" * 100, "without end"),
    ],
)
def test_what_the_reference_would_leave_out_gives_the_reason(text: str, why: str) -> None:
    overlay = overlay_with({"a.xml": text.encode()})
    (reason,) = make_mime_database(overlay)
    assert reason.startswith("/usr/share/mime/packages")
    assert re.search(re.escape(why), reason)
    assert overlay.children(FOLDER) == ["packages"]


def test_another_version_gives_the_reason() -> None:
    (reason,) = make_mime_database(overlay_with({}, version="3.0-1"))
    assert "3.0" in reason
