"""Image references: ``registry/repository:tag@digest`` (distribution's reference grammar)."""

import re
from dataclasses import dataclass, replace

from ocibuild.core.digest import Digest
from ocibuild.core.errors import UsageError

__all__ = ["DOCKER_HUB", "Reference"]

DOCKER_HUB = "docker.io"
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r"|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?"
)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_LONGEST_REPOSITORY = 255


@dataclass(frozen=True, slots=True)
class Reference:
    """A name of an image in a registry. ``tag`` is None only where a digest alone was given."""

    registry: str
    repository: str
    tag: str | None = "latest"
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read a reference as Docker does, with the same defaults.

        The first component is a registry where it holds ``.`` or ``:`` or is ``localhost``; without one the registry
        is Docker Hub, whose single-component repositories are under ``library/``. A missing tag is ``latest`` unless a
        digest is given. A UsageError names what is malformed.
        """
        rest, at, digest_text = text.partition("@")
        digest = Digest.parse(digest_text) if at else None
        first, slash, tail = rest.partition("/")
        if slash and ("." in first or ":" in first or first == "localhost" or first.startswith("[")):
            registry, rest = first, tail
        else:
            registry = DOCKER_HUB
        repository, colon, tag_text = rest.partition(":")
        tag = tag_text if colon else None if digest else "latest"
        if registry in ("index.docker.io", "registry-1.docker.io"):
            registry = DOCKER_HUB
        if registry == DOCKER_HUB and "/" not in repository:
            repository = f"library/{repository}"
        if not _HOST.fullmatch(registry):
            raise UsageError(f"not an image reference: {text!r}: the registry {registry!r} is no host")
        if not _REPOSITORY.fullmatch(repository) or len(repository) > _LONGEST_REPOSITORY:
            raise UsageError(
                f"not an image reference: {text!r}: the repository {repository!r} is malformed",
                hint="lower-case letters, digits and single separators, such as registry.example.org/team/image:tag",
            )
        if tag is not None and not _TAG.fullmatch(tag):
            raise UsageError(
                f"not an image reference: {text!r}: the tag {tag!r} is malformed",
                hint="at most 128 letters, digits, '_', '.' and '-', not starting with '.' or '-'",
            )
        return cls(registry, repository, tag, digest)

    def with_digest(self, digest: Digest) -> "Reference":
        """The same name, pinned to ``digest``."""
        return replace(self, digest=digest)

    @property
    def target(self) -> str:
        """What a registry is asked for: the digest where there is one, else the tag."""
        return str(self.digest) if self.digest else self.tag or "latest"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"
