"""Debian's docker-registry on loopback, each time with an empty storage: plain, with htpasswd, tokens or TLS.

::

    with RegistryServer(folder) as server:                             # server.host, server.url
    with RegistryServer(folder, htpasswd={"user": "password"}) as server:
    with TokenServer(folder, users={"user": "password"}) as tokens, RegistryServer(folder, tokens=tokens) as server:
    authority = CertificateAuthority(folder); RegistryServer(folder, tls=authority)

The servers listen on free ports of 127.0.0.1 and are ended by their process id.
"""

import base64
import hashlib
import json
import re
import secrets
import subprocess
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from tests.support.scripted_server import Reply, Request, ScriptedServer

__all__ = ["CertificateAuthority", "RegistryServer", "TokenServer"]

_LISTENING = re.compile(r"listening on ([0-9.]+:\d+)")


class CertificateAuthority:
    """An authority of our own (``ca_file``), and a certificate that it gave to 127.0.0.1 alone."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ca_file, self.certificate, self.key = folder / "ca.pem", folder / "server.pem", folder / "server.key"
        authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a test")])
        server = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry of a test")])
        own = _certificate(authority, authority_key, authority, authority_key, is_authority=True)
        given = _certificate(server, server_key, authority, authority_key, is_authority=False)
        self.ca_file.write_bytes(own.public_bytes(serialization.Encoding.PEM))
        self.certificate.write_bytes(given.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(_pem(server_key))


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    names = [x509.IPAddress(ip_address("127.0.0.1"))]
    authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(authority_key, critical=False)
    )
    if is_authority:
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = builder.add_extension(usage, critical=True)
    else:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class TokenServer:
    """A token server as docker-registry trusts it: RS256 tokens, for users by Basic, or by an identity token.

    Everybody may pull from repositories below ``public/``; users may do all. ``requests`` are those that came.
    """

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, str],
        identity_tokens: Mapping[str, str] | None = None,
        lifetime_seconds: int = 300,
        service: str = "registry of a test",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.users, self.identity_tokens = users, identity_tokens or {}
        self.lifetime_seconds = lifetime_seconds
        self.service, self.issuer = service, "tokens of a test"
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.issuer)])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=2))
            .sign(self._key, hashes.SHA256())
        )
        self.bundle = folder / "tokens.pem"
        self.bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self._server = ScriptedServer(self._answer)

    @property
    def realm(self) -> str:
        return f"{self._server.url}/token"

    @property
    def requests(self) -> list[Request]:
        return self._server.requests

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)

    def _answer(self, request: Request) -> Reply:
        from urllib.parse import parse_qs  # noqa: PLC0415 - only here

        if request.method == "POST":
            form = parse_qs(request.body.decode())
            user = self.identity_tokens.get(form.get("refresh_token", [""])[0])
            scopes = form.get("scope", [""])[0].split()
            if user is None or form.get("grant_type") != ["refresh_token"] or form.get("service") != [self.service]:
                return Reply(401, b'{"errors": [{"code": "UNAUTHORIZED"}]}')
        else:
            scopes, user = request.query.get("scope", []), ""
            authorization = request.headers.get("authorization", "")
            if authorization:
                user, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
                if self.users.get(user) != password:
                    return Reply(401, b'{"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]}')
        name = "access_token" if request.method == "POST" else "token"
        return Reply(body=json.dumps({name: self._token(user, scopes), "expires_in": self.lifetime_seconds}).encode())

    def _token(self, user: str, scopes: list[str]) -> str:
        access = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            allowed = [a for a in actions.split(",") if user or (a == "pull" and name.startswith("public/"))]
            access.append({"type": kind, "name": name, "actions": allowed})
        now = int(time.time())
        claims = {
            "iss": self.issuer, "sub": user, "aud": self.service, "iat": now, "nbf": now - 5,
            "exp": now + self.lifetime_seconds, "jti": secrets.token_hex(8), "access": access,
        }  # fmt: skip
        head = f"{_base64({'typ': 'JWT', 'alg': 'RS256', 'kid': self._key_id()})}.{_base64(claims)}"
        signature = self._key.sign(head.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{head}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"

    def _key_id(self) -> str:
        """libtrust's fingerprint: base32 of 240 bits of the key's SHA-256, in groups of four."""
        der = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
        return ":".join(text[n : n + 4] for n in range(0, len(text), 4))


def _base64(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


class RegistryServer:
    """One docker-registry process; ready when the block begins."""

    def __init__(
        self,
        folder: Path,
        *,
        htpasswd: Mapping[str, str] | None = None,
        tokens: TokenServer | None = None,
        tls: CertificateAuthority | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        http: dict[str, Any] = {"addr": "127.0.0.1:0", "secret": "a secret of a test"}
        configuration: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}, "delete": {"enabled": True}},
            "http": http,
        }
        if tls is not None:
            http["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
        if htpasswd is not None:
            path = folder / "htpasswd"
            path.write_text("".join(_htpasswd(user, password) for user, password in htpasswd.items()))
            configuration["auth"] = {"htpasswd": {"realm": "registry of a test", "path": str(path)}}
        if tokens is not None:
            configuration["auth"] = {
                "token": {
                    "realm": tokens.realm, "service": tokens.service, "issuer": tokens.issuer,
                    "rootcertbundle": str(tokens.bundle),
                }
            }  # fmt: skip
        self._configuration = folder / "registry.yml"
        self._configuration.write_text(json.dumps(configuration))  # JSON is YAML
        self._scheme = "http" if tls is None else "https"
        self.host = ""
        self.log: list[str] = []

    @property
    def url(self) -> str:
        return f"{self._scheme}://{self.host}"

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            ["docker-registry", "serve", str(self._configuration)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        self._stderr = self._process.stderr
        for line in self._stderr:
            self.log.append(line)
            if found := _LISTENING.search(line):
                self.host = found[1]
                break
        assert self.host, "docker-registry did not start: " + "".join(self.log)
        self._reader = threading.Thread(target=lambda: self.log.extend(self._stderr))
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
        self._reader.join()
        self._stderr.close()


def _htpasswd(user: str, password: str) -> str:
    # Cost 5 is the least that apache2-utils gives: each request of a test checks the password.
    done = subprocess.run(["htpasswd", "-nbB", "-C", "5", user, password], capture_output=True, text=True, check=True)
    return done.stdout.strip() + "\n"
