"""deb-systemd-helper(1p) and update-rc.d(8): which links say that a unit or an init script is to be started.

Source: init-system-helpers 1.65, ``script/deb-systemd-helper`` and ``script/update-rc.d``. No unit is ever started:
in a tree that is being made there is no /run/systemd/system, and deb-systemd-invoke then does nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ocibuild.core.paths import parent
from ocibuild.ecosystem.apt.configure.context import Context
from ocibuild.image.overlay import Overlay

__all__ = ["enable_units", "enable_user_units", "record_units", "update_rc"]


@dataclass(frozen=True, slots=True)
class _Manager:
    """The system's manager, or every user's: where its units lie and where what is enabled is recorded."""

    state: str
    enabled: str
    unit_folders: tuple[str, ...]


_SYSTEM = _Manager(
    "var/lib/systemd/deb-systemd-helper-enabled",
    "etc/systemd/system",
    ("etc/systemd/system", "lib/systemd/system", "usr/lib/systemd/system"),
)
_USER = _Manager(
    "var/lib/systemd/deb-systemd-user-helper-enabled",
    "etc/systemd/user",
    ("etc/systemd/user", "lib/systemd/user", "usr/lib/systemd/user"),
)


def enable_units(context: Context) -> None:
    """The operation: ``enable`` for the units that the part names, where they were enabled or are new."""
    for unit in dict.fromkeys(context.part.captures):
        _enable(context.overlay, _SYSTEM, unit)


def enable_user_units(context: Context) -> None:
    """The operation: the same for units of every user's manager (``deb-systemd-helper --user``)."""
    for unit in dict.fromkeys(context.part.captures):
        _enable(context.overlay, _USER, unit)


def record_units(context: Context) -> None:
    """The operation: units that are enabled on request only: what enabling would link is recorded, for later purges.

    A unit that was enabled before has its links brought up to date.
    """
    for unit in dict.fromkeys(context.part.captures):
        recorded = f"{_SYSTEM.state}/{unit}.dsh-also"
        path = _unit_path(context.overlay, _SYSTEM, unit)
        if recorded in context.overlay and path is not None:
            _enable(context.overlay, _SYSTEM, unit)
        if path is not None:
            links = [link for link, _ in _links(context.overlay, _SYSTEM, unit, path)]
            context.overlay.make_folders(_SYSTEM.state)
            context.overlay.write(recorded, "".join(f"/{link}\n" for link in links))


def _enable(overlay: Overlay, manager: _Manager, unit: str) -> None:
    path = _unit_path(overlay, manager, unit)
    if path is None or not _was_enabled(overlay, manager, unit):
        return
    links = [*_links(overlay, manager, unit, path)]
    if not links:
        return
    recorded = f"{manager.state}/{unit}.dsh-also"
    old = overlay.read_text(recorded, "").splitlines()
    overlay.make_folders(manager.state)
    overlay.write(recorded, "".join(f"/{link}\n" for link, _ in links))
    for link, target in links:
        state = f"{manager.state}/{link.removeprefix(f'{manager.enabled}/')}"
        overlay.make_folders(parent(state))
        if state not in overlay:
            overlay.write(state, b"")
        if link not in overlay and f"/{link}" not in old:
            overlay.make_folders(parent(link))
            overlay.symlink(link, target)


def _unit_path(overlay: Overlay, manager: _Manager, unit: str) -> str | None:
    """The unit's file, by the name that deb-systemd-helper finds it under; a template's for an instance."""
    stem, at, rest = unit.partition("@")
    names = [unit] + ([f"{stem}@.{rest.rpartition('.')[2]}"] if at and not rest.startswith(".") else [])
    paths = (f"{folder}/{name}" for name in names for folder in manager.unit_folders)
    return next((path for path in paths if overlay.is_file(path)), None)


def _was_enabled(overlay: Overlay, manager: _Manager, unit: str) -> bool:
    """Whether every link that was made for the unit is still there; true for a unit that is new."""
    links = overlay.read_text(f"{manager.state}/{unit}.dsh-also", "").splitlines()
    return all(link.lstrip("/") in overlay for link in links)


def _links(overlay: Overlay, manager: _Manager, unit: str, path: str) -> Iterator[tuple[str, str]]:
    """The links that the [Install] section asks for, those of Also= included, in the order of its lines."""
    also = []
    section = ""
    for line in overlay.read_text(path).splitlines():
        if line.startswith("["):
            section = line.strip()
        key, equals, value = line.partition("=")
        if section != "[Install]" or not equals:
            continue
        for word in value.split():
            if key.strip() == "Alias":
                yield f"{manager.enabled}/{word}", f"/{path}"
            elif key.strip() in ("WantedBy", "RequiredBy"):
                folder = f"{word}.{'wants' if key.strip() == 'WantedBy' else 'requires'}"
                yield f"{manager.enabled}/{folder}/{unit}", f"/{path}"
            elif key.strip() == "Also":
                also.append(word)
    for other in also:
        other_path = _unit_path(overlay, manager, other)
        if other != unit and other_path is not None:
            yield from _links(overlay, manager, other, other_path)


def update_rc(context: Context) -> None:
    """The operation: ``update-rc.d NAME defaults`` for the init scripts that the part names.

    Without insserv, as in every small image, links have the number 01. Existing links are kept.
    """
    for name in dict.fromkeys(context.part.captures):
        path = f"etc/init.d/{name}"
        entry = context.overlay.get(path)
        if entry is None or not entry.mode & 0o111:
            continue
        for level in "0123456S":
            context.overlay.make_folders(f"etc/rc{level}.d")
        if not any(_has_link(context.overlay, level, name) for level in "0123456S"):
            for letter, levels in _levels(context.overlay.read_text(path)).items():
                for level in levels:
                    context.overlay.symlink(f"etc/rc{level}.d/{letter}01{name}", f"../init.d/{name}")


def _has_link(overlay: Overlay, level: str, name: str) -> bool:
    return any(link[3:] == name and link[0] in "SK" for link in overlay.children(f"etc/rc{level}.d"))


def _levels(script: str) -> dict[str, list[str]]:
    """The run levels of the LSB header: S for start, K for stop."""
    levels: dict[str, list[str]] = {"S": [], "K": []}
    for line in script.splitlines():
        for key, letter in (("# Default-Start:", "S"), ("# Default-Stop:", "K")):
            if line.startswith(key):
                levels[letter] = [level for level in line[len(key) :].split() if level in "0123456S"]
        if line.startswith("### END INIT INFO"):
            break
    return levels
