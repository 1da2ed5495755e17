"""Measures an empty repository in the profile ``binder``, and how soon its image's Jupyter answers, beside pip's.

::

    python tests/benchmarks/binder.py [--rounds N] [--folder DIR] [--json FILE]

A cold build has all downloads and nothing made of them: base, packages and resolution are made anew, and Debian's
mirror is asked whether its lists are still the newest. The time to the first answer is from the start of ``ocibuild run``
to the answer to ``GET /api``, in a root that is prepared already: of the image as it is, of the one with ``--bytecode``,
and of the same image where a step has pip install the very same wheels again, with the bytecode that pip makes. Needs
the network, and a sandbox that works (``ocibuild doctor``).
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.measuring import Cost, measured
from tests.support.jupyter_image import asked, serving
from tests.support.program import program_command

_BINDER = ("--profile", "binder")
_DOWNLOADED = ("apt-", "python-index", "download")
"""The kinds of records that tell of what was fetched."""

_PIP_STEP = """\
[[step]]
name = "pip"
user = "root"
keep = ["/srv/conda/**"]
run = "python -m pip install -q --no-deps --no-index --force-reinstall --find-links wheels -r wheels/names.txt"
"""


class Benchmark:
    """One run: two repositories, and what was measured of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warm, self.store = folder / "store-warm", folder / "store"
        self.empty, self.by_pip = folder / "empty", folder / "by-pip"
        self.builds: dict[str, list[Cost]] = {}
        self.answers: dict[str, list[float]] = {}

    def environment(self) -> dict[str, str]:
        """A user's, whose installed program is compiled already, with the store of now."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**kept, "OCIBUILD_STORE": str(self.store)}

    def run(self, *arguments: str | Path) -> Cost:
        """Run ``ocibuild`` with these arguments."""
        return measured(program_command(*arguments), environment=self.environment(), log=self.folder / "log")

    def keep_downloads(self, packages: list[dict[str, Any]]) -> None:
        """Make the store as it is now, without all that was made in it, the one that rounds begin with."""
        shutil.copytree(self.store, self.warm)
        for kind in list((self.warm / "records").iterdir()):
            if not kind.name.startswith(_DOWNLOADED):
                shutil.rmtree(kind)
        texts = "".join(path.stem + path.read_text() for path in (self.warm / "records").rglob("*.json"))
        kept = {package["sha256"] for package in packages}
        for blob in list((self.warm / "blobs/sha256").iterdir()):
            if blob.name not in kept and blob.name not in texts:
                blob.unlink()

    def begin_round(self, name: str) -> None:
        """Go on with a store that holds downloads alone. Files of a store never change in place: links will do."""
        self.store = self.folder / f"store-{name}"
        shutil.copytree(self.warm, self.store, copy_function=os.link)

    def prepare(self) -> None:
        """Fetch all that is needed, and write the repository in which pip installs the wheels of the other."""
        self.empty.mkdir()
        (self.empty / "README.md").write_text("nothing\n")
        lock = self.folder / "lock"
        self.run("build", self.empty, *_BINDER, "--lock", lock)
        packages = list(_packages(json.loads(lock.read_text("utf-8"))))
        (self.by_pip / "wheels").mkdir(parents=True)
        names = []
        for package in packages:
            if package["ecosystem"] == "pip":
                file = package["fields"].get("filename") or package["path"].rpartition("/")[2]
                shutil.copy(self.store / "blobs/sha256" / package["sha256"], self.by_pip / "wheels" / file)
                names.append(f"{package['name']}=={package['version']}\n")
        (self.by_pip / "wheels/names.txt").write_text("".join(names))
        (self.by_pip / "ocibuild.toml").write_text(_PIP_STEP)
        self.keep_downloads(packages)

    def round(self, number: int) -> None:
        """Build the empty repository anew, again, and anew with bytecode."""
        for name, options in (("cold", ()), ("cold, bytecode", ("--bytecode",))):
            self.begin_round(f"{number}-{bool(options)}")
            self._build(name, *options)
            self._build(f"unchanged{name.removeprefix('cold')}", *options)

    def _build(self, name: str, *options: str) -> None:
        cost = self.run("build", self.empty, *_BINDER, *options)
        print(f"  {name}: {cost.wall_seconds:.2f} s", file=sys.stderr, flush=True)
        self.builds.setdefault(name, []).append(cost)

    def ask(self, rounds: int) -> None:
        """Start each image and ask it; the first start of each prepares its root and does not count."""
        for name, source, options in (
            ("as it is", self.empty, ()),
            ("with --bytecode", self.empty, ("--bytecode",)),
            ("installed by pip", self.by_pip, ()),
        ):
            image = f"localhost/{name.replace(' ', '-')}"
            self.run("build", source, *_BINDER, "-t", image, *options)
            for number in range(rounds + 1):
                begun = time.perf_counter()
                with serving(image, self.environment()) as port:
                    json.loads(asked(port))
                    seconds = time.perf_counter() - begun
                print(f"  first answer, {name}: {seconds:.2f} s", file=sys.stderr, flush=True)
                if number:
                    self.answers.setdefault(name, []).append(seconds)

    def report(self) -> dict[str, Any]:
        """All medians, as JSON can hold them."""
        command = program_command("doctor", "--json")
        told = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False)
        return {
            "doctor": json.loads(told.stdout),
            "builds": {name: asdict(Cost.median(costs)) for name, costs in self.builds.items()},
            "first_answer_seconds": {name: statistics.median(times) for name, times in self.answers.items()},
        }


def _packages(value: Any) -> Iterator[dict[str, Any]]:
    """All packages of a lock, those of its base too."""
    if isinstance(value, dict):
        if "sha256" in value and "ecosystem" in value:
            yield value
        value = list(value.values())
    for member in value if isinstance(value, list) else ():
        yield from _packages(member)


def _table(report: dict[str, Any]) -> str:
    lines = [f"{'build':24}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}"]
    for name, cost in report["builds"].items():
        lines.append(f"{name:24}{cost['wall_seconds']:9.2f}{cost['cpu_seconds']:9.2f}{cost['peak_bytes'] / 1e6:9.0f}")
    lines.append(f"{'first answer':24}{'wall s':>9}")
    lines += [f"{name:24}{seconds:9.2f}" for name, seconds in report["first_answer_seconds"].items()]
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder, removed afterwards")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        benchmark = Benchmark(Path(folder))
        benchmark.prepare()
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
            benchmark.round(number)
        benchmark.ask(arguments.rounds)
        report = benchmark.report()
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    print(_table(report))


if __name__ == "__main__":
    main()
