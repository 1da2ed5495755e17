"""Builds and pushes seven workloads with ocibuild and with buildah, and prints what each costs.

::

    python tests/benchmarks/run.py [--rounds N] [--folder DIR] [--json FILE] [--installer pip|uv]

======  =====================================================================================================
W1      a data-science set, git, curl, graphviz, 20 files and a postBuild that imports numpy, from an empty store
W2      a small web application (flask, gunicorn), from an empty store
W3      W1 with one pin changed (requests)
W4      W1 with one source file changed
W5      W1 with nothing changed (and, as "W5, resolved anew", with a resolution that may not be used again)
W6      W1 on an empty machine, with a cache in the registry that another machine has filled
W7      ten sibling repositories that share most packages, one after the other (ocibuild alone)
======  =====================================================================================================

Run as root on Debian with buildah and docker-registry; the network is needed to prepare (Debian's mirror, and the
public Python index), not while anything is measured: all packages and indexes come through one caching proxy on
loopback, which has seen them.

Both sides start from the same image (``apt:bookworm``, made by ocibuild, in a registry on loopback) and push to that
registry. In W1, W2 and W6 ocibuild's store is empty: it reads the lists, resolves and downloads. buildah, as its best
user sets it up, has the lists, archives and wheels mounted, and with ``--installer uv`` a warm cache of uv; it has no
layer cache in W1 and W2, and one in W3 to W5. Sides take turns within a round, and figures are medians over the rounds.
Before any figure is printed, the two trees are compared, and both images are run.

``pushed`` are bytes that the registry did not have under that name or as the base; ``pulled`` are those that a machine
must fetch which has the image before the change (in W1, W2 and W6 the base).
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from ocibuild.core.platform import Platform
from ocibuild.ecosystem.apt.distribution import suite_sources
from ocibuild.ecosystem.apt.machine import read_machine_apt
from ocibuild.ecosystem.apt.mirrors import Mirrors
from tests.benchmarks.comparing import differences
from tests.benchmarks.measuring import Cost
from tests.benchmarks.ours import Ours
from tests.benchmarks.peer import INSTALLERS, Peer
from tests.benchmarks.proxy import CachingProxy
from tests.benchmarks.workloads import DATA_SCIENCE, SIBLINGS, WEB_APP, Workload
from tests.support.registry_server import RegistryServer

_INDEX = "https://pypi.org/simple"
_OLDER_REQUESTS = "requests==2.32.3"
_MANIFEST_TYPES = "application/vnd.oci.image.manifest.v1+json"


class Benchmark:
    """One run: what was prepared, and the costs that were measured, by workload and side."""

    def __init__(self, folder: Path, host: str, installer: str, proxy: CachingProxy) -> None:
        self.folder, self.host, self.installer, self.proxy = folder, host, installer, proxy
        log = folder / "log"
        self.variables = _package_variables(proxy)
        self.ours, self.peer = Ours(folder, log, self.variables), Peer(folder / "buildah", log)
        self.base = f"{host}/base:bookworm"
        self.cache = f"{host}/cache"
        self.costs: dict[str, dict[str, list[Cost]]] = {}
        self.bytes: dict[str, dict[str, dict[str, int]]] = {}
        self.source = folder / "source"
        self.differing: dict[str, int] = {}
        self.siblings: dict[str, int] = {}

    def prepare(self) -> None:
        """Make the base, and bring the packages and versions that ocibuild resolves into the proxy and the peer's caches."""
        empty = self.folder / "empty"
        empty.mkdir()
        (empty / "README").write_text("the base of a benchmark\n")
        self.ours.run("build", empty, "--base", "apt:bookworm", "-t", self.base, "--push")
        packages: dict[str, dict[str, Any]] = {}
        versions: dict[str, str] = {}
        for workload, pins in ((DATA_SCIENCE, True), (WEB_APP, False), (DATA_SCIENCE, False)):
            workload.write(self.source)
            if pins:
                _pin_requests(self.source)
            image = f"{self.host}/prepared-{workload.name}:latest"
            self.ours.run("build", self.source, "--base", self.base, "-t", image, "--push")
            chosen = self.ours.plan(self.source, self.base)
            packages |= {package["sha256"]: package for package in chosen}
            versions |= {each["name"]: each["version"] for each in chosen if each["ecosystem"] == "pip"}
        self.peer.pull(self.base)
        bodies = [self.ours.body(package) for package in packages.values()]
        del versions["requests"]  # whose pin a workload changes; without one, the newest of the folder is taken
        constraints = "".join(f"{name}=={version}\n" for name, version in versions.items())
        self.peer.prepare(self.base, packages.values(), bodies, constraints, variables=self.variables)
        self._build_theirs(DATA_SCIENCE, f"{self.host}/prepared:peer")
        # What W6 finds there: another machine builds the same and writes the cache.
        self.ours.empty("store-other-machine")
        cached = ("--cache", self.cache, "--cache-mode", "rw")
        self.ours.run("build", self.source, "--base", self.base, "-t", f"{self.host}/other:latest", "--push", *cached)
        self.ours.forget("store-other-machine")

    def round(self, number: int) -> None:
        """Every workload but W7 once on each side."""
        self.peer.forget_layers(self.base)
        self._cold("W2", WEB_APP, number)
        self._cold("W1", DATA_SCIENCE, number)
        ours, theirs = f"{self.host}/w1-ours-{number}:latest", f"{self.host}/w1-theirs-{number}:latest"
        if number == 0:
            self.check(ours, theirs)
        layered = f"{self.host}/layered-{number}:latest"
        self._build_theirs(DATA_SCIENCE, layered, layers=True)
        self.peer.push(layered)
        for workload, change in (("W5", None), ("W4", _change_file), ("W3", _pin_requests)):
            if change:
                change(self.source)
            self._measure(workload, "ocibuild", ours, self._build_ours)
            self._measure(workload, "buildah", layered, lambda image: self._pushed(DATA_SCIENCE, image, layers=True))
        self._measure(
            "W5, resolved anew",
            "ocibuild",
            ours,
            lambda image: self.ours.run(*self._command(image), "--max-age", "0"),
        )
        DATA_SCIENCE.write(self.source)
        self.ours.empty(f"store-{number}-w6")
        before = self.proxy.packages
        self._measure("W6", "ocibuild", f"{self.host}/w6-{number}:latest", self._build_cached)
        if self.proxy.packages != before:
            raise RuntimeError(f"W6 fetched {self.proxy.packages - before} packages")
        self.costs["W6"]["buildah"], self.bytes["W6"]["buildah"] = (
            self.costs["W1"]["buildah"],
            self.bytes["W1"]["buildah"],
        )
        for name in ("w1", "w2", "w6"):
            self.ours.forget(f"store-{number}-{name}")

    def _cold(self, name: str, workload: Workload, number: int) -> None:
        workload.write(self.source)
        self.ours.empty(f"store-{number}-{name.lower()}")
        prefix = f"{self.host}/{name.lower()}"
        self._measure(name, "ocibuild", f"{prefix}-ours-{number}:latest", self._build_ours)
        self._measure(name, "buildah", f"{prefix}-theirs-{number}:latest", lambda image: self._pushed(workload, image))

    def build_siblings(self) -> None:
        """W7: what ten repositories come to, and what one comes to that asks for all of their packages."""
        self.ours.empty("store-siblings")
        layers: dict[str, int] = {}
        for workload in SIBLINGS:
            image = f"{self.host}/{workload.name}:latest"
            workload.write(self.source)
            self._measure("W7", "ocibuild", image, self._build_ours)
            layers |= self._layers(image)
        python = tuple(dict.fromkeys(name for workload in SIBLINGS for name in workload.python))
        Workload("union", SIBLINGS[0].debian, python).write(self.source)
        union = f"{self.host}/union:latest"
        self._build_ours(union)
        self.siblings = {
            "siblings_bytes": sum(layers.values()),
            "union_bytes": sum(self._layers(union).values()),
            "base_bytes": sum(self._layers(self.base).values()),
        }
        self.ours.forget("store-siblings")

    def _command(self, image: str) -> list[str | Path]:
        return ["build", self.source, "--base", self.base, "-t", image, "--push"]

    def _build_ours(self, image: str) -> Cost:
        return self.ours.run(*self._command(image))

    def _build_cached(self, image: str) -> Cost:
        return self.ours.run(*self._command(image), "--cache", self.cache)

    def _build_theirs(self, workload: Workload, image: str, *, layers: bool = False) -> Cost:
        return self.peer.build(self.source, image, workload, base=self.base, installer=self.installer, layers=layers)

    def _pushed(self, workload: Workload, image: str, *, layers: bool = False) -> Cost:
        return self._build_theirs(workload, image, layers=layers) + self.peer.push(image)

    def _measure(self, workload: str, side: str, image: str, build: Callable[[str], Cost]) -> None:
        before = self._layers(image)
        mounted = self._layers(f"{self.host}/other:latest") if workload == "W6" else {}
        cost = build(image)
        print(f"  {workload}, {side}: {cost.wall_seconds:.2f} s", file=sys.stderr, flush=True)
        self.costs.setdefault(workload, {}).setdefault(side, []).append(cost)
        present = before.keys() | self._layers(self.base).keys()
        new = {digest: size for digest, size in self._layers(image).items() if digest not in present}
        self.bytes.setdefault(workload, {})[side] = {
            "pushed_bytes": sum(size for digest, size in new.items() if digest not in mounted),
            "pulled_bytes": sum(new.values()),
        }

    def _layers(self, image: str) -> dict[str, int]:
        """Digest -> size of the layers that the registry has under this name."""
        name, _, tag = image.removeprefix(f"{self.host}/").partition(":")
        request = urllib.request.Request(
            f"http://{self.host}/v2/{name}/manifests/{tag}", headers={"Accept": _MANIFEST_TYPES}
        )
        try:
            with urllib.request.urlopen(request) as response:
                return {layer["digest"]: layer["size"] for layer in json.load(response)["layers"]}
        except urllib.error.HTTPError:
            return {}

    def check(self, ours: str, theirs: str) -> None:
        """Run both images, and compare their trees; a RuntimeError where something that is not explained differs."""
        self.peer.pull(ours)
        containers = [self.peer.output("from", "--pull=never", image) for image in (ours, theirs)]
        try:
            roots = [Path(self.peer.output("mount", container)) for container in containers]
            found = differences(*roots)
            unexplained = found.pop("", [])
            self.differing = {reason: len(paths) for reason, paths in found.items()}
            if unexplained:
                raise RuntimeError(f"{len(unexplained)} paths differ:\n" + "\n".join(unexplained))
            for container in containers:
                run = ("run", "--isolation=chroot", container, "--")
                print("   ", self.peer.output(*run, "python", "main.py"), file=sys.stderr)
                self.peer.output(*run, "dot", "-V")
        finally:
            self.peer.run("rm", *containers)

    def report(self) -> dict[str, Any]:
        """All medians, as JSON can hold them."""
        return {
            "machine": {
                "cores": os.cpu_count(),
                "kernel": platform.release(),
                "python": platform.python_version(),
                "load_average": os.getloadavg(),
            },
            "buildah": {"version": self.peer.output("--version"), "installer": self.installer},
            "explained_differences": self.differing,
            "siblings": self.siblings,
            "workloads": {
                workload: {
                    side: {
                        **asdict(Cost.median(costs)),
                        "rounds": [asdict(cost) for cost in costs],
                        **self.bytes[workload][side],
                    }
                    for side, costs in sides.items()
                }
                for workload, sides in sorted(self.costs.items())
            },
        }


def _package_variables(proxy: CachingProxy) -> dict[str, str]:
    """The variables that make ocibuild ask the proxy instead of the mirrors and indexes of this machine."""
    sources = suite_sources("bookworm", Platform.parse(platform.machine()), Mirrors(read_machine_apt(), os.environ))
    security = next(source.url for source in sources if source.suite.endswith("-security"))
    archive = next(source.url for source in sources if not source.suite.endswith("-security"))
    return {
        "OCIBUILD_APT_MIRROR": proxy.address(archive),
        "OCIBUILD_APT_SECURITY_MIRROR": proxy.address(security),
        "PIP_INDEX_URL": proxy.address(_INDEX),
    }


def _pin_requests(folder: Path) -> None:
    requirements = folder / "requirements.txt"
    lines = requirements.read_text().splitlines()
    lines = [_OLDER_REQUESTS if line.split("==")[0] == "requests" else line for line in lines]
    requirements.write_text("\n".join(lines) + "\n")


def _change_file(folder: Path) -> None:
    (folder / "main.py").write_text((folder / "main.py").read_text() + "print('changed')\n")


def _table(report: dict[str, Any]) -> str:
    lines = [
        f"{'workload':20}{'side':10}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}{'pushed MB':>11}{'pulled MB':>11}{'wall is 1/':>12}"
    ]
    for workload, sides in report["workloads"].items():
        for side, figures in sides.items():
            peer = sides.get("buildah", figures)
            is_compared = side == "ocibuild" and "buildah" in sides
            ratio = f"{peer['wall_seconds'] / figures['wall_seconds']:.1f}" if is_compared else ""
            lines.append(
                f"{workload:20}{side:10}{figures['wall_seconds']:9.2f}{figures['cpu_seconds']:9.2f}"
                f"{figures['peak_bytes'] / 1e6:9.0f}{figures['pushed_bytes'] / 1e6:11.2f}"
                f"{figures['pulled_bytes'] / 1e6:11.2f}{ratio:>12}"
            )
    if report["siblings"]:
        found = report["siblings"]
        ratio = (found["siblings_bytes"] - found["base_bytes"]) / (found["union_bytes"] - found["base_bytes"])
        lines.append(
            f"W7: {found['siblings_bytes'] / 1e6:.1f} MB stored for ten images, {found['union_bytes'] / 1e6:.1f} MB for"
            f" one with all their packages; without the base's {found['base_bytes'] / 1e6:.1f} MB, {ratio:.2f} times"
        )
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder, removed afterwards")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--installer", choices=sorted(INSTALLERS), default="uv")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=arguments.folder) as folder,
        RegistryServer(Path(folder) / "registry") as server,
        CachingProxy(Path(folder) / "proxy") as proxy,
    ):
        benchmark = Benchmark(Path(folder), server.host, arguments.installer, proxy)
        benchmark.prepare()
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
            benchmark.round(number)
        benchmark.build_siblings()
        report = benchmark.report()
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    print(_table(report))


if __name__ == "__main__":
    main()
