"""What is placed equals what R installs, file by file: bytes and modes; and what is chosen is what R chooses."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import tarfile
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Literal

import pytest
import tomli

from ocibuild.core.asks import Origin
from ocibuild.core.digest import Digest
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.core.r_asks import RAsk, RRequirement
from ocibuild.ecosystem.r.archive import read_description
from ocibuild.ecosystem.r.place import RPlaceContext, place
from ocibuild.ecosystem.r.repository import RIndex
from ocibuild.ecosystem.r.resolve import Surroundings, resolve
from ocibuild.ecosystem.r.source import SOURCE, source_step
from ocibuild.ecosystem.r.standard_packages import BASE_PACKAGES, RECOMMENDED_PACKAGES
from ocibuild.layer.entry import EntryKind
from tests.support.r_repository import PACKAGES, RRepository, run_r

Tree = dict[str, tuple[int, str, bytes]]


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> RRepository:
    return RRepository.make(tmp_path_factory.mktemp("r"))


def on_disk(library: Path) -> Tree:
    """Every file, folder and link below a library."""
    tree: Tree = {}
    for path in library.rglob("*"):
        mode = path.lstat().st_mode & 0o7777
        if path.is_symlink():
            tree[str(path.relative_to(library))] = (mode, "symlink", os.fsencode(path.readlink()))
        else:
            kind = "directory" if path.is_dir() else "file"
            tree[str(path.relative_to(library))] = (mode, kind, b"" if path.is_dir() else path.read_bytes())
    return tree


def placed(bodies: Iterable[Path]) -> Tree:
    tree: Tree = {}
    for body in bodies:
        description = read_description(body, name=body.name)
        package = LockedPackage(
            Ecosystem.R, description.name, description.version, "", "cran", body.name, Digest.of(body.read_bytes())
        )
        for entry in place(package, body, RPlaceContext("lib")).entries:
            path = entry.path.removeprefix("lib/")
            content = entry.link.encode() if entry.kind is EntryKind.SYMLINK else entry.read()
            mode = entry.mode
            kind = entry.kind.value
            if entry.kind is EntryKind.HARDLINK:  # R's copy has each file by itself
                mode, kind, content = tree[entry.link.removeprefix("lib/")]
            tree[path] = (mode, kind, content)
            for folder in Path(path).parents[:-1]:
                tree.setdefault(str(folder), (0o755, "directory", b""))
    return tree


def differences(ours: Tree, theirs: Tree) -> dict[str, object]:
    return {
        path: (ours.get(path, ("nothing",))[:2], theirs.get(path, ("nothing",))[:2])
        for path in ours.keys() | theirs.keys()
        if ours.get(path) != theirs.get(path)
    }


def test_a_binary_is_placed_as_the_source_was_installed(repository: RRepository) -> None:
    ours = placed(repository.binary.glob("src/contrib/*.tar.gz"))
    assert "tinyc/libs/tinyc.so" in ours
    assert "tinybase/extdata/ünïcode.txt" in ours
    assert differences(ours, on_disk(repository.library)) == {}


def test_a_binary_is_placed_as_install_packages_does(repository: RRepository, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    run_r(
        "--no-echo", "-e",
        f'install.packages("tinytop", lib = "{library}", repos = "file://{repository.binary}", type = "source")',
        library=library,
    )  # fmt: skip
    ours = placed(repository.binary.glob("src/contrib/*.tar.gz"))
    assert differences(ours, on_disk(library)) == {}


def test_sources_are_built_to_the_same_bytes_twice(repository: RRepository, tmp_path: Path) -> None:
    """By the program of the step, and to what R makes of them by itself but for the time that Built says."""
    packages = [
        LockedPackage(Ecosystem.R, name, version, SOURCE, "cran", "", Digest.of(b""), fields={})
        for name, version in PACKAGES
    ]
    step = source_step(packages, library=str(tmp_path / "library")[1:])
    assert step is not None
    archives = [repository.source / "src/contrib" / Path(path).name for path in step.inputs]
    trees = []
    for number in range(2):
        library = tmp_path / "library"
        library.mkdir()
        environment = {**os.environ, **step.environment, "R_LIBS": str(library), "TMPDIR": str(tmp_path)}
        arguments: list[str | Path] = [*step.arguments[: -len(archives)], *archives]
        subprocess.run(arguments, env=environment, check=True, capture_output=True)
        trees.append(on_disk(library))
        library.rename(tmp_path / f"library-{number}")
    assert differences(trees[0], trees[1]) == {}
    assert trees[0].keys() == on_disk(repository.library).keys()
    assert b"1980-01-01 00:00:00 UTC" in trees[0]["tinyc/DESCRIPTION"][2]


def test_modes_and_kinds(repository: RRepository, tmp_path: Path) -> None:
    """Whatever an archive says of them."""
    binary = repository.binary / "src/contrib/tinybase_2.0.1.tar.gz"
    odd = tmp_path / "tinybase_2.0.1.tar.gz"
    with tarfile.open(binary) as source, tarfile.open(odd, "w:gz") as archive:
        for member in source:
            archive.addfile(member, source.extractfile(member) if member.isreg() else None)

        def add(name: str, mode: int, kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
            member = tarfile.TarInfo(f"tinybase/{name}")
            member.mode, member.type, member.linkname = mode, kind, link
            member.size = 1 if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(b"x") if kind == tarfile.REGTYPE else None)

        for mode in (0o600, 0o400, 0o444, 0o666, 0o711, 0o775, 0o2755, 0o4755, 0o10):
            add(f"odd/mode-{mode:o}", mode)
        add("private", 0o700, tarfile.DIRTYPE)
        add("private/file", 0o640)
        add("shared", 0o2777, tarfile.DIRTYPE)
        add("link", 0o777, tarfile.SYMTYPE, "odd/mode-600")
        add("same", 0o600, tarfile.LNKTYPE, "tinybase/odd/mode-444")
        add(".hidden/deep/file", 0o644)
        add("é" * 80 + "/" + "x" * 120, 0o644)
    library = tmp_path / "library"
    library.mkdir()
    run_r("CMD", "INSTALL", "-l", library, odd)
    assert differences(placed([odd]), on_disk(library)) == {}


@pytest.mark.parametrize("kind", ["bz2", "xz"])
def test_other_compressions(repository: RRepository, tmp_path: Path, kind: Literal["bz2", "xz"]) -> None:
    binary = repository.binary / "src/contrib/tinyc_0.2-1.tar.gz"
    other = tmp_path / f"tinyc_0.2-1.tar.{kind}"
    data = gzip.decompress(binary.read_bytes())
    other.write_bytes(bz2.compress(data) if kind == "bz2" else lzma.compress(data))
    library = tmp_path / "library"
    library.mkdir()
    run_r("CMD", "INSTALL", "-l", library, other)
    assert differences(placed([other]), on_disk(library)) == {}


def test_what_is_chosen_is_what_r_chooses(repository: RRepository) -> None:
    text = (repository.source / "src/contrib/PACKAGES").read_text()
    asks = [RAsk(RRequirement("tinytop"), Origin("DESCRIPTION"))]
    ours = resolve(asks, [RIndex("r", text)], Surroundings(repository.r_version)).packages
    said = run_r(
        "--no-echo", "-e",
        f'a <- available.packages(repos = "file://{repository.source}", type = "source"); '
        'p <- c("tinytop", tools::package_dependencies("tinytop", a, which = c("Depends", "Imports", "LinkingTo"), '
        'recursive = TRUE)[[1]]); p <- p[p %in% rownames(a)]; cat(paste(p, a[p, "Version"]), sep = "\\n")',
    )  # fmt: skip
    assert (
        sorted(f"{each.description.name} {each.description.version}" for each in ours) == sorted(said.split("\n"))[1:]
    )
    names = [each.description.name for each in ours]
    assert len(names) == len(PACKAGES)
    assert names.index("tinyhead") < names.index("tinyc") < names.index("tinytop")


def test_the_packages_of_every_r() -> None:
    said = run_r(
        "--no-echo", "-e", 's <- tools:::.get_standard_package_names(); cat(s$base); cat("\\n"); cat(s$recommended)'
    )
    base, recommended = said.split("\n")[:2]
    assert sorted(base.split()) == sorted(BASE_PACKAGES)
    assert sorted(recommended.split()) == sorted(RECOMMENDED_PACKAGES)


def test_versions_compare_as_in_r() -> None:
    versions = ["1.0", "1.0.0", "1.0-1", "1.10", "1.9", "0.9-12", "2.0", "2024.1.10", "1.0.0.9000"]
    pairs = [(first, second) for first in versions for second in versions]
    listed = ", ".join(f'c("{first}", "{second}")' for first, second in pairs)
    operators = [">=", "<=", ">", "<", "==", "!="]
    compared = ", ".join(f"v {operator} p[2]" for operator in operators)
    said = run_r(
        "--no-echo", "-e", f"for (p in list({listed})) {{ v <- package_version(p[1]); cat({compared}, '\\n') }}"
    )
    for (first, second), line in zip(pairs, said.strip().splitlines(), strict=True):
        ours = [RRequirement("x", operator, second).allows(first) for operator in operators]
        assert ours == [word == "TRUE" for word in line.split()], (first, second)


@pytest.mark.network
def test_system_requirements_are_packages_of_debian() -> None:
    """Every name of the rules is one that Debian has."""
    file = resources.files("ocibuild.ecosystem.r").joinpath("system_requirements.toml")
    names = sorted({name for rule in tomli.loads(file.read_text("utf-8"))["rule"] for name in rule["packages"]})
    done = subprocess.run(["apt-cache", "show", *names], capture_output=True, text=True, check=False)
    known = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("Package: ")}
    assert [name for name in names if name not in known] == []
