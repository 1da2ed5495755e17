"""What is placed equals what rattler installs, file by file: contents, links, modes and records."""

import asyncio
import hashlib
import json
import os
import stat
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ocibuild.core.asks import CondaAsks
from ocibuild.core.package import LockedPackage
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.conda.environment import CondaPython, environment_entries, place_context
from ocibuild.ecosystem.conda.place import place
from ocibuild.ecosystem.conda.record import locked_package
from ocibuild.ecosystem.conda.settle import settle
from ocibuild.image.recording import Recorder
from ocibuild.image.view import LayerTable
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.tar import END_OF_ARCHIVE, write_entries
from tests.support.conda_channel import File, Recipe, special_packages, write_channel
from tests.support.conda_distribution import real_channel

rattler = pytest.importorskip("rattler")

PREFIX = "srv/conda/envs/notebook"
AMD64 = Platform.parse("amd64")
Tree = dict[str, tuple[str, int, Any]]
"""Path below the prefix -> kind, mode, and content: a hash, a link's text, or a record as an object."""

# What rattler's records say of the machine that installed.
OF_THIS_MACHINE = ("extracted_package_dir", "link")


def solved(channel: Path, names: Iterable[str], cache: Path) -> list[Any]:
    async def run() -> list[Any]:
        found = await rattler.solve(
            [rattler.Channel(channel.as_uri())], [rattler.MatchSpec(name) for name in names],
            gateway=rattler.Gateway(cache_dir=cache), platforms=["linux-64", "noarch"],
            virtual_packages=[
                rattler.GenericVirtualPackage(
                    rattler.PackageName("__glibc"), rattler.Version("2.36"), rattler.BuildString("0")
                )
            ],
        )  # fmt: skip
        return list(found)

    return asyncio.run(run())


def installed(records: Sequence[Any], folder: Path, *, prefix: str = PREFIX) -> Tree:
    """The tree that rattler makes, its records without what they say of this machine."""
    target = folder / "rattler"
    asyncio.run(
        rattler.install(
            list(records), target, cache_dir=folder / "packages", platform=rattler.Subdir("linux-64"),
            show_progress=False, alternative_target_prefix=f"/{prefix}",
        )
    )  # fmt: skip
    tree = {}
    for path in target.rglob("*"):
        below = str(path.relative_to(target))
        if path.is_symlink():
            tree[below] = ("symlink", 0o777, str(path.readlink()))
        elif path.is_file() and below not in ("CACHEDIR.TAG", "conda-meta/history"):
            tree[below] = ("file", stat.S_IMODE(path.stat().st_mode), content(below, path.read_bytes()))
    return tree


def content(below: str, data: bytes) -> Any:
    if not below.startswith("conda-meta/"):
        return hashlib.sha256(data).hexdigest()
    record = json.loads(data)
    if any(
        "original_path" in path for path in record["paths_data"]["paths"]
    ):  # rattler's order differs from run to run
        record["files"].sort()
        record["paths_data"]["paths"].sort(key=lambda path: path["_path"])
    return {key: value for key, value in record.items() if key not in OF_THIS_MACHINE}


def locked(records: Iterable[Any], channel: Path) -> list[tuple[LockedPackage, Path]]:
    packages = []
    for record in records:
        value = json.loads(record.to_json())
        package = locked_package(value, channel=channel.as_uri(), source="channel", platform=AMD64)
        packages.append((package, channel / package.path))
    return packages


def placed(packages: Sequence[tuple[LockedPackage, Path]], *, prefix: str = PREFIX) -> Tree:
    """The tree that our entries make, after every contested path was settled."""
    python = CondaPython.among(package for package, _ in packages)

    def run(package: LockedPackage, body: Path, displaced: Sequence[str]) -> tuple[Tree, LayerTable]:
        context = place_context(package, prefix=prefix, python=python, displaced=displaced)
        recorder = Recorder(package.name)
        return tree_of(recorder.passing(place(package, body, context).entries), prefix), recorder.table()

    trees = {package.name: run(package, body, ()) for package, body in packages}
    settlement = settle([(package, trees[package.name][1]) for package, _ in packages])
    for package, body in packages:
        if package.name in settlement.displaced:
            trees[package.name] = run(package, body, settlement.displaced[package.name])
    assert not settle([(package, trees[package.name][1]) for package, _ in packages]).displaced
    merged: Tree = {}
    for tree, _ in trees.values():
        assert not merged.keys() & tree.keys()
        merged |= tree
    return merged


def tree_of(entries: Iterable[Entry], prefix: str) -> Tree:
    tree: Tree = {}
    for entry in entries:
        assert entry.path.startswith(f"{prefix}/")
        below = entry.path.removeprefix(f"{prefix}/")
        assert below not in tree
        if entry.kind is EntryKind.SYMLINK:
            tree[below] = ("symlink", 0o777, entry.link)
        elif entry.kind is EntryKind.HARDLINK:
            tree[below] = tree[entry.link.removeprefix(f"{prefix}/")]
            assert entry.mode == tree[below][1]
        elif entry.kind is EntryKind.FILE:
            data = entry.read()
            assert len(data) == entry.size_bytes
            tree[below] = ("file", entry.mode, content(below, data))
    return tree


def assert_equal(ours: Tree, rattlers: Tree) -> None:
    assert sorted(ours.keys() - rattlers.keys()) == [], "only placed"
    assert sorted(rattlers.keys() - ours.keys()) == [], "only installed by rattler"
    # rattler makes records that only their owner can read, which is of no use in an image
    rattlers = {
        p: (kind, 0o644, c) if p.startswith("conda-meta/") else (kind, m, c) for p, (kind, m, c) in rattlers.items()
    }
    assert {path: (ours[path], rattlers[path]) for path in ours if ours[path] != rattlers[path]} == {}


def test_packages_of_every_kind(tmp_path: Path) -> None:
    recipes = special_packages()
    channel = write_channel(tmp_path / "channel", recipes)
    records = solved(channel, [recipe.name for recipe in recipes], tmp_path / "cache")
    rattlers = installed(records, tmp_path)
    assert len(rattlers) > 90
    assert_equal(placed(locked(records, channel)), rattlers)


def test_a_python_with_a_site_packages_of_its_own(tmp_path: Path) -> None:
    """As the free-threaded one has, and PyPy."""
    path = "lib/python3.13t/site-packages"
    recipes = [
        Recipe("python", "3.13.1", files=[File("bin/python3.13", b"x", 0o755)], index={"python_site_packages_path": path}),
        Recipe(
            "pure", subdir="noarch", noarch="python", depends=["python"], entry_points=["pure = pure:main"],
            files=[File("site-packages/pure.py", b"")],
        ),
    ]  # fmt: skip
    channel = write_channel(tmp_path / "channel", recipes)
    records = solved(channel, ["pure"], tmp_path / "cache")
    ours = placed(locked(records, channel))
    assert f"{path}/pure.py" in ours
    assert_equal(ours, installed(records, tmp_path))


@pytest.mark.parametrize("prefix", ["srv/with blank/env", "srv/" + "long/" * 30 + "env"])
def test_prefixes_that_first_lines_cannot_name(tmp_path: Path, prefix: str) -> None:
    recipes = special_packages()
    channel = write_channel(tmp_path / "channel", recipes)
    records = solved(channel, [recipe.name for recipe in recipes], tmp_path / "cache")
    assert_equal(placed(locked(records, channel), prefix=prefix), installed(records, tmp_path, prefix=prefix))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """The channel of real packages, and the records of an environment of all of them."""
    folder = tmp_path_factory.mktemp("real")
    cache = Path(os.environ.get("OCIBUILD_TEST_CACHE") or folder)
    channel, names = real_channel(folder / "channel", cache / "conda")
    return channel, solved(channel, names, folder / "cache")


@pytest.mark.network
def test_a_hundred_real_packages(tmp_path: Path, real: tuple[Path, list[Any]]) -> None:
    channel, records = real
    assert len(records) >= 100
    rattlers = installed(records, tmp_path)
    ours = placed(locked(records, channel))
    assert len(ours) > 18_000
    assert_equal(ours, rattlers)


@pytest.mark.network
def test_the_environment_runs_and_rattler_reads_it(tmp_path: Path, real: tuple[Path, list[Any]]) -> None:
    """Placed where this machine can run it: the prefix is the folder it is extracted to."""
    channel, records = real
    prefix = tmp_path / "env"
    packages = locked(records, channel)
    python = CondaPython.among(package for package, _ in packages)
    with subprocess.Popen(["tar", "-x", "-C", "/", "-f", "-"], stdin=subprocess.PIPE) as tar:
        assert tar.stdin is not None
        tar.stdin.writelines(write_entries(environment_entries(CondaAsks(), prefix=str(prefix)[1:])))
        for package, body in packages:
            context = place_context(package, prefix=str(prefix)[1:], python=python)
            tar.stdin.writelines(write_entries(place(package, body, context).entries))
        tar.stdin.write(END_OF_ARCHIVE)
    assert tar.returncode == 0
    for record in records:
        path = prefix / f"conda-meta/{record.file_name.rpartition('.')[0]}.json"
        read = rattler.PrefixRecord.from_path(path)
        assert (read.name.normalized, read.files) != ("", [])
        assert all((prefix / file).is_symlink() or (prefix / file).is_file() for file in read.files)
    code = "import numpy, pandas, sklearn, ssl, sqlite3, ctypes, sys; print(sys.prefix, numpy.ones(3).sum())"
    environment = {"PATH": f"{prefix}/bin:/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}

    def output(*arguments: str) -> str:
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert output(f"{prefix}/bin/python", "-c", code).split() == [str(prefix), "3.0"]
    assert f"{prefix}/share/jupyter" in output(f"{prefix}/bin/jupyter", "--paths")
    sysconfig = output(f"{prefix}/bin/python", "-c", "import sysconfig; print(sysconfig.get_config_var('prefix'))")
    assert sysconfig.strip() == str(prefix)
