"""Where an image can be written to on this machine: ``TYPE:PATH``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.atomic import check_new_folder, check_replaceable
from ocibuild.core.errors import UsageError
from ocibuild.core.events import EventSink, Notice
from ocibuild.core.platform import Platform
from ocibuild.core.reference import Reference
from ocibuild.image.source import ImageSource

__all__ = ["OUTPUT_TYPES", "Output", "check_outputs", "write_output"]

OUTPUT_TYPES = ("oci", "oci-archive", "docker-archive", "rootfs")
_ONE_IMAGE = ("docker-archive", "rootfs")


@dataclass(frozen=True, slots=True)
class Output:
    """A kind of output and its place."""

    type: str
    place: str

    @classmethod
    def parse(cls, text: str) -> "Output":
        """Read ``oci:DIR[:TAG]``, ``oci-archive:FILE[:TAG]``, ``docker-archive:FILE`` or ``rootfs:DIR``.

        A UsageError for anything else.
        """
        kind, colon, place = text.partition(":")
        if kind not in OUTPUT_TYPES or not colon or not place:
            raise UsageError(
                f"not an output: {text!r}", hint=f"write TYPE:PATH, where TYPE is one of {', '.join(OUTPUT_TYPES)}"
            )
        return cls(kind, place)

    def __str__(self) -> str:
        return f"{self.type}:{self.place}"


def check_outputs(outputs: Sequence[Output], *, platforms: Sequence[Platform]) -> None:
    """Raise what :func:`write_output` would raise of these places, as far as that can be told before a build."""
    for number, output in enumerate(outputs):
        if output in outputs[:number]:
            raise UsageError(f"{output} is asked for twice")
        if len(platforms) > 1 and output.type in _ONE_IMAGE:
            raise UsageError(
                f"{output} can hold the image of one platform, and {len(platforms)} are built",
                hint="write oci:DIR or oci-archive:FILE, or build for one --platform",
            )
        match output.type:
            case "oci":
                from ocibuild.image.layout import LayoutTarget, check_layout_target  # noqa: PLC0415 - as below

                check_layout_target(LayoutTarget.parse(output.place))
            case "oci-archive":
                from ocibuild.image.layout import LayoutTarget  # noqa: PLC0415 - as below

                check_replaceable(LayoutTarget.parse(output.place).path)
            case "docker-archive":
                check_replaceable(Path(output.place))
            case _:
                check_new_folder(Path(output.place))


def write_output(
    source: ImageSource, output: Output, *, tags: Sequence[Reference], platform: Platform | None, events: EventSink
) -> None:
    """Write the image there; it appears whole or not at all.

    ``oci`` and ``oci-archive`` hold every platform of an index. The others hold one image: the one for ``platform``, or
    the only one. ``tags`` are the names that ``docker load`` gives.
    """
    match output.type:
        # Each form is imported where it is written: a build with nothing to do must start quickly.
        case "oci":
            from ocibuild.image.layout import LayoutTarget, write_layout  # noqa: PLC0415 - as above

            write_layout(source, LayoutTarget.parse(output.place), events=events)
        case "oci-archive":
            from ocibuild.image.layout import LayoutTarget  # noqa: PLC0415 - as above
            from ocibuild.image.oci_archive import write_oci_archive  # noqa: PLC0415 - as above

            write_oci_archive(source, LayoutTarget.parse(output.place), events=events)
        case "docker-archive":
            from ocibuild.image.docker_archive import write_docker_archive  # noqa: PLC0415 - as above

            write_docker_archive(source, Path(output.place), tags=tags, platform=platform, events=events)
        case _:
            _write_rootfs(source, output, platform=platform, events=events)


def _write_rootfs(source: ImageSource, output: Output, *, platform: Platform | None, events: EventSink) -> None:
    """Unpack the image, and tell what this user could not make as the image has it."""
    from ocibuild.image.rootfs import write_rootfs  # noqa: PLC0415 - as above

    unpacked = write_rootfs(source, Path(output.place), platform=platform, events=events)
    if not unpacked.with_owners:
        events(Notice(f"{output}: all files belong to you, since only root can give them their owners"))
    if unpacked.skipped:
        left_out = ", ".join(unpacked.skipped)
        events(Notice(f"{output}: left out, since only root can make them: {left_out}", warning=True))
    if unpacked.without_attributes:
        bare = ", ".join(unpacked.without_attributes)
        events(Notice(f"{output}: without their extended attributes (capabilities): {bare}", warning=True))
