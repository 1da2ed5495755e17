import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ocibuild.core.errors import MachineError, NetworkError, UsageError
from ocibuild.core.events import Event, Notice
from ocibuild.source.git import GitAddress, GitCheckout, fetch_git

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
    "GIT_CONFIG_COUNT": "1",  # submodules from file:// are refused otherwise (CVE-2022-39253)
    "GIT_CONFIG_KEY_0": "protocol.file.allow",
    "GIT_CONFIG_VALUE_0": "always",
}


def git(folder: Path, *arguments: str) -> str:
    result = subprocess.run(
        ["git", *arguments], cwd=folder, env=ENVIRONMENT, check=True, capture_output=True, text=True
    )
    return result.stdout.strip()


def commit(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", name)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "origin"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    return folder


def fetched(address: GitAddress, folder: Path, events: list[Event] | None = None) -> GitCheckout:
    folder.mkdir()
    return fetch_git(address, folder, environment=ENVIRONMENT, events=(events if events is not None else []).append)


def address_of(repository: Path, ref: str | None = None) -> GitAddress:
    address = GitAddress.parse(f"file://{repository}", ref=ref)
    assert address is not None
    return address


def test_the_default_branch_one_commit_deep(repository: Path, tmp_path: Path) -> None:
    commit(repository, "a", "1")
    newest = commit(repository, "a", "2")
    checkout = fetched(address_of(repository), tmp_path / "out")
    assert checkout.commit == newest
    assert (checkout.folder / "a").read_text() == "2"
    assert git(checkout.folder, "rev-list", "--count", "HEAD") == "1"


@pytest.mark.parametrize("kind", ["branch", "tag", "annotated", "commit", "short"])
def test_every_kind_of_ref(repository: Path, tmp_path: Path, kind: str) -> None:
    wanted = commit(repository, "a", "wanted")
    git(repository, "branch", "branch")
    git(repository, "tag", "tag")
    git(repository, "tag", "-a", "annotated", "-m", "x")
    commit(repository, "a", "later")
    ref = {"commit": wanted, "short": wanted[:8]}.get(kind, kind)
    checkout = fetched(address_of(repository, ref), tmp_path / "out")
    assert checkout.commit == wanted
    assert (checkout.folder / "a").read_text() == "wanted"


def test_submodules_come_along(repository: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "-q", "-b", "main")
    commit(inner, "deep", "inside")
    commit(repository, "a", "1")
    git(repository, "submodule", "--quiet", "add", f"file://{inner}", "sub")
    git(repository, "commit", "-q", "-m", "sub")
    checkout = fetched(address_of(repository), tmp_path / "out")
    assert (checkout.folder / "sub" / "deep").read_text() == "inside"


def test_an_unknown_ref_is_named_and_a_moved_branch_is_hinted_at(repository: Path, tmp_path: Path) -> None:
    commit(repository, "a", "1")
    events: list[Event] = []
    with pytest.raises(NetworkError, match="no branch, tag or commit master"):
        fetched(address_of(repository, "master"), tmp_path / "out", events)
    assert [event.message for event in events if isinstance(event, Notice)] == [
        f"file://{repository} has a branch main, but none of the name master"
    ]


def test_no_hook_of_the_repository_or_the_machine_runs(repository: Path, tmp_path: Path) -> None:
    commit(repository, "a", "1")
    hooks = tmp_path / "template" / "hooks"
    hooks.mkdir(parents=True)
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (hooks / "post-checkout").chmod(0o755)
    (tmp_path / "out").mkdir()
    environment = {**ENVIRONMENT, "GIT_TEMPLATE_DIR": str(tmp_path / "template")}
    fetch_git(address_of(repository), tmp_path / "out", environment=environment)
    assert not (tmp_path / "ran").exists()


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    address = GitAddress.parse("http://me:secret@127.0.0.1:9/x.git")
    assert address is not None
    with pytest.raises(NetworkError) as raised:
        fetched(address, tmp_path / "out")
    assert "127.0.0.1:9" in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.fixture
def file_server(tmp_path: Path) -> Iterator[str]:
    """A web server that knows nothing of git: it has no single commit to give."""
    handler = partial(_QuietFiles, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class _QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("ref", [None, "main", "v1"])
def test_a_web_server_with_the_files_of_a_repository(
    repository: Path, tmp_path: Path, file_server: str, ref: str | None
) -> None:
    first = commit(repository, "a", "1")
    git(repository, "tag", "v1")
    newest = commit(repository, "a", "2")
    git(repository, "update-server-info")
    address = GitAddress.parse(f"{file_server}/origin/.git", ref=ref)
    assert address is not None
    assert fetched(address, tmp_path / "out").commit == (first if ref == "v1" else newest)


def test_without_git_it_is_said_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="not installed"):
        fetch_git(address_of(tmp_path), tmp_path, environment={"PATH": str(tmp_path)})


class _AskingServer(BaseHTTPRequestHandler):
    seen: list[str]

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization", ""))
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def asking_server() -> Iterator[tuple[str, list[str]]]:
    handler = type("Handler", (_AskingServer,), {"seen": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler.seen  # type: ignore[attr-defined] # of the made class
    server.shutdown()
    thread.join()
    server.server_close()


def test_credentials_of_the_environment(asking_server: tuple[str, list[str]], tmp_path: Path) -> None:
    url, seen = asking_server
    address = GitAddress.parse(f"{url}/private.git")
    assert address is not None
    environment = {**ENVIRONMENT, "GIT_CREDENTIAL_ENV": "username=me\npassword=secret word"}
    (tmp_path / "out").mkdir()
    with pytest.raises(NetworkError) as raised:
        fetch_git(address, tmp_path / "out", environment=environment)
    assert f"Basic {base64.b64encode(b'me:secret word').decode()}" in seen
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("ref", ["--upload-pack=x", "-q", "", "a b", "a..b", "x:y", "a\nb"])
def test_refs_that_are_none(ref: str) -> None:
    with pytest.raises(UsageError, match="not a ref"):
        GitAddress.parse("https://example.org/x", ref=ref)


@pytest.mark.parametrize(
    ("text", "is_git"),
    [
        ("https://github.com/a/b", True),
        ("git@github.com:a/b.git", True),
        ("ssh://git@host/a", True),
        ("file:///srv/x.git", True),
        ("./folder", False),
        ("10.5281/zenodo.3242074", False),
        ("C:\\x", False),
    ],
)
def test_addresses_are_told_by_their_form(text: str, is_git: bool) -> None:  # noqa: FBT001 - a parameter of the table
    assert (GitAddress.parse(text) is not None) is is_git
