"""podman with storage of its own, and programs whose failure fails a test."""

import subprocess
from pathlib import Path

__all__ = ["Podman", "run"]


def run(*command: str | Path) -> str:
    """What the program prints; a failure of it is one of the test."""
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, f"{command}: {result.stderr}"
    return result.stdout.strip()


class Podman:
    """podman with storage of its own; podman refuses a runroot of more than 50 characters."""

    def __init__(self, folder: Path, policy: Path) -> None:
        self.command = ("podman", "--root", f"{folder}/root", "--runroot", f"{folder}/run", "--storage-driver", "vfs")
        self.policy = policy
        self.mounted: list[str] = []

    def pull(self, reference: str) -> str:
        return run(*self.command, "pull", "-q", "--signature-policy", self.policy, reference).splitlines()[-1]

    def mount(self, image: str) -> Path:
        self.mounted.append(image)
        return Path(run(*self.command, "image", "mount", image))

    def close(self) -> None:
        for image in self.mounted:
            run(*self.command, "image", "unmount", "--force", image)
