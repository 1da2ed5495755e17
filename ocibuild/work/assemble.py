"""Putting layers on a base: configuration, manifest and index, written into the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ocibuild.core.clock import FIXED_TIME, rfc3339
from ocibuild.core.descriptor import Descriptor
from ocibuild.core.platform import Platform
from ocibuild.image.config import History
from ocibuild.image.index import ImageIndex
from ocibuild.image.inspect import layer_annotations
from ocibuild.image.manifest import Manifest
from ocibuild.store.store import Store
from ocibuild.work.base import Base
from ocibuild.work.layers import MadeLayer

__all__ = ["ImageSettings", "assemble", "assemble_index"]

_BASE_NAME = "org.opencontainers.image.base.name"
_BASE_DIGEST = "org.opencontainers.image.base.digest"


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """What an image's configuration says beside its layers; None leaves what the base has, and ports are added."""

    environment: Mapping[str, str]
    labels: Mapping[str, str]
    user: str | None = None
    working_folder: str | None = None
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    ports: tuple[str, ...] = ()


def assemble(
    base: Base,
    layers: Sequence[MadeLayer],
    *,
    settings: ImageSettings,
    created: int,
    timed: frozenset[str],
    store: Store,
) -> Descriptor:
    """The manifest of the base with these layers on top, written into the store with its configuration.

    ``created`` (seconds since the epoch) is the image's time and that of the layers named in ``timed``; the others have
    the fixed time, like everything in them. The base's annotations of its own base are replaced by this base's.
    """
    history = [
        History(created_by=f"ocibuild: {layer.name}", created=rfc3339(created if layer.name in timed else FIXED_TIME))
        for layer in layers
    ]
    config = base.config.appended(zip([layer.diff_id for layer in layers], history, strict=True))
    config = config.with_environment(settings.environment).with_labels(settings.labels)
    config = replace(
        config,
        created=rfc3339(created),
        user=config.user if settings.user is None else settings.user,
        working_folder=config.working_folder if settings.working_folder is None else settings.working_folder,
        entrypoint=config.entrypoint if settings.entrypoint is None else settings.entrypoint,
        command=config.command if settings.command is None else settings.command,
        exposed_ports=tuple(sorted({*config.exposed_ports, *settings.ports})),
    )
    config_document = config.document()
    annotations = {_BASE_NAME: base.recorded_name, _BASE_DIGEST: str(base.digest)} if base.digest else {}
    manifest = Manifest(config_document.descriptor, base.layers + tuple(map(_described, layers)), annotations)
    document = manifest.document()
    for written in (config_document, document):
        store.blobs.add(written.content)
    return document.descriptor


def _described(layer: MadeLayer) -> Descriptor:
    """The layer's descriptor with annotations that tell what is in it."""
    return replace(layer.descriptor, annotations=layer_annotations(layer.name, layer.packages))


def assemble_index(images: Mapping[Platform, Descriptor], *, platforms: Sequence[Platform], store: Store) -> Descriptor:
    """The index of one image for each platform, in their order, written into the store."""
    document = ImageIndex.of(images, platforms=platforms).document()
    store.blobs.add(document.content)
    return document.descriptor
