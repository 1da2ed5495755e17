"""Makes conda channels: packages of made-up files in every form that conda knows, and their repodata.

A channel is a folder, which :class:`ChannelServer` serves over loopback; ``file:`` URLs of it work too.
"""

import bz2
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import zstandard

from tests.support.scripted_server import Reply, Request, ScriptedServer

__all__ = ["PLACEHOLDER", "File", "Recipe", "link_to", "serving", "special_packages", "write_channel", "write_package"]

PLACEHOLDER = ("/opt/made-up-channel/" + "placehold_" * 30)[:255]
TIMESTAMP = 1700000000000  # milliseconds: 2023-11-14


@dataclass(frozen=True, slots=True)
class File:
    """A file, link (``link``) or folder of a package. ``prefix`` says how the placeholder in it is replaced.

    ``shares`` makes it a hard link to another file of the package. ``placeholder`` is another one than usual.
    ``sha256`` is what paths.json says, where that is to be wrong.
    """

    path: str
    data: bytes = b""
    mode: int = 0o644
    link: str | None = None
    prefix: Literal["", "text", "binary"] = ""
    shares: str | None = None
    is_folder: bool = False
    placeholder: str = PLACEHOLDER
    sha256: str | None = None
    is_listed: bool = True
    no_link: bool = False


def link_to(path: str, target: str) -> File:
    return File(path, link=target)


@dataclass(frozen=True, slots=True)
class Recipe:
    """All of one package. ``index`` adds to index.json, ``patch`` to what repodata.json says instead."""

    name: str
    version: str = "1.0"
    build: str = "0"
    build_number: int = 0
    files: Sequence[File] = ()
    depends: Sequence[str] = ()
    constrains: Sequence[str] = ()
    subdir: str = "linux-64"
    noarch: Literal["python", "generic"] | None = None
    entry_points: Sequence[str] = ()
    form: Literal[".conda", ".tar.bz2"] = ".conda"
    has_paths_json: bool = True
    index: Mapping[str, Any] = field(default_factory=dict)
    patch: Mapping[str, Any] = field(default_factory=dict)
    info: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.version}-{self.build}{self.form}"


# Packages.


def write_package(folder: Path, recipe: Recipe) -> Path:
    """Write the package below ``folder``, in the folder of its platform."""
    path = folder / recipe.subdir / recipe.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    info = sorted(_info(recipe).items())
    metadata = [File(f"info/{name}", data) for name, data in info]
    if recipe.form == ".tar.bz2":
        path.write_bytes(bz2.compress(_tar([*metadata, *recipe.files]), 1))
        return path
    stem = recipe.file_name.removesuffix(".conda")
    compress = zstandard.ZstdCompressor(level=3).compress
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in (
            ("metadata.json", b'{"conda_pkg_format_version": 2}'),
            (f"pkg-{stem}.tar.zst", compress(_tar(recipe.files))),
            (f"info-{stem}.tar.zst", compress(_tar(metadata))),
        ):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return path


def _tar(files: Sequence[File]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in files:
            member = tarfile.TarInfo(file.path)
            member.mode = file.mode
            if file.is_folder:
                member.type = tarfile.DIRTYPE
            elif file.link is not None:
                member.type, member.linkname = tarfile.SYMTYPE, file.link
            elif file.shares is not None:
                member.type, member.linkname = tarfile.LNKTYPE, file.shares
            else:
                member.size = len(file.data)
            archive.addfile(member, io.BytesIO(file.data))
    return buffer.getvalue()


def _info(recipe: Recipe) -> dict[str, bytes]:
    listed = sorted((file for file in recipe.files if file.is_listed), key=lambda file: file.path)
    contents = {file.path: file.data for file in recipe.files}
    info: dict[str, Any] = {"index.json": index_of(recipe), "about.json": {"summary": recipe.name}}
    if recipe.has_paths_json:
        entries = [_paths_entry(file, contents) for file in listed]
        info["paths.json"] = {"paths": entries, "paths_version": 1}
    if recipe.noarch == "python":
        noarch = {"type": "python", "entry_points": list(recipe.entry_points)}
        info["link.json"] = {"noarch": noarch, "package_metadata_version": 1}
    texts = {name: json.dumps(value, indent=1).encode() for name, value in info.items()}
    texts["files"] = "".join(f"{file.path}\n" for file in listed).encode()
    patched = [f"{file.placeholder} {file.prefix} {file.path}\n" for file in listed if file.prefix]
    if patched:
        texts["has_prefix"] = "".join(patched).encode()
    return texts | dict(recipe.info)


def index_of(recipe: Recipe) -> dict[str, Any]:
    is_noarch = recipe.subdir == "noarch"
    index: dict[str, Any] = {
        "name": recipe.name,
        "version": recipe.version,
        "build": recipe.build,
        "build_number": recipe.build_number,
        "depends": list(recipe.depends),
        "constrains": list(recipe.constrains),
        "subdir": recipe.subdir,
        "timestamp": TIMESTAMP,
        "license": "MIT",
        "arch": None if is_noarch else "x86_64",
        "platform": None if is_noarch else "linux",
    }
    if recipe.noarch:
        index["noarch"] = recipe.noarch
    return index | dict(recipe.index)


def _paths_entry(file: File, contents: Mapping[str, bytes]) -> dict[str, Any]:
    data = contents.get(file.shares, b"") if file.shares else file.data
    entry: dict[str, Any] = {"_path": file.path, "path_type": "softlink" if file.link is not None else "hardlink"}
    if file.is_folder:
        return {"_path": file.path, "path_type": "directory"}
    entry |= {"sha256": file.sha256 or hashlib.sha256(data).hexdigest(), "size_in_bytes": len(data)}
    if file.no_link:
        entry["no_link"] = True
    if file.prefix:
        entry |= {"file_mode": file.prefix, "prefix_placeholder": file.placeholder}
    return entry


# Channels.


def write_channel(folder: Path, recipes: Sequence[Recipe]) -> Path:
    """Write all packages and the repodata of ``linux-64``, ``noarch`` and whatever platform else a recipe names."""
    tables: dict[str, dict[str, dict[str, Any]]] = {"linux-64": {}, "noarch": {}}
    for recipe in recipes:
        data = write_package(folder, recipe).read_bytes()
        record = index_of(recipe) | {
            "size": len(data),
            "md5": hashlib.md5(data).hexdigest(),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        tables.setdefault(recipe.subdir, {})[recipe.file_name] = record | dict(recipe.patch)
    for subdir, table in tables.items():
        write_repodata(folder, subdir, table)
    return folder


def write_repodata(folder: Path, subdir: str, table: Mapping[str, Mapping[str, Any]]) -> None:
    value = {
        "info": {"subdir": subdir},
        "packages": {name: record for name, record in table.items() if name.endswith(".tar.bz2")},
        "packages.conda": {name: record for name, record in table.items() if name.endswith(".conda")},
        "repodata_version": 1,
    }
    text = json.dumps(value, sort_keys=True).encode()
    (folder / subdir).mkdir(parents=True, exist_ok=True)
    (folder / subdir / "repodata.json").write_bytes(text)
    (folder / subdir / "repodata.json.zst").write_bytes(zstandard.ZstdCompressor(level=3).compress(text))


def serving(folder: Path, allow: Callable[[Request], bool] = lambda _: True) -> ScriptedServer:
    """A server of the channels below ``folder``; where ``allow`` says no it answers 401."""

    def answer(request: Request) -> Reply:
        if not allow(request):
            return Reply(401)
        path = folder / request.path.lstrip("/")
        return Reply(body=path.read_bytes()) if path.is_file() else Reply(404)

    return ScriptedServer(answer)


# Packages with what is seldom seen, one kind each.

_P = PLACEHOLDER.encode()


def special_packages() -> list[Recipe]:
    """Packages of every feature that placing knows; all can be installed together."""
    return [*_pythons(), *_prefixes(), *_forms(), *_clobbering()]


def _pythons() -> list[Recipe]:
    site = "lib/python3.11/site-packages"
    return [
        Recipe(
            "python", "3.11.2", "h0_0_cpython",
            files=[
                File("bin/python3.11", b"\x7fELF" + b"\0" * 60, 0o755),
                link_to("bin/python", "python3.11"), link_to("bin/python3", "python3.11"),
                File("lib/python3.11/os.py", b"# os\n"),
                File(f"{site}/README.txt", b"This directory contains modules.\n"),
            ],
            index={"python_site_packages_path": site},
            depends=["tzdata"],
        ),
        Recipe("tzdata", "2026a", files=[File("share/zoneinfo/UTC", b"TZif")], subdir="noarch", noarch="generic"),
        Recipe(
            "pure", "2.0", "pyh_0", subdir="noarch", noarch="python", depends=["python >=3.9", "extension"],
            entry_points=["pure = pure.cli:main", "pure-dotted=pure.cli:App.run", " blanks  =  pure : go "],
            files=[
                File("site-packages/pure/__init__.py", b"x = 1\n"),
                File("site-packages/pure/__pycache__/__init__.cpython-311.pyc", b"\xa7\r\r\n"),
                File("site-packages/pure-2.0.dist-info/METADATA", b"Name: pure\nVersion: 2.0\n"),
                File("python-scripts/pure-script", b"#!" + _P + b"/bin/python\nprint(1)\n", 0o755, prefix="text"),
                File("python-scripts/plain-script", b"#!/bin/sh\n", 0o775),
                File("etc/jupyter/pure.json", b"{}"),
                File("Menu/pure.json", b"{}"),
                link_to("site-packages/pure/link.py", "__init__.py"),
            ],
        ),
        Recipe(
            "extension", "1.1", "py311_0", depends=["python >=3.11,<3.12.0a0", "python_abi 3.11.* *_cp311"],
            files=[
                File(f"{site}/extension.so", b"\x7fELF ext"),
                File(f"{site}/__pycache__/old.cpython-311.pyc", b"\xa7\r\r\n"),
                File(f"{site}/extension-1.1.dist-info/METADATA", b"Name: extension\n"),
            ],
        ),
        Recipe(
            "python_abi", "3.11", "8_cp311", constrains=["python 3.11.*"], subdir="noarch", noarch="generic"
        ),
    ]  # fmt: skip


def _prefixes() -> list[Recipe]:
    binary = b"\0A" + _P + b"/lib:" + _P + b"/share\0tail\0" + _P + b"\0\0end" + _P
    return [
        Recipe(
            "prefixes", files=[
                File("bin/tool", b"#!" + _P + b"/bin/python -s\nprint('" + _P + b"')\n", 0o755, prefix="text"),
                File("bin/spaced", b"#! " + _P + b"/bin/perl -w\n", 0o755, prefix="text"),
                File("bin/windows", b"#!" + _P + b"/bin/python\r\nx\r\n", 0o755, prefix="text"),
                File("bin/no-line-feed", b"#!" + _P + b"/bin/python", 0o755, prefix="text"),
                File("bin/long-python", b"#!" + _P + b"/bin/" + b"d/" * 60 + b"python3.11 -E\n", 0o755, prefix="text"),
                File("bin/long-perl", b"#!" + _P + b"/bin/" + b"d/" * 60 + b"perl -w\n", 0o755, prefix="text"),
                File("bin/long-arguments", b"#!" + _P + b"/bin/python3 " + b"x" * 120 + b"\n", 0o755, prefix="text"),
                File("bin/long-elsewhere", b"#!/usr/" + b"d/" * 60 + b"python\n" + _P, 0o755, prefix="text"),
                File("bin/not-utf-8", b"#!" + _P + b"/bin/python \xff\xfe\n\xff" + _P, 0o755, prefix="text"),
                File("bin/env", b"#!/usr/bin/env python\n" + _P + b"\n", 0o755, prefix="text"),
                File("etc/conf", b"prefix=" + _P + b"\nlib=" + _P + b"/lib\n", prefix="text"),
                File("etc/nothing", b"no placeholder here\n", prefix="text"),
                File("etc/other-placeholder", b"a=/other/place/holder/x\n", prefix="text", placeholder="/other/place/holder"),
                File("lib/binary.dat", binary, prefix="binary"),
                File("lib/long-string", b"\0" + _P + b"/x" * 400_000 + _P + b"\0" + b"y" * 1_500_000 + _P, prefix="binary"),
                File("lib/long-text", (b"x" * 999 + _P + b"\n") * 2_000, prefix="text"),
                File("lib/utf-16", b"\0\0" + PLACEHOLDER.encode("utf-16-le") + b"\0\0" + _P + b"\0", prefix="binary"),
                File("lib/plain-large", bytes(range(256)) * 8_000),
            ],
        )
    ]  # fmt: skip


def _forms() -> list[Recipe]:
    return [
        Recipe(
            "modes", files=[
                File(f"share/modes/{mode:o}", b"x", mode)
                for mode in (0o400, 0o444, 0o555, 0o600, 0o640, 0o644, 0o664, 0o666, 0o700, 0o755, 0o775, 0o777, 0o4755, 0o2755, 0o1777)
            ],
        ),
        Recipe(
            "links", files=[
                File("share/links/file", b"content", 0o640),
                link_to("share/links/relative", "file"), link_to("share/links/up", "../modes/644"),
                link_to("share/links/dangling", "nowhere"),
                link_to("share/links/folder", "../links-folder"),
                File("share/links-folder/x", b"x"),
                File("share/links/hard", shares="share/links/file", mode=0o640),
                File("share/links/text", b"a" + _P, prefix="text"),
                File("share/links/hard-text", shares="share/links/text", prefix="text"),
                File("share/links/unlisted", b"not placed", is_listed=False),
                File("share/links/copied", b"copied", no_link=True),
                File("share/links/empty", b""),
                File("share/links/ünïcode", b"u"),
                File("share/links/" + "long/" * 30 + "path", b"l"),
                File("share/links/with blank", b"b"), File("share/links/dot./.x", b"d"),
            ],
        ),
        Recipe(
            "old", "0.9", form=".tar.bz2", files=[
                File("share/old.txt", b"old " + _P, prefix="text"), link_to("share/old-link", "old.txt"),
            ],
        ),
        Recipe(
            "older", "0.1", form=".tar.bz2", has_paths_json=False, files=[
                File("share/older.txt", b"older " + _P, prefix="text"), link_to("share/older-link", "older.txt"),
                File("share/older.bin", b"\0" + _P + b"\0", prefix="binary"),
                File("share/older-plain", b"plain"),
                File("share/oldest.txt", b"p=/opt/anaconda1anaconda2anaconda3/x\n"),
            ],
            info={"has_prefix": (
                f'"{PLACEHOLDER}" text "share/older.txt"\n{PLACEHOLDER} binary share/older.bin\nshare/oldest.txt\n'
            ).encode()},
        ),
        Recipe(
            "scripts", build="h1_3", build_number=3, depends=["links"], files=[
                File("bin/.scripts-post-link.sh", b'#!/bin/bash\necho "$PREFIX" > "$PREFIX/ran"\n', 0o755),
                File("bin/.scripts-pre-unlink.sh", b"#!/bin/bash\n", 0o755),
                File("etc/conda/activate.d/scripts.sh", b"export SCRIPTS=1\n"),
                File("etc/conda/deactivate.d/scripts.sh", b"unset SCRIPTS\n"),
            ],
        ),
        Recipe(
            "noarch-generic", subdir="noarch", noarch="generic", files=[
                File("site-packages/stays.py", b""), File("share/generic", b"g" + _P, prefix="text"),
            ],
        ),
        Recipe("meta", files=[], depends=["links"]),
        Recipe(
            "patched", depends=["nothing-like-this"], patch={"depends": ["links"], "license": "BSD", "track_features": "x y"},
            index={"license_family": "MIT", "features": "f", "timestamp": None, "preferred_env": "x"}, files=[File("share/patched", b"")],
        ),
    ]  # fmt: skip


def _clobbering() -> list[Recipe]:
    shared = "share/clobber/shared"
    return [
        Recipe("zz-first", files=[File(shared, b"first"), File("share/clobber/one", b"1"), File("share/clobber/same", b"=")]),
        Recipe(
            "aa-second", depends=["zz-first"],
            files=[File(shared, b"second" + _P, prefix="text"), File("share/clobber/two", b"2"), File("share/clobber/same", b"=")],
        ),
        Recipe("mm-third", depends=["aa-second"], files=[File(shared, b"third"), link_to("share/clobber/two", "one")]),
        Recipe("bb-free", files=[File("share/clobber/free", b"bb")]),
        Recipe("cc-free", files=[File("share/clobber/free", b"cc")]),
    ]  # fmt: skip
