"""What refers to a manifest: signatures, inventories and the like (distribution-spec, "Listing Referrers")."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ocibuild.core.descriptor import OCI_INDEX, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, RegistryError
from ocibuild.image.document import Document, canonical_json, parse_object
from ocibuild.registry.repository import Repository

__all__ = ["Referrer", "list_referrers", "put_referrer"]

_NOT_FOUND = 404
_LONGEST_TAG = 128


@dataclass(frozen=True, slots=True)
class Referrer:
    """A manifest that refers to another one, and the type of what it is."""

    descriptor: Descriptor
    artifact_type: str = ""


def list_referrers(repository: Repository, subject: Digest, *, artifact_type: str | None = None) -> list[Referrer]:
    """The manifests that refer to ``subject``, of one type only where one is given.

    From the referrers API, or from the tag that stands in for it at registries without it (the specification's
    "Referrers Tag Schema"). Nothing refers to a subject that the registry does not know.
    """
    found = [
        Referrer(Descriptor.from_json(value, where=str(repository)), str(value.get("artifactType") or ""))
        for value in _listed(repository, subject)
    ]
    # A registry may leave the filter to us, and the tag always does.
    return [referrer for referrer in found if artifact_type is None or referrer.artifact_type == artifact_type]


def put_referrer(repository: Repository, document: Document) -> None:
    """Write a manifest that has a ``subject`` under its own digest, and see to it that it is found from there.

    Where the registry does not note the subject itself, the stand-in tag is read, extended and written; two writers
    at the same moment may lose an entry there, as the specification says. ImageError where there is no subject.
    """
    value = parse_object(document.content, where=str(document.descriptor.digest))
    subject = Descriptor.from_json(value.get("subject"), where=f"{document.descriptor.digest}: subject").digest
    if repository.put_manifest(document, document.descriptor.digest):
        return
    entry = document.descriptor.to_json() | {"artifactType": _artifact_type(value)}
    if value.get("annotations"):
        entry["annotations"] = value["annotations"]
    others = [known for known in _tagged(repository, subject) if known.get("digest") != entry["digest"]]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*others, entry]}
    repository.put_manifest(Document.of(OCI_INDEX, canonical_json(index)), _stand_in_tag(subject))


def _artifact_type(manifest: dict[str, Any]) -> str:
    config = manifest.get("config")
    fallback = config.get("mediaType") if isinstance(config, dict) else None
    return str(manifest.get("artifactType") or fallback or "")


def _listed(repository: Repository, subject: Digest) -> Iterator[dict[str, Any]]:
    url = f"/v2/{repository.name}/referrers/{subject}"
    try:
        for page in repository.pages(url, attempted=f"listing what refers to {subject} in {repository}"):
            yield from _manifests(page, where=f"{repository}: referrers of {subject}")
    except RegistryError as error:
        if error.status != _NOT_FOUND:
            raise
    else:
        return
    yield from _tagged(repository, subject)


def _tagged(repository: Repository, subject: Digest) -> list[dict[str, Any]]:
    tag = _stand_in_tag(subject)
    if repository.head_manifest(tag) is None:
        return []
    where = f"{repository}:{tag}"
    return _manifests(parse_object(repository.get_manifest(tag).content, where=where), where=where)


def _manifests(index: dict[str, Any], *, where: str) -> list[dict[str, Any]]:
    manifests = index.get("manifests") or []
    if not isinstance(manifests, list) or not all(isinstance(entry, dict) for entry in manifests):
        raise ImageError(f"{where}: not an image index")
    return manifests


def _stand_in_tag(subject: Digest) -> str:
    return f"{subject.algorithm}-{subject.hex}"[:_LONGEST_TAG]
