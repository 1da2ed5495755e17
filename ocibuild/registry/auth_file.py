"""Credentials in files: containers-auth.json(5), Docker's config.json, Kubernetes' .dockerconfigjson."""

import base64
import binascii
import json
import threading
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ocibuild.core.errors import UsageError
from ocibuild.core.events import EventSink
from ocibuild.core.reference import DOCKER_HUB
from ocibuild.registry.credentials import Credential

__all__ = ["AuthFile", "auth_files"]

_LARGEST_FILE_BYTES = 4 << 20
_HUB_INDEX = "https://index.docker.io/v1/"
_HUB_HOSTS = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io")
_OLD_PATHS = ("/v1/", "/v2/")
_WILDCARDS = frozenset("*?[")
# Names in a folder, such as a mounted Kubernetes secret of type kubernetes.io/dockerconfigjson.
_NAMES_IN_FOLDER = (".dockerconfigjson", "config.json", "auth.json")


def auth_files(environment: Mapping[str, str]) -> list[Path]:
    """Where containers' tools and Docker keep credentials, the first that counts first (containers-auth.json(5))."""
    home = environment.get("HOME", "")
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    config = environment.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    candidates = [
        environment.get("REGISTRY_AUTH_FILE", ""),
        f"{runtime}/containers/auth.json" if runtime else "",
        f"{config}/containers/auth.json" if config else "",
        environment.get("DOCKER_CONFIG", ""),
        f"{home}/.docker/config.json" if home else "",
    ]
    return [Path(text) for text in candidates if text]


class AuthFile:
    """One file of credentials (or a folder that holds it), read when it is first asked. Safe for several threads.

    A key of ``auths`` is a host, or ``host/path`` for the repositories at or below that path: the longest one wins, and
    only whole components match, so that a key for ``host`` never answers for ``host.example.org``. Where none of them
    answers, keys with wildcards in the host do (``*.example.org/team``), as in a Kubernetes secret. Helpers named for
    the host in ``credHelpers`` come first, ``credsStore`` last. A file that is not there knows nothing, or is a
    UsageError with ``is_required``; one that is malformed is a UsageError.
    """

    def __init__(
        self, path: Path, *, environment: Mapping[str, str], events: EventSink, is_required: bool = False
    ) -> None:
        self._path = path
        self._environment = environment
        self._events = events
        self._is_required = is_required
        self._lock = threading.Lock()
        self._read: dict[str, Any] | None = None
        self._asked: dict[tuple[str, str], Credential | None] = {}

    def find(self, registry: str, repository: str) -> Credential | None:
        """As :meth:`~ocibuild.registry.credentials.CredentialSource.find`."""
        with self._lock:
            if self._read is None:
                self._read = self._load()
            hosts = _HUB_HOSTS if registry in _HUB_HOSTS else (registry,)
            server = _HUB_INDEX if registry in _HUB_HOSTS else registry
            helpers = self._table("credHelpers")
            for key in (*hosts, _HUB_INDEX) if registry in _HUB_HOSTS else hosts:
                if isinstance(name := helpers.get(key), str) and name:
                    return self._ask(name, server)
            auths = self._table("auths")
            by_scope = {_scope(key): key for key in reversed(auths)}
            # A key written exactly as the host wins over one written as a URL.
            by_scope |= {key: key for key in auths if "://" not in key and not key.endswith(_OLD_PATHS)}
            wildcards = sorted((scope for scope in by_scope if _matches(scope, hosts, repository)), reverse=True)
            for scope in (*_scopes(hosts, repository), *wildcards):
                entry = auths.get(by_scope.get(scope, ""))
                if isinstance(entry, dict) and (found := self._credential(entry, by_scope[scope])) is not None:
                    return found
            store = self._read.get("credsStore")
            return self._ask(store, server) if isinstance(store, str) and store else None

    def _load(self) -> dict[str, Any]:
        path = self._path
        if path.is_dir():
            path = next((path / name for name in _NAMES_IN_FOLDER if (path / name).is_file()), path)
        try:
            with path.open("rb") as file:
                value = json.loads(file.read(_LARGEST_FILE_BYTES) or b"{}")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            if self._is_required:
                raise UsageError(
                    f"there are no registry credentials at {self._path}",
                    hint="name a config.json or .dockerconfigjson, or the folder that it is in",
                ) from error
            return {}
        except OSError as error:
            raise UsageError(f"cannot read registry credentials from {path}: {error.strerror}") from error
        except ValueError as error:
            raise UsageError(f"{path} is no JSON document", hint="it should hold registry credentials") from error
        if not isinstance(value, dict):
            raise UsageError(f"{path} holds no JSON object", hint="it should hold registry credentials")
        return value

    def _table(self, name: str) -> dict[str, Any]:
        value = (self._read or {}).get(name)
        return value if isinstance(value, dict) else {}

    def _ask(self, helper: str, server: str) -> Credential | None:
        from ocibuild.registry.helper import ask_helper  # noqa: PLC0415 - subprocess is for those with helpers

        if (helper, server) not in self._asked:
            self._asked[helper, server] = ask_helper(
                helper, server, environment=self._environment, events=self._events, named_in=str(self._path)
            )
        return self._asked[helper, server]

    def _credential(self, entry: Mapping[str, Any], key: str) -> Credential | None:
        """What one entry says; None for an empty one, which Docker leaves where a helper has the secret."""
        texts = {name: value for name, value in entry.items() if isinstance(value, str) and value}
        username, password = texts.get("username", ""), texts.get("password", "")
        if encoded := texts.get("auth"):
            try:
                decoded = base64.b64decode(encoded, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError) as error:
                raise UsageError(f"{self._path}: the 'auth' of {key!r} is not base64 text") from error
            username, colon, password = decoded.partition(":")  # a password may hold colons
            if not colon:
                raise UsageError(f"{self._path}: the 'auth' of {key!r} is not user:password in base64")
            password = password.rstrip("\0")  # old Docker padded it
        credential = Credential(username, password, texts.get("identitytoken", ""), texts.get("registrytoken", ""))
        is_empty = not (credential.password or credential.identity_token or credential.bearer_token)
        return None if is_empty else credential


def _scope(key: str) -> str:
    """What a key of ``auths`` is for: ``host``, or ``host/path``. A URL stands for its whole host, as in Docker."""
    stripped = key.removeprefix("https://").removeprefix("http://")
    if stripped != key or stripped.endswith(_OLD_PATHS):
        return stripped.partition("/")[0]
    return stripped.rstrip("/")


def _scopes(hosts: tuple[str, ...], repository: str) -> Iterator[str]:
    """The scopes that hold this repository, the narrowest first: ``host/a/b``, ``host/a``, ``host``."""
    parts = repository.split("/") if repository else []
    for count in range(len(parts), -1, -1):
        for host in hosts:
            yield "/".join([host, *parts[:count]])


def _matches(scope: str, hosts: tuple[str, ...], repository: str) -> bool:
    """Whether the scope's host has wildcards and stands for one of these, and its path is the repository's or above it.

    The kubelet's rules (Kubernetes' documentation, "Images", "Interpretation of config.json"): a wildcard stands for
    characters within one part of the name, so both have as many parts; the ports are equal. Of several scopes the last
    in the order of characters is tried first. Stricter than the kubelet, a path ends where a component does.
    """
    pattern, _, path = scope.partition("/")
    if not _WILDCARDS.intersection(pattern) or pattern.startswith("["):  # an IPv6 address
        return False
    if path and not f"{repository}/".startswith(f"{path}/"):
        return False
    name, _, port = pattern.partition(":")
    parts = name.split(".")
    for host in hosts:
        other, _, other_port = host.partition(":")
        labels = other.split(".")
        if port == other_port and len(parts) == len(labels) and all(map(fnmatchcase, labels, parts)):
            return True
    return False
