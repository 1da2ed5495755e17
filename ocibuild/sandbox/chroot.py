"""Rung 4: chroot(2), where this process is root but may not make user name spaces (a container run as root)."""

from dataclasses import dataclass, field
from pathlib import Path

from ocibuild.core.errors import MachineError
from ocibuild.sandbox.entrance import Entrance
from ocibuild.sandbox.execution import Execution, InodeKey, Outcome, Owner, Streams
from ocibuild.sandbox.view import limits, name_service, run_in_root

__all__ = ["ChrootRung"]

_NO_BOUNDARY = "This is a view of files, not a security boundary: a step can reach whatever this process can."
_NO_MOUNTS = (
    "Nothing can be mounted here: a step has no /proc, no /sys and no mounts. It sees this machine's name; on other "
    "rungs that is localhost."
)
_NO_DEVICES = "Device nodes cannot be made here: a step has no /dev/null and the like, but for those in its root."


@dataclass(frozen=True, slots=True)
class ChrootRung:
    """A :class:`~ocibuild.sandbox.rung.Rung`. The fields are what the trial found that this root may do."""

    has_mounts: bool = False
    has_devices: bool = True
    can_be_offline: bool = False
    name: str = field(default="chroot", init=False)
    number: int = field(default=4, init=False)
    has_real_owners: bool = field(default=True, init=False)
    is_boundary: bool = field(default=False, init=False)

    @property
    def notes(self) -> tuple[str, ...]:
        """See :class:`~ocibuild.sandbox.rung.Rung`."""
        return (
            _NO_BOUNDARY,
            *(() if self.has_mounts else (_NO_MOUNTS,)),
            *(() if self.has_mounts or self.has_devices else (_NO_DEVICES,)),
            *limits(has_processes=True, can_be_offline=self.can_be_offline),
        )

    def run(
        self,
        root: Path,
        execution: Execution,
        streams: Streams,
        *,
        owners: dict[InodeKey, Owner] | None = None,  # noqa: ARG002 - they are real here
    ) -> Outcome:
        """See :class:`~ocibuild.sandbox.rung.Rung`; a MachineError where mounts are asked for that cannot be made."""
        if execution.mounts and not self.has_mounts:
            targets = ", ".join(each.target for each in execution.mounts)
            raise MachineError(
                f"{targets}: cannot be mounted: this process lacks CAP_SYS_ADMIN",
                hint="run it where user name spaces work ('ocibuild doctor' says what that needs)",
            )
        way = Entrance(
            execution.arguments,
            has_mounts=self.has_mounts,
            has_processes=self.has_mounts,
            is_offline=self.can_be_offline and not execution.network,
            files=() if self.has_mounts else _name_service_files(network=execution.network),
        )
        return run_in_root(root, execution, streams, way=way)

    def keeper(self) -> tuple[str, ...]:
        """Nothing: this process is root."""
        return ()


def _name_service_files(*, network: bool) -> tuple[tuple[str, str], ...]:
    """The files for a root that has none."""
    found = name_service(network=network)
    return tuple((path, content.decode("utf-8", "surrogateescape")) for path, content in found.items())
