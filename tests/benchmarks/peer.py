"""The side of buildah: its storage, and the caches that its best user mounts."""

import os
import platform as host
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pip
from uv import find_uv_bin

from ocibuild.core.platform import Platform
from ocibuild.ecosystem.apt.distribution import suite_sources
from ocibuild.ecosystem.apt.machine import read_machine_apt
from ocibuild.ecosystem.apt.mirrors import Mirrors
from tests.benchmarks.measuring import Cost, measured
from tests.benchmarks.workloads import Workload

__all__ = ["INSTALLERS", "Peer"]

_PYTHON = "/srv/conda/envs/notebook/bin/python"
INSTALLERS = {
    "pip": f"python3 /pip --python {_PYTHON} install --quiet --no-cache-dir --no-compile --no-index --find-links /wheels -c /wheels/constraints",
    "uv": f"uv pip install --quiet --offline --no-index --find-links /wheels -c /wheels/constraints --link-mode copy --python {_PYTHON}",
}
_CONTAINERFILE = Path(__file__).with_name("Containerfile")


class Peer:
    """buildah with a storage of its own below ``folder``, on overlay, without networks."""

    def __init__(self, folder: Path, log: Path) -> None:
        self._log = log
        self._storage = [f"--root={folder / 'containers'}", f"--runroot={folder / 'run'}", "--storage-driver=overlay"]
        caches = {name: folder / name for name in ("lists", "cache", "sources", "wheels", "uv-cache", "tools")}
        for cache in caches.values():
            cache.mkdir(parents=True, exist_ok=True)
        (caches["cache"] / "archives/partial").mkdir(parents=True, exist_ok=True)
        self._caches = caches

    def run(self, *arguments: str | Path) -> Cost:
        """Run ``buildah`` with these arguments."""
        return measured(["buildah", *self._storage, *arguments], log=self._log)

    def output(self, *arguments: str | Path) -> str:
        """What ``buildah`` prints with these arguments."""
        command = ["buildah", *self._storage, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def pull(self, image: str) -> None:
        """Have the image in the storage."""
        self.run("pull", "--quiet", "--tls-verify=false", image)

    def forget_layers(self, base: str) -> None:
        """Have the base alone in the storage, as before the first build."""
        self.run("rmi", "--all", "--force")
        self.pull(base)

    def build(
        self, source: Path, image: str, workload: Workload, *, base: str, installer: str, layers: bool = False
    ) -> Cost:
        """Build the image; with ``layers`` every step is kept and found again."""
        containerfile = _CONTAINERFILE
        if workload.has_step:
            containerfile = self._caches["tools"].with_name("Containerfile.step")
            containerfile.write_text(f"{_CONTAINERFILE.read_text()}RUN ./postBuild\n")
        return self.run(
            "build",
            f"--layers={str(layers).lower()}",
            "--isolation=chroot",
            "--pull=never",
            *self._mounts(),
            f"--build-arg=BASE={base}",
            f"--build-arg=INSTALL={INSTALLERS[installer]}",
            f"--build-arg=DEBIAN={' '.join(workload.debian)}",
            f"--tag={image}",
            f"--file={containerfile}",
            source,
        )

    def push(self, image: str) -> Cost:
        """Push the image with zstd layers."""
        return self.run(
            "push",
            "--quiet",
            "--tls-verify=false",
            "--format=oci",
            "--compression-format=zstd",
            image,
            f"docker://{image}",
        )

    def prepare(
        self,
        base: str,
        packages: Iterable[dict[str, Any]],
        bodies: Iterable[Path],
        constraints: str,
        *,
        variables: dict[str, str],
    ) -> None:
        """Fill the caches: lists of the mirror that ``variables`` name, and the very packages that ocibuild took."""
        (self._caches["wheels"] / "constraints").write_text(constraints)
        for package, body in zip(packages, bodies, strict=True):
            name = unquote(urlsplit(package["url"]).path.rpartition("/")[2])
            folder = self._caches["wheels"]
            if package["ecosystem"] == "apt":
                version = package["version"].replace(":", "%3a")
                folder = self._caches["cache"] / "archives"
                name = f"{package['name']}_{version}_{package['architecture']}.deb"
            if not (folder / name).exists():
                shutil.copyfile(body, folder / name)
        shutil.copy(find_uv_bin(), self._caches["tools"] / "uv")
        mirrors = Mirrors(read_machine_apt(), {**os.environ, **variables})
        lines = [
            f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {source.url} {source.suite} main\n"
            for source in suite_sources("bookworm", Platform.parse(host.machine()), mirrors)
        ]
        (self._caches["sources"] / "debian.list").write_text("".join(lines))
        container = self.output("from", "--pull=never", base)
        try:
            options = ["--isolation=chroot", "--user=root", *self._mounts()]
            self.run("run", *options, container, "--", "apt-get", "update")
        finally:
            self.run("rm", container)
        for folder in (self._caches["uv-cache"], self._caches["wheels"]):
            folder.chmod(0o777)

    def _mounts(self) -> list[str]:
        caches = self._caches
        return [
            f"--volume={caches['lists']}:/var/lib/apt/lists",
            f"--volume={caches['cache']}:/var/cache/apt",
            f"--volume={caches['sources']}:/etc/apt/sources.list.d",
            f"--volume={caches['wheels']}:/wheels",
            f"--volume={caches['uv-cache']}:/home/jovyan/.cache/uv",
            f"--volume={caches['tools']}/uv:/usr/local/bin/uv",
            f"--volume={Path(pip.__file__).parent}:/pip",
        ]
