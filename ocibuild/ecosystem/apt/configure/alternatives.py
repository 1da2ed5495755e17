"""update-alternatives(1) as data: its database, the links it makes, the calls that scripts hold.

Source: dpkg 1.21's ``utils/update-alternatives.c`` (the format of the files in ``/var/lib/dpkg/alternatives``, the
choice of the best, which links are replaced).
"""

import re
from dataclasses import dataclass, field, replace

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.configure.context import Context
from ocibuild.image.overlay import Overlay

__all__ = [
    "Alternative",
    "AlternativeCall",
    "alternative_calls",
    "install_alternative",
    "install_named_alternative",
    "remove_alternative",
    "run_alternative_calls",
]

_DATABASE = "var/lib/dpkg/alternatives"
_LINKS = "etc/alternatives"
_CALL = re.compile(r"update-alternatives(?: --quiet)? (--install|--remove) ([^\n;|&>()]+)")
_WORD = re.compile(r"[A-Za-z0-9/.+@:_~-]+")


@dataclass(frozen=True, slots=True)
class AlternativeCall:
    """One ``update-alternatives --install`` or, with no ``link``, ``--remove``. ``slaves`` are (link, name, path)."""

    name: str
    path: str
    link: str = ""
    priority: int = 0
    slaves: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """One of an alternative's files, with the slaves' files by the slaves' names."""

    path: str
    priority: int
    slaves: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alternative:
    """A group of the database; paths and links are absolute, as its files hold them."""

    name: str
    link: str
    automatic: bool = True
    slaves: dict[str, str] = field(default_factory=dict)
    choices: tuple[Choice, ...] = ()

    @classmethod
    def parse(cls, name: str, text: str) -> "Alternative":
        """Read a file of the database; an ImageError where it is malformed."""
        lines = iter(text.split("\n"))
        try:
            status, link = next(lines), next(lines)
            slaves = {}
            while slave := next(lines):
                slaves[slave] = next(lines)
            choices = []
            while path := next(lines):
                priority = int(next(lines))
                choices.append(Choice(path, priority, {slave: file for slave in slaves if (file := next(lines))}))
        except (StopIteration, ValueError) as error:
            raise ImageError(f"/{_DATABASE}/{name} is malformed") from error
        if status not in ("auto", "manual"):
            raise ImageError(f"/{_DATABASE}/{name} is malformed: its status is {status!r}")
        return cls(name, link, status == "auto", slaves, tuple(choices))

    def text(self) -> str:
        """The file of the database: slaves and choices sorted, unused slaves left out."""
        used = sorted(slave for slave in self.slaves if any(slave in choice.slaves for choice in self.choices))
        lines = ["auto" if self.automatic else "manual", self.link]
        for slave in used:
            lines += [slave, self.slaves[slave]]
        lines.append("")
        for choice in sorted(self.choices, key=lambda choice: choice.path):
            lines += [choice.path, str(choice.priority), *(choice.slaves.get(slave, "") for slave in used)]
        return "\n".join([*lines, "", ""])

    @property
    def best(self) -> Choice:
        """The choice of the highest priority, the first by path among equals."""
        return max(sorted(self.choices, key=lambda choice: choice.path), key=lambda choice: choice.priority)

    def with_choice(self, call: AlternativeCall) -> "Alternative":
        """The group after ``--install``: a choice of the same path is replaced."""
        slaves = self.slaves | {name: link for link, name, _ in call.slaves}
        choice = Choice(call.path, call.priority, {name: path for _, name, path in call.slaves})
        others = tuple(other for other in self.choices if other.path != call.path)
        return replace(self, link=call.link, slaves=slaves, choices=(*others, choice))


def alternative_calls(text: str) -> list[AlternativeCall]:
    """The calls that a script's text holds, all of whose words must be literal; a ValueError for one that is not."""
    joined = re.sub(r"\\\n[ \t]*", " ", text)
    lines = [re.sub(r"(?:^|\s)#.*", "", line) for line in joined.split("\n")]
    return [_parsed(found[1], found[2].split()) for found in _CALL.finditer(re.sub(r"[ \t]+", " ", "\n".join(lines)))]


def _parsed(action: str, words: list[str]) -> AlternativeCall:
    bad = [word for word in words if not _WORD.fullmatch(word)]
    rest = words[4:]
    if bad or len(words) < (4 if action == "--install" else 2) or len(rest) % 4:
        raise ValueError(f"update-alternatives {action} {' '.join(words)}")
    if action == "--remove":
        return AlternativeCall(words[0], words[1])
    slaves = [tuple(rest[index + 1 : index + 4]) for index in range(0, len(rest), 4) if rest[index] == "--slave"]
    return AlternativeCall(words[1], words[2], words[0], int(words[3]), tuple(slaves))  # type: ignore[arg-type]


def run_alternative_calls(context: Context) -> None:
    """The operation: every call in the part's text."""
    for call in alternative_calls(context.part.text):
        if not call.link:
            remove_alternative(context.overlay, call.name, call.path)
        elif _exists(context.overlay, call.path):
            install_alternative(context.overlay, call)
        elif "|| true" not in context.part.text:
            context.refuse(f"update-alternatives would fail: there is no {call.path}")


def install_named_alternative(context: Context, link: str, name: str, path: str, priority: str, *slaves: str) -> None:
    """The operation: one call that the script writes with variables; ``slaves`` are links, names and paths in turn."""
    words = [context.expanded(word) for word in (link, name, path, *slaves)]
    link, name, path = words[:3]
    rest = tuple((words[index], words[index + 1], words[index + 2]) for index in range(3, len(words), 3))
    if _exists(context.overlay, path):
        install_alternative(context.overlay, AlternativeCall(name, path, link, int(priority), rest))
    else:
        context.refuse(f"update-alternatives would fail: there is no {path}")


def install_alternative(overlay: Overlay, call: AlternativeCall) -> None:
    """``update-alternatives --install``."""
    old = _read(overlay, call.name) or Alternative(call.name, call.link)
    _write(overlay, old.with_choice(call), old)


def remove_alternative(overlay: Overlay, name: str, path: str) -> None:
    """``update-alternatives --remove``: nothing where there is no such group or choice."""
    old = _read(overlay, name)
    if old is None or all(choice.path != path for choice in old.choices):
        return
    left = tuple(choice for choice in old.choices if choice.path != path)
    if left:
        _write(overlay, replace(old, choices=left), old)
        return
    for each, link in {name: old.link, **old.slaves}.items():
        _remove_link(overlay, link, each)
        overlay.remove(f"{_LINKS}/{each}")
    overlay.remove(f"{_DATABASE}/{name}")


def _read(overlay: Overlay, name: str) -> Alternative | None:
    path = f"{_DATABASE}/{name}"
    return Alternative.parse(name, overlay.read_text(path)) if overlay.is_file(path) else None


def _write(overlay: Overlay, group: Alternative, old: Alternative) -> None:
    entry = overlay.get(f"{_LINKS}/{group.name}")
    current = next((choice for choice in group.choices if entry is not None and choice.path == entry.link), None)
    if group.automatic or current is None:
        group = replace(group, automatic=True)
        current = group.best
    overlay.make_folders(_LINKS)
    overlay.make_folders(_DATABASE)
    overlay.write(f"{_DATABASE}/{group.name}", group.text())
    if old.link != group.link:
        _remove_link(overlay, old.link, group.name)
    _link(overlay, group.link, group.name, current.path)
    for slave, link in sorted(group.slaves.items()):
        file = current.slaves.get(slave, "")
        if file and _exists(overlay, file):
            _link(overlay, link, slave, file)
        else:
            _remove_link(overlay, link, slave)
            overlay.remove(f"{_LINKS}/{slave}")


def _exists(overlay: Overlay, path: str) -> bool:
    where = path.lstrip("/")
    return overlay.is_file(where) or overlay.is_folder(where)


def _link(overlay: Overlay, link: str, name: str, target: str) -> None:
    overlay.symlink(f"{_LINKS}/{name}", target)
    path = link.lstrip("/")
    entry = overlay.get(path)
    if entry is None or entry.kind == "symlink":  # a real file there is somebody's, and stays
        overlay.symlink(path, f"/{_LINKS}/{name}")


def _remove_link(overlay: Overlay, link: str, name: str) -> None:
    entry = overlay.get(link.lstrip("/"))
    if entry is not None and entry.kind == "symlink" and entry.link == f"/{_LINKS}/{name}":
        overlay.remove(link.lstrip("/"))
