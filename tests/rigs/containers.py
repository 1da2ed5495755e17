"""A Kubernetes pod that is allowed nothing, and a container as root, both by runc on the machine's own root."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.rigs.seccomp import runtime_profile

__all__ = ["ENVIRONMENT", "ci_container", "restricted_pod"]

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/mnt",
    "TMPDIR": "/mnt",
    "LANG": "C.UTF-8",
    "OCIBUILD_STORE": "/mnt/store",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""What a program has in an imitated place, whose one writable folder is ``/mnt``."""

_POD_USER = 65532
_DOCKER_CAPABILITIES = tuple(
    f"CAP_{name}"
    for name in [
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    ]
)
"""What Docker gives a container (moby, oci/caps/defaults.go)."""

_MOUNTS: list[dict[str, Any]] = [
    {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64m"]},
    {
        "destination": "/dev/shm",
        "type": "tmpfs",
        "source": "shm",
        "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=64m"],
    },
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
]
_MASKED = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"]
_READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def restricted_pod(
    command: Sequence[str],
    *,
    work: Path,
    scratch: Path,
    profile: dict[str, Any],
    environment: Mapping[str, str],
    user: int = _POD_USER,
) -> "subprocess.CompletedProcess[str]":
    """Run the command as the restricted pod's only process; ``work`` is its ``/mnt``."""
    os.chown(work, user, user)
    return _run(command, work, scratch, environment, user=user, capabilities=(), profile=profile, is_restricted=True)


def ci_container(
    command: Sequence[str], *, work: Path, scratch: Path, profile: dict[str, Any], environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run the command as root in a container like Docker's; ``work`` is its ``/mnt``."""
    return _run(
        command,
        work,
        scratch,
        environment,
        user=0,
        capabilities=_DOCKER_CAPABILITIES,
        profile=profile,
        is_restricted=False,
    )


def _run(
    command: Sequence[str],
    work: Path,
    scratch: Path,
    environment: Mapping[str, str],
    *,
    user: int,
    capabilities: Sequence[str],
    profile: dict[str, Any],
    is_restricted: bool,
) -> "subprocess.CompletedProcess[str]":
    scratch.mkdir(parents=True, exist_ok=True)
    with _bound_root(scratch / "root") as root:
        configuration = {
            "ociVersion": "1.0.2",
            "process": {
                "terminal": False,
                "user": {"uid": user, "gid": user, "umask": 0o022},
                "args": list(command),
                "env": [f"{name}={value}" for name, value in environment.items()],
                "cwd": "/mnt",
                "noNewPrivileges": is_restricted,
                "capabilities": {kind: list(capabilities) for kind in ("bounding", "effective", "permitted")},
            },
            # The machine's own root must stay as it is, whoever runs in it.
            "root": {"path": str(root), "readonly": True},
            "hostname": "rig",
            "mounts": [
                *_MOUNTS,
                {"destination": "/mnt", "type": "bind", "source": str(work), "options": ["rbind", "rw"]},
            ],
            "linux": {
                "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")],
                "maskedPaths": _MASKED,
                "readonlyPaths": _READ_ONLY,
                "seccomp": runtime_profile(profile, capabilities=capabilities),
            },
        }
        (scratch / "config.json").write_text(json.dumps(configuration))
        return subprocess.run(
            ["runc", "--root", str(scratch / "state"), "run", "-b", str(scratch), f"rig-{os.getpid()}-{user}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


@contextlib.contextmanager
def _bound_root(place: Path) -> Iterator[Path]:
    """The machine's root file system at another place, since a runtime does not take ``/`` itself."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "--bind", "--make-private", "/", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)
