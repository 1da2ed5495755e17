"""What this machine says of itself that decides which rungs work, and why others do not."""

import os
from dataclasses import dataclass
from pathlib import Path

from ocibuild.sandbox.id_ranges import user_name

__all__ = ["MachineFacts"]

_STATUS = Path("/proc/self/status")
_SETTINGS = Path("/proc/sys")
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """Kernel settings are None where the kernel does not have them; ``has_filter`` is of a seccomp filter."""

    uid: int
    user: str
    most_user_namespaces: int | None = None
    unprivileged_userns_clone: int | None = None
    apparmor_restricts_userns: int | None = None
    has_filter: bool = False
    has_no_new_privileges: bool = False
    is_pod: bool = False

    @classmethod
    def read(cls) -> "MachineFacts":
        """Of the machine and process that this runs in."""
        status = dict(line.split(":\t", 1) for line in _text(_STATUS).splitlines() if ":\t" in line)
        return cls(
            os.geteuid(),
            user_name(),
            _number(_SETTINGS / "user/max_user_namespaces"),
            _number(_SETTINGS / "kernel/unprivileged_userns_clone"),
            _number(_SETTINGS / "kernel/apparmor_restrict_unprivileged_userns"),
            has_filter=status.get("Seccomp") == "2",
            has_no_new_privileges=status.get("NoNewPrivs") == "1",
            is_pod="KUBERNETES_SERVICE_HOST" in os.environ or _SERVICE_ACCOUNT.exists(),
        )


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def _number(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isdigit() else None
