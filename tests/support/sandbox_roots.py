"""Small roots to run programs in, made of this machine's own files, and a driver that runs them as any user."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from ocibuild.layer.entry import Entry, EntryKind

__all__ = [
    "DRIVER",
    "ORDINARY_USER",
    "Outcome",
    "copied_root",
    "driven",
    "entries_of",
    "open_folder",
    "outcome_of",
    "small_root",
    "with_delegated_ids",
]

ORDINARY_USER = 10001
DRIVER = Path(__file__).with_name("sandbox_driver.py")
PROGRAMS = (
    "bash",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cp",
    "env",
    "getcap",
    "head",
    "id",
    "install",
    "ln",
    "ls",
    "mkdir",
    "mkfifo",
    "mknod",
    "mv",
    "nproc",
    "perl",
    "ps",
    "readlink",
    "rm",
    "seq",
    "setcap",
    "setpriv",
    "setsid",
    "sh",
    "sleep",
    "stat",
    "touch",
    "true",
    "yes",
)
_MACHINE_USERS = f"root:x:0:0:root:/root:/bin/sh\nordinary:x:{ORDINARY_USER}:{ORDINARY_USER}::/:/bin/sh\n"
_PASSWD = "root:x:0:0:root:/root:/bin/sh\njovyan:x:1000:1000::/home/jovyan:/bin/sh\nbob:x:33:34::/:/bin/sh\n"
_GROUP = "root:x:0:\nstaff:x:50:\njovyan:x:1000:\nbobs:x:34:\n"


@dataclass(frozen=True)
class Outcome:
    """What the driver printed."""

    output: str
    exit_code: int = -1
    timed_out: bool = False
    owners: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    attributes: dict[tuple[int, int], dict[str, bytes]] = field(default_factory=dict)
    error: str = ""
    hint: str | None = None

    def owner_of(self, path: Path) -> tuple[int, int] | None:
        """The noted owner of a file of the root, found by inode number."""
        inode = path.lstat().st_ino
        return next((owner for (number, _), owner in self.owners.items() if number == inode), None)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, unlike pytest's own."""
    folder = Path(mkdtemp(prefix="ocibuild-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def small_root(root: Path) -> Path:
    """A merged-/usr root with a shell, perl and small tools, copied from this machine with the libraries they load."""
    for name in ("usr/bin", "usr/lib", "usr/lib64", "usr/sbin", "etc", "home/jovyan", "root", "tmp", "var/lib"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text(_PASSWD)
    (root / "etc/group").write_text(_GROUP)
    for name in PROGRAMS:
        found = shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin")
        if found is not None:
            _copy_program(Path(found), root)
    return root


def entries_of(folder: Path, *, user: int = 1000) -> Iterator[Entry]:
    """What the folder holds, everything but a home as root's."""
    for path in sorted(folder.rglob("*")):
        name, mode = str(path.relative_to(folder)), path.lstat().st_mode & 0o7777
        uid = user if name.startswith("home/jovyan") else 0
        if path.is_symlink():
            yield Entry.symlink(name, str(path.readlink()))
        elif path.is_dir():
            yield Entry.directory(name, mode=mode, uid=uid, gid=uid)
        else:
            yield Entry(name, EntryKind.FILE, mode, uid, uid, path.stat().st_size, content=path.read_bytes())


def _copy_program(program: Path, root: Path) -> None:
    shutil.copy(program, root / "usr/bin" / program.name)
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    for library in re.findall(r"(/\S+) \(0x", listed):
        target = root / library.lstrip("/").removeprefix("usr/")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)


def copied_root(template: Path, root: Path, *, owner: int) -> Path:
    """A copy of the template, whose files belong to this user."""
    subprocess.run(["cp", "-a", template, root], check=True)
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", f"{owner}:{owner}", root], check=True)
    return root


def driven(rung: str, root: Path, *arguments: str, user: int = 0, within: Sequence[str] = (), **fields: Any) -> Outcome:
    """Run the program in the root on this rung, as this user of this machine; ``fields`` are an Execution's.

    ``within`` is a command that runs another one, somewhere else.
    """
    asked = {"rung": rung, "root": str(root), "arguments": arguments, **fields}
    done = subprocess.run(
        [*within, sys.executable, "-B", DRIVER],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        user=user or None,
        group=user or None,
        extra_groups=[] if user else None,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    return outcome_of(done.stdout)


def with_delegated_ids(folder: Path, ranges: str) -> list[str]:
    """A command that runs another as the ordinary user, who has these lines in /etc/subuid and /etc/subgid.

    This machine's own files stay as they are: others are mounted over them, for that command alone.
    """
    files = []
    for name, text in (("subuid", ranges), ("subgid", ranges), ("passwd", _MACHINE_USERS)):
        (folder / name).write_text(text)
        files += [f"mount --bind {folder / name} /etc/{name}"]
    become = f'exec setpriv --reuid={ORDINARY_USER} --regid={ORDINARY_USER} --clear-groups "$@"'
    return ["unshare", "--mount", "sh", "-c", " && ".join([*files, become]), "sh"]


def outcome_of(text: str) -> Outcome:
    answer = json.loads(text)
    if "error" in answer:
        return Outcome(answer["output"], error=answer["error"], hint=answer["hint"])
    return Outcome(
        answer["output"],
        answer["exit_code"],
        answer.get("timed_out", False),
        {(inode, birth): (uid, gid) for inode, birth, uid, gid in answer.get("owners", ())},
        {
            (inode, birth): {name: bytes.fromhex(value) for name, value in each.items()}
            for inode, birth, each in answer.get("attributes", ())
        },
    )
