"""Repositories as Binder has them: built in its profile, started as its images are, and asked."""

import contextlib
import http.client
import json
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from tests.end_to_end.conftest import Program
from tests.support.program import program_command

pytestmark = [pytest.mark.network, pytest.mark.slow]

SIX = (
    "sha256:1e61c37477a1626458e36f7b1d82aa5c9b094fa4802892072e49de9c60c4c926",
    "sha256:8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254",
)
PROJECT = '[project]\nname = "rain"\nversion = "1.5"\ndescription = "Rain"\n[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n'
PIPFILE_LOCK = json.dumps({"default": {"six": {"version": "==1.16.0", "hashes": SIX}}, "develop": {}})
UV_LOCK = f"""\
version = 1
[[package]]
name = "rain"
version = "1"
source = {{ virtual = "." }}
dependencies = [{{ name = "six" }}]
[[package]]
name = "six"
version = "1.16.0"
source = {{ registry = "https://pypi.org/simple" }}
sdist = {{ url = "https://example.org/six", hash = "{SIX[0]}" }}
wheels = [{{ url = "https://example.org/six", hash = "{SIX[1]}" }}]
"""
SIX_VERSION = 'python -c "import six; print(six.__version__)"'


@dataclass(frozen=True)
class Case:
    """A repository, the options of its build, and what a shell in its image answers."""

    files: Mapping[str, str | bytes]
    script: str
    answer: str
    options: tuple[str, ...] = ()
    folder: str = "/home/jovyan"
    image: str = field(default="", compare=False)


CASES = {
    "nothing": Case({"README.md": "hi"}, "cat README.md; node --version | cut -c1-3; id -un", "hiv24\njovyan\n"),
    "requirements": Case({"requirements.txt": "six==1.16.0\n"}, SIX_VERSION, "1.16.0\n"),
    "utf-16": Case({"requirements.txt": "\ufeffsix==1.16.0\n".encode("utf-16-le")}, SIX_VERSION, "1.16.0\n"),
    "start and postBuild": Case(
        {
            "binder/start": '#!/bin/bash\nexport FROM_START="$PWD"\nexec "$@"\n',
            "binder/postBuild": '#!/bin/bash\nset -e\ngcc --version >/dev/null\necho "$NB_USER $REPO_DIR" > built\n',
            "requirements.txt": "not a requirement\n",
        },
        'cat built; echo "$FROM_START"; stat -c %U built',
        "jovyan /home/jovyan\n/home/jovyan\njovyan\n",
    ),
    "older notebook": Case({"requirements.txt": "notebook<7\n"}, "jupyter notebook --version | cut -d. -f1", "6\n"),
    "older jupyterlab": Case({"requirements.txt": "jupyterlab<4\n"}, "jupyter lab --version | cut -d. -f1", "3\n"),
    "older dependency": Case(
        {"requirements.txt": "tornado==6.4\n"}, 'python -c "import tornado; print(tornado.version)"', "6.4\n"
    ),
    "Pipfile": Case({"Pipfile": '[packages]\nsix = "==1.16.0"\n'}, SIX_VERSION, "1.16.0\n"),
    "Pipfile.lock": Case({"Pipfile.lock": PIPFILE_LOCK, "Pipfile": "[packages]\nsix = '*'\n"}, SIX_VERSION, "1.16.0\n"),
    "uv.lock": Case({"uv.lock": UV_LOCK, "pyproject.toml": "[project]\nname='rain'\nversion='1'\n"}, SIX_VERSION, "1.16.0\n"),
    "package": Case(
        {"pyproject.toml": PROJECT, "rain.py": '"""Rain."""\n__version__ = "1.5"\n'},
        "cd / && python -c 'import rain; print(rain.__version__)'",
        "1.5\n",
    ),
    "apt.txt": Case({"apt.txt": "jq  # reads JSON\n\ntree\n"}, "echo '{}' | jq -c . && tree --version | cut -c1-4", "{}\ntree\n"),
    "runtime.txt": Case({"runtime.txt": "python-3.13"}, "python --version | cut -d. -f1,2", "Python 3.13\n"),
    "another place": Case(
        {"a.txt": "a", "data/b.txt": "b", ".dockerignore": "data\n"},
        'pwd; ls; echo "$REPO_DIR $HOME"; touch new',
        "/srv/repo\na.txt\n/srv/repo /home/jovyan\n",
        ("--target-repo-dir", "/srv/repo"),
        folder="/srv/repo",
    ),
    "another user": Case(
        {"a.txt": "a"},
        "id -un; id -u; pwd; stat -c %u /srv/npm /srv/conda/envs/notebook",
        "alice\n1234\n/home/alice\n1234\n1234\n",
        ("--user-name", "alice", "--user-id", "1234"),
        folder="/home/alice",
    ),
    "appendix": Case(
        {"a.txt": "a"},
        'cat /etc/appended; echo "$BINDER_URL"; id -un',
        "root\nhttps://binder.example.org\njovyan\n",
        ("--appendix", "USER root\nENV BINDER_URL=https://binder.example.org\nRUN id -un > /etc/appended\nUSER $NB_USER\n"),
    ),
    "composed": Case(
        {"Dockerfile": "FROM x\n", "Pipfile": '[packages]\nsix = "==1.16.0"\n', "requirements.txt": "idna\n"},
        SIX_VERSION + " && python -c 'import idna'",
        "1.16.0\n",
        ("--compose",),
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=CASES)
def case(warm: Program, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A case whose image is in the store."""
    case = CASES[request.param]
    folder = tmp_path_factory.mktemp("repository")
    for name, content in case.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    image = f"localhost/binder/{request.param.replace(' ', '-').lower()}:1"
    warm.result("build", folder, "--profile", "binder", "-t", image, *case.options)
    return Case(case.files, case.script, case.answer, case.options, case.folder, image)


@contextlib.contextmanager
def serving(program: Program, image: str) -> Iterator[str]:
    """The address of the image's Jupyter, started on a free port with the image's own command."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["jupyter", "notebook", "--ip", "127.0.0.1", "--port", str(port), "--no-browser"]
    process = subprocess.Popen(
        program_command("run", image, *command),
        env=program.whole_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        assert process.stdout is not None
        try:
            said = []
            for line in process.stdout:
                said.append(line)
                if f":{port}/" in line:
                    break
            else:
                pytest.fail("".join(said))
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.stdout.read()


def asked(address: str) -> bytes:
    """What the server answers. It names its address a moment before it listens."""
    for _ in range(600):
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
        with contextlib.suppress(ConnectionRefusedError), contextlib.closing(connection):
            connection.request("GET", "/api")
            return connection.getresponse().read()
        time.sleep(0.1)
    pytest.fail(f"nothing listens at {address}")


def test_a_shell_in_the_image(warm: Program, case: Case) -> None:
    assert warm.result("run", case.image, "bash", "-c", case.script) + "\n" == case.answer


def test_jupyter_answers(warm: Program, case: Case) -> None:
    with serving(warm, case.image) as address:
        assert "version" in json.loads(asked(address))


def test_jupyterhub_can_start_it(warm: Program, case: Case) -> None:
    (report,) = json.loads(warm.result("inspect", "--json", case.image))
    assert report["working_folder"] == case.folder
    assert warm.result("run", case.image, "jupyterhub-singleuser", "--version").startswith("5.")
