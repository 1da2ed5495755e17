"""Conda environments that run: a channel made of real wheels and Debian's Python, on Debian's base, and PyPI."""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Program, repository
from tests.support.conda_channel import PLACEHOLDER, File, Recipe, index_of, link_to, write_package, write_repodata
from tests.support.conda_distribution import real_channel

pytestmark = [pytest.mark.network]

SITE = "/srv/conda/envs/notebook/lib/python3.11/site-packages"
SCRIPT = """\
#!/bin/sh
set -e
test -x "$PREFIX/bin/python"
"$PREFIX/bin/python" -c "import numpy, sys; print(sys.prefix, numpy.__name__)" > "$PREFIX/share/linked"
echo "$PKG_NAME $PKG_VERSION $PKG_BUILDNUM" >> "$PREFIX/share/linked"
"""
SIX_DIGEST = "8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254"
SIX_URL = "https://files.pythonhosted.org/packages/d9/5a/x/six-1.16.0-py2.py3-none-any.whl"
CONDA = f"""\
#!{PLACEHOLDER}/bin/python
import os, sys
print(os.path.basename(sys.argv[0]), "of", sys.prefix)
open("/srv/conda/envs/notebook/installed", "a").close()
"""
ACTIVATE = 'export GREETING="from $CONDA_PREFIX"\n'


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python, numpy, idna, and a package with a script to be run after it is linked."""
    folder = tmp_path_factory.mktemp("real")
    cache = Path(os.environ.get("OCIBUILD_TEST_CACHE") or folder)
    channel, _ = real_channel(folder / "channel", cache / "conda", "numpy idna")
    hello = Recipe(
        "hello", "2.1", build_number=4, depends=["numpy"],
        files=[
            File("bin/.hello-post-link.sh", SCRIPT.encode(), 0o755),
            File("share/greeting", b"at " + PLACEHOLDER.encode(), prefix="text"),
        ],
    )  # fmt: skip
    tables = json.loads((channel / "linux-64/repodata.json").read_bytes())
    table = {**tables["packages"], **tables["packages.conda"]}
    programs = [
        Recipe(
            name, "26.1", depends=["python 3.11.*"],
            files=[
                File(f"bin/{name}", CONDA.encode(), 0o755, prefix="text"),
                *([File("etc/profile.d/conda.sh", b"conda_shell() { echo shell; }\n")] if name == "conda" else []),
            ],
        )
        for name in ("conda", "mamba")
    ]  # fmt: skip
    greeter = Recipe("greeter", files=[File("etc/conda/activate.d/greeter.sh", ACTIVATE.encode())])
    other = Recipe(
        "python", "3.12.9", files=[File("bin/python3.12", b"\x7fELF", 0o755), link_to("bin/python", "python3.12")]
    )
    for recipe in (hello, greeter, other, *programs):
        data = write_package(channel, recipe).read_bytes()
        record = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        table[recipe.file_name] = index_of(recipe) | record
    write_repodata(channel, "linux-64", table)
    return channel


def environment(folder: Path, channel: Path, dependencies: str) -> Path:
    text = f"channels: [{channel.as_uri()}, nodefaults]\nvariables: {{FROM_FILE: here}}\ndependencies:\n{dependencies}"
    return repository(folder, environment_yml=text)


def said(program: Program, image: str, *arguments: str) -> Sequence[str]:
    return program.result("run", image, *arguments).splitlines()


def test_pip_adds_to_an_environment_that_runs(warm: Program, channel: Path, tmp_path: Path) -> None:
    source = environment(
        tmp_path / "source", channel, "- python=3.11\n- hello\n- idna\n- pip:\n  - requests==2.32.3\n  - six==1.16.0\n"
    )
    plan = json.loads(warm.result("plan", source, "--json"))
    (step,) = plan["steps"]
    assert (step["name"], step["user"]) == ("post-link script of hello", "jovyan")
    wheels = {each["name"] for each in plan["packages"] if each["ecosystem"] == "pip"}
    assert {"requests", "six", "urllib3", "pip"} <= wheels
    assert not wheels & {"idna", "numpy"}
    image, lock = "localhost/conda/plain:1", tmp_path / "lock"
    first = warm.result("build", source, "-t", image, "--lock", lock)
    assert warm.result("build", source, "-t", image, "--lock", lock, "--locked") == first
    code = "import idna, numpy, requests; print(requests.__version__, numpy.ones(2).sum(), idna.__file__)"
    assert said(warm, image, "python", "-c", code) == [f"2.32.3 2.0 {SITE}/idna/__init__.py"]
    assert said(warm, image, "sh", "-c", "cat /srv/conda/envs/notebook/share/linked; echo $FROM_FILE") == [
        "/srv/conda/envs/notebook numpy",
        "hello 2.1 4",
        "here",
    ]
    assert said(warm, image, "python", "-m", "pip", "check") == ["No broken requirements found."]


def test_pip_replaces_what_conda_brings_only_where_it_may(warm: Program, channel: Path, tmp_path: Path) -> None:
    source = environment(tmp_path / "source", channel, "- python=3.11\n- idna\n- pip:\n  - idna==3.6\n")
    error = warm.error("build", source, code=3)
    assert "environment.yml:7: " in error
    assert "the conda environment has idna 3." in error
    assert "--pip-overrides" in error
    image = "localhost/conda/overridden:1"
    warm.result("build", source, "-t", image, "--pip-overrides")
    assert said(warm, image, "sh", "-c", f"ls -d {SITE}/idna*; python -m pip list --format=freeze | grep idna") == [
        f"{SITE}/idna",
        f"{SITE}/idna-3.6.dist-info",
        "idna==3.6",
    ]


def test_a_lock_says_what_the_image_holds(warm: Program, channel: Path, tmp_path: Path) -> None:
    """A conda-lock.yml, with packages of both kinds; environment.yml, which asks for more, is not solved."""
    packages = []
    for subdir in ("linux-64", "noarch"):
        tables = json.loads((channel / subdir / "repodata.json").read_bytes())
        for name, record in {**tables["packages"], **tables["packages.conda"]}.items():
            if record["version"] != "3.12.9" and record["name"] in (
                "python",
                "python_abi",
                "tzdata",
                "libs-mini",
                "numpy",
            ):
                url = (channel / subdir / name).as_uri()
                packages.append(locked_as(record["name"], record["version"], "conda", url, record["sha256"]))
    packages.append(locked_as("six", "1.16.0", "pip", SIX_URL, SIX_DIGEST))
    metadata = {"content_hash": {"linux-64": "0"}, "channels": [], "platforms": ["linux-64"], "sources": []}
    source = environment(tmp_path / "source", channel, "- nothing-that-there-is\n")
    (source / "conda-lock.yml").write_text(json.dumps({"version": 1, "metadata": metadata, "package": packages}))
    image = "localhost/conda/lock:1"
    warm.result("build", source, "-t", image)
    code = "import numpy, os, six; print(six.__version__, numpy.ones(2).sum(), os.environ['FROM_FILE'])"
    assert said(warm, image, "python", "-c", code) == ["1.16.0 2.0 here"]
    error = warm.error("plan", source, "--platform", "linux/arm64", "--base", "scratch", code=3)
    assert "conda-lock.yml: it is for linux-64, and not for linux-aarch64" in error


def locked_as(name: str, version: str, manager: str, url: str, sha256: str) -> dict[str, object]:
    return {
        "name": name, "version": version, "manager": manager, "platform": "linux-64", "dependencies": {}, "url": url,
        "hash": {"sha256": sha256}, "category": "main", "optional": False,
    }  # fmt: skip


def test_a_python_that_the_base_does_not_have_is_condas(warm: Program, channel: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".condarc").write_text(f"channels: [{channel.as_uri()}]\n")
    for name in (".config", ".docker"):
        if (Path.home() / name).exists():
            shutil.copytree(Path.home() / name, home / name)
    source = repository(tmp_path / "source", requirements_txt="docutils==0.22\n", runtime_txt="python-3.12\n")
    image = "localhost/conda/python:1"
    warm.result("build", source, "-t", image, HOME=str(home))
    prefix = "/srv/conda/envs/notebook"
    script = (
        f"ls -d {prefix}/lib/python3*/site-packages/docutils; head -1 {prefix}/bin/docutils; ls {prefix}/bin/python*"
    )
    assert said(warm, image, "sh", "-c", script) == [
        f"{prefix}/lib/python3.12/site-packages/docutils",
        f"#!{prefix}/bin/python3.12",
        f"{prefix}/bin/python",
        f"{prefix}/bin/python3.12",
    ]


def test_binder_has_jupyter_and_conda_beside_the_environment(warm: Program, channel: Path, tmp_path: Path) -> None:
    source = environment(tmp_path / "source", channel, "- python=3.11\n- numpy\n- greeter\n- pip:\n  - six==1.16.0\n")
    image = "localhost/conda/binder:1"
    warm.result("build", source, "--profile", "binder", "-t", image)
    script = "conda install x; mamba install y; echo $GREETING; conda_shell; which conda"
    assert said(warm, image, "bash", "-lc", script) == [
        "conda of /srv/conda",
        "mamba of /srv/conda",
        "from /srv/conda/envs/notebook",
        "shell",
        "/srv/conda/bin/conda",
    ]
    code = "import jupyterlab, notebook, numpy, six; print(jupyterlab.__file__)"
    assert said(warm, image, "python", "-c", code) == [f"{SITE}/jupyterlab/__init__.py"]
    assert (
        said(warm, image, "sh", "-c", "stat -c %U /srv/conda /srv/conda/bin/conda $NB_PYTHON_PREFIX/bin")
        == ["jovyan"] * 3
    )
