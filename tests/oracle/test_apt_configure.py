"""Maintainer scripts as data against dpkg, which runs them: the same packages on the same base, path by path."""

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from ocibuild.ecosystem.apt.configure import ConfiguredPackage, UnknownScript, configure
from ocibuild.image.overlay import Overlay
from ocibuild.image.view import View
from ocibuild.layer.elf import LibraryProbe
from ocibuild.layer.observation import is_library
from tests.support.debian_root import Debian, debian_mirror
from tests.support.dpkg_system import view_entries

pytestmark = [
    pytest.mark.network,
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="dpkg makes owners"),
    pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap is not here"),
]

EXAMPLE = ["git", "curl", "graphviz", "gfortran", "libgl1", "fontconfig", "python3", "python3-venv", "ca-certificates"]
ASKED_MOST = [
    "build-essential",
    "r-recommended",
    "automake",
    "nano",
    "less",
    "man-db",
    "wget",
    "unzip",
    "zip",
    "xz-utils",
    "openssh-client",
    "sudo",
    "rsync",
    "gnupg",
    "procps",
    "tmux",
    "screen",
    "jq",
    "gawk",
    "netcat-openbsd",
    "iputils-ping",
    "sqlite3",
    "libopenblas-dev",
    "liblapack-dev",
    "libatlas-base-dev",
    "libhdf5-dev",
    "python3-numpy",
    "python3-dev",
    "libglib2.0-dev",
    "imagemagick-6.q16",
    "libsm6",
    "libxext6",
    "libxrender1",
    "x11-utils",
    "dbus",
    "xfonts-utils",
    "unixodbc-common",
    "default-libmysqlclient-dev",
    "libibverbs1",
    "clang",
    "gnuplot-nox",
    "openmpi-bin",
    "libopenmpi-dev",
    "locales",
    "netbase",
    "librsvg2-common",
    "java-common",
    "gdal-bin",
    "ffmpeg",
    "libgstreamer1.0-0",
]
CASES = {"bookworm": ("bookworm", [*EXAMPLE, *ASKED_MOST]), "trixie": ("trixie", EXAMPLE)}

# What scripts and dpkg leave and this program does not, on purpose: path -> why. An end of * covers what begins so.
LEFT_OUT = {
    "etc/.pwd.lock": "a lock",
    "etc/passwd-": "a backup",
    "etc/group-": "a backup",
    "etc/shadow-": "a backup",
    "etc/gshadow-": "a backup",
    "etc/machine-id": "a name of one machine",
    "var/lib/dbus/machine-id": "a name of one machine",
    "run/adduser": "a lock",
    "var/cache/ldconfig/aux-cache": "what only ldconfig reads, with the times of one machine",
    "var/cache/man/*": "man-db's index, with the times of one machine",
    "var/cache/debconf/*": "debconf's answers: what was not asked has its default again",
    "var/log/*": "logs",
    "var/lib/ucf/hashfile.*": "backups",
    "var/lib/ucf/registry.*": "backups",
    "var/lib/dpkg/diversions-old": "a backup",
    "var/lib/dpkg/statoverride-old": "a backup",
}
# What differs in content, owner or mode on purpose.
DIFFERENT = {
    "etc/shadow": "the day of the last change is fixed",
    "usr/bin/ping": "set-user-id where setcap would be: its other branch, as in every build without privileges",
    "usr/lib/x86_64-linux-gnu/gstreamer1.0/gstreamer-1.0/gst-ptp-helper": "as ping",
    "var/cache/fontconfig/*": "the times of folders are fixed (compared in test_fontconfig.py)",
    "var/lib/dpkg/diversions": "compared without their order, which depends on the order of unpacking",
}
# dpkg's own files, which are not made by scripts.
OF_DPKG = (
    "var/lib/dpkg/info/",
    "var/lib/dpkg/status",
    "var/lib/dpkg/triggers/",
    "var/lib/dpkg/lock",
    "var/lib/apt/",
    "var/cache/apt/",
    "proc/",
)

Facts = tuple[object, ...]


@dataclass(frozen=True)
class Systems:
    """The base with the packages in place and their scripts done as data, and the base with them installed by dpkg."""

    ours: Overlay
    unknown: tuple[UnknownScript, ...]
    installed: Path


@pytest.fixture(scope="module", params=CASES)
def systems(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Systems:
    suite, names = CASES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    installed, unpacked = folder / "installed", folder / "unpacked"
    line = f"deb {debian_mirror()} {suite} main"
    subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", suite, installed, line], check=True)
    subprocess.run(["cp", "-a", installed, unpacked], check=True)
    archives = downloaded(Debian(folder / "apt", suite), installed, names)
    order = install(installed, archives)
    packages = [unpack(archive, unpacked) for archive in archives]
    packages.sort(key=lambda package: order.index(package.name))
    overlay = image_of(unpacked)
    report = configure(overlay, packages, architecture="amd64")
    return Systems(overlay, report.unknown, installed)


def downloaded(debian: Debian, base: Path, names: Sequence[str]) -> list[Path]:
    subprocess.run(
        ["apt-get", "install", "-y", "-qq", "--download-only", "--no-install-recommends",
         "-o", f"Dir::State::status={base}/var/lib/dpkg/status", *names],
        env=debian.environment, check=True, capture_output=True,
    )  # fmt: skip
    return sorted((debian.folder / "cache/archives").glob("*.deb"))


def install(root: Path, archives: Sequence[Path]) -> list[str]:
    """Install with the system's own apt; the names of packages in the order in which they were configured."""
    (root / "debs").mkdir()
    for archive in archives:
        shutil.copy(archive, root / "debs")
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    command = "apt-get install -y --no-install-recommends -o Dir::Etc::sourcelist=/dev/null /debs/*.deb"
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        ["chroot", root, "sh", "-c", command], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    shutil.rmtree(root / "debs")
    policy.unlink()
    return re.findall(r"^Setting up ([^ :]+)", done.stdout, re.MULTILINE)


def unpack(archive: Path, root: Path) -> ConfiguredPackage:
    """What dpkg --unpack leaves of one package, without its scripts having run."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as data:
        command = ["tar", "-x", "-v", "-p", "--quoting-style=literal", "--keep-directory-symlink", "-C", str(root)]
        listed = subprocess.run(command, stdin=data.stdout, stdout=subprocess.PIPE, text=True, check=True).stdout
    control = root.parent / "control" / archive.stem
    control.parent.mkdir(exist_ok=True)
    subprocess.run(["dpkg-deb", "--control", archive, control], check=True)
    shown = (control / "control").read_text()
    fields = dict(re.findall(r"^(Package|Architecture|Version|Multi-Arch): (.*)$", shown, re.MULTILINE))
    name, architecture = fields["Package"], fields["Architecture"]
    scripts = {path.name: path.read_bytes() for path in control.iterdir()}
    info_name = f"{name}:{architecture}" if fields.get("Multi-Arch") == "same" else name
    info, triggers = root / "var/lib/dpkg/info", root / "var/lib/dpkg/triggers"
    for member, content in scripts.items():
        (info / f"{info_name}.{member}").write_bytes(content)
    paths = [line.removeprefix(".").rstrip("/") or "/." for line in listed.splitlines()]
    (info / f"{info_name}.list").write_text("".join(f"{path}\n" for path in paths))
    for kind, trigger in re.findall(r"^(interest\S*) (\S+)", scripts.get("triggers", b"").decode(), re.MULTILINE):
        suffix = "/noawait" if kind.endswith("noawait") else ""
        file, line = (
            ("File", f"{trigger} {info_name}{suffix}\n") if trigger[0] == "/" else (trigger, f"{info_name}{suffix}\n")
        )
        with (triggers / file).open("a") as stream:
            stream.write(line)
    with (root / "var/lib/dpkg/status").open("a") as stream:
        stream.write("".join(f"{key}: {value}\n" for key, value in fields.items()) + "Status: install ok installed\n\n")
    return ConfiguredPackage(name, architecture, fields["Version"], "", scripts)


def image_of(root: Path) -> Overlay:
    """The tree as an image, its shared libraries looked at as they are when a package is placed."""
    entries, libraries = view_entries(root), {}
    for name in (name for name, entry in entries.items() if entry.kind == "file" and is_library(name)):
        probe = LibraryProbe()
        probe.feed((root / name).read_bytes())
        if (facts := probe.result()) is not None:
            libraries[name] = facts
    return Overlay(View(entries, libraries=libraries, read_content=lambda path, _: (root / path).read_bytes()))


def installed_facts(root: Path) -> Iterator[tuple[str, Facts]]:
    for path in root.rglob("*"):
        status, name = path.lstat(), str(path.relative_to(root))
        kind = stat.S_IFMT(status.st_mode)
        if path.is_symlink():
            yield name, ("symlink", str(path.readlink()), status.st_uid, status.st_gid)
        elif kind == stat.S_IFDIR:
            yield name, ("directory", oct(stat.S_IMODE(status.st_mode)), status.st_uid, status.st_gid)
        elif kind == stat.S_IFREG:
            yield name, ("file", oct(stat.S_IMODE(status.st_mode)), status.st_uid, status.st_gid, path.read_bytes())


def overlay_facts(overlay: Overlay) -> Iterator[tuple[str, Facts]]:
    for name in overlay.walk(""):
        entry = overlay.get(name)
        assert entry is not None
        if entry.kind == "symlink":
            yield name, ("symlink", entry.link, entry.uid, entry.gid)
        elif entry.kind == "directory":
            yield name, ("directory", oct(entry.mode), entry.uid, entry.gid)
        elif entry.kind == "file":
            yield name, ("file", oct(entry.mode), entry.uid, entry.gid, overlay.read(name))


def is_named(path: str, names: dict[str, str]) -> bool:
    return any(path == name or (name.endswith("*") and path.startswith(name[:-1])) for name in names)


def is_compared(path: str) -> bool:
    return not path.startswith(OF_DPKG) and "__pycache__" not in path and not path.startswith("dev/")


def test_the_tree_is_the_one_that_dpkg_leaves(systems: Systems) -> None:
    assert systems.unknown == ()
    ours = {path: facts for path, facts in overlay_facts(systems.ours) if is_compared(path)}
    theirs = {path: facts for path, facts in installed_facts(systems.installed) if is_compared(path)}
    assert sorted(path for path in theirs.keys() - ours.keys() if not is_named(path, LEFT_OUT)) == []
    assert sorted(ours.keys() - theirs.keys()) == []
    both = ours.keys() & theirs.keys()
    assert len(both) > 9000
    different = sorted(path for path in both if ours[path] != theirs[path])
    assert [path for path in different if not is_named(path, DIFFERENT | LEFT_OUT)] == []


def test_what_differs_on_purpose_differs_in_nothing_else(systems: Systems) -> None:
    overlay, theirs = systems.ours, systems.installed
    ours_shadow, their_shadow = overlay.read_text("etc/shadow"), (theirs / "etc/shadow").read_text()
    day = re.compile(r"(?<=:)\d{4,5}(?=:)")
    # Accounts of the base have the day on which it was made: only accounts of the new packages are ours.
    assert day.sub("DAY", ours_shadow) == day.sub("DAY", their_shadow)
    ours_diversions = overlay.read_text("var/lib/dpkg/diversions").splitlines()
    their_diversions = (theirs / "var/lib/dpkg/diversions").read_text().splitlines()
    assert sorted(zip(*[iter(ours_diversions)] * 3, strict=True)) == sorted(
        zip(*[iter(their_diversions)] * 3, strict=True)
    )
