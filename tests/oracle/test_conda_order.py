"""Packages are put into rattler's order, which decides what wins where two carry a file."""

import json
import random

import pytest

from ocibuild.core.digest import Digest
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.ecosystem.conda.order import install_order

rattler = pytest.importorskip("rattler")


def graph(generator: random.Random) -> dict[str, list[str]]:
    """Names with what they need, without cycles."""
    names = [f"{generator.choice('abcxyz')}{number}" for number in range(generator.randint(1, 30))]
    generator.shuffle(names)
    needs = {}
    for position, name in enumerate(names):
        children = generator.sample(names[:position], k=min(position, generator.randint(0, 4)))
        forms = ("{}", "{} >=1,<2.0a0", "{} * *_cpython", "{}[version='>=1']", "{}>=1")
        needs[name] = [generator.choice(forms).format(child) for child in children]
        needs[name] += generator.choice([[], ["__glibc >=2.17"], ["elsewhere >=3"]])
    return needs


def test_rattlers_order() -> None:
    generator = random.Random(3)
    for _ in range(200):
        needs = graph(generator)
        records = []
        packages = []
        for name, depends in needs.items():
            records.append(
                rattler.PackageRecord(name, "1", rattler.BuildString("0"), 0, "linux-64", depends=list(depends))
            )
            fields = {"record": json.dumps({"depends": depends})}
            packages.append(
                LockedPackage(Ecosystem.CONDA, name, "1", "amd64", "x", "x", Digest.sha256("0" * 64), fields=fields)
            )
        generator.shuffle(packages)
        theirs = [record.name.normalized for record in rattler.PackageRecord.sort_topologically(records)]
        assert [package.name for package in install_order(packages)] == theirs
