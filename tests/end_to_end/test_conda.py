"""Repositories with a conda environment, of a made channel: from environment.yml to an image."""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Program, repository
from tests.end_to_end.test_nothing_to_do import imported
from tests.support.conda_channel import PLACEHOLDER, File, Recipe, serving, special_packages, write_channel
from tests.support.scripted_server import Request, ScriptedServer
from tests.support.tiny_system import TinySystem

PREFIX = "srv/conda/envs/notebook"


@pytest.fixture(scope="module")
def channels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a channel in it."""
    folder = tmp_path_factory.mktemp("channels")
    write_channel(folder / "made", special_packages())
    write_channel(folder / "faults", [*faults(), *arm_packages()])
    return folder


def faults() -> list[Recipe]:
    """Packages with which something is wrong."""
    file = File("share/file", b"content " * 1000)
    return [
        Recipe("good", files=[file]),
        Recipe("another-hash", files=[file], patch={"sha256": "0" * 64}),
        Recipe("needs-cuda", files=[file], depends=["__cuda >=12"]),
        Recipe("needs-glibc", files=[file], depends=["__glibc >=2.17"]),
        Recipe("needs-processor", files=[file], depends=["__archspec 1 x86_64_v3"]),
        Recipe("needs-nothing-there-is", files=[file], depends=["good >=2"]),
        Recipe("other-file", files=[File("share/file", b"other")]),
        Recipe("truncated", files=[File("share/truncated", bytes(range(256)) * 64)]),
    ]


def arm_packages() -> list[Recipe]:
    return [Recipe("good", files=[File("share/arm", b"arm")], subdir="linux-aarch64", index={"arch": "aarch64"})]


@pytest.fixture
def server(channels: Path) -> Iterator[ScriptedServer]:
    with serving(channels) as server:
        yield server


def environment(folder: Path, channel: str, *dependencies: str, **more: str) -> Path:
    """A repository with an environment of this channel alone."""
    lines = [
        "channels:",
        f"  - {channel}",
        "  - nodefaults",
        "dependencies:",
        *(f"  - {each}" for each in dependencies),
    ]
    return repository(folder, environment_yml="\n".join([*lines, ""]), **more)


def test_an_environment_becomes_an_image(
    program: Program, system: TinySystem, server: ScriptedServer, tmp_path: Path
) -> None:
    source = environment(tmp_path / "source", f"{server.url}/made", "pure", "mm-third")
    base = system.base(program)
    plan = json.loads(program.result("plan", source, "--base", base, "--json"))
    first = program.result(
        "build", source, "--base", base, "-o", f"rootfs:{tmp_path / 'root'}", "--lock", tmp_path / "lock"
    )
    assert program.result("build", source, "--base", base) == first
    prefix = tmp_path / "root" / PREFIX
    assert (prefix / "bin/pure").read_text().startswith(f"#!/{PREFIX}/bin/python3.11\n")
    assert PLACEHOLDER not in (prefix / "bin/pure-script").read_text()
    records = {path.stem for path in (prefix / "conda-meta").glob("*.json")}
    assert {"pure-2.0-pyh_0", "python-3.11.2-h0_0_cpython"} <= records
    assert (prefix / "conda-meta/history").read_text().endswith('# update specs: ["pure", "mm-third"]\n')
    assert [path for path in prefix.glob("__clobbers__/*/**/*") if path.is_file()]
    # What was planned is what there is.
    planned = {each["name"]: each for each in plan["packages"]}
    assert planned["pure"]["why"] == "environment.yml:5"
    assert planned["tzdata"]["why"] == "python"
    assert planned["python"]["url"].startswith(f"{server.url}/made/linux-64/python-3.11.2")
    assert len(records) == len(planned)
    # As it is locked it is built, from the lock alone.
    server.requests.clear()
    again = Program(tmp_path / "other-store", {})
    locked: list[str | Path] = ["build", source, "--base", base, "--lock", tmp_path / "lock", "--locked"]
    assert again.result(*locked) == first
    assert not [each for each in server.requests if "repodata" in each.path]


@pytest.mark.parametrize(
    ("channel", "dependencies", "options", "code", "messages"),
    [
        ("faults", ["good", "goood"], [], 3, ["environment.yml:6: ", "No candidates were found for goood"]),
        ("faults", ["needs-nothing-there-is"], [], 3, ["environment.yml:5: ", "good >=2"]),
        ("faults", ["good >>1"], [], 3, ["environment.yml:5: 'good >>1' is nothing that conda can look for"]),
        ("nowhere", ["good"], [], 3, ["environment.yml:2: the channel ", "does not exist"]),
        ("faults", ["another-hash"], [], 5, ["another-hash", "sha256:" + "0" * 64]),
        ("faults", ["needs-cuda"], [], 3, ["environment.yml:5: ", "no CUDA: --cuda VERSION says"]),
        ("faults", ["needs-cuda"], ["--cuda", "11.8"], 3, ["CUDA 11.8"]),
        ("faults", ["needs-glibc"], [], 3, ["environment.yml:5: ", "the base has no glibc"]),
        ("faults", ["needs-processor"], [], 3, ["environment.yml:5: ", "__archspec"]),
        ("faults", ["good"], ["--cuda", "new"], 2, ["not a version of CUDA: 'new'"]),
    ],
)
def test_what_goes_wrong(
    program: Program,
    system: TinySystem,
    server: ScriptedServer,
    tmp_path: Path,
    *,
    channel: str,
    dependencies: list[str],
    options: list[str],
    code: int,
    messages: list[str],
) -> None:
    source = environment(tmp_path / "source", f"{server.url}/{channel}", *dependencies)
    error = program.error("build", source, "--base", system.base(program), *options, code=code)
    assert [message for message in messages if message not in error] == []


def test_what_the_target_has_is_what_is_said(
    program: Program, system: TinySystem, server: ScriptedServer, tmp_path: Path
) -> None:
    options = ["--base", system.base(program), "--cuda", "12.4", "--archspec", "x86_64_v3"]
    one = environment(tmp_path / "one", f"{server.url}/faults", "needs-cuda")
    two = environment(tmp_path / "two", f"{server.url}/faults", "needs-processor")
    assert program.result("build", one, *options)
    assert program.result("build", two, *options)


def test_a_server_that_is_not_there(program: Program, system: TinySystem, channels: Path, tmp_path: Path) -> None:
    with serving(channels) as gone:
        source = environment(tmp_path / "source", f"{gone.url}/faults", "good")
        other = environment(tmp_path / "other", f"{gone.url}/faults", "good", "other-file")
        base = system.base(program)
        first = program.result("build", source, "--base", base)
    # What is known is built without it, and nothing else.
    assert program.result("build", source, "--base", base, "--compression", "gzip", "--label", "new=1") != first
    assert "could not be asked" in program.error("build", source, "--base", base, "--refresh", code=5)
    error = program.error("build", other, "--base", base, code=5, CONDA_OFFLINE="true")
    assert "other-file" in error  # solved from what is kept of the channel, and the package itself is missing


def test_files_of_two_packages_and_a_changed_pin(
    program: Program, system: TinySystem, server: ScriptedServer, tmp_path: Path
) -> None:
    base, source = system.base(program), environment(tmp_path / "source", f"{server.url}/made", "pure", "modes")
    program.result("build", source, "--base", base)
    source = environment(source, f"{server.url}/made", "pure", "modes", "links")
    done = program.run("build", source, "--base", base, "-v")
    assert [line for line in done.stderr.splitlines() if "downloading" in line] == [
        line for line in done.stderr.splitlines() if "downloading links=" in line
    ]


def test_another_platform(program: Program, system: TinySystem, server: ScriptedServer, tmp_path: Path) -> None:
    source = environment(tmp_path / "source", f"{server.url}/faults", "good")
    base = system.base(program, "--platform", "linux/arm64")
    root = tmp_path / "root"
    program.result("build", source, "--base", base, "--platform", "linux/arm64", "-o", f"rootfs:{root}")
    assert (root / PREFIX / "share/arm").read_text() == "arm"


@pytest.mark.parametrize("kind", ["token", "login"])
def test_channels_mirrors_and_credentials_of_condarc(
    program: Program, system: TinySystem, channels: Path, tmp_path: Path, kind: str
) -> None:
    def allow(request: Request) -> bool:
        if kind == "token":
            return request.path.startswith("/t/s3cret/")
        return request.headers.get("authorization") == f"Basic {base64.b64encode(b'me:s3cret').decode()}"

    shutil.copytree(channels / "faults", channels / "t/s3cret/faults", dirs_exist_ok=True)
    with serving(channels, allow) as server:
        login = server.url.replace("://", "://me:s3cret@")
        mirror = f"{server.url}/t/s3cret/faults" if kind == "token" else f"{login}/faults"
        (tmp_path / ".condarc").write_text(
            f"mirrored_channels: {{conda-forge: ['{mirror}']}}\nchannel_priority: strict\n"
        )
        source = repository(tmp_path / "source", environment_yml="channels: [conda-forge]\ndependencies: [good]\n")
        base, lock = system.base(program), tmp_path / "lock"
        home = str(tmp_path)
        done = program.run("build", source, "--base", base, "--lock", lock, "-v", HOME=home)
        plan = program.result("plan", source, "--base", base, "--json", HOME=home)
        assert done.returncode == 0, done.stderr
    assert "s3cret" not in done.stderr + plan + lock.read_text()
    assert str(server.url) not in lock.read_text()
    kept = [path for path in (program.store / "records").rglob("*.json") if "s3cret" in path.read_text()]
    assert kept == []


def test_a_build_with_nothing_to_do_imports_no_rattler(
    program: Program, system: TinySystem, server: ScriptedServer, tmp_path: Path
) -> None:
    base, source = system.base(program), environment(tmp_path / "source", f"{server.url}/made", "pure")
    first, modules = imported(program, "build", source, "--base", base, "--profile", "plain")
    assert "rattler" in modules
    again, modules = imported(program, "build", source, "--base", base, "--profile", "plain")
    assert again == first
    assert modules & {"rattler", "packaging", "requests", "urllib3", "zstandard", "zipfile", "isal"} == set()


def test_without_rattler_the_message_says_what_to_install(
    program: Program, system: TinySystem, server: ScriptedServer, tmp_path: Path
) -> None:
    (tmp_path / "hidden/rattler").mkdir(parents=True)
    (tmp_path / "hidden/rattler/__init__.py").write_text("raise ImportError('not installed')\n")
    source = environment(tmp_path / "source", f"{server.url}/made", "pure")
    base = system.base(program)
    error = program.error("build", source, "--base", base, code=4, PYTHONPATH=str(tmp_path / "hidden"))
    assert "hint: pip install 'ocibuild[conda]'" in error
