import json

import pytest

from ocibuild.core.asks import Origin
from ocibuild.core.errors import RepositoryError
from ocibuild.spec.config_files import ConfigFiles
from ocibuild.spec.pipfile import PipenvProject, read_pipfile

PIPFILE = """\
[[source]]
url = "https://pypi.org/simple"
verify_ssl = true
name = "pypi"

[packages]
numpy = "*"
six = {version = ">=1.16", extras = ["a", "b"], markers = "python_version > '3'"}
here = {path = ".", editable = true}
tool = {git = "https://example.org/tool.git", ref = "v1", subdirectory = "python"}
wheel-file = {file = "https://example.org/x-1-py3-none-any.whl"}
windows = {version = "==1", sys_platform = "== 'win32'"}

[dev-packages]
pytest = "~=8.0"

[requires]
python_version = "3.11"
"""
LOCK = {
    "_meta": {
        "requires": {"python_full_version": "3.12.4", "python_version": "3.11"},
        "sources": [{"name": "a", "url": "https://packages.example.org/simple"}],
    },
    "default": {"numpy": {"version": "==2.0", "hashes": ["sha256:" + "b" * 64, "sha256:" + "a" * 64], "index": "a"}},
    "develop": {"pytest": {"version": "==8.0", "markers": "python_version >= '3.8'"}},
}


def read(files: dict[str, str], folder: str = "") -> PipenvProject | None:
    return read_pipfile(ConfigFiles({name: text.encode() for name, text in files.items()}.get, folder))


def test_a_pipfile() -> None:
    project = read({"Pipfile": PIPFILE})
    assert project is not None
    assert (project.python, project.python_origin) == ("3.11", Origin("Pipfile", 18))
    lines = project.requirements.text.splitlines()
    assert lines[6:12] == [
        "numpy",
        "six[a,b]>=1.16 ; (python_version > '3')",
        ".",
        "tool @ git+https://example.org/tool.git@v1#subdirectory=python",
        "wheel-file @ https://example.org/x-1-py3-none-any.whl",
        "windows==1 ; (sys_platform == 'win32')",
    ]
    assert lines[14] == "pytest~=8.0"
    assert not any(lines[:6])


def test_the_lock_comes_first() -> None:
    project = read({"Pipfile": PIPFILE, "Pipfile.lock": json.dumps(LOCK, indent=4)})
    assert project is not None
    assert (project.python, str(project.python_origin)) == ("3.12", "Pipfile.lock:4")
    lines = project.requirements.text.splitlines()
    assert lines[0] == "--index-url https://packages.example.org/simple"
    assert lines[14] == f"numpy==2.0 --hash=sha256:{'a' * 64} --hash=sha256:{'b' * 64}"
    assert [line for line in lines if line.startswith("pytest")] == ["pytest==8.0 ; (python_version >= '3.8')"]


def test_the_python_of_the_pipfile_counts_where_the_lock_names_none() -> None:
    project = read({"Pipfile": PIPFILE, "Pipfile.lock": "{}"})
    assert project is not None
    assert (project.python, project.requirements.text) == ("3.11", "")


def test_a_lock_on_one_line() -> None:
    project = read({"Pipfile.lock": json.dumps(LOCK)})
    assert project is not None
    assert [line.split("=")[0] for line in project.requirements.text.splitlines()[1:]] == ["numpy", "pytest"]


def test_paths_are_relative_to_the_files_folder() -> None:
    project = read({"binder/Pipfile": '[packages]\na = {path = "."}\nb = {path = ".."}\nc = {path="c"}\n'}, "binder")
    assert project is not None
    assert project.requirements.text.splitlines()[1:] == ["./binder", ".", "./binder/c"]


def test_no_project() -> None:
    assert read({}) is None


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"Pipfile": "[packages"}, "Pipfile: not TOML"),
        ({"Pipfile": "[packages]\nnumpy = 1\n"}, "Pipfile:2: numpy: must be a version or a table"),
        ({"Pipfile": "packages = 1\n"}, "Pipfile:1: packages: must be a table"),
        ({"Pipfile": "[[source]]\nname = 'x'\n"}, "a source without a url"),
        ({"Pipfile": '[packages]\na = "==1\\n--index-url http://evil"\n'}, "Pipfile:2: 'a==1': must be on one line"),
        ({"Pipfile": '[packages]\n"-r x" = "*"\n'}, "'-r x' is no name"),
        ({"Pipfile.lock": "{,}"}, "Pipfile.lock:1: not JSON"),
        ({"Pipfile.lock": "[]"}, "Pipfile.lock: must be an object"),
        ({"Pipfile.lock": '{"default": []}'}, "default: must be a table"),
        ({"Pipfile.lock": "[" * 100000}, "Pipfile.lock"),
    ],
)
def test_what_is_wrong_is_named(files: dict[str, str], message: str) -> None:
    with pytest.raises(RepositoryError) as caught:
        read(files)
    assert message in str(caught.value)
