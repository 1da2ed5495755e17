"""Paths inside images and archives: text without a leading or trailing slash, ``""`` for the root itself."""

from collections.abc import Iterable

from ocibuild.core.errors import ImageError

__all__ = ["DEFAULT_PATH", "ancestors", "clean_path", "folders_above", "parent", "relative_link"]

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for in an image that does not say (as Debian's login(1) has it for root, and runtimes)."""


def clean_path(text: str, *, where: str) -> str:
    """The path of an archive member in this program's form.

    A leading ``./`` or ``/``, a trailing slash, and empty or ``.`` components are dropped, as tar readers do; ``..``,
    a NUL byte, or a line feed (which dpkg's lists cannot hold) is an ImageError that names the archive ``where``.
    """
    if "\0" in text or "\n" in text:
        raise ImageError(f"{where}: a path with a NUL byte or line feed: {text!r}")
    if "//" not in text and "./" not in text and not text.startswith("/") and not text.endswith(("/", "/.", "..")):
        return "" if text == "." else text  # the common case: nothing to drop
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ImageError(f"{where}: a path that leaves its folder: {text!r}")
    return "/".join(parts)


def parent(path: str) -> str:
    """The folder that holds ``path``; ``""`` for what lies at the root."""
    return path.rpartition("/")[0]


def ancestors(path: str) -> list[str]:
    """The folders above ``path``, outermost first, without the root: ``a/b/c`` -> ``["a", "a/b"]``."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def folders_above(paths: Iterable[str]) -> set[str]:
    """The folders above all these paths, without the root; each is taken apart once, however much it holds."""
    found: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def relative_link(path: str, target: str) -> str:
    """The image path that a symbolic link at ``path`` with this target text names, ``..`` taken away lexically.

    Links above the root stay at the root, as the kernel does. The result's own parents may be links again.
    """
    parts = [] if target.startswith("/") else parent(path).split("/")
    for part in target.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(part for part in parts if part)
