"""What to log in to a registry with, and the chain of places that may know it."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ocibuild.core.errors import UsageError
from ocibuild.core.events import EventSink, discard

__all__ = ["ANONYMOUS", "Credential", "CredentialChain", "CredentialSource", "ExplicitCredential", "default_chain"]

_LONGEST_PASSWORD_BYTES = 64 << 10


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """A user and password, or an identity token (exchanged for access tokens by OAuth2), or a ready bearer token.

    Its text form never shows a secret.
    """

    username: str = ""
    password: str = ""
    identity_token: str = ""
    bearer_token: str = ""

    def __repr__(self) -> str:
        return f"Credential(username={self.username!r})"


class CredentialSource(Protocol):
    """One place that may know credentials."""

    def find(self, registry: str, repository: str) -> Credential | None:
        """The credential for exactly this repository of exactly this registry (``host[:port]``), or None."""


@dataclass(frozen=True, slots=True)
class CredentialChain:
    """Places asked one after the other; the first that knows something wins."""

    sources: tuple[CredentialSource, ...] = ()

    def find(self, registry: str, repository: str) -> Credential | None:
        """As :meth:`CredentialSource.find`."""
        return next(
            (found for source in self.sources if (found := source.find(registry, repository)) is not None), None
        )


ANONYMOUS = CredentialChain()
"""Knows nothing."""


@dataclass(frozen=True, slots=True)
class ExplicitCredential:
    """What the command line names, for the one registry it names it for: never offered to another.

    A base image's registry must not see what was given for the registry that is pushed to.
    """

    registry: str
    credential: Credential

    @classmethod
    def read(cls, *, registry: str, username: str, password_file: Path) -> "ExplicitCredential":
        """The user with the password in the file, less a line feed at its end; UsageError where it cannot be read."""
        try:
            with password_file.open("rb") as file:
                password = file.read(_LONGEST_PASSWORD_BYTES).decode()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise UsageError(f"cannot read the password file {password_file}: {reason}") from error
        return cls(registry, Credential(username, password.removesuffix("\n").removesuffix("\r")))

    def find(self, registry: str, repository: str) -> Credential | None:  # noqa: ARG002 - the protocol's signature
        """The credential, for its own registry alone."""
        return self.credential if registry == self.registry else None


def default_chain(
    environment: Mapping[str, str] | None = None,
    *,
    explicit: Iterable[ExplicitCredential] = (),
    secrets: Iterable[Path] = (),
    events: EventSink = discard,
) -> CredentialChain:
    """The usual places, in order.

    What the command line names; ``secrets`` (mounted Kubernetes secrets, a file or folder each); the files of
    containers-auth.json(5) and of Docker with their credential helpers; the Azure command line for its own registries.
    Nothing is read before it is needed. ``events`` gets warnings about helpers that fail.
    """
    from ocibuild.registry.auth_file import AuthFile, auth_files  # noqa: PLC0415 - auth_file imports this module
    from ocibuild.registry.azure import AzureCredentials  # noqa: PLC0415 - as auth_file

    environment = os.environ if environment is None else environment
    files = [AuthFile(path, environment=environment, events=events, is_required=True) for path in secrets]
    files += [AuthFile(path, environment=environment, events=events) for path in auth_files(environment)]
    return CredentialChain((*explicit, *files, AzureCredentials()))
