"""How the user says that registries are to be reached, beyond what this machine's configuration says."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.errors import UsageError
from ocibuild.core.events import EventSink
from ocibuild.core.reference import Reference
from ocibuild.registry.credentials import CredentialChain, ExplicitCredential, default_chain
from ocibuild.registry.location import Locations

__all__ = ["RegistryAccess"]


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """What the command line says of registries; with nothing said, this machine's configuration counts alone.

    ``ca_file`` is the bundle of authorities to trust instead of the machine's. ``insecure`` are hosts that may speak
    plain http or show any certificate. ``secrets`` are mounted Kubernetes secrets, a file or folder each. ``username``
    and ``password_file`` are for ``login_registry`` alone; ``logins`` are others, each for its own registry.
    """

    ca_file: Path | None = None
    insecure: tuple[str, ...] = ()
    secrets: tuple[Path, ...] = ()
    username: str | None = None
    password_file: Path | None = None
    login_registry: str | None = None
    logins: tuple[ExplicitCredential, ...] = ()

    @classmethod
    def said(
        cls,
        *,
        ca_file: Path | None,
        insecure: tuple[str, ...],
        secrets: tuple[Path, ...],
        username: str | None,
        password_file: Path | None,
        target: Reference | None,
    ) -> "RegistryAccess":
        """What these options come to; user and password are for the registry of ``target``, and for no other.

        A UsageError where one of the two is missing, or where there is no target that they could be for.
        """
        if (username is None) != (password_file is None):
            raise UsageError("--username and --password-file go together")
        if username is not None and target is None:
            raise UsageError("--username needs an image in a registry that it is for", hint="add -t HOST/NAME:TAG")
        registry = target.registry if target is not None and username is not None else None
        return cls(ca_file, insecure, secrets, username, password_file, registry)

    def credentials(self, environment: Mapping[str, str], *, events: EventSink) -> CredentialChain:
        """Where credentials are looked for: what was said first, then this machine's usual places."""
        explicit = list(self.logins)
        if self.username is not None and self.password_file is not None and self.login_registry is not None:
            explicit.append(
                ExplicitCredential.read(
                    registry=self.login_registry, username=self.username, password_file=self.password_file
                )
            )
        return default_chain(environment, explicit=explicit, secrets=self.secrets, events=events)

    def locations(self, environment: Mapping[str, str]) -> Locations:
        """Where registries are and how they are trusted."""
        return Locations.of_environment(environment, insecure=self.insecure)
