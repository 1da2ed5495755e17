"""ucf(1), which keeps configuration files that packages make: what it leaves of a file that is new.

Source: ucf 3.0043: the file itself, a copy in /var/lib/ucf/cache named by the path with colons, and a line of
/var/lib/ucf/hashfile.
"""

import hashlib

from ocibuild.ecosystem.apt.configure.context import Context

__all__ = ["register_line"]

_FOLDER = "var/lib/ucf"


def register_line(context: Context, path: str, *words: str) -> None:
    """The operation ``ucf-line``: ucf is given a file of one line for a path that is not there."""
    overlay = context.overlay
    if path in overlay:
        context.refuse(f"/{path} is there already, and ucf would compare it")
        return
    content = f"{' '.join(words)}\n"
    overlay.write(path, content)
    overlay.make_folders(f"{_FOLDER}/cache")
    overlay.write(f"{_FOLDER}/cache/:{path.replace('/', ':')}", content)
    digest = hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
    hashes = overlay.read_text(f"{_FOLDER}/hashfile", "")
    overlay.write(f"{_FOLDER}/hashfile", f"{hashes}{digest}  /{path}\n")
