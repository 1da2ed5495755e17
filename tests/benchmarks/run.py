"""Builds the data-science workload with ocibuild and with buildah, and prints what each costs.

::

    python tests/benchmarks/run.py [--rounds N] [--folder DIR] [--json FILE] [--installer pip|uv]

Run as root on Debian with buildah and docker-registry; the network is needed to prepare (Debian's mirror, and the index
of this machine's pip configuration), not while anything is measured.

Both sides start from the same image (``apt:bookworm``, made by ocibuild, in a registry on loopback) and push to that
registry. Both have their downloads: ocibuild the packages and the indexes, buildah the packages, the lists and a folder
of wheels, and with ``--installer uv`` a warm cache of uv. ocibuild resolves anew in every cold build and has no layer,
fragment or resolution; buildah has no layer cache in a cold build, and one in the others. Sides take turns within a
round, and figures are medians over the rounds. Before any figure is printed, the two trees are compared, and both
images are run.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.comparing import differences
from tests.benchmarks.measuring import Cost
from tests.benchmarks.ours import Ours
from tests.benchmarks.peer import INSTALLERS, Peer
from tests.support.registry_server import RegistryServer

_WORKLOAD = Path(__file__).with_name("data-science")
_OLDER_REQUESTS = "requests==2.32.3"
_POST_BUILD = "#!/bin/sh -e\npython -c 'import numpy; print(numpy.arange(10).sum())' > sum\n"
_MANIFEST_TYPES = "application/vnd.oci.image.manifest.v1+json"


class Benchmark:
    """One run: what was prepared, and the costs that were measured, by workload and side."""

    def __init__(self, folder: Path, host: str, installer: str) -> None:
        self.folder, self.host, self.installer = folder, host, installer
        log = folder / "log"
        self.ours, self.peer = Ours(folder, log), Peer(folder / "buildah", log)
        self.base = f"{host}/base:bookworm"
        self.costs: dict[str, dict[str, list[Cost]]] = {}
        self.pushed: dict[str, dict[str, int]] = {}
        self.source = folder / "data-science"
        self.stepped = folder / "data-science-step"
        self.differing: dict[str, int] = {}

    def prepare(self) -> None:
        """Make the base, fill both sides' caches, and bring the versions that ocibuild resolves into the peer's file."""
        empty = self.folder / "empty"
        empty.mkdir()
        (empty / "README").write_text("the base of a benchmark\n")
        shutil.copytree(_WORKLOAD, self.source)
        self.ours.run("build", empty, "--base", "apt:bookworm", "-t", self.base, "--push")
        packages = {package["sha256"]: package for package in self._built_packages("prepared-pin", pin=True)}
        self._restore_source()
        chosen = self._built_packages("prepared", pin=False)
        packages |= {package["sha256"]: package for package in chosen}
        self.ours.keep_downloads(list(packages.values()))
        self.peer.pull(self.base)
        bodies = [self.ours.body(package) for package in packages.values()]
        versions = {wheel["name"]: wheel["version"] for wheel in chosen if wheel["ecosystem"] == "pip"}
        del versions["requests"]  # whose pin a workload changes; without one, the newest of the folder is taken
        constraints = "".join(f"{name}=={version}\n" for name, version in versions.items())
        self.peer.prepare(self.base, packages.values(), bodies, constraints)
        self._restore_source()
        self.peer.build(self.source, f"{self.host}/prepared:peer", base=self.base, installer=self.installer)

    def _built_packages(self, name: str, *, pin: bool) -> list[dict[str, Any]]:
        if pin:
            self._pin_requests(self.source)
        self.ours.run("build", self.source, "--base", self.base, "-t", f"{self.host}/{name}:latest", "--push")
        return self.ours.plan(self.source, self.base)

    def _restore_source(self) -> None:
        shutil.copytree(_WORKLOAD, self.source, dirs_exist_ok=True)

    @staticmethod
    def _pin_requests(folder: Path) -> None:
        requirements = folder / "requirements.txt"
        lines = requirements.read_text().splitlines()
        lines = [_OLDER_REQUESTS if line.split("==")[0] == "requests" else line for line in lines]
        requirements.write_text("\n".join(lines) + "\n")

    def round(self, number: int) -> None:
        """Every workload once on each side."""
        self.ours.begin_round()
        self.peer.forget_layers(self.base)
        self._restore_source()
        ours, theirs = f"{self.host}/ours-{number}:latest", f"{self.host}/theirs-{number}:latest"
        self._measure("cold", "ocibuild", ours, self._build_ours)
        self._measure("cold", "buildah", theirs, self._build_theirs)
        if number == 0:
            self.check(ours, theirs)
        layered = f"{self.host}/layered-{number}:latest"
        self.peer.build(self.source, layered, base=self.base, installer=self.installer, layers=True)
        self.peer.push(layered)

        def rebuild(image: str) -> Cost:
            cost = self.peer.build(self.source, image, base=self.base, installer=self.installer, layers=True)
            return cost + self.peer.push(image)

        self._measure(
            "no change, not pushed",
            "ocibuild",
            ours,
            lambda _: self.ours.run("build", self.source, "--base", self.base),
        )
        for workload, change in (
            ("no change", None),
            ("one file changed", self._change_file),
            ("one pin changed", self._pin_requests),
        ):
            if change:
                change(self.source)
            self._measure(workload, "ocibuild", ours, self._build_ours)
            self._measure(workload, "buildah", layered, rebuild)
        self._restore_source()
        self._round_of_steps(number)

    def _round_of_steps(self, number: int) -> None:
        """One file changed, where a postBuild that imports numpy runs again."""
        shutil.copytree(self.source, self.stepped, dirs_exist_ok=True)
        (self.stepped / "postBuild").write_text(_POST_BUILD)
        (self.stepped / "postBuild").chmod(0o755)
        ours, theirs = f"{self.host}/step-ours-{number}:latest", f"{self.host}/step-theirs-{number}:latest"

        def build_ours(image: str) -> Cost:
            return self.ours.run("build", self.stepped, "--base", self.base, "-t", image, "--push")

        def build_theirs(image: str) -> Cost:
            options = {"base": self.base, "installer": self.installer, "step": "./postBuild"}
            return self.peer.build(self.stepped, image, layers=True, **options) + self.peer.push(image)

        build_ours(ours)
        build_theirs(theirs)
        self._change_file(self.stepped)
        self._measure("file changed, postBuild", "ocibuild", ours, build_ours)
        self._measure("file changed, postBuild", "buildah", theirs, build_theirs)

    @staticmethod
    def _change_file(folder: Path) -> None:
        (folder / "main.py").write_text((folder / "main.py").read_text() + "print('changed')\n")

    def _build_ours(self, image: str) -> Cost:
        return self.ours.run("build", self.source, "--base", self.base, "-t", image, "--push")

    def _build_theirs(self, image: str) -> Cost:
        cost = self.peer.build(self.source, image, base=self.base, installer=self.installer)
        return cost + self.peer.push(image)

    def _measure(self, workload: str, side: str, image: str, build: Callable[[str], Cost]) -> None:
        before = self._layers(image)
        cost = build(image)
        print(f"  {workload}, {side}: {cost.wall_seconds:.2f} s", file=sys.stderr, flush=True)
        self.costs.setdefault(workload, {}).setdefault(side, []).append(cost)
        present = before.keys() | self._layers(self.base).keys()
        sent = sum(size for digest, size in self._layers(image).items() if digest not in present)
        self.pushed.setdefault(workload, {})[side] = sent

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
            "machine": {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()},
            "buildah": {"version": self.peer.output("--version"), "installer": self.installer},
            "explained_differences": self.differing,
            "workloads": {
                workload: {
                    side: {
                        **asdict(Cost.median(costs)),
                        "rounds": [asdict(cost) for cost in costs],
                        "pushed_bytes": self.pushed[workload][side],
                    }
                    for side, costs in sides.items()
                }
                for workload, sides in self.costs.items()
            },
        }


def _table(report: dict[str, Any]) -> str:
    lines = [f"{'workload':24}{'side':10}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}{'pushed MB':>11}{'wall is 1/':>12}"]
    for workload, sides in report["workloads"].items():
        for side, figures in sides.items():
            peer = sides.get("buildah", figures)
            ratio = (
                f"{peer['wall_seconds'] / figures['wall_seconds']:.1f}"
                if side == "ocibuild" and "buildah" in sides
                else ""
            )
            lines.append(
                f"{workload:24}{side:10}{figures['wall_seconds']:9.2f}{figures['cpu_seconds']:9.2f}"
                f"{figures['peak_bytes'] / 1e6:9.0f}{figures['pushed_bytes'] / 1e6:11.2f}{ratio:>12}"
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
    ):
        benchmark = Benchmark(Path(folder), server.host, arguments.installer)
        benchmark.prepare()
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
            benchmark.round(number)
        report = benchmark.report()
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    print(_table(report))


if __name__ == "__main__":
    main()
