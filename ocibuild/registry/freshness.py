"""Whether a tag still names what it did: the light probe of ``net/``, with this machine's logins and locations.

Imports nothing that a build with nothing to do may not import (design, section 11).
"""

from collections.abc import Mapping
from pathlib import Path

from ocibuild.core.reference import Reference
from ocibuild.net.probe import ProbeAnswer, ProbeLogin, probe_manifest
from ocibuild.net.trust import choose_ca_file
from ocibuild.registry.credentials import CredentialSource
from ocibuild.registry.location import Locations

__all__ = ["probe_tag"]


def probe_tag(
    reference: Reference,
    *,
    credentials: CredentialSource,
    locations: Locations,
    environment: Mapping[str, str],
    ca_file: Path | None = None,
) -> ProbeAnswer:
    """The digest that the reference's tag names at its registry now.

    Without a digest in the answer, which then says why, :class:`~ocibuild.registry.registries.Registries` has to ask:
    this is a short cut for the usual case, never the last word. A UsageError for a blocked registry or malformed
    credentials.
    """
    endpoint = locations.primary(reference.registry, reference.repository)
    if not endpoint.trust.is_verified or endpoint.trust.client_certificate is not None:
        return ProbeAnswer(None, f"{endpoint.registry} is trusted in a way of its own")
    credential = credentials.find(endpoint.registry, endpoint.repository)
    if credential is not None and not credential.password:
        return ProbeAnswer(None, f"{endpoint.registry} is logged in to with a token")
    return probe_manifest(
        f"{endpoint.schemes[0]}://{endpoint.host}",
        repository=endpoint.repository,
        tag=reference.tag or "latest",
        login=None if credential is None else ProbeLogin(credential.username, credential.password),
        ca_file=endpoint.trust.ca_file or choose_ca_file(ca_file, environment),
        environment=environment,
    )
