"""Measures placing 50 binary R packages beside ``install.packages`` of the same files.

::

    python tests/benchmarks/r.py [--rounds N] [--folder DIR]

The packages are real ones, built by Debian (``apt-get download`` of r-cran-*) and put into the form in which
repositories have binaries. Both programs read them from this machine's disk. The peer is ``install.packages`` from a
repository of files into an empty library, on every core (``Ncpus``); ours makes zstd layers in an empty store, through
the code of a build. Both trees are compared, file by file, before any figure is printed. Needs R (r-base-core), and the
network once, for what DIR lacks.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.measuring import Cost, measured

LIBRARY = "usr/local/lib/R/site-library"
LAYERS = 6
NAMES = (
    "askpass", "assertthat", "backports", "base64enc", "bit", "bit64", "blob", "broom", "bslib", "cachem", "callr",
    "cli", "colorspace", "cpp11", "crayon", "curl", "data.table", "dbi", "digest", "dplyr", "ellipsis", "evaluate",
    "fansi", "farver", "fastmap", "forcats", "fs", "generics", "ggplot2", "glue", "gtable", "haven", "highr",
    "hms", "htmltools", "httpuv", "httr", "isoband", "jsonlite", "knitr", "labeling", "later", "lifecycle",
    "lubridate", "magrittr", "mime", "munsell", "openssl", "pillar", "plotly",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Placing R packages, and its peer.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "ocibuild-r-benchmark")
    parser.add_argument("work", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        programs: dict[str, Callable[[Path, Path], None]] = {"ours": ours}
        programs[options.work[0]](*map(Path, options.work[1:]))
        return
    contrib = options.folder / "src/contrib"
    if not (contrib / "PACKAGES").exists():
        prepare(contrib)
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        compare(contrib, Path(scratch), options.rounds)


def prepare(contrib: Path) -> None:
    """Make the repository: each package's folder of the .deb as an archive, and an index."""
    contrib.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=contrib.parent) as folder:
        debs = [f"r-cran-{name}" for name in NAMES]
        subprocess.run(["apt-get", "download", "-q", *debs], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        for deb in sorted(Path(folder).glob("*.deb")):
            tree = Path(folder, deb.stem)
            subprocess.run(["dpkg-deb", "-x", deb, tree], check=True)
            for package in sorted((tree / "usr/lib/R/site-library").iterdir()):
                fields = (package / "DESCRIPTION").read_text(errors="replace").splitlines()
                version = next(line.partition(":")[2].strip() for line in fields if line.startswith("Version:"))
                with tarfile.open(contrib / f"{package.name}_{version}.tar.gz", "w:gz", compresslevel=6) as archive:
                    archive.add(package, package.name)
    write = f'tools::write_PACKAGES("{contrib}", type = "source")'
    subprocess.run(["R", "--no-echo", "-e", write], check=True, stdout=subprocess.DEVNULL)


def compare(contrib: Path, scratch: Path, rounds: int) -> None:
    bodies = sorted(contrib.glob("*.tar.gz"))
    names = ", ".join(f'"{body.name.partition("_")[0]}"' for body in bodies)
    repository = contrib.parents[1].absolute().as_uri()
    costs: dict[str, list[Cost]] = {"install.packages": [], "ours, empty store": []}
    for number in range(rounds):
        library = scratch / f"library-{number}"
        library.mkdir()
        install = (
            f'install.packages(c({names}), lib = "{library}", repos = "{repository}", type = "source", '
            f"dependencies = FALSE, Ncpus = {os.cpu_count()}, quiet = TRUE)"
        )
        peer: list[str | Path] = ["R", "--no-echo", "--vanilla", "-e", install]
        costs["install.packages"].append(measured(peer, log=scratch / "log"))
        program: list[str | Path] = [sys.executable, __file__, "ours", contrib, scratch / f"ours-{number}"]
        costs["ours, empty store"].append(measured(program, log=scratch / "log"))
    check_trees(scratch)
    total = sum(body.stat().st_size for body in bodies)
    print(f"{len(bodies)} packages, {total / 1e6:.0f} MB, median of {rounds} rounds")
    print(f"{'':28}{'wall':>9}{'CPU':>9}{'peak memory':>14}")
    for name, found in costs.items():
        cost = Cost.median(found)
        print(f"{name:28}{cost.wall_seconds:7.2f} s{cost.cpu_seconds:7.2f} s{cost.peak_bytes / 1e6:11.0f} MB")


def check_trees(scratch: Path) -> None:
    """A RuntimeError where the two programs have not made the same files."""
    library = scratch / "library-0"
    theirs = {
        str(path.relative_to(library)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in library.rglob("*")
        if path.is_file()
    }
    ours: dict[str, str] = {}
    for layer in json.loads((scratch / "ours-0/layers.json").read_text()):
        with (
            subprocess.Popen(["zstd", "-dc", layer], stdout=subprocess.PIPE) as plain,
            tarfile.open(fileobj=plain.stdout, mode="r|") as archive,
        ):
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                if content is not None:
                    name = member.name.removeprefix(f"{LIBRARY}/")
                    ours[name] = hashlib.sha256(content.read()).hexdigest()
    if ours != theirs or not theirs:
        raise RuntimeError(f"the trees differ: {sorted(ours.items() ^ theirs.items())[:20]}")


def ours(contrib: Path, folder: Path) -> None:
    from ocibuild.core.digest import Digest  # noqa: PLC0415 - ours alone
    from ocibuild.core.events import discard  # noqa: PLC0415 - ours alone
    from ocibuild.core.package import Ecosystem, LockedPackage  # noqa: PLC0415 - ours alone
    from ocibuild.ecosystem.r.place import RPlaceContext, place  # noqa: PLC0415 - ours alone
    from ocibuild.layer.compression import Compression, compressor_for  # noqa: PLC0415 - ours alone
    from ocibuild.layer.fragment import fragment_key  # noqa: PLC0415 - ours alone
    from ocibuild.plan.skeleton import declared_folders  # noqa: PLC0415 - ours alone
    from ocibuild.store.store import Store  # noqa: PLC0415 - ours alone
    from ocibuild.work.budget import MemoryBudget  # noqa: PLC0415 - ours alone
    from ocibuild.work.layers import FragmentRecipe, LayerMaker, LayerRecipe  # noqa: PLC0415 - ours alone

    context = RPlaceContext(LIBRARY)

    def fragment(body: Path) -> FragmentRecipe:
        name, _, version = body.name.removesuffix(".tar.gz").partition("_")
        digest = Digest.of(body.read_bytes())
        size_bytes = body.stat().st_size
        package = LockedPackage(Ecosystem.R, name, version, "any", "r", body.name, digest, size_bytes)
        key = fragment_key(digest, context=context.canonical(), placing_version="1")
        return FragmentRecipe(key, package.identity, lambda: place(package, body, context), (package,))

    bodies = sorted(contrib.glob("*.tar.gz"), key=lambda body: body.stat().st_size)
    recipes = [
        LayerRecipe(
            f"r {bucket}",
            tuple(fragment(body) for body in bodies[bucket::LAYERS]),
            lambda tables: sorted(declared_folders(tables).values(), key=lambda entry: entry.path),
        )
        for bucket in range(LAYERS)
    ]
    store = Store.at(folder / "store")
    with LayerMaker(
        store, compressor_for(Compression.ZSTD), budget=MemoryBudget.of_process(None), events=discard
    ) as maker:
        layers = maker.make_all(recipes)
    paths = [str(store.blobs.path(layer.descriptor.digest)) for layer in layers]
    (folder / "layers.json").write_text(json.dumps(paths))


if __name__ == "__main__":
    main()
