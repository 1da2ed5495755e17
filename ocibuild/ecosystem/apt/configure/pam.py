"""pam-auth-update(8) as data: /etc/pam.d/common-* from the profiles that packages bring.

Source: pam 1.5.2's ``debian/local/pam-auth-update``: which profiles are enabled, how their lines enter the templates,
what /var/lib/pam remembers.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from ocibuild.ecosystem.apt.configure.context import Context
from ocibuild.image.overlay import Overlay

__all__ = ["pam_auth_update"]

_PROFILES = "usr/share/pam-configs"
_TEMPLATES = "usr/share/pam"
_TARGETS = "etc/pam.d"
_STATE = "var/lib/pam"
_TYPES = ("auth", "account", "password", "session", "session-noninteractive")
_NO_PRIMARY = "[default=1]\t\t\tpam_permit.so"
_START = {
    "Primary": '# here are the per-package modules (the "Primary" block)',
    "Additional": '# and here are more per-package modules (the "Additional" block)',
}
_END = {"Primary": "# here's the fallback if no module succeeds", "Additional": "# end of pam-auth-update config"}
_MANAGED = re.compile(
    rf"(?<={re.escape(_START['Primary'])}\n).*?(?=^{re.escape(_END['Primary'])})"
    rf"|(?<={re.escape(_START['Additional'])}\n).*?(?=^{re.escape(_END['Additional'])})",
    re.DOTALL | re.MULTILINE,
)
Profile = Mapping[str, str]


def pam_auth_update(context: Context) -> None:
    """The operation: ``pam-auth-update --package``. A file that an administrator changed is left, and refused."""
    overlay = context.overlay
    profiles = {name: _parse(overlay.read_text(f"{_PROFILES}/{name}")) for name in overlay.children(_PROFILES)}
    ordered = sorted(profiles, key=lambda name: (int(profiles[name].get("Priority", "0")), name), reverse=True)
    seen = overlay.read_text(f"{_STATE}/seen", "").split()
    were_enabled = {name for kind in _TYPES for name in _recorded(overlay, kind)}
    enabled = [
        name
        for name in ordered
        if name in were_enabled or (name not in seen and profiles[name].get("Default") == "yes")
    ]
    for kind in _TYPES:
        template = overlay.read_text(f"{_TEMPLATES}/common-{kind}")
        current = overlay.read_text(f"{_TARGETS}/common-{kind}", template)
        if _MANAGED.sub("", current) != _MANAGED.sub("", template):
            context.refuse(f"/{_TARGETS}/common-{kind} was changed by hand")
            return
    overlay.make_folders(_STATE)
    for kind in _TYPES:
        overlay.write(f"{_TARGETS}/common-{kind}", _filled(overlay, kind, [(n, profiles[n]) for n in enabled]))
        overlay.write(f"{_STATE}/{kind}", _record(kind, [(n, profiles[n]) for n in enabled]))
    overlay.write(f"{_STATE}/seen", "".join(f"{name}\n" for name in ordered))


def _parse(text: str) -> Profile:
    """A profile's fields; the lines of a continued one joined by newlines."""
    fields: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        if line[:1] in (" ", "\t") and key:
            fields[key] += ("\n" if fields[key] else "") + line.strip()
        elif ":" in line:
            key, _, value = line.partition(":")
            fields[key] = value.strip()
    return fields


def _recorded(overlay: Overlay, kind: str) -> list[str]:
    lines = overlay.read_text(f"{_STATE}/{kind}", "").splitlines()
    return [line.removeprefix("Module: ") for line in lines if line.startswith("Module: ")]


def _members(kind: str, block: str, profiles: Sequence[tuple[str, Profile]]) -> Iterator[tuple[str, str]]:
    """Name and lines of the profiles with a part in this block of this stack; the first has lines of its own."""
    field = kind.removesuffix("-noninteractive").capitalize()
    number = 0
    for name, profile in profiles:
        is_interactive_only = "Session-Interactive-Only" in profile
        if profile.get(f"{field}-Type") != block or (kind.endswith("-noninteractive") and is_interactive_only):
            continue
        lines = (profile.get(f"{field}-Initial") if number == 0 else None) or profile.get(field, "")
        number += 1
        yield name, lines


def _filled(overlay: Overlay, kind: str, profiles: Sequence[tuple[str, Profile]]) -> str:
    text = overlay.read_text(f"{_TEMPLATES}/common-{kind}")
    blocks = iter([_block(kind, "Primary", profiles), _block(kind, "Additional", profiles)])
    return _MANAGED.sub(lambda _: next(blocks), text)


def _block(kind: str, block: str, profiles: Sequence[tuple[str, Profile]]) -> str:
    stack = kind.removesuffix("-noninteractive")
    lines = [line for _, text in _members(kind, block, profiles) for line in text.splitlines() if line]
    if not lines and block == "Primary":
        return f"{stack}\t{_NO_PRIMARY}\n"
    count = len(lines) - (block == "Additional")  # a jump out of the last block would leave the stack
    return "".join(f"{stack}\t{_jumping(line, count - number)}\n" for number, line in enumerate(lines))


def _jumping(line: str, jump: int) -> str:
    """The line with ``end`` replaced by how many lines are skipped, and one space before its options."""
    found = re.match(r"((?:\[[^\]]+\]|\w+)\s+\S+)\s*(.*)", line)
    if found is None:
        return line
    return f"{found[1].replace('end', str(jump))} {' '.join(found[2].split())}"


def _record(kind: str, profiles: Sequence[tuple[str, Profile]]) -> str:
    primary = list(_members(kind, "Primary", profiles)) or [("null", _NO_PRIMARY)]
    additional = list(_members(kind, "Additional", profiles))
    return "".join(f"Module: {name}\n{lines}\n" for name, lines in [*primary, *additional])
