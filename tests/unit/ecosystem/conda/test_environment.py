import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ocibuild.core.asks import CondaAsk, CondaAsks, Origin
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.conda.distributions import read_distributions
from ocibuild.ecosystem.conda.environment import CondaPython, environment_entries, place_context
from ocibuild.ecosystem.conda.link_scripts import post_link_steps
from tests.support.conda_channel import File, Recipe, write_package

Locked = Callable[..., LockedPackage]
PREFIX = "srv/env"


def test_the_python_of_an_environment(locked: Locked) -> None:
    assert CondaPython.among([locked("numpy")]) is None
    python = CondaPython.among([locked("numpy"), locked("python", "3.12.4")])
    assert python == CondaPython("3.12.4", "lib/python3.12/site-packages")
    assert (python.minor_version, python.executable) == ("3.12", "bin/python3.12")
    assert python.standard_library == "lib/python3.12"
    path = "lib/python3.13t/site-packages"
    free = CondaPython.among([locked("python", "3.13.1", python_site_packages_path=path)])
    assert free is not None
    assert (free.site_packages, free.standard_library) == (path, "lib/python3.13t")


def test_only_packages_for_any_python_depend_on_it(locked: Locked) -> None:
    python = CondaPython("3.12.4", "lib/python3.12/site-packages")
    compiled = place_context(locked("numpy"), prefix=PREFIX, python=python)
    assert (compiled.python_version, compiled.site_packages) == ("", "")
    assert compiled == place_context(locked("numpy"), prefix=PREFIX, python=None)
    pure = place_context(locked("idna", noarch="python"), prefix=PREFIX, python=python)
    assert (pure.python_version, pure.site_packages) == ("3.12", "lib/python3.12/site-packages")
    generic = place_context(locked("tzdata", noarch="generic"), prefix=PREFIX, python=python)
    assert generic.python_version == ""


def test_an_environment_of_the_same_minor_version_shares_its_packages(locked: Locked) -> None:
    contexts = {
        place_context(locked("idna", noarch="python"), prefix=PREFIX, python=CondaPython(version, "lib/x")).canonical()
        for version in ("3.12.4", "3.12.9")
    }
    assert len(contexts) == 1


def test_specs_and_record_are_of_the_lock(locked: Locked) -> None:
    package = locked("numpy", depends=["python"])
    package = replace(package, fields={**package.fields, "specs": "numpy>=2\nnumpy"})
    context = place_context(package, prefix=PREFIX, python=None, displaced=["srv/env/x"])
    assert context.requested_specs == ("numpy>=2", "numpy")
    assert context.displaced == ("srv/env/x",)
    record = json.loads(context.record)
    assert (record["depends"], record["fn"], record["channel"]) == (["python"], "numpy-1.0-0.conda", "made-up")


def test_the_environments_own_files() -> None:
    asks = CondaAsks((CondaAsk("numpy>=2", Origin("environment.yml", 3)),), variables=(("A", "b c"),))
    entries = {entry.path: entry for entry in environment_entries(asks, prefix=PREFIX, uid=7, gid=8)}
    assert list(entries) == [PREFIX, *(f"{PREFIX}/conda-meta{each}" for each in ("", "/history", "/state"))]
    assert entries[f"{PREFIX}/conda-meta/history"].read().splitlines()[-1] == b'# update specs: ["numpy>=2"]'
    assert json.loads(entries[f"{PREFIX}/conda-meta/state"].read()) == {"env_vars": {"A": "b c"}, "version": 1}
    assert {(entry.uid, entry.gid) for entry in entries.values()} == {(7, 8)}
    bare = {entry.path: entry for entry in environment_entries(CondaAsks(), prefix=PREFIX)}
    assert bare[f"{PREFIX}/conda-meta/history"].read() == b""
    assert f"{PREFIX}/conda-meta/state" not in bare


def test_post_link_scripts_are_steps_with_dependencies_first(locked: Locked) -> None:
    packages = [locked("aa", depends=["zz"], build_number=4), locked("mm"), locked("zz", "2.1")]
    notes = {name: {"post-link": f"bin/.{name}-post-link.sh".encode()} for name in ("aa", "zz")}
    steps = post_link_steps(packages, notes, prefix=PREFIX, user="jovyan", root_prefix="srv/conda")
    assert [step.arguments for step in steps] == [
        ("bash", "/srv/env/bin/.zz-post-link.sh"), ("bash", "/srv/env/bin/.aa-post-link.sh"),
    ]  # fmt: skip
    variables = dict(steps[1].environment)
    assert variables.pop("PATH").startswith("/srv/env/bin:/usr/local/")
    assert variables == {
        "PREFIX": "/srv/env", "ROOT_PREFIX": "/srv/conda", "PKG_NAME": "aa", "PKG_VERSION": "1.0", "PKG_BUILDNUM": "4",
    }  # fmt: skip
    assert (steps[0].user, steps[0].network) == ("jovyan", False)
    assert post_link_steps(packages, {}, prefix=PREFIX, user="root") == []


def test_distributions_are_read_without_the_packages_files(tmp_path: Path) -> None:
    for form in (".conda", ".tar.bz2"):
        recipe = Recipe(
            "matplotlib-base", form="." + form.removeprefix("."),  # type: ignore[arg-type] # both are forms
            files=[
                File("lib/python3.11/site-packages/matplotlib-3.9.dist-info/METADATA", b""),
                File("lib/python3.11/site-packages/mpl_toolkits/x.py", b""),
            ],
        )  # fmt: skip
        body = write_package(tmp_path, recipe)
        assert read_distributions(body, name="x") == {"matplotlib": "3.9"}
