"""The caches that list loadable modules: GIO's and GdkPixbuf's."""

from ocibuild.ecosystem.apt.configure.gio_modules import make_module_cache
from ocibuild.ecosystem.apt.configure.pixbuf_loaders import make_loader_cache
from ocibuild.image.overlay import Overlay
from ocibuild.image.view import View

GIO = "usr/lib/aarch64-linux-gnu/gio/modules"
PIXBUF = "usr/lib/aarch64-linux-gnu/gdk-pixbuf-2.0/2.10.0"
LIBRARY = "usr/lib/aarch64-linux-gnu/libgdk_pixbuf-2.0.so.0.4200.10"
GIF = b"\0gif\0GIF\0image/gif\0LGPL\0"
XBM = b"\0xbm\0XBM\0image/x-xbitmap\0LGPL\0"


def overlay_with(files: dict[str, bytes]) -> Overlay:
    overlay = Overlay(View())
    for path, data in files.items():
        overlay.make_folders(path.rpartition("/")[0])
        overlay.write(path, data)
    return overlay


def test_gio_modules_are_listed_with_what_they_extend() -> None:
    overlay = overlay_with(
        {
            f"{GIO}/libgvfsdbus.so": b"gio-volume-monitor\0gio-vfs",
            f"{GIO}/libdconfsettings.so": b"\0gsettings-backend\0",
            f"{GIO}/README": b"",
        }
    )
    assert make_module_cache(overlay, architecture="arm64") == ()
    text = overlay.read_text(f"{GIO}/giomodule.cache")
    assert text == "libdconfsettings.so: gsettings-backend\nlibgvfsdbus.so: gio-vfs,gio-volume-monitor\n"


def test_a_gio_module_that_is_not_known_or_has_changed_gives_the_reason() -> None:
    overlay = overlay_with({f"{GIO}/libgvfsdbus.so": b"gio-vfs", f"{GIO}/libnew.so": b""})
    changed, new = make_module_cache(overlay, architecture="arm64")
    assert "libgvfsdbus.so does not extend" in changed
    assert "libnew.so" in new
    assert f"{GIO}/giomodule.cache" not in overlay


def test_without_gio_modules_the_cache_goes() -> None:
    overlay = overlay_with({f"{GIO}/giomodule.cache": b"old"})
    assert make_module_cache(overlay, architecture="arm64") == ()
    assert f"{GIO}/giomodule.cache" not in overlay


def test_loaders_are_listed_by_path_with_what_they_read() -> None:
    names = {
        f"{PIXBUF}/loaders/libpixbufloader-gif.so": GIF,
        "usr/lib/gdk-pixbuf-2.0/2.10.0/loaders/libpixbufloader-xbm.so": XBM,
    }
    overlay = overlay_with({LIBRARY: b"", **names})
    assert make_loader_cache(overlay, architecture="arm64") == ()
    assert overlay.read_text(f"{PIXBUF}/loaders.cache") == (
        "# GdkPixbuf Image Loader Modules file\n# Automatically generated file, do not edit\n"
        "# Created by gdk-pixbuf-query-loaders from gdk-pixbuf-2.42.10\n#\n"
        f'"/{PIXBUF}/loaders/libpixbufloader-gif.so"\n"gif" 4 "gdk-pixbuf" "GIF" "LGPL"\n'
        '"image/gif" ""\n"gif" ""\n"GIF8" "" 100\n\n'
        '"/usr/lib/gdk-pixbuf-2.0/2.10.0/loaders/libpixbufloader-xbm.so"\n"xbm" 4 "gdk-pixbuf" "XBM" "LGPL"\n'
        '"image/x-xbitmap" ""\n"xbm" ""\n"#define " "" 100\n"/*" "" 50\n\n\n'
    )


def test_a_loader_that_is_not_known_or_has_changed_gives_the_reason() -> None:
    loaders = {f"{PIXBUF}/loaders/libpixbufloader-{name}.so": b"image/gif" for name in ("gif", "new")}
    overlay = overlay_with({LIBRARY: b"", **loaders})
    changed, new = make_loader_cache(overlay, architecture="arm64")
    assert "libpixbufloader-gif.so" in changed
    assert "libpixbufloader-new.so" in new
    assert f"{PIXBUF}/loaders.cache" not in overlay


def test_a_library_of_an_unknown_version_gives_the_reason_and_no_loaders_are_nothing_to_do() -> None:
    overlay = overlay_with({f"{PIXBUF}/loaders/libpixbufloader-gif.so": GIF, f"{LIBRARY}.x": b""})
    assert len(make_loader_cache(overlay, architecture="arm64")) == 1
    assert make_loader_cache(Overlay(View()), architecture="arm64") == ()
