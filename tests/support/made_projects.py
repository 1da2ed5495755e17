"""Made-up Python projects: source archives, wheels, and a folder that is an index of them (PEP 503)."""

import base64
import hashlib
import html
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

# A build backend without any requirement, which every project can carry: a wheel of the project's own files.
BACKEND = """\
import base64, hashlib, os, zipfile

def _metadata():
    with open("PKG-INFO") as file:
        return file.read()

def _names():
    lines = dict(line.partition(": ")[::2] for line in _metadata().splitlines() if line.startswith(("Name", "Version")))
    return lines["Name"], lines["Version"]

def _files():
    name, version = _names()
    info = f"{name}-{version}.dist-info"
    files = {name + ".py": b"", info + "/METADATA": _metadata().encode()}
    files[info + "/WHEEL"] = b"Wheel-Version: 1.0\\nGenerator: tiny\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    return info, files

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info, files = _files()
    os.makedirs(os.path.join(folder, info))
    for path, data in files.items():
        if path.startswith(info):
            with open(os.path.join(folder, path), "wb") as file:
                file.write(data)
    return info

def build_wheel(folder, config_settings=None, metadata_directory=None):
    info, files = _files()
    rows = ""
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows += f"{path},sha256={digest},{len(data)}\\n"
    files[info + "/RECORD"] = (rows + info + "/RECORD,,\\n").encode()
    name = "-".join(_names()) + "-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return name
"""
OWN_BACKEND = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def metadata(name: str, version: str, requires: tuple[str, ...] = (), *, extra: str = "", form: str = "2.1") -> str:
    lines = [f"Metadata-Version: {form}", f"Name: {name}", f"Version: {version}"]
    return "\n".join([*lines, *(f"Requires-Dist: {each}" for each in requires), *([extra] if extra else [])]) + "\n"


def write_sdist(
    folder: Path, name: str, version: str, files: Mapping[str, str], *, modes: Mapping[str, int] | None = None
) -> Path:
    """``NAME-VERSION.tar.gz`` of these files, the same bytes each time."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size, member.mode, member.mtime = len(text.encode()), (modes or {}).get(path, 0o644), 10**9
            archive.addfile(member, io.BytesIO(text.encode()))
    target = folder / f"{name}-{version}.tar.gz"
    target.write_bytes(_gzipped(data.getvalue()))
    return target


def _gzipped(data: bytes) -> bytes:
    import gzip  # noqa: PLC0415 - here alone

    return gzip.compress(data, mtime=0)


def tiny_sdist(folder: Path, name: str, version: str, requires: tuple[str, ...] = ()) -> Path:
    """A project that carries its own backend, whose dependencies only the build tells."""
    files = {"PKG-INFO": metadata(name, version, requires), "pyproject.toml": OWN_BACKEND, "backend.py": BACKEND}
    return write_sdist(folder, name, version, files)


def write_wheel(
    folder: Path, name: str, version: str, requires: tuple[str, ...] = (), *, tag: str = "py3-none-any"
) -> Path:
    """A wheel with one module."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": b"",
        f"{info}/METADATA": metadata(name, version, requires).encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    rows = ""
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows += f"{path},sha256={digest},{len(data)}\n"
    target = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(target, "w") as archive:
        for path, data in {**files, f"{info}/RECORD": f"{rows}{info}/RECORD,,\n".encode()}.items():
            archive.writestr(path, data)
    return target


class FolderIndex:
    """An index in a folder; :attr:`url` names it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "simple").mkdir(parents=True)
        self.files = folder / "files"
        self.files.mkdir()

    @property
    def url(self) -> str:
        return (self.folder / "simple").as_uri()

    def add(self, file: Path, *, requires_python: str = "", yanked: bool = False) -> str:
        """Put a file of :attr:`files`, or a copy of another, on its project's page; its SHA-256."""
        target = self.files / file.name
        if target != file:
            target.write_bytes(file.read_bytes())
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        project = file.name.partition("-")[0].lower().replace("_", "-")
        page = self.folder / "simple" / project / "index.html"
        page.parent.mkdir(exist_ok=True)
        python = f' data-requires-python="{html.escape(requires_python)}"' if requires_python else ""
        broken = ' data-yanked="broken"' if yanked else ""
        with page.open("a") as text:
            text.write(f'<a href="../../files/{file.name}#sha256={digest}"{python}{broken}>{file.name}</a><br>\n')
        return digest
