"""Which certificate authorities a connection trusts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.errors import UsageError

__all__ = ["Trust", "choose_ca_file"]

_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # BSDs, macOS
)


@dataclass(frozen=True, slots=True)
class Trust:
    """How one server is trusted. ``ca_file`` None means the client's own choice (:func:`choose_ca_file`).

    ``is_verified`` False accepts any certificate: only for a registry that the user named insecure. A client
    certificate (PEM files) is shown where it is given.
    """

    ca_file: Path | None = None
    is_verified: bool = True
    client_certificate: Path | None = None
    client_key: Path | None = None


def choose_ca_file(explicit: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The PEM bundle of authorities to trust, or None where only certifi's is left.

    The first of ``explicit``, SSL_CERT_FILE, REQUESTS_CA_BUNDLE and the system's own bundle.
    A UsageError where one that was named by the user does not exist.
    """
    named = [("--ca", explicit)]
    named += [(name, Path(text)) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE") if (text := environment.get(name))]
    for origin, path in named:
        if path is None:
            continue
        # REQUESTS_CA_BUNDLE may be a folder prepared by c_rehash(1), which requests takes as well.
        if not path.exists():
            raise UsageError(f"{origin} names {path}, which does not exist", hint="name a PEM file of certificates")
        return path
    return next((Path(path) for path in _SYSTEM_BUNDLES if Path(path).is_file()), None)
