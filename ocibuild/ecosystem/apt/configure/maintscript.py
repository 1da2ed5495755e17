"""dpkg-maintscript-helper(1) as data: what its calls do when a package is upgraded; on a new install they do nothing.

Source: dpkg 1.21's ``src/dpkg-maintscript-helper.sh``.
"""

import hashlib
import re
import shlex

from ocibuild.ecosystem.apt.configure.context import Context
from ocibuild.ecosystem.apt.version import compare

__all__ = ["run_helper_calls"]

_STATUS = "var/lib/dpkg/status"
_FIXED_WORDS = {"rm_conffile": 1, "mv_conffile": 2, "symlink_to_dir": 2, "dir_to_symlink": 2}


def run_helper_calls(context: Context) -> None:
    """The operation: every call in the part's text, once for ``preinst`` and ``postinst`` together."""
    if context.is_new_install or context.member != "postinst":
        return
    for call in context.part.captures:
        words = shlex.split(call.partition(" -- ")[0])[1:]
        known = _FIXED_WORDS.get(words[0])
        if known is None or len(words) < 1 + known or not call.endswith(' -- "$@"'):
            context.refuse(f"it calls {call}")
            continue
        subject, rest = words[1 : 1 + known], words[1 + known :]
        prior = rest[0] if rest else ""
        if prior and compare(context.package.previous_version, prior) > 0:
            continue
        if words[0] == "rm_conffile":
            _remove_conffile(context, subject[0])
        elif _would_act(context, words[0], subject):
            context.refuse(f"dpkg-maintscript-helper {' '.join(words)} has something to do")


def _would_act(context: Context, action: str, subject: list[str]) -> bool:
    """Whether a call has something to act upon, which is then not done as data."""
    entry = context.overlay.get(subject[0].lstrip("/"))
    if entry is None:
        return False
    if action == "symlink_to_dir":
        return entry.kind == "symlink"
    return action == "mv_conffile" or entry.kind == "directory"


def _remove_conffile(context: Context, path: str) -> None:
    """A configuration file that is no longer shipped goes, or is kept as ``.dpkg-bak`` where it was changed."""
    overlay, where = context.overlay, path.lstrip("/")
    status = overlay.read_text(_STATUS, "")
    line = re.compile(rf"^ {re.escape(path)} ([0-9a-f]{{32}})[^\n]*\n", re.MULTILINE)
    start = re.search(rf"^Package: {re.escape(context.package.name)}$", status, re.MULTILINE)
    shipped = line.search(status, start.start(), _end_of_stanza(status, start.start())) if start else None
    if shipped is None or not overlay.is_file(where):
        return
    content, entry = overlay.read(where), overlay.get(where)
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != shipped[1] and entry is not None:
        overlay.write(f"{where}.dpkg-bak", content, mode=entry.mode, uid=entry.uid, gid=entry.gid)
    overlay.remove(where)
    overlay.write(_STATUS, status[: shipped.start()] + status[shipped.end() :])


def _end_of_stanza(text: str, start: int) -> int:
    end = text.find("\n\n", start)
    return len(text) if end < 0 else end + 1
