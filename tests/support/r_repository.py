"""A small CRAN: packages made up here, their binaries and installed trees made by Debian's R (r-base-core).

``source`` and ``binary`` are repositories, ``library`` is what ``R CMD INSTALL`` made of the sources. They are kept in
OCIBUILD_TEST_CACHE, if that is set: R takes half a second for each package.
"""

import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.scripted_server import Reply, Request, ScriptedServer

__all__ = ["PACKAGES", "RRepository", "posit_imitation", "run_r", "source_package"]

_ADD = """\
#include <R.h>
#include <Rinternals.h>
#include <tinyhead.h>
SEXP add(SEXP a, SEXP b) { return ScalarReal(asReal(a) + asReal(b) + TINY_ZERO); }
"""

PACKAGES: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("tinyhead", "1.0"): {"inst/include/tinyhead.h": "#define TINY_ZERO 0\n", "NAMESPACE": ""},
    ("tinyc", "0.2-1"): {
        "DESCRIPTION": "LinkingTo: tinyhead (>= 0.5)\nNeedsCompilation: yes\nSystemRequirements: zlib, libcurl (>= 7)\n",
        "NAMESPACE": "useDynLib(tinyc, add)\nexport(plus)\n",
        "R/plus.R": "plus <- function(a, b) .Call(add, a, b)\n",
        "src/add.c": _ADD,
    },
    ("tinybase", "2.0.1"): {
        "NAMESPACE": "export(greet)\n",
        "R/greet.R": 'greet <- function() "good day"\n',
        "data/numbers.csv": "a,b\n1,2\n",
        "inst/extdata/ünïcode.txt": "x\n",
        "inst/bin/tool": "#!/bin/sh\n",
        "man/greet.Rd": "\\name{greet}\\alias{greet}\\title{Greets}\\description{Greets.}\\usage{greet()}\n",
    },
    ("tinytop", "1.1.0"): {
        "DESCRIPTION": "Depends: R (>= 4.0.0), methods\nImports: tinybase (>= 2.0), tinyc,\n        stats\n",
        "NAMESPACE": "import(tinybase)\nimportFrom(tinyc, plus)\nexport(three)\n",
        "R/three.R": "three <- function() plus(1, 2)\n",
    },
}
"""Name and version -> files; ``DESCRIPTION`` adds to what every package says."""

ARCHIVED: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("tinyhead", "0.9"): PACKAGES["tinyhead", "1.0"],
    ("tinybase", "1.0"): {"NAMESPACE": "export(greet)\n", "R/greet.R": 'greet <- function() "hello"\n'},
}


def run_r(*arguments: str | Path, cwd: Path | None = None, library: Path | None = None) -> str:
    """What R says; the test fails where it ends with an error. Only ``library`` is searched besides R's own."""
    environment = {
        **os.environ,
        "R_LIBS": str(library or ""),
        "R_LIBS_SITE": "",
        "R_LIBS_USER": "",
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        ["R", *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def source_package(folder: Path, name: str, version: str, files: Mapping[str, str]) -> Path:
    """Write the source package ``NAME_VERSION.tar.gz``."""
    description = (
        f"Package: {name}\nVersion: {version}\nTitle: Made Up\nDescription: Made up for tests.\nLicense: GPL-2\n"
        f"Encoding: UTF-8\nAuthor: A B\nMaintainer: A B <a@example.org>\n{files.get('DESCRIPTION', '')}"
    )
    path = folder / f"{name}_{version}.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for file, text in {**files, "DESCRIPTION": description}.items():
            data = text.encode()
            member = tarfile.TarInfo(f"{name}/{file}")
            member.size, member.mode = len(data), 0o755 if data.startswith(b"#!") else 0o644
            archive.addfile(member, io.BytesIO(data))
    return path


@dataclass(frozen=True)
class RRepository:
    """The folders; ``r_version`` is that of the R that made them."""

    folder: Path
    r_version: str

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def binary(self) -> Path:
        return self.folder / "binary"

    @property
    def library(self) -> Path:
        return self.folder / "library"

    @classmethod
    def make(cls, scratch: Path) -> "RRepository":
        """The repository of :data:`PACKAGES`, made below ``scratch`` unless the cache has it."""
        version = subprocess.run(["R", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
        cache = os.environ.get("OCIBUILD_TEST_CACHE")
        key = hashlib.sha256(f"1 {version} {PACKAGES} {ARCHIVED}".encode()).hexdigest()[:16]
        folder = Path(cache, f"r-repository-{key}") if cache else scratch / "r-repository"
        if not folder.is_dir():
            made = scratch / f"{folder.name}.made"
            shutil.rmtree(made, ignore_errors=True)
            _make(made)
            folder.parent.mkdir(parents=True, exist_ok=True)
            partial = folder.with_name(f"{folder.name}.{os.getpid()}")
            try:
                shutil.copytree(made, partial, symlinks=True)
                partial.rename(folder)
            except OSError:  # another test was quicker
                shutil.rmtree(partial, ignore_errors=True)
        return cls(folder, version)


def _make(folder: Path) -> None:
    source, binary, library = folder / "source/src/contrib", folder / "binary/src/contrib", folder / "library"
    for each in (source, binary, library):
        each.mkdir(parents=True)
    for (name, version), files in PACKAGES.items():
        made = source_package(source, name, version, files)
        run_r("CMD", "INSTALL", "--build", "-l", library, made, cwd=binary, library=library)
        (built,) = binary.glob(f"{name}_{version}_R_*.tar.gz")
        built.rename(binary / made.name)
    for (name, version), files in ARCHIVED.items():
        archive = source / "Archive" / name
        archive.mkdir(parents=True)
        source_package(archive, name, version, files)
    for contrib in (source, binary):
        run_r("--no-echo", "-e", f'invisible(tools::write_PACKAGES("{contrib}", type = "source"))')


def posit_imitation(
    repository: RRepository, *, codename: str = "bookworm", days: tuple[str, ...] = ()
) -> ScriptedServer:
    """A server that behaves as Posit Package Manager is documented to.

    Below ``/cran/__linux__/CODENAME/DAY`` binaries are given to whom says in its User-Agent to be an R that they are
    for, and sources to everybody else; below ``/cran/DAY`` there are sources. DAY is ``latest`` or one of ``days``.
    """
    minor = re.escape(".".join(repository.r_version.split(".")[:2]))
    is_r = re.compile(rf"(?:R/\S+ )?R \({minor}\.\d+ x86_64-pc-linux-gnu x86_64 linux-gnu\)")

    def answer(request: Request) -> Reply:
        found = re.fullmatch(r"/cran/(__linux__/([a-z]+)/)?([^/]+)/(src/contrib/.+)", request.path)
        if found is None or found[3] not in ("latest", *days) or found[2] not in (None, codename):
            return Reply(404)
        wants_binary = found[1] is not None and is_r.search(request.headers.get("user-agent", ""))
        root = repository.binary if wants_binary else repository.source
        path = root / found[4]
        if not path.is_file():  # an old version has no binary here
            path = repository.source / found[4]
        return Reply(body=path.read_bytes()) if path.is_file() else Reply(404)

    return ScriptedServer(answer)
