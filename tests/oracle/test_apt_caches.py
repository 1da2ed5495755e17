"""Caches that maintainer scripts make, against the real programs in a chroot of Debian packages, byte for byte."""

import subprocess
from pathlib import Path

import pytest

from ocibuild.ecosystem.apt.configure.gio_modules import make_module_cache
from ocibuild.ecosystem.apt.configure.glib_schemas import compile_schemas
from ocibuild.ecosystem.apt.configure.graphviz_plugins import make_config6a
from ocibuild.ecosystem.apt.configure.mime_database import make_mime_database
from ocibuild.ecosystem.apt.configure.pixbuf_loaders import make_loader_cache
from tests.support.debian_root import Debian, image_of

pytestmark = [pytest.mark.network, pytest.mark.root]

PACKAGES = [
    "coreutils", "graphviz", "libgvc6-plugins-gtk", "libglib2.0-bin", "gsettings-desktop-schemas", "dconf-gsettings-backend",
    "glib-networking", "gvfs", "libgtk-3-common", "gnome-shell-common", "dconf-editor", "ibus-data", "libgdk-pixbuf2.0-bin",
    "librsvg2-common", "shared-mime-info", "webp-pixbuf-loader", "heif-gdk-pixbuf", "libavif-gdk-pixbuf",
]  # fmt: skip
LIBRARIES = "usr/lib/x86_64-linux-gnu"


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    unpacked = folder / "root"
    unpacked.mkdir()
    Debian(folder / "apt", request.param).unpacked(PACKAGES, unpacked)
    return unpacked


def real(root: Path, *command: str) -> bytes:
    """The program's output in the root."""
    done = subprocess.run(["chroot", root, *command], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_graphviz_plugins(root: Path) -> None:
    overlay = image_of(root)
    assert make_config6a(overlay, architecture="amd64") == ()
    real(root, "/usr/bin/dot", "-c")
    assert overlay.read_text(f"{LIBRARIES}/graphviz/config6a") == (root / LIBRARIES / "graphviz/config6a").read_text()


def test_settings_schemas(root: Path) -> None:
    schemas = "usr/share/glib-2.0/schemas"
    overlay = image_of(root)
    assert compile_schemas(overlay) == ()
    real(root, f"/{LIBRARIES}/glib-2.0/glib-compile-schemas", f"/{schemas}")
    assert overlay.read(f"{schemas}/gschemas.compiled") == (root / schemas / "gschemas.compiled").read_bytes()


def test_gio_modules(root: Path) -> None:
    modules = f"{LIBRARIES}/gio/modules"
    overlay = image_of(root)
    assert make_module_cache(overlay, architecture="amd64") == ()
    real(root, f"/{LIBRARIES}/glib-2.0/gio-querymodules", f"/{modules}")
    assert overlay.read_text(f"{modules}/giomodule.cache") == (root / modules / "giomodule.cache").read_text()


def test_pixbuf_loaders(root: Path) -> None:
    folder = f"{LIBRARIES}/gdk-pixbuf-2.0"
    overlay = image_of(root)
    assert make_loader_cache(overlay, architecture="amd64") == ()
    loaders = sorted(f"/{path.relative_to(root)}" for path in (root / folder / "2.10.0/loaders").glob("*.so"))
    wanted = real(root, f"/{folder}/gdk-pixbuf-query-loaders", *loaders)
    assert overlay.read(f"{folder}/2.10.0/loaders.cache") == wanted


def test_mime_database(root: Path) -> None:
    database = "usr/share/mime"
    overlay = image_of(root)
    assert make_mime_database(overlay) == ()
    real(root, "/usr/bin/update-mime-database", f"/{database}")
    wanted = {str(path.relative_to(root)): path.read_bytes() for path in (root / database).rglob("*") if path.is_file()}
    assert {path: overlay.read(path) for path in overlay.walk(database) if overlay.is_file(path)} == wanted
