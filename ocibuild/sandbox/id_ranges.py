"""Which ids of this machine a user may have besides his own (subuid(5)), and how an image's are put on them."""

import os
import pwd
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from ocibuild.sandbox.entrance import IdRange

__all__ = ["IMAGE_IDS", "delegated_ranges", "image_map", "own_map", "parse_ranges", "user_name"]

IMAGE_IDS = 65536
"""Ids that an image uses: 0 to 65535, as every distribution's nobody and nogroup (65534) have it."""


def user_name() -> str:
    """This process' user as messages and subuid(5) name him; his uid where no file knows it, as in a pod."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def parse_ranges(text: str, *, user: str, uid: int) -> list[tuple[int, int]]:
    """The ranges (start, count) that a subuid(5) or subgid(5) file gives a user, by name or by uid, in its order.

    Lines that say nothing sensible are passed over, as the programs of shadow do.
    """
    found = []
    for line in text.splitlines():
        owner, _, numbers = line.strip().partition(":")
        start, _, count = numbers.partition(":")
        if owner in (user, str(uid)) and start.isdigit() and count.isdigit() and int(count):
            found.append((int(start), int(count)))
    return found


def delegated_ranges(file: Path, *, option: str = "") -> list[tuple[int, int]]:
    """The ranges that ``/etc/subuid`` or ``/etc/subgid`` gives this process' user.

    Where the file has none, getsubids(1) is asked (``option`` is its ``-g`` for groups): ranges may come from the
    network (nsswitch.conf, "subid").
    """
    uid, user = os.geteuid(), user_name()
    try:
        found = parse_ranges(file.read_text(errors="replace"), user=user, uid=uid)
    except OSError:
        found = []
    return found or _asked_ranges([option] if option else [], user)


def _asked_ranges(options: Sequence[str], user: str) -> list[tuple[int, int]]:
    try:
        done = subprocess.run(["getsubids", *options, user], capture_output=True, text=True, check=False)
    except OSError:
        return []
    if done.returncode:
        return []
    found = re.findall(r"^\d+: \S+ (\d+) (\d+)$", done.stdout, re.MULTILINE)
    return [(int(start), int(count)) for start, count in found]


def image_map(own: int, ranges: Iterable[tuple[int, int]]) -> tuple[IdRange, ...]:
    """The map of an image's ids: root is this user, so that most files are his; the others lie in the ranges."""
    mapped = [IdRange(0, own, 1)]
    inside = 1
    for start, count in ranges:
        taken = min(count, IMAGE_IDS - inside)
        if taken > 0:
            mapped.append(IdRange(inside, start, taken))
            inside += taken
    return tuple(mapped)


def own_map(text: str) -> tuple[IdRange, ...]:
    """The map that leaves an image's ids as they are, as far as this name space has them (``/proc/self/uid_map``)."""
    rows = [[int(word) for word in line.split()] for line in text.splitlines()]
    return tuple(
        IdRange(first, first, min(first + count, IMAGE_IDS) - first) for first, _, count in rows if first < IMAGE_IDS
    )
