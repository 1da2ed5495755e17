"""The Python of an image, found in the image's files: what wheels are chosen for and where they are placed.

Sources: PEP 600 and PEP 656 (platform tags), PEP 508 (markers), uv's list of ``--python-platform`` values.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ocibuild.core.errors import ImageError, MachineError
from ocibuild.core.platform import Platform
from ocibuild.image.view import View

if TYPE_CHECKING:
    from packaging.markers import Environment
    from packaging.tags import Tag

__all__ = ["Libc", "PythonTarget", "debian_python", "find_libc", "find_python"]

_EXECUTABLE = re.compile(r"python(3\.\d+)")
_DPKG_STATUS = "var/lib/dpkg/status"
# uv's values end here; a newer glibc runs what is built for an older one (PEP 600).
_UV_GLIBC_MINORS = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)
_UV_MACHINES = ("x86_64", "aarch64")
_OLDEST_GLIBC_MINOR = {"x86_64": 5, "i686": 5}  # PEP 600: other machines begin with 2.17
_LEGACY_TAGS = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_NEWEST_MUSL_MINOR = 2  # musllinux_1_2 is the newest that wheels are built for


@dataclass(frozen=True, slots=True)
class Libc:
    """The C library that extension modules are linked to."""

    kind: Literal["glibc", "musl"]
    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.kind} {self.major}.{self.minor}"


@dataclass(frozen=True, slots=True)
class PythonTarget:
    """A CPython in an image. ``version`` is complete (``3.11.2``), ``interpreter`` the absolute path found on PATH.

    ``executable`` is the path without a leading slash of the file that the interpreter's links lead to;
    ``standard_library`` the folder of its modules. With ``owns_prefix`` the environment that packages go to is this
    Python's own, as conda's is, and no venv on it.
    """

    version: str
    interpreter: str
    executable: str
    standard_library: str
    platform: Platform
    libc: Libc
    owns_prefix: bool = False

    @property
    def minor_version(self) -> str:
        """Major and minor version, such as ``3.11``."""
        return ".".join(self.version.split(".")[:2])

    @property
    def release(self) -> str:
        """The version's three numbers, without what marks a prerelease."""
        return re.sub(r"[a-z].*", "", self.version)

    @property
    def description(self) -> str:
        """The target in words, for messages: ``Python 3.11 on linux/amd64 (glibc 2.36)``."""
        return f"Python {self.minor_version} on {self.platform} ({self.libc})"

    @property
    def uv_platform(self) -> str:
        """What ``uv pip compile --python-platform`` is given; a MachineError for what uv has no name for."""
        machine = self.platform.machine
        if machine == "riscv64":
            return "riscv64-unknown-linux"
        if machine in _UV_MACHINES and self.libc.kind == "musl":
            return f"{machine}-unknown-linux-musl"
        known = [minor for minor in _UV_GLIBC_MINORS if (2, minor) <= (self.libc.major, self.libc.minor)]
        if machine not in _UV_MACHINES or not known:
            raise MachineError(
                f"Python packages cannot be resolved for {self.description}",
                hint="uv resolves for amd64, arm64 and riscv64 with glibc 2.17 or newer, and for amd64 and arm64 musl",
            )
        return f"{machine}-manylinux_2_{known[-1]}"

    def environment(self) -> "Environment":
        """The values of the environment markers (PEP 508) on this target; the kernel's are unknown and empty."""
        return {
            "implementation_name": "cpython",
            "implementation_version": self.version,
            "os_name": "posix",
            "platform_machine": self.platform.machine,
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": self.version,
            "platform_python_implementation": "CPython",
            "python_version": self.minor_version,
            "sys_platform": "linux",
        }

    def tags(self) -> "list[Tag]":
        """The tags of wheels that run on this target, the best first, in pip's own order."""
        from packaging.tags import compatible_tags, cpython_tags  # noqa: PLC0415 - an unchanged build needs no tags

        major, minor = (int(part) for part in self.minor_version.split("."))
        platforms = self._platform_tags()
        interpreter = f"cp{major}{minor}"
        return [
            *cpython_tags((major, minor), abis=[interpreter], platforms=platforms),
            *compatible_tags((major, minor), interpreter=interpreter, platforms=platforms),
        ]

    def _platform_tags(self) -> list[str]:
        machine = self.platform.machine
        if self.libc.kind == "musl":
            tags = [f"musllinux_{self.libc.major}_{minor}_{machine}" for minor in range(self.libc.minor, -1, -1)]
            return [f"linux_{machine}", *tags]
        tags = [f"linux_{machine}"]
        for minor in range(self.libc.minor, _OLDEST_GLIBC_MINOR.get(machine, 17) - 1, -1):
            tags.append(f"manylinux_{self.libc.major}_{minor}_{machine}")
            if minor in _LEGACY_TAGS:
                tags.append(f"{_LEGACY_TAGS[minor]}_{machine}")
        return tags


def debian_python(versions: Mapping[str, str], *, platform: Platform) -> PythonTarget | None:
    """The ``/usr/bin/python3`` of a Debian system with these packages (name -> version), or None without one.

    It says what :func:`find_python` will find there, before the packages are fetched.
    """
    default, libc = versions.get("python3-minimal"), versions.get("libc6")
    if default is None or libc is None:
        return None
    minor_version = ".".join(_upstream(default).split(".")[:2])
    exact = versions.get(f"python{minor_version}-minimal")
    if exact is None:
        return None
    return PythonTarget(
        version=_upstream(exact),
        interpreter="/usr/bin/python3",
        executable=f"usr/bin/python{minor_version}",
        standard_library=f"usr/lib/python{minor_version}",
        platform=platform,
        libc=_glibc(_upstream(libc)),
    )


def find_python(view: View, *, path: str, platform: Platform) -> PythonTarget | None:
    """The first ``python3`` in the folders of ``path`` (as in PATH), or None where no folder has one.

    The version comes from dpkg's or conda's database where they know the file, from the C headers of python.org's
    images, and otherwise from the constant that every CPython carries in its binary, which may mean reading a base
    layer. A python3 that is no CPython, or a system without a known C library, is a MachineError.
    """
    for folder in path.split(":"):
        candidate = f"{folder.strip('/')}/python3".lstrip("/")
        if not folder.startswith("/") or candidate not in view:
            continue
        executable = view.resolved(candidate)
        entry = view.get(executable)
        if entry is None or entry.kind not in ("file", "hardlink") or not entry.mode & 0o111:
            continue
        return _target(view, candidate, executable, platform)
    return None


def _target(view: View, candidate: str, executable: str, platform: Platform) -> PythonTarget:
    prefix = executable.rpartition("/bin/")[0]
    found = _EXECUTABLE.fullmatch(executable.rpartition("/")[2])
    minors = [found[1]] if found else [name.removeprefix("python") for name in _library_folders(view, prefix)]
    for minor_version in minors:
        for library in ("lib", "lib64"):
            standard_library = f"{prefix}/{library}/python{minor_version}".lstrip("/")
            if f"{standard_library}/os.py" not in view:
                continue
            versions = _debian_versions(view)
            version = _full_version(view, prefix, minor_version, executable, versions)
            if version:
                libc = find_libc(view, platform=platform, versions=versions)
                return PythonTarget(version, f"/{candidate}", executable, standard_library, platform, libc)
    raise MachineError(
        f"the image's /{candidate} is no CPython whose version can be found in its files",
        hint="put a python3 of Debian, conda or python.org first on the PATH of the base image",
    )


def _library_folders(view: View, prefix: str) -> list[str]:
    names = {name for library in ("lib", "lib64") for name in view.children(f"{prefix}/{library}".lstrip("/"))}
    return sorted((name for name in names if _EXECUTABLE.fullmatch(name)), reverse=True)


def _full_version(
    view: View, prefix: str, minor_version: str, executable: str, versions: Mapping[str, str]
) -> str | None:
    if prefix == "usr" and f"python{minor_version}-minimal" in versions:
        return _upstream(versions[f"python{minor_version}-minimal"])
    for name in view.children(f"{prefix}/conda-meta".lstrip("/")):
        found = re.fullmatch(rf"python-({re.escape(minor_version)}\.[0-9a-z]+)-[^-]+\.json", name)
        if found:
            return str(found[1])
    form = re.escape(minor_version).encode() + rb"\.\d+(?:(?:a|b|rc)\d+)?"
    header = f"{prefix}/include/python{minor_version}/patchlevel.h".lstrip("/")
    if header in view:
        defined = re.search(rb'PY_VERSION\s+"(' + form + rb')\+?"', view.read(header))
        if defined:
            return defined[1].decode()
    constant = re.compile(rb"(?<![0-9.])(" + form + rb")\+?\0")
    libraries = [f"{prefix}/{folder}/libpython{minor_version}.so.1.0".lstrip("/") for folder in ("lib", "lib64")]
    for path in (executable, *libraries):
        seen: set[str] = {text.decode() for text in constant.findall(view.read(path))} if path in view else set()
        if len(seen) == 1:
            return seen.pop()
    return None


def _debian_versions(view: View) -> dict[str, str]:
    """Name -> version of the packages that dpkg has installed; empty where there is no dpkg."""
    if _DPKG_STATUS not in view:
        return {}
    versions = {}
    for paragraph in view.read(_DPKG_STATUS).decode("utf-8", "replace").split("\n\n"):
        if not paragraph.startswith(("Package: python3", "Package: libc6\n")):
            continue
        fields = dict(line.partition(": ")[::2] for line in paragraph.splitlines() if not line.startswith(" "))
        if fields.get("Status", "").endswith(" installed"):
            versions[fields["Package"]] = fields.get("Version", "")
    return versions


def _upstream(version: str) -> str:
    """The upstream part of a Debian version: ``3.14.0~rc2-1`` is Python's ``3.14.0rc2``."""
    return version.partition(":")[2 if ":" in version else 0].rpartition("-")[0].replace("~", "") or version


def find_libc(view: View, *, platform: Platform, versions: Mapping[str, str] | None = None) -> Libc:
    """The C library of an image; ``versions`` are those of its Debian packages, where they are known.

    A MachineError where it has neither glibc nor musl.
    """
    versions = _debian_versions(view) if versions is None else versions
    if "libc6" in versions:
        return _glibc(_upstream(versions["libc6"]))
    folders = ["lib", "lib64", f"lib/{platform.multiarch}", "usr/lib64", "usr/lib", f"usr/lib/{platform.multiarch}"]
    names = {(folder, name) for folder in folders for name in view.children(folder)}
    for folder, name in sorted(names):
        found = re.fullmatch(r"(?:libc|ld)-(2\.\d+)\.so", name)
        if found:
            return _glibc(found[1])
        if name == "libc.so.6":
            text = re.search(rb"GNU C Library [^\n]*version (2\.\d+)", view.read(f"{folder}/{name}"))
            if text:
                return _glibc(text[1].decode())
    if any(name.startswith("ld-musl-") for _, name in names):
        return Libc("musl", 1, _NEWEST_MUSL_MINOR)
    raise MachineError(
        "the image has neither glibc nor musl, so no wheel can be chosen for it",
        hint="use a base image with a distribution's C library",
    )


def _glibc(version: str) -> Libc:
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is None:
        raise ImageError(f"the version of the image's C library is {version!r}")
    return Libc("glibc", int(found[1]), int(found[2]))
