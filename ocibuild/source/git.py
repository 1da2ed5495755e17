"""Repositories that git fetches: an address and a ref become a folder with exactly that commit."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.errors import NetworkError, UsageError
from ocibuild.core.events import EventSink, Notice, discard
from ocibuild.net.address import redacted
from ocibuild.source.version_control import complaint, run_program

__all__ = ["CREDENTIAL_VARIABLE", "GitAddress", "GitCheckout", "fetch_git"]

CREDENTIAL_VARIABLE = "GIT_CREDENTIAL_ENV"
"""Holds ``username=...`` and ``password=...`` on lines of their own, as repo2docker and BinderHub use it."""

_SCHEMES = ("http://", "https://", "git://", "ssh://", "file://")
_SCP_FORM = re.compile(r"[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+:(?!//).+")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHORT_COMMIT = re.compile(r"[0-9a-f]{4,63}")
_MOVED_BRANCHES = ("master", "main")


@dataclass(frozen=True, slots=True)
class GitAddress:
    """Where a repository is (``url``, as git takes it) and which state of it is meant: a branch, a tag or a commit.

    Without a ``ref`` it is the repository's default branch.
    """

    url: str
    ref: str | None = None

    @classmethod
    def parse(cls, text: str, *, ref: str | None = None) -> "GitAddress | None":
        """The address that ``text`` has the form of, or None; nothing is asked of any server.

        A UsageError for a ref that git would take for an option.
        """
        if not text.startswith(_SCHEMES) and not _SCP_FORM.fullmatch(text):
            return None
        if ref is not None and (not ref or ref.startswith("-") or re.search(r"[\s\x00-\x1f~^:?*\[\\]|\.\.", ref)):
            raise UsageError(f"not a ref of git: {ref!r}", hint="name a branch, a tag or a commit")
        return cls(text, ref)

    def __str__(self) -> str:
        return redacted(self.url) + (f" at {self.ref}" if self.ref else "")


@dataclass(frozen=True, slots=True)
class GitCheckout:
    """A commit in a folder of this machine; ``commit`` is its full name."""

    folder: Path
    commit: str


def fetch_git(
    address: GitAddress,
    folder: Path,
    *,
    environment: Mapping[str, str],
    events: EventSink = discard,
    with_history: bool = False,
) -> GitCheckout:
    """Fetch the commit that ``address`` names into ``folder``, which must be empty, with its submodules.

    One commit deep where the server allows it; the whole history else (a short commit, an old server), and
    ``with_history``, which versions made of tags need. No hook runs and nothing is asked on the terminal; git's own
    configuration, credential helpers and proxies are honoured, and ``GIT_CREDENTIAL_ENV`` is one more helper.

    A NetworkError says what git said; a MachineError where there is no git.
    """
    git = _Git(folder, environment, subject=str(address))
    git.run("init", "--quiet", "--template=", ".")
    git.run("remote", "add", "origin", "--", address.url)
    commit = None if with_history else _shallow(git, address)
    commit = commit or _deep(git, address, events)
    git.run("checkout", "--quiet", "--force", "--detach", commit)
    if (folder / ".gitmodules").exists():
        git.run("submodule", "--quiet", "update", "--init", "--recursive", "--depth", "1")
    return GitCheckout(folder, commit)


def _shallow(git: "_Git", address: GitAddress) -> str | None:
    """The commit, fetched alone; None where the server does not know the ref, or gives no single commit."""
    wanted = address.ref or "HEAD"
    if address.ref and _SHORT_COMMIT.fullmatch(address.ref) and not _COMMIT.fullmatch(address.ref):
        return None  # may be the start of a commit's name, which no server looks up
    result = git.try_run("fetch", "--quiet", "--depth", "1", "--no-tags", "--", "origin", wanted)
    return git.answer("rev-parse", "--verify", "FETCH_HEAD^{commit}") if result is None else None


def _deep(git: "_Git", address: GitAddress, events: EventSink) -> str:
    """The commit, found in the whole history as repo2docker finds it: a commit, a branch, a tag, in this order."""
    git.run("fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*")
    if (
        address.ref is None
    ):  # of servers that give no single commit, such as a web server with the files of a repository
        git.try_run("remote", "set-head", "origin", "--auto")
    ref = address.ref or "HEAD"
    for candidate in (ref, f"origin/{ref}", f"refs/tags/{ref}"):
        found = git.try_answer("rev-parse", "--quiet", "--verify", "--end-of-options", f"{candidate}^{{commit}}")
        if found:
            return found
    if ref in _MOVED_BRANCHES:
        other = _MOVED_BRANCHES[1 - _MOVED_BRANCHES.index(ref)]
        if git.try_answer("rev-parse", "--quiet", "--verify", f"origin/{other}^{{commit}}"):
            events(Notice(f"{redacted(address.url)} has a branch {other}, but none of the name {ref}", warning=True))
    raise NetworkError(
        f"{redacted(address.url)} has no branch, tag or commit {ref}",
        hint="look up its branches with: git ls-remote URL",
    )


class _Git:
    """Runs git in one folder. ``subject`` is what messages are about; no credential of it is in them."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *, subject: str) -> None:
        self._folder = folder
        self._subject = subject
        self._options = [
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "protocol.ext.allow=never",
            "-c",
            "advice.detachedHead=0",
        ]
        self._environment = {**environment, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"}
        self._environment.setdefault("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
        if environment.get(CREDENTIAL_VARIABLE):
            # The shell function is git's own way to name a helper; the credential itself stays in the environment.
            helper = f'!f() {{ test "$1" = get && printf "%s\\n" "${CREDENTIAL_VARIABLE}"; }}; f'
            self._options += ["-c", f"credential.helper={helper}"]

    def run(self, *arguments: str) -> None:
        """A NetworkError with git's own words where it fails."""
        error = self.try_run(*arguments)
        if error is not None:
            raise error

    def try_run(self, *arguments: str) -> NetworkError | None:
        """The error that :meth:`run` would raise, or None where git succeeds."""
        result = self._start(arguments)
        return None if result.returncode == 0 else self._error(arguments, result)

    def answer(self, *arguments: str) -> str:
        """What git prints."""
        result = self._start(arguments)
        if result.returncode != 0:
            raise self._error(arguments, result)
        return result.stdout.strip()

    def try_answer(self, *arguments: str) -> str:
        """What git prints, or nothing where it fails."""
        result = self._start(arguments)
        return result.stdout.strip() if result.returncode == 0 else ""

    def _start(self, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        command = ["git", *self._options, *arguments]
        return run_program(command, self._folder, self._environment, subject=self._subject, package="git")

    def _error(self, arguments: Sequence[str], result: "subprocess.CompletedProcess[str]") -> NetworkError:
        return NetworkError(
            f"git {arguments[0]} of {self._subject} failed: {complaint(result)}",
            hint="check the address and the ref; a private repository needs a credential helper of git, "
            f"or {CREDENTIAL_VARIABLE} with username= and password= lines",
        )
