"""An image whose Debian packages are unpacked and not configured, as a folder, and its base as another.

::

    image = UnconfiguredImage.make(["polkitd"], base="apt:bookworm", store=store, folder=folder)
    run_step(image.step, image.root)          # now image.root is what the step makes of it
    install(image.archives, image.base_root)  # and image.base_root what apt makes of the same packages
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.clock import FIXED_TIME
from ocibuild.core.digest import Digest
from ocibuild.core.events import discard
from ocibuild.core.package import Ecosystem
from ocibuild.core.platform import Platform
from ocibuild.core.step import Step
from ocibuild.image.rootfs import write_rootfs
from ocibuild.plan.packing import pack
from ocibuild.spec.options import BuildOptions
from ocibuild.store.image_source import StoreSource
from ocibuild.store.store import Store
from ocibuild.work.apt_layers import AptLayers
from ocibuild.work.assemble import ImageSettings, assemble
from ocibuild.work.base import Base
from ocibuild.work.bodies import PackageBodies
from ocibuild.work.build import read_request
from ocibuild.work.contents import FragmentContents
from ocibuild.work.layers import MadeLayer
from ocibuild.work.machine import Machine
from ocibuild.work.make import Workshop
from ocibuild.work.platform_build import PlatformBuild
from ocibuild.work.remote import open_remote
from ocibuild.work.source import Source
from ocibuild.work.stack import PackageLayers, tables_of

__all__ = ["UnconfiguredImage", "install", "run_inside", "run_step", "write_base"]

_PLATFORM = Platform.parse("linux/amd64")
_MOST_LAYERS = 6
_POLICY = "usr/sbin/policy-rc.d"


@dataclass(frozen=True)
class UnconfiguredImage:
    """``root`` holds base, packages and state; ``base_root`` the base alone; ``step`` is what has to run in ``root``.

    ``archives`` are the packages' files, by the names that apt gives them.
    """

    root: Path
    base_root: Path
    step: Step | None
    archives: Mapping[str, Path]

    @classmethod
    def make(cls, names: Sequence[str], *, base: str, store: Store, folder: Path) -> "UnconfiguredImage":
        """The image of these packages and what they depend on."""
        repository = folder / "repository"
        repository.mkdir(parents=True)
        (repository / "apt.txt").write_text("\n".join(names) + "\n")
        request = read_request(
            Source.at(repository), BuildOptions(base=base), store=store, environment=os.environ, events=discard
        )
        with open_remote(environment=os.environ, store=store, events=discard) as remote:
            workshop = Workshop(request, Machine(store, remote, os.environ, discard))
            build, resolution = workshop.plan(_PLATFORM)
            with workshop.bodies(resolution) as bodies:
                layers, step = _layers(build, workshop, bodies, store)
                archives = {
                    f"{package.name}_{package.version.replace(':', '%3a')}_{package.architecture}.deb": bodies.path(
                        package
                    )
                    for package in build.of(Ecosystem.APT)
                }
        _write(build.base, layers, store, folder / "root")
        _write(build.base, [], store, folder / "base")
        return cls(folder / "root", folder / "base", step, archives)


def write_base(base: str, *, store: Store, folder: Path) -> Path:
    """A new folder with the tree of a base (``apt:bookworm``), which lies beside an empty repository in ``folder``."""
    repository = folder / "repository"
    repository.mkdir(parents=True)
    request = read_request(
        Source.at(repository), BuildOptions(base=base), store=store, environment=os.environ, events=discard
    )
    with open_remote(environment=os.environ, store=store, events=discard) as remote:
        build, _ = Workshop(request, Machine(store, remote, os.environ, discard)).plan(_PLATFORM)
    _write(build.base, [], store, folder / "root")
    return folder / "root"


def _layers(
    build: PlatformBuild, workshop: Workshop, bodies: PackageBodies, store: Store
) -> tuple[list[MadeLayer], Step | None]:
    packages = build.of(Ecosystem.APT)
    base = build.base.view.extended([], read_content=FragmentContents(store, build.base.view.read_content))
    apt = AptLayers(
        packages,
        build.lock.removals,
        view=base,
        below=build.base.digest or Digest.of(b""),
        architecture="amd64",
        bodies=bodies,
    )
    maker = PackageLayers(workshop.maker, bodies, base)
    made = maker.make(pack(packages, most_layers=_MOST_LAYERS), {"apt": apt.fragment})
    while apt.settle(made):
        made = maker.make(pack(packages, most_layers=_MOST_LAYERS), {"apt": apt.fragment})
    view = base.extended(tables_of(made))
    state = PackageLayers(workshop.maker, bodies, view).single("state", [apt.state(made, view)])
    return [*made, state], apt.configure_step(state)


def _write(base: Base, layers: Sequence[MadeLayer], store: Store, root: Path) -> None:
    settings = ImageSettings({}, {})
    descriptor = assemble(base, layers, settings=settings, created=FIXED_TIME, timed=frozenset(), store=store)
    write_rootfs(StoreSource(store, descriptor, name=str(root)), root)


def run_step(step: Step, root: Path) -> subprocess.CompletedProcess[str]:
    """Run the step as root in the folder."""
    return run_inside(root, *step.arguments, environment=step.environment)


def run_inside(
    root: Path, *arguments: str, environment: Mapping[str, str], network: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a program in the folder with /proc, some devices, process ids and a host name of its own."""
    devices = "".join(
        f"touch dev/{name}; mount --bind /dev/{name} dev/{name}; "
        for name in ("null", "zero", "full", "random", "urandom", "tty")
    )
    setup = (
        'cd "$0"; mkdir -p proc dev; hostname localhost; ip link set lo up; mount -t proc proc proc; mount -t tmpfs tmpfs dev -o mode=755; '
        f'{devices} ln -s /proc/self/fd dev/fd; mkdir dev/shm; exec chroot . "$@"'
    )
    spaces = ["--mount", "--pid", "--fork", "--uts", "--ipc", *([] if network else ["--net"])]
    return subprocess.run(
        ["unshare", *spaces, "sh", "-euc", setup, root, "env", "-i", *(f"{k}={v}" for k, v in environment.items()), *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def install(archives: Mapping[str, Path], root: Path, environment: Mapping[str, str]) -> str:
    """Install the packages with the folder's own apt, as an image's author would, daemons not started."""
    with _archives_in(archives, root), _policy_in(root):
        command = "apt-get install -y --no-install-recommends -o Dir::Etc::sourceparts=/dev/null /debs/*.deb"
        done = run_inside(root, "sh", "-c", command, environment=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@contextmanager
def _archives_in(archives: Mapping[str, Path], root: Path) -> Iterator[None]:
    (root / "debs").mkdir()
    for name, path in archives.items():
        shutil.copy(path, root / "debs" / name)
    yield
    shutil.rmtree(root / "debs")


@contextmanager
def _policy_in(root: Path) -> Iterator[None]:
    policy = root / _POLICY
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    yield
    policy.unlink()
