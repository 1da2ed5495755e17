"""A base whose scripts are not known: one step configures it in the sandbox, and the tree is the one that is made as data."""

import os
from pathlib import Path

import pytest

from ocibuild.core.events import discard
from ocibuild.ecosystem.apt.configure import known, run
from ocibuild.spec.options import BuildOptions
from ocibuild.store.store import Store
from ocibuild.work import apt_layers
from ocibuild.work.build import read_request
from ocibuild.work.planning import plan_build
from ocibuild.work.source import Source
from tests.end_to_end.conftest import Program
from tests.support.trees import tree
from tests.support.unconfigured_image import write_base

pytestmark = [
    pytest.mark.network,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="the trees are compared with their owners"),
]

# Backups, locks, and debconf's answers, of which what is made as data has none.
LEFT_BY_SCRIPTS = {"etc/.pwd.lock", "etc/group-", "etc/passwd-", "var/cache/debconf/config.dat", "var/cache/debconf/passwords.dat", "var/cache/debconf/templates.dat"}  # fmt: skip


@pytest.fixture
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (known, run):
        monkeypatch.setattr(module, "known_parts", dict)
    monkeypatch.setattr(apt_layers, "_STATE_VERSION", "nothing is known")  # the store holds the other state


def told(root: Path) -> dict[str, tuple[object, ...]]:
    return {path: facts[:-1] for path, facts in tree(root).items() if not path.startswith(("dev/", "proc/", "sys/"))}


def test_the_tree_is_the_one_made_as_data(warm: Program, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    store = Store.at(warm.store)
    as_data = told(write_base("apt:bookworm", store=store, folder=tmp_path / "data"))
    request.getfixturevalue("nothing_known")
    by_scripts = told(write_base("apt:bookworm", store=store, folder=tmp_path / "scripts"))
    assert {path for path in by_scripts.keys() - as_data.keys() if "__pycache__" not in path} <= LEFT_BY_SCRIPTS
    assert as_data.keys() - by_scripts.keys() == set()
    assert [path for path, facts in as_data.items() if by_scripts[path] != facts] == []


@pytest.mark.usefixtures("nothing_known")
def test_its_step_is_planned_and_not_run(warm: Program, tmp_path: Path) -> None:
    (tmp_path / "apt.txt").write_text("less\n")
    store, options = Store.at(warm.store), BuildOptions(base="apt:bookworm", profile="plain", sandbox="none")
    request = read_request(Source.at(tmp_path), options, store=store, environment=os.environ, events=discard)
    (plan,) = plan_build(request, store=store, environment=os.environ, events=discard)
    assert [step.name for step in plan.steps] == ["configure Debian packages of the base", "configure Debian packages"]
    assert [planned.package.name for planned in plan.packages] == ["less"]
