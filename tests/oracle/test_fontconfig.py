"""The caches of fontconfig against those of the real fc-cache, run in a chroot of Debian packages, byte for byte."""

import os
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from ocibuild.core.clock import FIXED_TIME
from ocibuild.ecosystem.apt.configure.fontconfig import make_caches
from ocibuild.image.overlay import Overlay
from tests.support.debian_root import FONT_CACHES, Debian, image_of
from tests.support.fonts import golden_fonts

pytestmark = [pytest.mark.network, pytest.mark.root]

GOLDEN = Path(__file__).parents[1] / "unit/ecosystem/apt/fontconfig/golden"
FONTS = "usr/share/fonts"
COMMON = ["fonts-dejavu-core", "fonts-liberation"]
MORE = [
    *COMMON, "fonts-dejavu-extra", "fonts-urw-base35", "fonts-freefont-ttf", "fonts-noto-core", "fonts-noto-mono",
    "fonts-noto-color-emoji", "fonts-noto-cjk", "fonts-lmodern", "fonts-texgyre", "fonts-font-awesome", "fonts-mathjax",
    "fonts-lato", "fonts-droid-fallback", "fonts-arphic-uming", "fonts-takao-gothic", "fonts-hanazono", "fonts-opensymbol",
    "fonts-symbola", "fonts-inter", "fonts-stix", "fonts-sil-andika", "fonts-sil-padauk", "fonts-courier-prime", "t1-cyrillic",
]  # fmt: skip


def fc_cache(root: Path) -> dict[str, bytes]:
    """What the real fc-cache writes when every folder has the time that it has in an image."""
    caches = root / FONT_CACHES
    caches.mkdir(parents=True, exist_ok=True)
    for folder, _, _ in os.walk(root / "usr", topdown=False):
        os.utime(folder, (FIXED_TIME, FIXED_TIME))
    done = subprocess.run(
        ["chroot", root, "/usr/bin/fc-cache", "-s", "-f"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {path.name: path.read_bytes() for path in caches.iterdir()}


def caches_of(overlay: Overlay) -> dict[str, bytes]:
    return {name: overlay.read(f"{FONT_CACHES}/{name}") for name in overlay.children(FONT_CACHES)}


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def debian(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Debian:
    return Debian(tmp_path_factory.mktemp(request.param), request.param)


def assert_equal(made: dict[str, bytes], real: dict[str, bytes]) -> None:
    assert made.keys() == real.keys()
    assert [name for name in real if made[name] != real[name]] == []


def test_caches_of_common_fonts(debian: Debian, tmp_path: Path) -> None:
    debian.unpacked(["fontconfig", *COMMON], tmp_path)
    overlay = image_of(tmp_path)
    assert make_caches(overlay, architecture="amd64") == ()
    assert_equal(caches_of(overlay), fc_cache(tmp_path))


@pytest.mark.slow
def test_caches_of_many_fonts(debian: Debian, tmp_path: Path) -> None:
    debian.unpacked(["fontconfig", *MORE], tmp_path)
    overlay = image_of(tmp_path)
    assert make_caches(overlay, architecture="amd64") == ()
    assert_equal(caches_of(overlay), fc_cache(tmp_path))


def test_golden_files_are_those_of_fc_cache(debian: Debian, tmp_path: Path) -> None:
    debian.unpacked(["fontconfig"], tmp_path)
    for folder in (tmp_path / FONTS).glob("*"):
        subprocess.run(["rm", "-r", folder], check=True)  # of fonts that fontconfig-config depends on
    (tmp_path / FONTS / "golden").mkdir(parents=True)
    for name, data in golden_fonts().items():
        (tmp_path / FONTS / "golden" / name).write_bytes(data)
    real = fc_cache(tmp_path)
    ending = "8" if debian.suite == "bookworm" else "9"
    kept = {path.name: path.read_bytes() for path in GOLDEN.glob(f"*cache-{ending}")}
    assert_equal(kept, {name: content for name, content in real.items() if name in kept})


def damaged(fonts: Sequence[bytes], dice: random.Random) -> bytes:
    """One of the fonts with some bytes changed, mostly in its first tables."""
    font = bytearray(dice.choice(fonts))
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(dice.choice([100, 400, 1000, len(font)])) % len(font)
        font[at] = dice.choice([dice.randrange(256), 0, 1, 0xFF, font[at] ^ 1, font[at] ^ 0x80])
    return bytes(font)


def test_a_damaged_font_is_named_or_cached_as_fc_cache_does(debian: Debian, tmp_path: Path) -> None:
    debian.unpacked(["fontconfig"], tmp_path)
    dice = random.Random(20221101)
    fonts = list(golden_fonts().values())
    for number in range(600):
        (tmp_path / FONTS / f"{number}").mkdir()
        (tmp_path / FONTS / f"{number}" / "font").write_bytes(damaged(fonts, dice))
    named = " ".join(make_caches(image_of(tmp_path), architecture="amd64"))
    refused = [number for number in range(600) if f"/{FONTS}/{number}/font:" in named]
    assert 100 < len(refused) < 400
    for number in refused:
        (tmp_path / FONTS / f"{number}" / "font").unlink()
    overlay = image_of(tmp_path)
    assert make_caches(overlay, architecture="amd64") == ()
    assert_equal(caches_of(overlay), fc_cache(tmp_path))


def test_what_is_not_modelled_is_named_and_nothing_is_written(debian: Debian, tmp_path: Path) -> None:
    debian.unpacked(["fontconfig", "fonts-farsiweb", "fonts-terminus-otb"], tmp_path)
    overlay = image_of(tmp_path)
    reasons = make_caches(overlay, architecture="amd64")
    fonts = {f"/{path.relative_to(tmp_path)}" for path in (tmp_path / FONTS).rglob("*.[ot]t[bf]")}
    named = {word.rstrip(":") for reason in reasons for word in reason.split() if word.startswith(f"/{FONTS}/")}
    assert named == {font for font in fonts if "/farsiweb/" in font or "/terminus/" in font}
    assert overlay.changes() == []
