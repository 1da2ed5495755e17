"""Credentials of Azure's own registries, from its command line, through pyoci: the last place that is asked."""

import threading

from ocibuild.registry.credentials import Credential

__all__ = ["AzureCredentials"]

_DOMAIN = ".azurecr.io"


class AzureCredentials:
    """Asks ``az acr login --expose-token`` for registries of the domain azurecr.io, once each; knows nothing of others.

    pyoci is optional here: where it cannot be imported, nothing is known.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[str, Credential | None] = {}

    def find(self, registry: str, repository: str) -> Credential | None:  # noqa: ARG002 - the protocol's signature
        """As :meth:`~ocibuild.registry.credentials.CredentialSource.find`."""
        if not registry.endswith(_DOMAIN):
            return None
        with self._lock:
            if registry not in self._asked:
                self._asked[registry] = _asked(registry)
            return self._asked[registry]


def _asked(registry: str) -> Credential | None:
    try:
        from pyoci.auth import AzureCLIAuthProvider  # noqa: PLC0415 - imports all of pyoci, for one cloud's users
    except ImportError:
        return None
    try:
        found = AzureCLIAuthProvider().get_auth(registry)
    except (KeyError, TypeError):  # pyoci does not expect an answer of az without a token
        return None
    if found is None:
        return None
    if found.kind == "basic":
        return Credential(found.username or "", found.secret)
    return Credential(bearer_token=found.secret)
