"""Users of an image: what its account files say of the user that a program runs as."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ocibuild.core.errors import UsageError

__all__ = ["ACCOUNT_FILES", "ImageUser", "find_user"]

ACCOUNT_FILES = ("etc/passwd", "etc/group")
"""What is read to find a user."""

_LARGEST_ID = 2**32 - 2  # the one above means "unchanged" in chown(2)
_PASSWD_FIELDS = 7
_GROUP_FIELDS = 4


@dataclass(frozen=True, slots=True)
class ImageUser:
    """A user by the ids and the home that the image gives it. ``name`` is empty for a number without an account."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = "/"
    shell: str = "/bin/sh"


def find_user(text: str, read: Callable[[str], bytes | None]) -> ImageUser:
    """The user that a configuration's ``User`` (image-spec, config.md: ``user``, ``uid``, ``user:group``, ...) names.

    ``read`` gives the bytes of a file of the image (``etc/passwd``), None where there is none. Names win over numbers.
    A number without an account has group 0 and the home ``/``; a group that is named takes the place of the account's
    own and of all others that it is a member of, as in Docker. A UsageError where a name is unknown.
    """
    user_text, colon, group_text = (text or "0").partition(":")
    rows = list(_rows(read("etc/passwd"), _PASSWD_FIELDS))
    found = next((row for row in rows if row[0] == user_text), None)
    if found is None:
        number = _id(user_text, "user", text)
        found = next((row for row in rows if row[2] == str(number)), None)
        found = found or ["", "", str(number), "0", "", "/", "/bin/sh"]
    name, uid, gid = found[0], _id(found[2], "user", text), _id(found[3], "group", text)
    groups = list(_rows(read("etc/group"), _GROUP_FIELDS))
    if colon:
        named = next((row for row in groups if row[0] == group_text), None)
        gid, others = _id(named[2] if named else group_text, "group", text), set[int]()
    else:
        others = {_id(row[2], "group", text) for row in groups if name and name in row[3].split(",")}
    return ImageUser(name, uid, gid, tuple(sorted(others - {gid})), found[5] or "/", found[6] or "/bin/sh")


def _rows(content: bytes | None, fields: int) -> Iterator[list[str]]:
    """The rows of an account file that have all their fields (passwd(5), group(5))."""
    for line in (content or b"").decode("utf-8", "surrogateescape").splitlines():
        row = line.split(":")
        if len(row) >= fields and not line.startswith("#"):
            yield row


def _id(text: str, what: str, whole: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _LARGEST_ID:
        raise UsageError(f"the {what} {text!r} of {whole!r} is not in the image", hint="name one that is, or a number")
    return int(text)
