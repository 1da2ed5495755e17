"""What git says of a checkout, asked of it in a few quick questions. Imported by every build: keep it light."""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.errors import RepositoryError
from ocibuild.net.address import split_userinfo

__all__ = ["GitState", "ask_git", "git_command", "git_environment", "read_git_state"]

_DIGEST_CHARACTERS = 40
_SCP_FORM = re.compile(r"[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+:(?!//).+")
_COMMITTED = re.compile(r"committer .*> ([0-9]+) [+-][0-9]{4}")
_BRANCHES = "refs/heads/"


@dataclass(frozen=True, slots=True)
class GitState:
    """A checkout, as far as an image holds it.

    ``branch`` is empty where HEAD is detached, ``remote`` (without credentials) where there is none.
    ``is_shallow`` tells that the commit has parents, which the image leaves out. ``commit_time`` is the committer's, in
    seconds since the epoch.
    """

    folder: Path
    commit: str
    branch: str
    remote: str
    is_shallow: bool
    commit_time: int | None = None

    @property
    def identity(self) -> str:
        """Equal for states that give equal bytes."""
        return "\n".join(["git folder 1", self.commit, self.branch, self.remote, str(self.is_shallow)])


def read_git_state(folder: Path) -> GitState | None:
    """The state of the checkout in ``folder``; None where it is no checkout, has no commit yet, or git is not here."""
    if not (folder / ".git").exists():
        return None
    try:
        # The commit as it is: "git log" would hide the parents that a shallow clone has not.
        answer = ask_git(folder, "cat-file", "--batch", given=b"HEAD^{commit}\n")
    except (OSError, RepositoryError):
        return None
    told, _, rest = answer.partition(b"\n")
    commit, kind, *_ = (*told.decode("ascii", "replace").split(), "", "")
    if kind != "commit" or len(commit) != _DIGEST_CHARACTERS:  # SHA-256 repositories have other formats
        return None
    header = rest.partition(b"\n\n")[0].decode("utf-8", "replace").splitlines()
    times = [int(match[1]) for line in header if (match := _COMMITTED.fullmatch(line))]
    branch = _answer(folder, "rev-parse", "--symbolic-full-name", "HEAD")
    return GitState(
        folder,
        commit,
        branch.removeprefix(_BRANCHES) if branch.startswith(_BRANCHES) else "",
        _public_remote(_answer(folder, "config", "--get", "remote.origin.url")),
        any(line.startswith("parent ") for line in header),
        times[0] if times else None,
    )


def _answer(folder: Path, *arguments: str) -> str:
    try:
        return ask_git(folder, *arguments).strip().decode("utf-8", "replace")
    except RepositoryError:
        return ""


def _public_remote(url: str) -> str:
    """The remote's address as an image may tell it: without credentials, and nothing of this machine's folders."""
    if url.startswith(("http://", "https://")):
        return split_userinfo(url)[0]
    if url.startswith("ssh://"):
        bare, user, _ = split_userinfo(url)
        return bare.replace("ssh://", f"ssh://{user}@", 1) if user else bare
    return url if _SCP_FORM.fullmatch(url) or url.startswith("git://") else ""


def git_command(folder: Path, arguments: Sequence[str]) -> list[str]:
    """The command that asks git in this folder, which may be anybody's: objects are read, nothing of it is run."""
    # A mounted volume belongs to another user.
    options = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
    return ["git", "--no-replace-objects", *options, "-C", str(folder), *arguments]


def git_environment() -> dict[str, str]:
    """The variables git is asked with: this process's, but for those that name another repository.

    It may fetch nothing: what a partial clone lacks would be fetched by a command that the clone names.
    """
    return {
        **{name: value for name, value in os.environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE")},
        "GIT_NO_LAZY_FETCH": "1",  # since git 2.39.4
        "GIT_ALLOW_PROTOCOL": "none",
    }


def ask_git(folder: Path, *arguments: str, given: bytes = b"") -> bytes:
    """What git answers; a RepositoryError with its own words where it fails."""
    command = git_command(folder, arguments)
    result = subprocess.run(command, input=given, capture_output=True, env=git_environment(), check=False)
    if result.returncode != 0:
        raise RepositoryError(result.stderr.decode("utf-8", "replace").strip() or "git failed", file=".git")
    return result.stdout
