import gzip
from pathlib import Path

import pytest

from ocibuild.ecosystem.apt.configure.fontconfig import make_caches
from ocibuild.image.overlay import Overlay
from tests.support.fonts import BOOKWORM, CONFIGURATION, STATUS, TRIXIE, golden_fonts, make_font, make_image

GOLDEN = Path(__file__).parent / "golden"
CACHES = "var/cache/fontconfig"
# The MD5 of "/usr/share/fonts" and of "/usr/share/fonts/golden", which name the caches of these folders.
FONTS, FONTS_GOLDEN = "3830d5c3ddfd5cd38a049b759396e72e", "bbfc1f9c2c7bd7b43dff2568039e81ce"
RULE = '<fontconfig><match target="scan">{}<edit name="foundry"><string>other</string></edit></match></fontconfig>'


def written(overlay: Overlay) -> dict[str, bytes]:
    return {entry.path: entry.read() for entry in overlay.changes() if entry.kind == "file"}


@pytest.mark.parametrize(("status", "version"), [(BOOKWORM, 8), (TRIXIE, 9)])
@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_caches_equal_those_of_fc_cache(status: str, version: int, architecture: str) -> None:
    overlay = make_image(
        {f"usr/share/fonts/golden/{name}": data for name, data in golden_fonts().items()}, status=status
    )
    assert make_caches(overlay, architecture=architecture) == ()
    for folder in (FONTS, FONTS_GOLDEN):
        name = f"{folder}-le64.cache-{version}"
        assert overlay.read(f"{CACHES}/{name}") == (GOLDEN / name).read_bytes(), name


def test_the_caches_and_the_tag_are_files_of_root() -> None:
    overlay = make_image({"usr/share/fonts/a.ttf": make_font()})
    assert make_caches(overlay, architecture="amd64") == ()
    files = [entry for entry in overlay.changes() if entry.kind == "file"]
    assert {(entry.mode, entry.uid, entry.gid) for entry in files} == {(0o644, 0, 0)}
    assert sorted(entry.path for entry in files) == [f"{CACHES}/{FONTS}-le64.cache-8", f"{CACHES}/CACHEDIR.TAG"]
    assert overlay.read(f"{CACHES}/CACHEDIR.TAG").startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n")


def test_making_caches_again_changes_nothing() -> None:
    files: dict[str, bytes | str] = {"usr/share/fonts/a.ttf": make_font()}
    first = make_image(files)
    make_caches(first, architecture="amd64")
    second = make_image({**files, **written(first)})
    assert make_caches(second, architecture="amd64") == ()
    assert second.changes() == []


def test_the_cache_of_a_folder_that_is_gone_is_removed_and_that_of_another_layout_stays() -> None:
    first = make_image({"usr/share/fonts/old/a.ttf": make_font()})
    make_caches(first, architecture="amd64")
    other = f"{CACHES}/{'0' * 32}-be64.cache-8"
    second = make_image({"usr/share/fonts/a.ttf": make_font(), other: b"?", **written(first)})
    assert make_caches(second, architecture="amd64") == ()
    names = second.children(CACHES)
    assert f"{FONTS}-le64.cache-8" in names
    assert f"{'0' * 32}-be64.cache-8" in names
    assert len(names) == 3
    assert [entry.path for entry in second.changes() if "/.wh." in entry.path] != []


def test_files_that_are_no_fonts_are_passed_over() -> None:
    texts: dict[str, bytes | str] = {
        "usr/share/fonts/README": "Fonts.\n",
        "usr/share/fonts/a.afm": "StartFontMetrics 4.1\n",
        "usr/share/fonts/empty": "",
        "usr/share/fonts/encodings.gz": gzip.compress(b"STARTENCODING ascii\n"),
        "usr/share/fonts/noise": bytes(range(256)),
        "usr/share/fonts/a.eot": b"\x1c\x9e\1\0\x60\x9d\1\0\2\0\2\0" + bytes(22) + b"LP" + bytes(200),
        "usr/share/fonts/.uuid": b"\x80\x01 hidden",
    }
    with_texts = make_image({"usr/share/fonts/a.ttf": make_font(), **texts})
    without = make_image({"usr/share/fonts/a.ttf": make_font()})
    assert make_caches(with_texts, architecture="amd64") == make_caches(without, architecture="amd64") == ()
    assert written(with_texts) == written(without)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.bdf", b"STARTFONT 2.1\nFONT x\n"),
        ("a.t42", b"%!PS-TrueTypeFont-1.0-1.0\n"),
        ("a.pcf", b"\x01fcp\x01\0\0\0"),
        ("a.pcf.gz", gzip.compress(b"\x01fcp\x01\0\0\0", mtime=0)),
        ("damaged.gz", b"\x1f\x8b\x08\0\0\0\0\0"),
        ("a.woff2", b"wOF2\0\1\0\0"),
        ("a.ttf", b"\0\1\0\0\0\4"),
        ("a.ttf", make_font()[:400]),
        ("a.ttc", b"ttcf\0\1\0\0\xff\xff\xff\xff"),
        ("a.ttf", b"\0\2\0\0\0\4"),
        ("a.pfb", b"\x80\1\4\0\0\0%!PS"),
        ("a.dfont", b"\0\0\1\0\0\0\2\0\0\0\1\0\0\0\0\x1e" + bytes(1000)),
        ("commented.bdf", b"# A font.\nSTARTFONT 2.1\n"),
    ],
)
def test_a_font_that_is_not_modelled_is_named_and_nothing_is_written(name: str, data: bytes) -> None:
    overlay = make_image({"usr/share/fonts/good.ttf": make_font(), f"usr/share/fonts/{name}": data})
    reasons = make_caches(overlay, architecture="amd64")
    assert len(reasons) == 1
    assert f"/usr/share/fonts/{name}" in reasons[0]
    assert overlay.changes() == []


def test_every_reason_is_given() -> None:
    overlay = make_image({"usr/share/fonts/a.bdf": "STARTFONT 2.1\n", "usr/share/fonts/b/b.bdf": "STARTFONT 2.1\n"})
    assert len(make_caches(overlay, architecture="amd64")) == 2


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("", "libfontconfig1"),
        (STATUS.format(fontconfig="2.13.1-4.2", freetype="2.12.1"), "fontconfig 2.13.1"),
        (STATUS.format(fontconfig="2.14.1-4", freetype="2.10.4+dfsg-1"), "FreeType 2.10.4"),
    ],
)
def test_a_release_that_was_not_compared_with_is_a_reason(status: str, words: str) -> None:
    overlay = make_image({"usr/share/fonts/a.ttf": make_font()}, status=status)
    reasons = make_caches(overlay, architecture="amd64")
    assert len(reasons) == 1
    assert words in reasons[0]
    assert overlay.changes() == []


def test_an_architecture_of_another_layout_is_a_reason() -> None:
    assert "armhf" in make_caches(make_image({}), architecture="armhf")[0]


def test_only_a_rule_that_may_match_is_a_reason() -> None:
    files: dict[str, bytes | str] = {"usr/share/fonts/a.ttf": make_font(family="Test Sans")}
    other = RULE.format('<test name="family" compare="eq" ignore-blanks="true"><string>Elham</string></test>')
    same = RULE.format('<test name="family"><string>Nothing</string><string>testsans</string></test>')
    unknown = RULE.format('<test name="weight" compare="more"><int>80</int></test>')
    assert make_caches(make_image({**files, "etc/fonts/conf.d/65-x.conf": other}), architecture="amd64") == ()
    for rule in (same, unknown):
        overlay = make_image({**files, "etc/fonts/conf.d/65-x.conf": rule})
        reasons = make_caches(overlay, architecture="amd64")
        assert len(reasons) == 1
        assert "/usr/share/fonts/a.ttf" in reasons[0]
        assert "/etc/fonts/conf.d/65-x.conf" in reasons[0]
        assert overlay.changes() == []


def test_configuration_files_are_read_by_name_and_their_folders_are_scanned() -> None:
    extra = "<fontconfig><dir>/opt/fonts/</dir></fontconfig>"
    overlay = make_image(
        {
            "etc/fonts/conf.d/10-extra.conf": extra,
            "etc/fonts/conf.d/README": "<dir>/never</dir>",
            "etc/fonts/conf.d/extra.conf": extra.replace("opt", "srv"),
            "opt/fonts/a.ttf": make_font(),
            "srv/fonts/a.ttf": make_font(),
        }
    )
    assert make_caches(overlay, architecture="amd64") == ()
    contents = b"".join(written(overlay).values())
    assert b"/opt/fonts/a.ttf\0" in contents
    assert b"/srv/fonts" not in contents


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("<dir prefix='relative'>fonts</dir>", "<dir>"),
        ("<dir salt='x'>/usr/share/fonts</dir>", "salt"),
        ("<reset-dirs/>", "<reset-dirs>"),
        ("<remap-dir as-path='/a'>/b</remap-dir>", "<remap-dir>"),
        ("<include>missing.conf</include>", "missing.conf"),
        ("<dir>", "fonts.conf"),
    ],
)
def test_a_configuration_that_is_not_modelled_is_a_reason(line: str, words: str) -> None:
    configuration = CONFIGURATION.replace("<fontconfig>", f"<fontconfig>{line}")
    overlay = make_image({"etc/fonts/fonts.conf": configuration, "usr/share/fonts/a.ttf": make_font()})
    reasons = make_caches(overlay, architecture="amd64")
    assert len(reasons) == 1
    assert words in reasons[0]
    assert overlay.changes() == []


def test_an_image_without_configuration_is_a_reason() -> None:
    overlay = make_image({})
    overlay.remove("etc/fonts/fonts.conf")
    assert "/etc/fonts/fonts.conf" in make_caches(overlay, architecture="amd64")[0]
