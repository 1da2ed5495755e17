"""ucf(1), which keeps configuration files that packages make: what it leaves of a file that is new.

Source: ucf 3.0043: the file itself, a copy in /var/lib/ucf/cache named by the path with colons, and a line of
/var/lib/ucf/hashfile.
"""

import hashlib

from ocibuild.ecosystem.apt.configure.context import Context

__all__ = ["register", "register_line", "register_owner"]

_FOLDER = "var/lib/ucf"


def register_line(context: Context, path: str, *words: str) -> None:
    """The operation ``ucf-line``: ucf is given a file of one line for a path that is not there."""
    register(context, path, f"{' '.join(words)}\n")


def register(context: Context, path: str, content: str) -> bool:
    """As if ucf were given this content for a path that is not there; False where it is, which is refused."""
    overlay = context.overlay
    if path in overlay:
        context.refuse(f"/{path} is there already, and ucf would compare it")
        return False
    overlay.write(path, content)
    overlay.make_folders(f"{_FOLDER}/cache")
    overlay.write(f"{_FOLDER}/cache/:{path.replace('/', ':')}", content)
    digest = hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
    hashes = overlay.read_text(f"{_FOLDER}/hashfile", "")
    overlay.write(f"{_FOLDER}/hashfile", f"{hashes}{digest}  /{path}\n")
    return True


def register_owner(context: Context, path: str) -> None:
    """ucfr(1): the file belongs to the package that is being configured, which was told of no other."""
    owners = context.overlay.read_text(f"{_FOLDER}/registry", "")
    context.overlay.write(f"{_FOLDER}/registry", f"{owners}{context.package.name} \t /{path}\n")
