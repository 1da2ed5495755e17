"""Measures placing a conda environment beside what its reference program does: install, then tar and zstd of the tree.

::

    python tests/benchmarks/conda.py [--rounds N] [--folder DIR]

The environment is some 110 packages, 500 MB of files, of a channel made of real wheels and Debian's Python
(tests/support/conda_distribution.py), which both read from this machine's disk. The peer is py-rattler's own install
into an empty cache (no scripts, no byte code), and GNU tar through zstd -3 on every core; ours makes zstd layers in an
empty store, with the same level, through the code of a build. A third measurement changes one package of the
environment. Both trees are compared before any figure is printed. Needs the network once, for what DIR lacks.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.measuring import Cost, measured

PREFIX = "srv/conda/envs/notebook"
LAYERS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description="Placing a conda environment, and its peer.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "ocibuild-conda-benchmark")
    parser.add_argument("work", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        programs: dict[str, Callable[..., None]] = {"ours": ours, "peer": peer, "prepare": prepare}
        programs[options.work[0]](*map(Path, options.work[1:]))
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    lock = options.folder / "records.json"
    if not lock.exists():  # in a process of its own: what this one holds counts for the programs that it starts
        subprocess.run([sys.executable, __file__, "prepare", lock], check=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        compare(lock, Path(scratch), options.rounds)


def prepare(lock: Path) -> None:
    """Make the channel, and write the solved environment into a file of records beside it."""
    from tests.support.conda_distribution import real_channel  # noqa: PLC0415 - the measured programs do not need it

    channel, names = real_channel(lock.parent / "channel", lock.parent / "cache")
    records = asyncio.run(solved(channel, names, lock.parent / "gateway"))
    lock.write_text(json.dumps([json.loads(record) for record in records]))


async def solved(channel: Path, names: Sequence[str], cache: Path) -> list[str]:
    import rattler  # noqa: PLC0415 - the measured program of ours does not need it

    libc = rattler.GenericVirtualPackage(
        rattler.PackageName("__glibc"), rattler.Version("2.36"), rattler.BuildString("0")
    )
    found = await rattler.solve(
        [rattler.Channel(channel.as_uri())], [rattler.MatchSpec(name) for name in names],
        gateway=rattler.Gateway(cache_dir=cache), platforms=["linux-64", "noarch"], virtual_packages=[libc],
    )  # fmt: skip
    return [record.to_json() for record in found]


def compare(lock: Path, scratch: Path, rounds: int) -> None:
    costs: dict[str, list[Cost]] = {
        "rattler, tar and zstd": [],
        "ours, empty store": [],
        "ours, one package changed": [],
    }
    for number in range(rounds):
        for name, arguments in (
            ("rattler, tar and zstd", ["peer", lock, scratch / f"peer-{number}"]),
            ("ours, empty store", ["ours", lock, scratch / f"ours-{number}"]),
            ("ours, one package changed", ["ours", lock, scratch / f"ours-{number}", "changed"]),
        ):
            costs[name].append(measured([sys.executable, __file__, *map(str, arguments)], log=scratch / "log"))
    check_trees(scratch)
    print(f"{len(json.loads(lock.read_text()))} packages, median of {rounds} rounds")
    print(f"{'':28}{'wall':>9}{'CPU':>9}{'peak memory':>14}")
    for name, found in costs.items():
        cost = Cost.median(found)
        print(f"{name:28}{cost.wall_seconds:7.2f} s{cost.cpu_seconds:7.2f} s{cost.peak_bytes / 1e6:11.0f} MB")


def check_trees(scratch: Path) -> None:
    """A RuntimeError where the two programs have not made the same files, but for the records' own texts."""
    peer_paths = listed(scratch / "peer-0/tree.tar.zst") - {"CACHEDIR.TAG", "conda-meta/history"}
    layers = json.loads((scratch / "ours-0/layers.json").read_text())
    our_paths = set().union(*(listed(Path(layer), strip=f"{PREFIX}/") for layer in layers))
    if peer_paths != our_paths:
        raise RuntimeError(f"the trees differ: {sorted(peer_paths ^ our_paths)[:20]}")


def listed(archive: Path, *, strip: str = "./") -> set[str]:
    """The files of an archive, below what is stripped."""
    command = f"zstd -dc '{archive}' | tar -tf -"
    done = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True)
    return {name.removeprefix(strip) for name in done.stdout.splitlines() if not name.endswith("/")}


# The two programs.


def peer(lock: Path, folder: Path) -> None:
    import rattler  # noqa: PLC0415 - the peer's own

    records = []
    for record in json.loads(lock.read_text()):
        index = folder / "index.json"
        index.parent.mkdir(parents=True, exist_ok=True)
        index.write_text(json.dumps(record))
        plain = rattler.PackageRecord.from_index_json(index, record["size"], record["sha256"], record["md5"])
        records.append(rattler.RepoDataRecord(plain, record["fn"], record["url"], record["channel"]))
    tree = folder / "tree"
    asyncio.run(
        rattler.install(
            records, tree, cache_dir=folder / "packages", platform=rattler.Subdir("linux-64"), show_progress=False,
            alternative_target_prefix=f"/{PREFIX}",
        )
    )  # fmt: skip
    command = f"tar -C '{tree}' --sort=name --mtime=@0 --owner=0 --group=0 -cf - . | zstd -q -3 -T0 -o '{tree}.tar.zst'"
    subprocess.run(["sh", "-c", command], check=True)


def ours(lock: Path, folder: Path, changed: Path | None = None) -> None:
    from ocibuild.core.events import discard  # noqa: PLC0415 - ours alone
    from ocibuild.core.platform import Platform  # noqa: PLC0415 - ours alone
    from ocibuild.ecosystem.conda.environment import CondaPython, place_context  # noqa: PLC0415 - ours alone
    from ocibuild.ecosystem.conda.place import PLACING_VERSION, place  # noqa: PLC0415 - ours alone
    from ocibuild.ecosystem.conda.record import locked_package  # noqa: PLC0415 - ours alone
    from ocibuild.layer.compression import Compression, compressor_for  # noqa: PLC0415 - ours alone
    from ocibuild.layer.fragment import fragment_key  # noqa: PLC0415 - ours alone
    from ocibuild.plan.skeleton import declared_folders  # noqa: PLC0415 - ours alone
    from ocibuild.store.store import Store  # noqa: PLC0415 - ours alone
    from ocibuild.work.budget import MemoryBudget  # noqa: PLC0415 - ours alone
    from ocibuild.work.layers import FragmentRecipe, LayerMaker, LayerRecipe  # noqa: PLC0415 - ours alone

    records = json.loads(lock.read_text())
    packages = [
        locked_package(each, channel=each["channel"], source="channel", platform=Platform.parse("amd64"), specs=())
        for each in records
    ]
    bodies = {each["fn"]: Path(each["url"].removeprefix("file://")) for each in records}
    python = CondaPython.among(packages)

    def fragment(number: int) -> FragmentRecipe:
        package = packages[number]
        # What stands for another pin: a record that differs, and so another key, of a package of middling size.
        context = place_context(package, prefix=PREFIX, python=python, uid=1 if changed and number == middling else 0)
        key = fragment_key(package.digest, context=context.canonical(), placing_version=str(PLACING_VERSION))
        body = bodies[package.fields["filename"]]
        return FragmentRecipe(key, package.identity, lambda: place(package, body, context), (package,))

    by_size = sorted(range(len(packages)), key=lambda number: packages[number].size_bytes or 0)
    middling = by_size[len(by_size) // 2]
    recipes = [
        LayerRecipe(
            f"conda {bucket}",
            tuple(fragment(number) for number in by_size[bucket::LAYERS]),
            lambda tables: sorted(declared_folders(tables).values(), key=lambda entry: entry.path),
        )
        for bucket in range(LAYERS)
    ]
    store = Store.at(folder / "store")
    with LayerMaker(
        store, compressor_for(Compression.ZSTD), budget=MemoryBudget.of_process(None), events=discard
    ) as maker:
        layers = maker.make_all(recipes)
    if changed is None:
        paths = [str(store.blobs.path(layer.descriptor.digest)) for layer in layers]
        (folder / "layers.json").write_text(json.dumps(paths))


if __name__ == "__main__":
    main()
