"""Checking an image: everything that it consists of is read to its end and compared with what it says of itself.

Registries verify none of this but digests, and no other tool sees a wrong number of diff_ids or history entries, or a
layer with an end-of-archive block inside, whose rest every runtime drops silently.
"""

from typing import BinaryIO

from ocibuild.core.descriptor import CONFIG_TYPES, INDEX_TYPES, LAYER_TYPES, MANIFEST_TYPES, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import OcibuildError
from ocibuild.core.events import EventSink, TaskAdvanced, TaskFinished, TaskStarted, discard
from ocibuild.image.check_layer import LayerRules
from ocibuild.image.config import ImageConfig
from ocibuild.image.document import Document
from ocibuild.image.finding import Finding, Severity
from ocibuild.image.hashing import HashingReader
from ocibuild.image.index import DEEPEST_INDEX, ImageIndex, IndexMember
from ocibuild.image.manifest import Manifest, is_foreign, layer_compression
from ocibuild.image.source import ImageSource
from ocibuild.image.view import View
from ocibuild.layer.compression import Compression, open_decompressed
from ocibuild.layer.reader import read_entries

__all__ = ["MOST_LAYERS", "check_image"]

MOST_LAYERS = 125
"""Docker stops at 125 layers; podman's and containerd's limits lie above."""

_MAGIC = {Compression.GZIP: b"\x1f\x8b", Compression.ZSTD: b"\x28\xb5\x2f\xfd", Compression.NONE: b""}
_SKIPPABLE = bytes(range(0x50, 0x60))  # the first byte of zstd's skippable frames (RFC 8878, 3.1.2)


def check_image(source: ImageSource, *, events: EventSink = discard) -> list[Finding]:
    """Read the image, with every platform of an index, to its end; returns what is wrong, nothing for a sound image.

    Documents: digests, sizes, media types, that counts of layers, diff_ids and history agree, that an image is for the
    platform which its index says. Layers: digest and size of the blob, diff_id, codec, and every entry to the end of
    the stream by the rules of :class:`~ocibuild.image.check_layer.LayerRules`. Constant memory but for the paths of
    one image. A source that cannot even give its root raises its own error.
    """
    checker = _Checker(source, events)
    checker.check_document(source.root(), member=None, depth=DEEPEST_INDEX)
    return checker.findings


class _Checker:
    def __init__(self, source: ImageSource, events: EventSink) -> None:
        self._source = source
        self._events = events
        self.findings: list[Finding] = []

    def _error(self, where: str, what: str) -> None:
        self.findings.append(Finding(Severity.ERROR, where, what))

    def _warning(self, where: str, what: str) -> None:
        self.findings.append(Finding(Severity.WARNING, where, what))

    def check_document(self, document: Document, *, member: IndexMember | None, depth: int) -> None:
        """Check a manifest or index and all below it."""
        media_type = document.descriptor.media_type
        where = member.platform if member and member.platform else str(document.descriptor.digest)
        try:
            if media_type in INDEX_TYPES and depth:
                self._check_index(ImageIndex.parse(document.content, where=where), where, depth)
            elif media_type in MANIFEST_TYPES:
                self._check_manifest(Manifest.parse(document.content, where=where), where, member)
            else:
                self._error(where, f"neither an image nor an index: {media_type}")
        except OcibuildError as error:
            self._error(where, str(error))

    def _check_index(self, index: ImageIndex, where: str, depth: int) -> None:
        if not index.members:
            self._warning(where, "an index without manifests")
        seen: set[str] = set()
        for member in index.members:
            if member.is_image and member.platform and member.platform in seen:
                self._warning(where, f"two manifests for {member.platform}: only the first is ever used")
            seen.add(member.platform)
            try:
                document = self._source.document(member.descriptor)
            except OcibuildError as error:
                self._error(member.platform or str(member.descriptor.digest), str(error))
                continue
            if member.is_image:
                self.check_document(document, member=member, depth=depth - 1)

    def _check_manifest(self, manifest: Manifest, where: str, member: IndexMember | None) -> None:
        if manifest.config.media_type not in CONFIG_TYPES:
            self._error(where, f"the configuration is of the unknown type {manifest.config.media_type}")
        if len(manifest.layers) > MOST_LAYERS:
            self._warning(where, f"{len(manifest.layers)} layers: docker takes no more than {MOST_LAYERS}")
        if not manifest.layers:
            self._warning(where, "an image without layers")
        config = self._check_config(manifest, where, member)
        diff_ids: tuple[Digest | None, ...] = config.diff_ids if config else ()
        if len(diff_ids) != len(manifest.layers):
            diff_ids = (None,) * len(manifest.layers)  # which belongs to which is not known
        view = View()
        for number, (layer, diff_id) in enumerate(zip(manifest.layers, diff_ids, strict=True), 1):
            view = self._check_layer(layer, diff_id, view, f"{where} layer {number} {layer.digest}")

    def _check_config(self, manifest: Manifest, where: str, member: IndexMember | None) -> ImageConfig | None:
        where = f"{where} configuration"
        try:
            document = self._source.document(manifest.config)
            config = ImageConfig.parse(document.content, where=where)
        except OcibuildError as error:
            self._error(where, str(error))
            return None
        layers, told = len(manifest.layers), sum(not entry.empty_layer for entry in config.history)
        if len(config.diff_ids) != layers:
            self._error(where, f"{len(config.diff_ids)} diff_ids for {layers} layers")
        if config.history and told != layers:
            self._error(where, f"{told} history entries that are not empty for {layers} layers")
        if not config.history and layers:
            self._warning(where, "no history")
        if not config.created:
            self._warning(where, "no time of creation: umoci's stat fails on it")
        platform = member.descriptor.platform if member else None
        if platform is not None and platform != config.platform:
            self._error(where, f"for {config.platform}, but its index says {platform}")
        return config

    def _check_layer(self, layer: Descriptor, diff_id: Digest | None, below: View, where: str) -> View:
        if layer.media_type not in LAYER_TYPES:
            kind = "non-distributable" if is_foreign(layer) else "unknown"
            self._error(where, f"a layer of the {kind} type {layer.media_type}")
            return below
        rules = LayerRules(where, below)
        self._events(TaskStarted(where, "checking", where, layer.size_bytes))
        try:
            with self._source.open_blob(layer) as stream:
                self._read_layer(stream, layer, diff_id, rules)
        except OcibuildError as error:
            self._error(where, str(error))
        self._events(TaskFinished(where))
        self.findings.extend(rules.findings())
        return rules.view()

    def _read_layer(self, stream: BinaryIO, layer: Descriptor, diff_id: Digest | None, rules: LayerRules) -> None:
        where = rules.where
        blob = HashingReader(
            stream, algorithm=layer.digest.algorithm, on_read=lambda count: self._events(TaskAdvanced(where, count))
        )
        buffered = blob.buffered()
        compression = layer_compression(layer, where=where)
        self._check_magic(buffered.peek(4)[:4], compression, where)
        raw = HashingReader(
            open_decompressed(buffered, compression, where=where), algorithm=diff_id.algorithm if diff_id else "sha256"
        )
        try:
            for entry in read_entries(raw.buffered(), where=where, refuse_trailing_data=True):
                for _ in entry.chunks():
                    pass
                rules.add(entry)
        except OcibuildError as error:
            self._error(where, str(error).removeprefix(f"{where}: "))
        if not raw.broken:
            self._drain(raw, where)
        if blob.broken:
            return  # the source's own error was told, and there is nothing to compare
        blob.drain()
        if blob.size_bytes != layer.size_bytes:
            self._error(where, f"{blob.size_bytes} bytes where the manifest says {layer.size_bytes}")
        if blob.digest != layer.digest:
            self._error(where, f"its digest is {blob.digest}")
        if not raw.broken and diff_id is not None and raw.digest != diff_id:
            self._error(where, f"its diff_id is {raw.digest}, the configuration says {diff_id}")

    def _drain(self, raw: HashingReader, where: str) -> None:
        try:
            raw.drain()
        except OcibuildError as error:
            self._error(where, str(error).removeprefix(f"{where}: "))

    def _check_magic(self, start: bytes, compression: Compression, where: str) -> None:
        if compression is Compression.ZSTD and start[:1] and start[0] in _SKIPPABLE and start[1:] == b"\x2a\x4d\x18":
            self._error(
                where, "a skippable frame comes first: podman and skopeo take the layer for an uncompressed one"
            )
        elif not start.startswith(_MAGIC[compression]):
            self._error(where, f"not {compression.value} data, as its media type says, but {start.hex(' ')} ...")
