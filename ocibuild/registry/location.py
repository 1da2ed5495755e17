"""Where a registry's API is and how it is trusted: schemes, hosts named insecure, own certificates, mirrors."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ocibuild.core.digest import Digest
from ocibuild.core.errors import UsageError
from ocibuild.core.reference import DOCKER_HUB
from ocibuild.net.address import is_loopback
from ocibuild.net.trust import Trust
from ocibuild.registry.registries_conf import RegistriesConf

__all__ = ["Endpoint", "Locations"]

_DOCKER_HUB_ENDPOINT = "registry-1.docker.io"
_CERTIFICATE_FOLDERS = (".config/containers/certs.d", "/etc/containers/certs.d", "/etc/docker/certs.d")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server that holds a repository.

    ``registry`` is the name that credentials go by; ``host`` what is connected to; ``schemes`` are tried in their
    order until one answers, the first contact being without credentials. ``repository`` is the name there.
    """

    registry: str
    host: str
    repository: str
    schemes: tuple[str, ...]
    trust: Trust


@dataclass(frozen=True, slots=True)
class Locations:
    """The rules by which a registry's name becomes servers.

    ``insecure`` are the hosts that the user allows without encryption or with any certificate; loopback needs no
    permission. ``certificates`` are folders with a subfolder a host (containers-certs.d(5)).
    """

    conf: RegistriesConf = field(default_factory=RegistriesConf)
    insecure: frozenset[str] = frozenset()
    certificates: tuple[Path, ...] = ()

    @classmethod
    def of_environment(
        cls, environment: Mapping[str, str] | None = None, *, insecure: Iterable[str] = ()
    ) -> "Locations":
        """The rules of this machine: containers-registries.conf(5) and certs.d; ``insecure`` comes from the user."""
        environment = os.environ if environment is None else environment
        home = Path(environment.get("HOME") or "/nonexistent")
        return cls(
            RegistriesConf.of_environment(environment),
            frozenset(insecure),
            tuple(home / folder for folder in _CERTIFICATE_FOLDERS),
        )

    def primary(self, registry: str, repository: str) -> Endpoint:
        """The server that a push goes to: never a mirror. A UsageError for a registry that is blocked here."""
        rule = self.conf.rule(f"{registry}/{repository}")
        if rule is None:
            return self._endpoint(f"{registry}/{repository}", is_insecure=False)
        if rule.is_blocked:
            raise UsageError(f"{registry}/{repository} is blocked by {self.conf.path}")
        return self._endpoint(rule.rewritten(f"{registry}/{repository}"), is_insecure=rule.is_insecure)

    def readable(self, registry: str, repository: str, target: str | Digest) -> tuple[Endpoint, ...]:
        """The servers to read ``target`` (a tag or digest) from: mirrors in their order, then the registry itself."""
        primary = self.primary(registry, repository)
        rule = self.conf.rule(f"{registry}/{repository}")
        if rule is None:
            return (primary,)
        mirrors = tuple(
            self._endpoint(mirror.rewritten(f"{registry}/{repository}", rule.prefix), is_insecure=mirror.is_insecure)
            for mirror in rule.mirrors
            if mirror.serves(is_digest=isinstance(target, Digest))
        )
        return (*mirrors, primary)

    def _endpoint(self, name: str, *, is_insecure: bool) -> Endpoint:
        registry, _, repository = name.partition("/")
        host = _DOCKER_HUB_ENDPOINT if registry == DOCKER_HUB else registry
        trust = self._trust(host)
        if is_insecure or registry in self.insecure:
            # Encrypted where possible, as podman does, whoever the certificate is from.
            unverified = Trust(None, False, trust.client_certificate, trust.client_key)
            return Endpoint(registry, host, repository, ("https", "http"), unverified)
        # On this machine plain http is usual and safe; a server that wants TLS there says so at the first contact.
        schemes = ("http", "https") if is_loopback(host) else ("https",)
        return Endpoint(registry, host, repository, schemes, trust)

    def _trust(self, host: str) -> Trust:
        """The authorities and client certificate of ``certs.d/HOST``: ``*.crt``, and ``*.cert`` with its ``*.key``."""
        for folder in self.certificates:
            authorities = sorted((folder / host).glob("*.crt"))
            certificates = sorted((folder / host).glob("*.cert"))
            if authorities or certificates:
                certificate = certificates[0] if certificates else None
                key = certificate.with_suffix(".key") if certificate else None
                return Trust(authorities[0] if authorities else None, True, certificate, key)
        return Trust()
