"""This machine's own root as the one that builds run in, with folders mounted where a build expects them."""

import shlex
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from ocibuild.core.step import Step
from ocibuild.sandbox.execution import Mount

_UNSHARE = ("unshare", "--mount", "--propagation", "private")


def can_mount() -> bool:
    """Whether this process may have mounts of its own (root may)."""
    return subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False).returncode == 0


class HostRoot:
    """Runs steps here; ``ran`` are their names, ``outputs`` what they said."""

    def __init__(self, key: str = "host") -> None:
        self.key = key
        self.environment: dict[str, str] = {}
        self.ran: list[str] = []
        self.outputs: list[bytes] = []

    def run(self, step: Step, mounts: Sequence[Mount], output: Callable[[bytes], None]) -> int:
        self.ran.append(step.name)
        lines = ["set -e"]
        for mount in mounts:
            Path(mount.target).mkdir(parents=True, exist_ok=True)
            lines.append(shlex.join(["mount", "--bind", str(mount.source), mount.target]))
        lines.append(shlex.join(["cd", step.working_folder]))
        variables = [f"{name}={value}" for name, value in step.environment.items()]
        network = [] if step.network else ["unshare", "--net"]
        lines.append(shlex.join(["exec", *network, "env", "-i", *variables, *step.arguments]))
        done = subprocess.run(
            [*_UNSHARE, "sh", "-c", "\n".join(lines)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        self.outputs.append(done.stdout)
        output(done.stdout)
        return done.returncode
