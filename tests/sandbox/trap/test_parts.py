"""The native program's parts without a trap, for both processors: under qemu-user there is none.

The resolving of paths is compared with the kernel's own in a chroot, over random trees; the filter is run by an
interpreter of its language.
"""

import json
import os
import random
import shutil
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ocibuild.sandbox.entrance import Bind
from ocibuild.sandbox.execution import Execution, InodeKey, Owner
from ocibuild.sandbox.kernel import identify
from ocibuild.sandbox.root_program import SOURCE_FOLDER
from ocibuild.sandbox.run_state import RunFacts, RunState

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.getuid() != 0, reason="only root may chroot")]

USER = 65532
_COMPILERS = {"x86_64": "gcc", "aarch64": "aarch64-linux-gnu-gcc"}
_NUMBERS = {
    # openat, execve, getuid, rt_sigprocmask, mount, clone3, recvfrom, unshare
    "x86_64": (257, 59, 102, 14, 165, 435, 45, 272),
    "aarch64": (56, 221, 174, 135, 40, 435, 207, 97),
}
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_ALLOW, _TRAP, _ERRNO = 0x7FFF0000, 0x00030CB1, 0x00050000


@dataclass(frozen=True)
class Parts:
    architecture: str
    command: tuple[str, ...]

    def run(self, *arguments: str, user: int | None = None) -> bytes:
        done = subprocess.run(
            [*self.command, *arguments],
            capture_output=True,
            check=False,
            user=user,
            group=user,
            extra_groups=[] if user else None,
        )
        assert done.returncode == 0, done
        return done.stdout


@pytest.fixture(scope="module", params=["x86_64", "aarch64"])
def parts(request: pytest.FixtureRequest) -> Iterator[Parts]:
    architecture: str = request.param
    compiler = shutil.which(_COMPILERS[architecture])
    is_native = os.uname().machine == architecture
    if compiler is None or not (is_native or shutil.which(f"qemu-{architecture}")):
        pytest.skip(f"no compiler for {architecture}, or nothing to run its programs")
    folder = Path("/var/tmp") / f"ocibuild-parts-{os.urandom(4).hex()}"
    folder.mkdir(mode=0o755)
    try:
        main = Path(__file__).with_name("self_test.c")
        command = ["make", "-s", "-C", str(SOURCE_FOLDER), f"CC={compiler}", f"ARCH={architecture}", f"OUT={folder}"]
        subprocess.run([*command, f"MAIN={main}", "NAME=self-test", f"CFLAGS=-I{SOURCE_FOLDER}"], check=True)
        program = f"{folder}/self-test-{architecture}"
        yield Parts(architecture, (program,) if is_native else (f"qemu-{architecture}", program))
    finally:
        shutil.rmtree(folder)


def evaluate(code: bytes, data: bytes) -> int:
    """What a classic BPF program returns for the data (Documentation/networking/filter.rst); seccomp's subset of it."""
    instructions = list(struct.iter_unpack("<HBBI", code))
    at, accumulator = 0, 0
    while True:
        operation, if_true, if_false, value = instructions[at]
        at += 1
        if operation == 0x20:  # LD W ABS
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif operation == 0x06:  # RET K
            return int(value)
        elif operation == 0x05:  # JA
            at += value
        else:
            holds = {
                0x15: accumulator == value,
                0x25: accumulator > value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }[operation]
            at += if_true if holds else if_false


def own_addresses(code: bytes) -> list[int]:
    """The two addresses from which calls pass: what the last comparisons are made with."""
    values = [value for operation, _, _, value in struct.iter_unpack("<HBBI", code) if operation == 0x15]
    upper, first, second = values[-3:]
    return [upper << 32 | first, upper << 32 | second]


def test_the_filter_does_what_the_rules_say(parts: Parts) -> None:
    code = parts.run("filter")
    rules = {
        number: rest for number, *rest in (map(int, line.split()) for line in parts.run("rules").decode().splitlines())
    }
    own = own_addresses(code)
    assert all(address >> 32 == 0x5800 for address in own)

    def answer(number: int, address: int = 0x400000, arguments: tuple[int, ...] = (0,) * 6) -> int:
        data = struct.pack("<iIQ6Q", number, _AUDIT[parts.architecture], address, *arguments)
        return evaluate(code, data)

    chance = random.Random(parts.architecture)
    for number in range(470):
        handled, condition, argument, bits = rules.get(number, (0, 0, 0, 0))
        applied, left = [0] * 6, [0] * 6
        if condition == 1:
            applied[argument] = chance.choice([1, 1 << 32, (1 << 64) - 1])
        elif condition == 2:
            applied[argument] = bits & -bits
            left[argument] = 0xFFFFFFFF & ~bits
        expected = _TRAP if handled < 0 else _ERRNO | handled if handled else _ALLOW
        assert answer(number, arguments=tuple(applied)) == expected, number
        if condition:
            assert answer(number, arguments=tuple(left)) == _ALLOW, number
        if handled < 0:
            assert {answer(number, address, tuple(applied)) for address in own} == {_ALLOW}, number
    assert answer(470) == answer(1000) == answer(0x40000001) == answer(-1) == _ERRNO | 38
    assert answer(999) == answer(999, own[0]) == _TRAP
    foreign = struct.pack("<iIQ6Q", 1, 0x40000003, own[0], *[0] * 6)
    assert evaluate(code, foreign) == _ERRNO | 38
    opens, executes, asks, masks, mounts, clones, receives, unshares = (rules[n] for n in _NUMBERS[parts.architecture])
    assert [each[0] for each in (opens, executes, asks, masks, receives)] == [-1] * 5
    assert (mounts[0], clones[0], unshares[0]) == (1, 38, 1)


def made_tree(root: Path, chance: random.Random) -> list[str]:
    """A random tree of folders, files and links, with owners and modes; names of what is in it."""
    folders, paths = [""], [""]
    root.mkdir()
    for number in range(60):
        folder = chance.choice(folders)
        path = f"{folder}/{chance.choice('abcdefgh')}{number}"
        where = root / path.lstrip("/")
        kind = chance.random()
        if kind < 0.4:
            where.mkdir()
            folders.append(path)
        elif kind < 0.6:
            where.touch()
        else:
            target = chance.choice(paths) or "/"
            where.symlink_to(
                chance.choice([target, f"..{target}", f"../../..{target}", "nowhere", ".", f"{target}/..", path[-2:]])
            )
        paths.append(path)
    for path in paths[1:]:
        where = root / path.lstrip("/")
        os.chown(where, chance.choice([0, 1000, 5]), chance.choice([0, 50]), follow_symlinks=False)
        if not where.is_symlink():
            where.chmod(chance.choice([0o755, 0o755, 0o711, 0o700, 0o710, 0o077, 0o755]))
    return paths


def questions(paths: list[str], chance: random.Random) -> list[str]:
    found = ["/", "//", "/.", "/..", "/a/../..", *(path for path in paths if path)]
    for _ in range(300):
        parts = [chance.choice([*paths, "/..", "/.", "/", "/nothing"]) for _ in range(chance.randint(1, 3))]
        found.append(chance.choice(["", "/"]) + "".join(parts) + chance.choice(["", "", "/", "/.", "/.."]) or "/")
    return [path if path.startswith("/") else f"/{path}" for path in found]


def by_kernel(root: Path, asked: list[str], *, uid: int, gid: int, follow: bool) -> list[str]:
    """What the kernel finds in a chroot: an errno's number, or the device and inode."""
    code = """
import json, os, sys
root, asked, uid, gid, follow = json.load(sys.stdin)
os.chroot(root); os.chdir("/"); os.setgroups([gid]); os.setresgid(gid, gid, gid); os.setresuid(uid, uid, uid)
for path in asked:
    try:
        status = os.stat(path, follow_symlinks=follow)
        print(status.st_ino)
    except OSError as error:
        print(-error.errno)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps([str(root), asked, uid, gid, follow]),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def given_away(root: Path) -> dict[InodeKey, Owner]:
    owners: dict[InodeKey, Owner] = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            status = path.lstat()
            descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
            owners[identify(descriptor)[0]] = (status.st_uid, status.st_gid)
            os.close(descriptor)
            mode = stat.S_IMODE(status.st_mode)
            os.chown(path, USER, USER, follow_symlinks=False)
            if not path.is_symlink():
                path.chmod(mode)
    os.chown(root, USER, USER)
    return owners


@pytest.mark.parametrize("seed", range(6))
def test_paths_are_resolved_as_by_the_kernel(parts: Parts, seed: int) -> None:
    chance = random.Random(seed)
    folder = Path("/var/tmp") / f"ocibuild-paths-{os.urandom(4).hex()}"
    folder.mkdir(mode=0o755)
    try:
        root = folder / "root"
        asked = questions(made_tree(root, chance), chance)
        identities = [(0, 0), (1000, 50), (5, 0)]
        expected = {
            (uid, gid, follow): by_kernel(root, asked, uid=uid, gid=gid, follow=follow)
            for uid, gid in identities
            for follow in (True, False)
        }
        owners = given_away(root)
        device = root.stat().st_dev
        facts = RunFacts(root, root / "loader", "", (device, device), (Bind("/proc", "/proc", writable=True),))
        with RunState.make(folder / "state", facts, Execution(("x",)), owners):
            os.chown(folder / "state", USER, USER)
        for (uid, gid, follow), kernel in expected.items():
            told = (
                parts.run("find", str(folder / "state"), str(uid), str(gid), str(int(follow)), *asked, user=USER)
                .decode()
                .splitlines()
            )
            for path, line, wanted in zip(asked, told, kernel, strict=True):
                result, exists, zone, outside = line.split(" ", 3)
                where = f"{path} as {uid}:{gid}, {follow}: {line}"
                assert zone == "0", where
                if int(result) < 0 or exists == "0":
                    error = int(result) or -2
                    assert wanted == str(error), f"{where}: {wanted}"
                else:
                    assert outside.startswith(str(root)), where
                    if int(wanted) == -20 and outside.endswith("/"):
                        continue  # the slash stays for the kernel to refuse
                    assert str(os.lstat(outside).st_ino) == wanted, f"{where}: {wanted}"
    finally:
        subprocess.run(["rm", "-rf", folder], check=True)
