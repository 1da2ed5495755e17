"""What a build can be told, on the command line and in ocibuild.toml, and what it tells."""

import json
import os
import pty
import random
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import Program, repository
from tests.support.apt_repository import make_deb
from tests.support.program import program_command
from tests.support.tiny_system import TinySystem


@pytest.fixture
def source(system: TinySystem, tmp_path: Path) -> Path:
    system.add(make_deb("hello", "1.0", files={"usr/bin/hello": b"#!/bin/sh\necho hello\n"}))
    for number in range(12):
        system.add(make_deb(f"part{number}", files={f"usr/share/part{number}": b"x" * 1000}))
    system.publish()
    return repository(tmp_path / "repository", apt_txt="hello\n" + "".join(f"part{n}\n" for n in range(12)))


def documents(layout: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The manifest and the configuration of a layout's only image."""
    index = json.loads((layout / "index.json").read_bytes())
    manifest = _blob(layout, index["manifests"][0]["digest"])
    return manifest, _blob(layout, manifest["config"]["digest"])


def _blob(layout: Path, digest: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((layout / "blobs" / digest.replace(":", "/")).read_bytes())
    return value


@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
def test_compression_changes_no_content(
    program: Program, system: TinySystem, source: Path, tmp_path: Path, compression: str
) -> None:
    base = system.base(program, "--compression", "none")
    program.result("build", source, "--base", base, "--compression", compression, "-o", f"oci:{tmp_path / 'image'}")
    program.result("build", source, "--base", base, "-o", f"oci:{tmp_path / 'default'}")
    manifest, config = documents(tmp_path / "image")
    suffix = "" if compression == "none" else f"+{compression}"
    own = [layer for layer in manifest["layers"] if layer not in documents(Path(base.partition(":")[2]))[0]["layers"]]
    assert {layer["mediaType"] for layer in own} == {f"application/vnd.oci.image.layer.v1.tar{suffix}"}
    assert config == documents(tmp_path / "default")[1]
    assert program.result("check", f"oci:{tmp_path / 'image'}").endswith("is sound")


def test_layers_are_as_few_as_asked(program: Program, system: TinySystem, tmp_path: Path) -> None:
    names = [f"large{number}" for number in range(6)]  # each large enough for a layer of its own
    for name in names:
        content = random.Random(name).randbytes(1_200_000)
        system.add(make_deb(name, files={f"usr/share/{name}": content}, codec="none"))
    system.publish()
    source = repository(tmp_path / "repository", apt_txt="\n".join(names))
    base = system.base(program)
    below = len(documents(Path(base.partition(":")[2]))[0]["layers"])
    counts = []
    for most in (8, 20):
        layout = tmp_path / str(most)
        program.result("build", source, "--base", base, "--max-layers", str(most), "-o", f"oci:{layout}")
        counts.append(len(documents(layout)[0]["layers"]) - below)
        assert counts[-1] <= most
    assert counts[0] < counts[1]


SETTINGS = """
cmd = ["hello", "world"]
entrypoint = "/usr/bin/env"
layer = "extra"
max-layers = 9
compression = "gzip"
[env]
FROM_FILE = "file"
BOTH = "file"
[label]
of = "file"
"""


def test_settings_of_the_repository_and_of_the_command_line(
    program: Program, system: TinySystem, source: Path, tmp_path: Path
) -> None:
    (source / "extra/files/opt").mkdir(parents=True)
    (source / "extra/files/opt/tool").write_text("a tool")
    (source / "extra/layer.toml").write_text('[environment]\nTOOL = "/opt/tool"\n')
    repository(source, ocibuild_toml=f"base = {json.dumps(system.base(program))}\n" + SETTINGS)
    options = ["--env", "BOTH=line", "--env", "EMPTY=", "--label", "of=line", "--label", "x=a=b"]
    elsewhere = tmp_path / "elsewhere"  # a path of ocibuild.toml is one of the repository, wherever the program runs
    elsewhere.mkdir()
    program.result("build", source, *options, "-o", f"oci:{tmp_path / 'image'}", cwd=elsewhere)
    manifest, config = documents(tmp_path / "image")
    run = config["config"]
    assert {"FROM_FILE=file", "BOTH=line", "EMPTY=", "TOOL=/opt/tool", "HOME=/home/jovyan"} <= set(run["Env"])
    assert "BOTH=file" not in run["Env"]
    assert run["Labels"] == {"of": "line", "x": "a=b"}
    assert (run["Entrypoint"], run["Cmd"]) == (["/usr/bin/env"], ["hello", "world"])
    assert manifest["layers"][-1]["mediaType"].endswith("+gzip")
    program.result("build", source, *options, "-o", f"rootfs:{tmp_path / 'root'}")
    assert (tmp_path / "root/opt/tool").read_text() == "a tool"


def test_every_form_of_output_holds_the_same_files(
    program: Program, system: TinySystem, source: Path, tmp_path: Path
) -> None:
    outputs = {"oci": "layout:v1", "oci-archive": "oci.tar", "docker-archive": "docker.tar", "rootfs": "root"}
    words = [word for form, name in outputs.items() for word in ("-o", f"{form}:{tmp_path / name}")]
    program.result("build", source, "--base", system.base(program), "-t", "registry.test/hello:v1", *words)
    for place in ("oci:layout:v1", "oci-archive:oci.tar", "docker-archive:docker.tar"):
        form, _, name = place.partition(":")
        assert program.result("check", f"{form}:{tmp_path / name}").endswith("is sound")
    with tarfile.open(tmp_path / "docker.tar") as archive:
        file = archive.extractfile("manifest.json")
        assert file is not None
        (described,) = json.load(file)
        assert described["RepoTags"] == ["registry.test/hello:v1"]
        assert len(described["Layers"]) == len(documents(tmp_path / "layout")[0]["layers"])
    assert (tmp_path / "root/usr/bin/hello").read_bytes().startswith(b"#!/bin/sh")
    assert (tmp_path / "root/home/jovyan/apt.txt").read_text().startswith("hello\n")


def test_the_lock_of_a_folder_inside_lies_there(
    program: Program, system: TinySystem, source: Path, tmp_path: Path
) -> None:
    base = system.base(program)
    whole = source.parent
    written = program.result("lock", whole, "--subdir", source.name, "--base", base)
    assert Path(written).resolve() == (source / "ocibuild.lock").resolve()
    program.result("build", whole, "--subdir", source.name, "--base", base, "--locked")


def test_a_lock_gives_the_same_versions_later(
    program: Program, system: TinySystem, source: Path, tmp_path: Path
) -> None:
    base, lock = system.base(program), tmp_path / "hello.lock"
    digest = program.result("build", source, "--base", base, "--lock", lock)
    system.add(make_deb("hello", "2.0", files={"usr/bin/hello": b"#!/bin/sh\necho new\n"}))
    system.publish()
    other = Program(tmp_path / "other-store", {})
    assert other.result("build", source, "--base", base, "--lock", lock, "--locked") == digest
    assert other.result("build", source, "--base", base, "--lock", lock, "--locked", "--max-age", "0") == digest
    assert program.result("build", source, "--base", base) == digest  # still fresh
    assert program.result("build", source, "--base", base, "--refresh") != digest
    assert system.server.url not in lock.read_text()
    assert str(tmp_path) not in lock.read_text()

    repository(source, apt_txt="hello\nother\n")
    said = program.error("build", source, "--base", base, "--lock", lock, "--locked", code=3)
    assert f"apt.txt:2: other is asked of apt, and the lock {lock} does not hold it\nhint: 'ocibuild lock'" in said
    repository(source, apt_txt="# nothing\n")
    assert "which nothing asks for any more" in program.error(
        "build", source, "--base", base, "--lock", lock, "--locked", code=3
    )
    assert "the lock is for the base oci, not for scratch" in program.error(
        "build", source, "--base", "scratch", "--lock", lock, "--locked", code=3
    )
    repository(source, apt_txt="hello\n")
    assert program.result("lock", source, "--base", base) == str(source / "ocibuild.lock")
    assert "is not used" not in program.run("build", source, "--base", base, "--locked").stderr
    assert "note: ocibuild.lock is not used: what is asked" in program.run("build", source, "--base", base).stderr
    damaged = repository(tmp_path / "damaged", my_lock="{}")
    assert "not a lock of ocibuild" in program.error(
        "build", source, "--base", base, "--lock", damaged / "my.lock", code=3
    )
    assert (damaged / "my.lock").read_text() == "{}"  # nothing but a lock is replaced by one


def test_a_locked_package_that_the_archive_does_not_have_any_more(
    program: Program, system: TinySystem, source: Path, tmp_path: Path
) -> None:
    base, lock = system.base(program), tmp_path / "hello.lock"
    program.result("lock", source, "--base", base, "--lock", lock)
    for path in [path for path in system.repository.files if path.endswith("hello_1.0_all.deb")]:
        del system.repository.files[path]
    said = program.error("build", source, "--base", base, "--lock", lock, "--locked", code=5)
    assert "hello=1.0 all" in said
    assert "404" in said


def test_the_plan_is_what_is_built(program: Program, system: TinySystem, source: Path, tmp_path: Path) -> None:
    base = system.base(program)
    asked_before = len(system.server.requests)
    plan = json.loads(program.result("plan", source, "--base", base, "--json"))
    # Of packages only the part that tells their scripts is read, by ranges.
    assert not [path for path in system.server.requests[asked_before:] if path.endswith("hello_2.0_all.deb")]
    assert {"base", "packages", "layers", "steps"} <= plan.keys()
    (hello,) = (package for package in plan["packages"] if package["name"] == "hello")
    assert hello == {
        "ecosystem": "apt",
        "name": "hello",
        "version": "1.0",
        "architecture": "all",
        "url": f"{system.server.url}/pool/main/h/hello/hello_1.0_all.deb",
        "sha256": hello["sha256"],
        "size_bytes": hello["size_bytes"],
        "why": "apt.txt:1",
        "requested": True,
        "cached": False,
    }
    program.result("build", source, "--base", base, "-o", f"oci:{tmp_path / 'image'}")
    (report,) = json.loads(program.result("inspect", f"oci:{tmp_path / 'image'}", "--json"))
    planned = [layer["packages"] for layer in plan["layers"] if layer["packages"]]
    built = [
        layer["packages"] for layer in report["layers"] if any("hello" in p or "part" in p for p in layer["packages"])
    ]
    assert [len(packages) for packages in planned] == [len(packages) for packages in built]
    again = json.loads(program.result("plan", source, "--base", base, "--json"))
    assert all(package["cached"] for package in again["packages"])


def test_progress_as_json_lines(program: Program, system: TinySystem, source: Path) -> None:
    done = program.run("build", source, "--base", system.base(program), "--json-logs")
    assert done.returncode == 0
    assert done.stdout.startswith("sha256:")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    started = {event["task"]: event for event in events if event["event"] == "TaskStarted"}
    (hello,) = (event for event in started.values() if "hello=1.0" in event["subject"])
    advanced = [e["bytes_done"] for e in events if e["event"] == "TaskAdvanced" and e["task"] == hello["task"]]
    assert sum(advanced) == hello["total_bytes"]
    assert {event["task"] for event in events if event["event"] == "TaskFinished"} == set(started)
    assert [event["phase"] for event in events if event["event"] == "PhaseFinished"] == [
        "base",
        "resolving",
        "building",
    ]


@pytest.mark.parametrize(("option", "most_lines"), [("-q", 0), (None, 8), ("-v", 99)])
def test_how_much_is_told(
    program: Program, system: TinySystem, source: Path, option: str | None, most_lines: int
) -> None:
    done = program.run("build", source, "--base", system.base(program), *([option] if option else []))
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert len(done.stderr.splitlines()) <= most_lines
    assert ("downloading hello=1.0 all" in done.stderr) == (option == "-v")


def test_progress_on_a_terminal(program: Program, system: TinySystem, source: Path) -> None:
    base = system.base(program)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        program_command("build", source, "--base", base),
        env={**os.environ, "OCIBUILD_STORE": str(program.store), "TERM": "xterm", "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    shown = bytearray()
    try:
        while block := os.read(ours, 65536):
            shown += block
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    stdout, _ = process.communicate()
    text = shown.decode()
    assert process.returncode == 0
    assert stdout.startswith(b"sha256:")
    assert "building for linux/amd64" in text  # the total's line
    assert re.search(r"\d+/\d+ (bytes|kB)", text)  # of it how many are done, and how many there are
    assert re.search(r"\d:\d\d:\d\d", text)  # and the time that is left
    assert re.search(r"(downloading|packing) \S+", text)  # a line for a running task
    assert "✓" in text
    assert "\x1b[?25h" in text  # the cursor is there again


def test_an_index_is_made_whole_or_not_at_all(program: Program, system: TinySystem, tmp_path: Path) -> None:
    system.add(make_deb("hello", "1.0", "amd64"))
    system.publish()
    both = ["--platform", "linux/amd64", "--platform", "linux/arm64"]
    base, source = system.base(program, *both), repository(tmp_path / "repository", apt_txt="hello\n")
    output = ["-o", f"oci:{tmp_path / 'image'}"]
    said = program.error("build", source, "--base", base, *both, *output, code=3)
    assert "apt.txt:1: " in said
    assert not (tmp_path / "image").exists()
    assert "repository" not in program.result("cache", "list")
    system.add(make_deb("hello", "1.0", "arm64"))
    system.publish()
    program.result("build", source, "--base", base, *both, *output, "--refresh")
    reports = json.loads(program.result("inspect", f"oci:{tmp_path / 'image'}", "--json"))
    assert [report["platform"] for report in reports] == ["linux/amd64", "linux/arm64"]


def test_the_cache(program: Program, system: TinySystem, source: Path) -> None:
    digest = program.result("build", source, "--base", system.base(program), "-t", "registry.test/hello:1")
    listed = json.loads(program.result("cache", "list", "--json"))
    assert {"name": "registry.test/hello:1", "digest": digest} in listed
    size = json.loads(program.result("cache", "size", "--json"))
    assert size["folder"] == str(program.store)
    assert size["blobs"]["size_bytes"] == sum(
        path.stat().st_size for path in (program.store / "blobs/sha256").iterdir()
    )
    assert "nothing says what to keep" in program.error("cache", "prune", code=2)
    assert program.result("cache", "prune", "--size", "1G").startswith("removed 0 files")
    for path in program.store.rglob("*"):
        os.utime(path, (0, 0), follow_symlinks=False)
    program.result("cache", "prune", "--age", "1d")
    assert json.loads(program.result("cache", "size", "--json"))["blobs"]["count"] == 0
    assert program.result("build", source, "--base", system.base(program)) == digest
