"""A Debian root that belongs to an ordinary user, and programs run in it by that user on the rung "trap"."""

import hashlib
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.sandbox_roots import Outcome, driven

USER = 65532
PACKAGES = (
    *("gcc", "libc6-dev", "make", "git", "python3", "perl", "procps", "file"),
    *("sudo", "libcap2-bin", "attr", "acl", "busybox-static"),
)


@dataclass(frozen=True)
class Trap:
    """Runs programs in ``root``."""

    root: Path

    def run(self, *arguments: str, **fields: Any) -> Outcome:
        """Run the program; ``fields`` are an Execution's."""
        return driven("trap-untried", self.root, *arguments, user=USER, **fields)

    def shell(self, script: str, **fields: Any) -> Outcome:
        """Run the script with bash, which ends at the first failure."""
        return self.run("bash", "-euo", "pipefail", "-c", textwrap.dedent(script), **fields)

    def python(self, code: str, **fields: Any) -> str:
        """Run the code with the root's Python, which must succeed; what it wrote."""
        outcome = self.run("python3", "-c", _PRELUDE + textwrap.dedent(code), **fields)
        assert outcome.exit_code == 0, outcome.output
        return outcome.output

    def c(self, program: str, *arguments: str, flags: str = "", **fields: Any) -> Outcome:
        """Compile the C program with the root's compiler, and run it."""
        folder = self.root / "tmp" / f"c-{hashlib.sha256(program.encode()).hexdigest()[:12]}"
        if not (folder / "program").exists():
            folder.mkdir(exist_ok=True)
            (folder / "program.c").write_text(program)
            give(folder)
            inside = f"/tmp/{folder.name}"
            made = self.shell(f"gcc -Wall -O1 -D_GNU_SOURCE {flags} -o {inside}/program {inside}/program.c -lpthread")
            assert made.exit_code == 0, made.output
        return self.run(f"/tmp/{folder.name}/program", *arguments, **fields)


# What most of the tests' programs need: a call that fails with an errno, and another user in a child.
_PRELUDE = """
import ctypes, errno, os, stat, sys
libc = ctypes.CDLL(None, use_errno=True)

def call(number, *arguments):
    "The system call itself: its result, or the negative errno."
    answer = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    return -ctypes.get_errno() if answer == -1 else answer

def failure(function, *arguments, **named):
    "The name of the error that the function fails with, or None."
    try:
        function(*arguments, **named)
    except OSError as error:
        return errno.errorcode[error.errno]

def as_user(uid, function, gid=None, groups=()):
    "Calls the function in a child that is this user; the child must succeed."
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups(groups)
            os.setresgid(*[uid if gid is None else gid] * 3)
            os.setresuid(uid, uid, uid)
            function()
            sys.stdout.flush()
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
"""


def give(folder: Path) -> None:
    """Let the files belong to the user who runs the programs."""
    subprocess.run(["chown", "-Rh", f"{USER}:{USER}", folder], check=True)


def made_root(folder: Path, packages: Sequence[str]) -> None:
    """A root with the packages, built by this program as the ordinary user."""
    source = folder / "source"
    source.mkdir(parents=True)
    (source / "apt.txt").write_text("\n".join(packages))
    (source / "ocibuild.toml").write_text('profile = "plain"\n')
    give(folder)
    done = subprocess.run(
        [sys.executable, "-m", "ocibuild.cli", "build", str(source), "-o", f"rootfs:{folder}/root"],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": "/tmp", "OCIBUILD_STORE": f"{folder}/store"},
        capture_output=True,
        text=True,
        check=False,
        user=USER,
        group=USER,
        extra_groups=[],
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    shutil.rmtree(folder / "store")


@contextmanager
def kept_root(packages: Sequence[str]) -> Iterator[Path]:
    """A root, kept between runs where OCIBUILD_TEST_CACHE says so; it stands where every user may go."""
    name = f"ocibuild-trap-{hashlib.sha256(' '.join(packages).encode()).hexdigest()[:12]}"
    kept = Path(os.environ["OCIBUILD_TEST_CACHE"], name) if "OCIBUILD_TEST_CACHE" in os.environ else None
    folder = kept if kept is not None and _is_reachable(kept.parent) else Path("/var/tmp", name)
    if not (folder / "root").exists():
        shutil.rmtree(folder, ignore_errors=True)
        made_root(folder, packages)
    yield folder / "root"
    if kept is None:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def debian_root() -> Iterator[Path]:
    with kept_root(PACKAGES) as root:
        yield root


def _is_reachable(folder: Path) -> bool:
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents) if part.exists())


@pytest.fixture(scope="session")
def trap(debian_root: Path) -> Trap:
    return Trap(debian_root)


@pytest.fixture
def folder(debian_root: Path) -> Iterator[Path]:
    """A new folder in the root, whose inside path is ``/tmp/NAME``."""
    made = debian_root / "tmp" / f"test-{os.urandom(4).hex()}"
    made.mkdir()
    give(made)
    yield made
    subprocess.run(["chmod", "-R", "u+rwX", made], check=False, capture_output=True)
    shutil.rmtree(made)


Inside = Callable[[Path], str]


@pytest.fixture
def inside(debian_root: Path) -> Inside:
    """A file of the root as programs in it write its path."""
    return lambda path: "/" + str(path.relative_to(debian_root))
