"""Every way in which credentials are found, and those in which they must not be."""

import base64
import builtins
import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ocibuild.core.errors import UsageError
from ocibuild.core.events import Event, Notice
from ocibuild.registry.auth_file import AuthFile, auth_files
from ocibuild.registry.azure import AzureCredentials
from ocibuild.registry.credentials import ANONYMOUS, Credential, CredentialChain, ExplicitCredential, default_chain

HOST = "registry.example.org"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def auths(**entries: Any) -> dict[str, Any]:
    return {"auths": {key: {"auth": encoded(f"{value}:pw-{value}")} for key, value in entries.items()}}


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


@pytest.fixture
def auth_file(tmp_path: Path, bin_folder: Path, events: list[Event]) -> Callable[..., AuthFile]:
    def make(value: Any, *, name: str = "auth.json", is_required: bool = False) -> AuthFile:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return AuthFile(path, environment={"PATH": str(bin_folder)}, events=events.append, is_required=is_required)

    return make


def helper(folder: Path, name: str, body: str) -> None:
    """A credential helper: a Python program that finds what it was asked in ``server``."""
    path = folder / f"docker-credential-{name}"
    path.write_text(
        f"#!{sys.executable}\nimport sys, json\nassert sys.argv[1:] == ['get']\nserver = sys.stdin.read()\nopen({str(folder / 'asked')!r}, 'a').write(server + '\\n')\n{body}\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def user(found: Credential | None) -> str | None:
    return None if found is None else found.username


# -- entries --


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"auth": encoded("user:pass:word")}, Credential("user", "pass:word")),
        ({"auth": encoded("üser:pässword")}, Credential("üser", "pässword")),
        ({"username": "user", "password": "pw"}, Credential("user", "pw")),
        ({"auth": encoded("user:"), "identitytoken": "id"}, Credential("user", "", "id")),
        ({"identitytoken": "id"}, Credential("", "", "id")),
        ({"registrytoken": "ready"}, Credential("", "", "", "ready")),
        ({}, None),
        ({"auth": ""}, None),
        ({"email": "x"}, None),
        ("text", None),
    ],
)
def test_entries(auth_file: Callable[..., AuthFile], entry: Any, expected: Credential | None) -> None:
    assert auth_file({"auths": {HOST: entry}}).find(HOST, "a/b") == expected


@pytest.mark.parametrize("auth", ["not base64!", encoded("no colon"), base64.b64encode(b"\xff:\xfe").decode()])
def test_a_malformed_entry_is_named_without_its_content(auth_file: Callable[..., AuthFile], auth: str) -> None:
    file = auth_file({"auths": {HOST: {"auth": auth}, "other.example.org": {"auth": encoded("o:p")}}})
    with pytest.raises(UsageError, match=f"auth.json: the 'auth' of '{HOST}'") as caught:
        file.find(HOST, "a/b")
    assert auth not in str(caught.value)
    assert user(file.find("other.example.org", "a")) == "o"  # the others still count


def test_secrets_are_not_shown() -> None:
    shown = repr(Credential("user", "secret", "secret", "secret"))
    assert "user" in shown
    assert "secret" not in shown


# -- keys --


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("a/b/c", "abc"),
        ("a/b/c/d", "abc"),
        ("a/b", "ab"),
        ("a/b/cc", "ab"),
        ("a/x", "host"),
        ("ab", "host"),
        ("", "host"),
    ],
)
def test_the_longest_path_on_component_boundaries_wins(
    auth_file: Callable[..., AuthFile], repository: str, expected: str
) -> None:
    file = auth_file(auths(**{HOST: "host", f"{HOST}/a/b": "ab", f"{HOST}/a/b/c": "abc"}))
    assert user(file.find(HOST, repository)) == expected


def test_a_path_is_not_for_the_whole_host(auth_file: Callable[..., AuthFile]) -> None:
    file = auth_file(auths(**{f"{HOST}/team": "team"}))
    assert user(file.find(HOST, "team/image")) == "team"
    assert file.find(HOST, "teams/image") is None
    assert file.find(HOST, "other") is None


@pytest.mark.parametrize(
    "key",
    [HOST, f"https://{HOST}", f"http://{HOST}", f"https://{HOST}/v2/", f"{HOST}/v1/", f"https://{HOST}/v1/anything"],
)
def test_how_a_host_may_be_written(auth_file: Callable[..., AuthFile], key: str) -> None:
    assert user(auth_file(auths(**{key: "u"})).find(HOST, "a/b")) == "u"


@pytest.mark.parametrize(
    "other",
    [
        "registry.example.org.evil.example",
        "evil-registry.example.org",
        "registry.example.or",
        "example.org",
        "registry.example.org:5000",
        "REGISTRY.example.org",
    ],
)
def test_another_host_gets_nothing(auth_file: Callable[..., AuthFile], other: str) -> None:
    for key in (HOST, f"https://{HOST}"):
        assert auth_file(auths(**{key: "u"})).find(other, "a/b") is None
    assert auth_file(auths(**{other: "u"})).find(HOST, "a/b") is None


@pytest.mark.parametrize(
    ("key", "matches"),
    [
        ("*.example.org", True),
        ("registry.*.org", True),
        ("*.*.org", True),
        ("reg*.example.or?", True),
        ("https://*.example.org", True),
        ("*.example.org/team", True),
        ("*.example.org/team/image", True),
        ("*.org", False),
        ("*", False),
        ("*.registry.example.org", False),
        ("*.example.org:5000", False),
        ("*.example.org/tea", False),
        ("*.example.org/team/image/more", False),
        ("[::1]", False),
    ],
)
def test_wildcards_as_the_kubelet_takes_them(auth_file: Callable[..., AuthFile], key: str, *, matches: bool) -> None:
    found = auth_file(auths(**{key: "wild"}), name=".dockerconfigjson").find(HOST, "team/image")
    assert (user(found) == "wild") is matches


def test_a_wildcard_with_a_port(auth_file: Callable[..., AuthFile]) -> None:
    file = auth_file(auths(**{"*.example.org:5000": "wild"}))
    assert user(file.find(f"{HOST}:5000", "image")) == "wild"
    assert file.find(f"{HOST}:5001", "image") is None


def test_the_narrowest_wildcard_first_and_an_exact_host_before_any(auth_file: Callable[..., AuthFile]) -> None:
    wild = {"*.example.org": "wide", "*.example.org/team": "narrow"}
    assert user(auth_file(auths(**wild)).find(HOST, "team/image")) == "narrow"
    assert user(auth_file(auths(**wild, **{HOST: "exact"})).find(HOST, "team/image")) == "exact"


def test_a_plain_key_wins_over_a_url(auth_file: Callable[..., AuthFile]) -> None:
    assert user(auth_file(auths(**{f"https://{HOST}": "url", HOST: "plain"})).find(HOST, "a")) == "plain"
    assert user(auth_file(auths(**{HOST: "plain", f"https://{HOST}": "url"})).find(HOST, "a")) == "plain"


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_has_several_names(auth_file: Callable[..., AuthFile], key: str) -> None:
    assert user(auth_file(auths(**{key: "hub"})).find("docker.io", "library/debian")) == "hub"
    assert auth_file(auths(**{key: "hub"})).find("hub.docker.io", "a") is None


def test_docker_hub_by_path(auth_file: Callable[..., AuthFile]) -> None:
    file = auth_file(auths(**{"docker.io/team": "team"}))
    assert user(file.find("docker.io", "team/image")) == "team"
    assert file.find("docker.io", "library/debian") is None


# -- helpers --

GOOD = "print(json.dumps({'ServerURL': server, 'Username': 'helped', 'Secret': 'by:helper'}))"


def test_a_helper_for_a_host_wins_over_an_entry(auth_file: Callable[..., AuthFile], bin_folder: Path) -> None:
    helper(bin_folder, "one", GOOD)
    file = auth_file({**auths(**{HOST: "entry", "other.example.org": "other"}), "credHelpers": {HOST: "one"}})
    assert file.find(HOST, "a/b") == Credential("helped", "by:helper")
    assert user(file.find("other.example.org", "a")) == "other"
    assert (bin_folder / "asked").read_text() == f"{HOST}\n"


def test_the_store_of_all_comes_last(auth_file: Callable[..., AuthFile], bin_folder: Path) -> None:
    helper(bin_folder, "all", GOOD)
    file = auth_file({"auths": {HOST: {}, "entry.example.org": {"auth": encoded("entry:pw")}}, "credsStore": "all"})
    assert user(file.find(HOST, "a")) == "helped"
    assert user(file.find("entry.example.org", "a")) == "entry"


def test_a_helper_is_asked_once(auth_file: Callable[..., AuthFile], bin_folder: Path) -> None:
    helper(bin_folder, "all", GOOD)
    file = auth_file({"credsStore": "all"})
    for repository in ("a", "b", "c"):
        file.find(HOST, repository)
    assert (bin_folder / "asked").read_text() == f"{HOST}\n"


def test_docker_hub_is_asked_for_by_its_old_address(auth_file: Callable[..., AuthFile], bin_folder: Path) -> None:
    helper(bin_folder, "all", GOOD)
    assert user(auth_file({"credsStore": "all"}).find("docker.io", "library/debian")) == "helped"
    assert user(auth_file({"credHelpers": {"https://index.docker.io/v1/": "all"}}).find("docker.io", "a/b")) == "helped"
    assert set((bin_folder / "asked").read_text().split()) == {"https://index.docker.io/v1/"}


def test_a_helper_may_give_an_identity_token(auth_file: Callable[..., AuthFile], bin_folder: Path) -> None:
    helper(bin_folder, "all", "print(json.dumps({'Username': '<token>', 'Secret': 'id'}))")
    assert auth_file({"credsStore": "all"}).find(HOST, "a") == Credential(identity_token="id")


def test_a_helper_that_knows_nothing_is_no_error(
    auth_file: Callable[..., AuthFile], bin_folder: Path, events: list[Event]
) -> None:
    helper(bin_folder, "all", "print('credentials not found in native keychain'); sys.exit(1)")
    assert auth_file({"credsStore": "all"}).find(HOST, "a") is None
    assert events == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("sys.stderr.write('the key ring is locked'); sys.exit(2)", "exit status 2: the key ring is locked"),
        ("print('[]')", "not a JSON object"), ("print('no json')", "not a JSON object"), ("print(json.dumps({'Username': 1, 'Secret': 2}))", "not a JSON object"),
    ],
)  # fmt: skip
def test_a_helper_that_fails_is_a_warning(
    auth_file: Callable[..., AuthFile], bin_folder: Path, events: list[Event], body: str, words: str
) -> None:
    helper(bin_folder, "all", body)
    assert auth_file({"credsStore": "all"}).find(HOST, "a") is None
    (event,) = events
    assert isinstance(event, Notice)
    assert event.warning
    assert words in event.message
    assert "auth.json" in event.message


@pytest.mark.parametrize("name", ["missing", "../../evil", "a b", "-x"])
def test_a_helper_that_is_missing_or_no_name_is_a_warning(
    auth_file: Callable[..., AuthFile], events: list[Event], name: str
) -> None:
    assert auth_file({"credHelpers": {HOST: name}}).find(HOST, "a") is None
    assert isinstance(events[0], Notice)
    assert "no program" in events[0].message


# -- files --


def test_the_order_of_files() -> None:
    environment = {
        "REGISTRY_AUTH_FILE": "/r/auth.json", "XDG_RUNTIME_DIR": "/run/1", "HOME": "/home/u", "DOCKER_CONFIG": "/d",
    }  # fmt: skip
    assert [str(path) for path in auth_files(environment)] == [
        "/r/auth.json", "/run/1/containers/auth.json", "/home/u/.config/containers/auth.json", "/d", "/home/u/.docker/config.json",
    ]  # fmt: skip
    assert str(auth_files({"HOME": "/home/u", "XDG_CONFIG_HOME": "/c"})[0]) == "/c/containers/auth.json"
    assert auth_files({}) == []


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def test_the_chain_takes_the_first_that_knows(tmp_path: Path) -> None:
    environment = {
        "HOME": str(tmp_path / "home"), "REGISTRY_AUTH_FILE": str(tmp_path / "r.json"), "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "DOCKER_CONFIG": str(tmp_path / "docker"), "PATH": "",
    }  # fmt: skip
    write(tmp_path / "home/.docker/config.json", auths(**{HOST: "home", "only-home.example.org": "only-home"}))
    assert user(default_chain(environment).find(HOST, "a")) == "home"
    write(tmp_path / "docker/config.json", auths(**{HOST: "docker"}))
    assert user(default_chain(environment).find(HOST, "a")) == "docker"
    write(tmp_path / "home/.config/containers/auth.json", auths(**{HOST: "containers"}))
    assert user(default_chain(environment).find(HOST, "a")) == "containers"
    write(tmp_path / "run/containers/auth.json", auths(**{HOST: "run"}))
    assert user(default_chain(environment).find(HOST, "a")) == "run"
    write(tmp_path / "r.json", auths(**{HOST: "named"}))
    assert user(default_chain(environment).find(HOST, "a")) == "named"
    assert user(default_chain(environment).find("only-home.example.org", "a")) == "only-home"
    write(tmp_path / "secret/.dockerconfigjson", auths(**{HOST: "secret"}))
    for secret in (tmp_path / "secret", tmp_path / "secret/.dockerconfigjson"):
        assert user(default_chain(environment, secrets=[secret]).find(HOST, "a")) == "secret"
    explicit = ExplicitCredential(HOST, Credential("explicit", "pw"))
    chain = default_chain(environment, explicit=[explicit], secrets=[tmp_path / "secret"])
    assert user(chain.find(HOST, "a")) == "explicit"
    assert user(chain.find("only-home.example.org", "a")) == "only-home"
    assert chain.find("unknown.example.org", "a") is None


def test_docker_config_may_be_a_mounted_secret(tmp_path: Path) -> None:
    write(tmp_path / ".dockerconfigjson", auths(**{HOST: "secret"}))
    assert user(default_chain({"DOCKER_CONFIG": str(tmp_path)}).find(HOST, "a")) == "secret"


def test_a_secret_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no registry credentials at .*/gone"):
        default_chain({}, secrets=[tmp_path / "gone"]).find(HOST, "a")
    with pytest.raises(UsageError, match="no registry credentials"):
        default_chain({}, secrets=[tmp_path]).find(HOST, "a")


@pytest.mark.parametrize("text", ["{", "[]", "\x00", '"text"'])
def test_a_malformed_file_is_named(auth_file: Callable[..., AuthFile], text: str) -> None:
    with pytest.raises(UsageError, match=r"auth\.json"):
        auth_file(text).find(HOST, "a")


@pytest.mark.parametrize(
    "value", [{}, {"auths": None}, {"auths": []}, {"auths": {HOST: None}, "credHelpers": 5, "credsStore": {}}]
)
def test_odd_but_empty_files_know_nothing(auth_file: Callable[..., AuthFile], value: Any) -> None:
    assert auth_file(value).find(HOST, "a") is None


def test_an_empty_file_knows_nothing(auth_file: Callable[..., AuthFile]) -> None:
    assert auth_file("").find(HOST, "a") is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(auth_file: Callable[..., AuthFile], tmp_path: Path) -> None:
    file = auth_file({})
    (tmp_path / "auth.json").chmod(0)
    with pytest.raises(UsageError, match="cannot read"):
        file.find(HOST, "a")


# -- the command line's --


def test_a_password_file(tmp_path: Path) -> None:
    for text, password in (
        ("pass:word\n", "pass:word"),
        ("a b \r\n", "a b "),
        ("plain", "plain"),
        ("two\nlines\n", "two\nlines"),
    ):
        (tmp_path / "password").write_bytes(text.encode())
        found = ExplicitCredential.read(registry=HOST, username="u", password_file=tmp_path / "password")
        assert found.find(HOST, "a") == Credential("u", password)
    with pytest.raises(UsageError, match=r"password file .*/gone: No such file"):
        ExplicitCredential.read(registry=HOST, username="u", password_file=tmp_path / "gone")


def test_what_is_given_for_one_registry_is_for_no_other() -> None:
    explicit = ExplicitCredential(HOST, Credential("u", "p"))
    assert explicit.find("other.example.org", "a") is None
    assert explicit.find(f"{HOST}:5000", "a") is None


def test_nobody_knows_nothing() -> None:
    assert ANONYMOUS.find(HOST, "a") is None
    assert CredentialChain((ExplicitCredential(HOST, Credential("u", "p")),)).find(HOST, "x") is not None


# -- Azure --


def test_azure_through_its_command_line(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = bin_folder / "az"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nassert sys.argv[1:6] == ['acr', 'login', '--name', 'team', '--expose-token']\nprint('{{\"accessToken\": \"T\"}}')\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(bin_folder))
    found = AzureCredentials().find("team.azurecr.io", "a")
    assert found == Credential("00000000-0000-0000-0000-000000000000", "T")


@pytest.mark.parametrize(
    "registry",
    [
        "registry.example.org",
        "azurecr.io.evil.example",
        "team.azurecr.io.evil.example",
        "evilazurecr.io",
        "team.azurecr.io:5000",
    ],
)
def test_only_azures_own_registries_ask_azure(bin_folder: Path, monkeypatch: pytest.MonkeyPatch, registry: str) -> None:
    program = bin_folder / "az"
    program.write_text(f"#!/bin/sh\ntouch {bin_folder}/asked\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(bin_folder))
    assert AzureCredentials().find(registry, "a") is None
    assert not (bin_folder / "asked").exists()


@pytest.mark.parametrize("body", ["exit 1", "echo no json", "echo {}", "echo '[]'"])
def test_azure_that_fails(bin_folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    program = bin_folder / "az"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(bin_folder))
    assert AzureCredentials().find("team.azurecr.io", "a") is None


def test_azure_without_az_and_without_pyoci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert AzureCredentials().find("team.azurecr.io", "a") is None
    usual = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("pyoci"):
            raise ImportError(name)
        return usual(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    assert AzureCredentials().find("team.azurecr.io", "a") is None
