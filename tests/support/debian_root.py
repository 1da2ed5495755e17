"""Debian packages unpacked by dpkg-deb into a folder to chroot into, and such a folder as an image."""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ocibuild.image.overlay import Overlay
from ocibuild.image.view import View, ViewEntry

__all__ = ["FONT_CACHES", "Debian", "debian_mirror", "image_of"]

FONT_CACHES = "var/cache/fontconfig"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass
class Debian:
    """A suite of the machine's Debian mirror, for apt in a folder of its own with nothing installed."""

    folder: Path
    suite: str
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        for name in (
            "etc/apt.conf.d",
            "etc/preferences.d",
            "etc/sources.list.d",
            "state/lists/partial",
            "cache/archives/partial",
        ):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "status").write_text("")
        (self.folder / "etc/sources.list").write_text(f"deb {debian_mirror()} {self.suite} main\n")
        (self.folder / "apt.conf").write_text(
            f'Dir::Etc "{self.folder}/etc";\nDir::State "{self.folder}/state";\nDir::State::status "{self.folder}/status";\n'
            f'Dir::Cache "{self.folder}/cache";\nAPT::Sandbox::User "root";\nAPT::Architecture "amd64";\n'
            'APT::Architectures { "amd64"; };\nAcquire::Languages "none";\n'
        )
        self.environment = {**os.environ, "APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C.UTF-8"}
        self._apt("update", "-qq")

    def _apt(self, *arguments: str) -> str:
        done = subprocess.run(
            ["apt-get", *arguments], env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def unpacked(self, packages: Sequence[str], root: Path) -> None:
        """Unpack the packages and what they depend on into ``root``, and note their versions as dpkg would."""
        archives = self.folder / "cache/archives"
        listed = self._apt("install", "-s", "-y", "--no-install-recommends", "-qq", *packages)
        self._apt("install", "-y", "--no-install-recommends", "--download-only", "-qq", *packages)
        status = ""
        for name, version in re.findall(r"^Inst (\S+) \((\S+) ", listed, re.MULTILINE):
            (archive,) = archives.glob(f"{name}_{version.replace(':', '%3a')}_*.deb")
            subprocess.run(["dpkg-deb", "-x", archive, root], check=True)
            status += f"Package: {name}\nStatus: install ok installed\nVersion: {version}\n\n"
        (root / "var/lib/dpkg").mkdir(parents=True, exist_ok=True)
        (root / "var/lib/dpkg/status").write_text(status)
        (root / "usr/local/share/fonts").mkdir(parents=True)  # as fontconfig-config's postinst does
        for name in ("bin", "lib", "lib64", "sbin"):
            if (root / "usr" / name).exists() and not (root / name).exists():
                (root / name).symlink_to(f"usr/{name}")


def debian_mirror() -> str:
    """The machine's own Debian mirror with its options, as a line of sources.list has it."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(SUITE)", "Created-By: Packages"]
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        address, suite = line.split(" ")
        if re.fullmatch(r"bookworm|trixie|stable|oldstable", suite):
            return f"[signed-by={_KEYRING}] {address}"
    pytest.skip("apt has no Debian mirror here")


def image_of(root: Path) -> Overlay:
    """The tree as an image, without its caches; a file is read when it is asked for."""
    entries = {}
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(folder, name)
            where = str(path.relative_to(root))
            if where.startswith(f"{FONT_CACHES}/"):
                continue
            if path.is_symlink():
                entries[where] = ViewEntry("symlink", 0o777, link=str(path.readlink()))
            elif path.is_dir():
                entries[where] = ViewEntry("directory", 0o755)
            else:
                entries[where] = ViewEntry("file", 0o644, size_bytes=path.stat().st_size)
    return Overlay(View(entries, read_content=lambda path, _: (root / path).read_bytes()))
