"""An image's configuration (image-spec, config.md; Docker's "Image JSON")."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from ocibuild.core.clock import FIXED_TIME, rfc3339
from ocibuild.core.descriptor import OCI_CONFIG
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, UsageError
from ocibuild.core.platform import Platform
from ocibuild.image.document import Document, canonical_json, parse_object, text_mapping

__all__ = ["History", "ImageConfig"]

_UNRECORDED = "a layer whose history its base does not record"
_PLATFORM_FIELDS = ("architecture", "os", "variant")
_RUN_FIELDS = ("Env", "User", "Entrypoint", "Cmd", "WorkingDir", "Labels", "ExposedPorts")


@dataclass(frozen=True, slots=True)
class History:
    """How one layer was made; ``empty_layer`` where the step made none. Times are RFC 3339, ``""`` for none."""

    created_by: str = ""
    created: str = ""
    comment: str = ""
    author: str = ""
    empty_layer: bool = False

    def to_json(self) -> dict[str, Any]:
        """The history object; empty fields are left out."""
        texts = {name: getattr(self, name) for name in ("created", "created_by", "author", "comment")}
        value: dict[str, Any] = {name: text for name, text in texts.items() if text}
        return value | ({"empty_layer": True} if self.empty_layer else {})


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What a runtime needs to start the image, and what its layers are.

    ``environment`` is in the order written. ``entrypoint`` and ``command`` are None where the image has none, which is
    not the same as an empty list for who derives an image. ``other`` and ``run`` hold the fields that this class does
    not name (top level, and inside ``config``: Volumes, Healthcheck, StopSignal, ...), so that a base's survive.
    """

    platform: Platform
    diff_ids: tuple[Digest, ...] = ()
    history: tuple[History, ...] = ()
    created: str = rfc3339(FIXED_TIME)
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    user: str = ""
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    working_folder: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    exposed_ports: tuple[str, ...] = ()
    run: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    other: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def parse(cls, content: bytes, *, where: str) -> "ImageConfig":
        """Read an OCI or Docker configuration; ``where`` names it in the ImageError raised for a malformed one.

        Tolerant of what real images hold: nulls, a missing history, a command that is one text.
        """
        value = parse_object(content, where=where)
        run = value.get("config") or {}
        rootfs = value.get("rootfs")
        if not isinstance(run, dict) or not isinstance(rootfs, dict) or not isinstance(rootfs.get("diff_ids"), list):
            raise ImageError(f"{where}: not an image configuration: it has no rootfs.diff_ids")
        named = {*_PLATFORM_FIELDS, "rootfs", "history", "created", "config"}
        try:
            return cls(
                platform=_platform(value),
                diff_ids=tuple(Digest.parse(str(diff_id)) for diff_id in rootfs["diff_ids"]),
                history=tuple(_history(entry, where) for entry in value.get("history") or ()),
                created=str(value.get("created") or ""),
                environment=MappingProxyType(_environment(_texts(run.get("Env"), "Env", where) or ())),
                user=str(run.get("User") or ""),
                entrypoint=_texts(run.get("Entrypoint"), "Entrypoint", where),
                command=_texts(run.get("Cmd"), "Cmd", where),
                working_folder=str(run.get("WorkingDir") or ""),
                labels=MappingProxyType(text_mapping(run.get("Labels"), where=f"{where}: Labels")),
                exposed_ports=tuple(sorted(str(port) for port in run.get("ExposedPorts") or ())),
                run=MappingProxyType({key: item for key, item in run.items() if key not in _RUN_FIELDS}),
                other=MappingProxyType({key: item for key, item in value.items() if key not in named}),
            )
        except (UsageError, TypeError) as error:
            raise ImageError(f"{where}: {error}") from error

    def appended(self, layers: Iterable[tuple[Digest, History]]) -> "ImageConfig":
        """The configuration with these layers on top: their diff_ids and how each was made.

        A base whose history tells of fewer or more layers than it has is put right first: every reader pairs the two by
        counting.
        """
        added = tuple(layers)
        history = _matched(self.history, len(self.diff_ids))
        return replace(
            self,
            diff_ids=self.diff_ids + tuple(diff_id for diff_id, _ in added),
            history=history + tuple(replace(entry, empty_layer=False) for _, entry in added),
        )

    def with_environment(self, values: Mapping[str, str]) -> "ImageConfig":
        """The configuration with these variables set over those that it has."""
        return replace(self, environment=MappingProxyType({**self.environment, **values}))

    def with_labels(self, values: Mapping[str, str]) -> "ImageConfig":
        """The configuration with these labels set over those that it has."""
        return replace(self, labels=MappingProxyType({**self.labels, **values}))

    def to_json(self) -> dict[str, Any]:
        """The configuration object of the specification, with the unnamed fields of a base."""
        run: dict[str, Any] = dict(self.run)
        optional: dict[str, Any] = {
            "User": self.user,
            "WorkingDir": self.working_folder,
            "Env": [f"{name}={text}" for name, text in self.environment.items()],
            "Labels": dict(self.labels),
            "ExposedPorts": {port: {} for port in self.exposed_ports},
        }
        run |= {name: item for name, item in optional.items() if item}
        if self.entrypoint is not None:
            run["Entrypoint"] = list(self.entrypoint)
        if self.command is not None:
            run["Cmd"] = list(self.command)
        value: dict[str, Any] = {
            **self.other,
            "architecture": self.platform.architecture,
            "os": self.platform.os,
            "config": run,
            "rootfs": {"type": "layers", "diff_ids": [str(diff_id) for diff_id in self.diff_ids]},
            "history": [entry.to_json() for entry in self.history],
        }
        if self.platform.variant:
            value["variant"] = self.platform.variant
        if self.created:  # umoci's stat panics without it, so this program always sets one
            value["created"] = self.created
        return value

    def document(self) -> Document:
        """The configuration as an OCI document; the same value gives the same bytes on every machine."""
        return Document.of(OCI_CONFIG, canonical_json(self.to_json()))


def _platform(value: Mapping[str, Any]) -> Platform:
    """The platform, or a UsageError that names it."""
    parts = [str(value.get(name) or "") for name in ("os", "architecture", "variant")]
    return Platform.parse("/".join(part for part in parts if part))


def _history(value: Any, where: str) -> History:
    if not isinstance(value, dict):
        raise ImageError(f"{where}: a history entry that is no object: {str(value)[:200]}")
    created_by, created, comment, author = (
        str(value.get(name) or "") for name in ("created_by", "created", "comment", "author")
    )
    return History(created_by, created, comment, author, empty_layer=bool(value.get("empty_layer")))


def _texts(value: Any, name: str, where: str) -> tuple[str, ...] | None:
    """A list of texts; one text alone counts as a list of it, as in Docker's own reader (strslice)."""
    if value is None:
        return None
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ImageError(f"{where}: {name} is no list of texts: {str(value)[:200]}")
    return tuple(texts)


def _environment(variables: Iterable[str]) -> dict[str, str]:
    """Variables in their order; of a name written twice the last value holds, as in a process's environment."""
    pairs = (variable.partition("=") for variable in variables)
    return {name: text for name, _, text in pairs}


def _matched(history: tuple[History, ...], layer_count: int) -> tuple[History, ...]:
    """The history with exactly ``layer_count`` entries that are not of empty layers."""
    result = []
    told = 0
    for entry in history:
        told += not entry.empty_layer
        result.append(entry if told <= layer_count else replace(entry, empty_layer=True))
    missing = [History(comment=_UNRECORDED, created=rfc3339(FIXED_TIME))] * max(0, layer_count - told)
    return (*result, *missing)
