"""Giving an image a user, as data: passwd(5), group(5), shadow(5), gshadow(5)."""

from ocibuild.core.clock import FIXED_TIME
from ocibuild.core.errors import BuildError
from ocibuild.image.overlay import Overlay
from ocibuild.spec.catalogue import Account

__all__ = ["ensure_account"]

_FIXED_DAY = FIXED_TIME // 86400
"""The day of the last change of a password: the fixed time's, so that an image does not depend on its day."""


def ensure_account(overlay: Overlay, account: Account) -> None:
    """Make the account exist with exactly these ids, as repo2docker does.

    A user or group that already has the id is renamed (Ubuntu's images have a user ``ubuntu`` with uid 1000, and files
    may belong to it). The home folder is made, mode 0755, and belongs to the account. A BuildError where the name is
    taken by another id.
    """
    group = _Table(overlay, "etc/group", "root:x:0:")
    users = _Table(overlay, "etc/passwd", "root:x:0:0:root:/root:/bin/sh")
    old_group = group.renamed(2, str(account.gid), account.name)
    if old_group is None:
        group.add(account.name, [account.name, "x", str(account.gid), ""])
    passwd = [account.name, "x", str(account.uid), str(account.gid), account.comment, account.home, account.shell]
    old_user = users.renamed(2, str(account.uid), account.name)
    if old_user is None:
        users.add(account.name, passwd)
    else:
        users.replace(account.name, passwd)
    if old_user is not None and old_user != account.name:
        group.rename_members(old_user, account.name)
    users.write()
    group.write()
    _shadow(overlay, "etc/shadow", old_user, account.name, f"{account.name}:!:{_FIXED_DAY}:0:99999:7:::")
    _shadow(overlay, "etc/gshadow", old_group, account.name, f"{account.name}:!::")
    home = account.home.lstrip("/")
    overlay.make_folders(home, uid=account.uid, gid=account.gid)
    overlay.set_owner_and_mode(home, uid=account.uid, gid=account.gid)


class _Table:
    """The lines of a colon-separated account file, in their order."""

    def __init__(self, overlay: Overlay, path: str, default: str) -> None:
        self._overlay = overlay
        self._path = path
        self._rows = [line.split(":") for line in overlay.read_text(path, default).splitlines() if line]

    def renamed(self, column: int, value: str, name: str) -> str | None:
        """Give the row that holds ``value`` this name; its old name, or None where there is no such row."""
        found = next((row for row in self._rows if len(row) > column and row[column] == value), None)
        holder = next((row for row in self._rows if row[0] == name), None)
        if holder is not None and holder is not found:
            raise BuildError(
                f"the base has an account {name!r} with another id than {value} in /{self._path}",
                hint="choose another base, or a layer whose account has that id",
            )
        if found is None:
            return None
        old, found[0] = found[0], name
        return old

    def add(self, name: str, row: list[str]) -> None:
        if all(existing[0] != name for existing in self._rows):
            self._rows.append(row)

    def replace(self, name: str, row: list[str]) -> None:
        self._rows = [row if existing[0] == name else existing for existing in self._rows]

    def rename_members(self, old: str, new: str) -> None:
        for row in self._rows:
            if len(row) > 3 and row[3]:  # noqa: PLR2004 - group(5): the fourth field lists the members
                row[3] = ",".join(new if member == old else member for member in row[3].split(","))

    def write(self) -> None:
        self._overlay.make_folders("etc")
        self._overlay.write(self._path, "".join(":".join(row) + "\n" for row in self._rows))


def _shadow(overlay: Overlay, path: str, old: str | None, name: str, line: str) -> None:
    """Rename or add the row of a shadow file, where the image has one."""
    if not overlay.is_file(path):
        return
    lines = overlay.read_text(path).splitlines()
    if old is not None and any(existing.startswith(f"{old}:") for existing in lines):
        lines = [name + existing[len(old) :] if existing.startswith(f"{old}:") else existing for existing in lines]
    elif not any(existing.startswith(f"{name}:") for existing in lines):
        lines.append(line)
    overlay.write(path, "".join(existing + "\n" for existing in lines))
