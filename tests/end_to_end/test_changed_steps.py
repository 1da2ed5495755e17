"""Where the repository's files change, its steps run again on what is remembered of the image: as a whole build does."""

import json
import os
import pty
import select
import sys
from pathlib import Path

import pytest

from ocibuild.core.platform import Platform
from ocibuild.image.config import ImageConfig
from ocibuild.image.layout import LayoutTarget, write_layout
from tests.end_to_end.conftest import Program, repository
from tests.support.made_images import MadeImage
from tests.support.sandbox_roots import entries_of, small_root

_RESOLVING = "resolving: for"
_STEPS = """
[[step]]
name = "as root"
user = "root"
run = "cat notes.txt > /srv; rm /etc/motd; chown 33:34 /usr/bin/yes; {extra}"
[[step]]
name = "as bob"
user = "bob"
run = "id -u > /tmp/who; cp /tmp/who /var/lib/open/who; echo $SOURCE_DATE_EPOCH >> /var/lib/open/who"
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A layout with a shell."""
    folder = tmp_path_factory.mktemp("base")
    root = small_root(folder / "root")
    (root / "etc/motd").write_text("welcome\n")
    (root / "var/lib/open").mkdir()
    (root / "var/lib/open").chmod(0o777)
    config = ImageConfig(Platform.parse(os.uname().machine), environment={"PATH": "/usr/bin"})
    image = MadeImage([list(entries_of(root))], config=config)
    write_layout(image.source(), LayoutTarget.parse(str(folder / "layout")))
    return f"oci:{folder / 'layout'}"


def with_steps(folder: Path, *, extra: str = "true", **files: str) -> Path:
    source = repository(folder, ocibuild_toml=_STEPS.format(extra=extra), **files)
    (source / "postBuild").write_text("#!/bin/sh -e\ncat notes.txt > copy; mkdir -p made/deep; rm -f extra.txt\n")
    (source / "postBuild").chmod(0o755)
    return source


def fresh(tmp_path: Path, *arguments: str | Path, epoch: str = "") -> str:
    """What a store of nothing makes."""
    return Program(tmp_path / "fresh-store", {"SOURCE_DATE_EPOCH": epoch}).result("build", *arguments)


def test_steps_run_again(program: Program, base: str, tmp_path: Path, sandbox: str) -> None:
    source = with_steps(tmp_path / "repository", notes_txt="1\n", extra_txt="x", gone_txt="y")
    options = ("--base", base, "--sandbox", sandbox)
    assert _RESOLVING in program.run("build", source, *options).stderr
    (source / "notes.txt").write_text("2\n")
    (source / "gone.txt").unlink()
    (source / "folder").mkdir()
    (source / "folder/new").write_text("new")
    root = tmp_path / "root"
    outputs = ("-o", f"oci:{tmp_path / 'image'}", "-o", f"rootfs:{root}", "--json")
    changed = program.run("build", source, *options, *outputs, SOURCE_DATE_EPOCH="1700000000")
    assert changed.returncode == 0, changed.stderr
    assert _RESOLVING not in changed.stderr
    assert json.loads(changed.stdout)["digest"] == fresh(tmp_path, source, *options, epoch="1700000000")
    program.result("check", f"oci:{tmp_path / 'image'}")
    assert ((root / "srv").read_text(), (root / "home/jovyan/copy").read_text()) == ("2\n", "2\n")
    assert (root / "var/lib/open/who").read_text() == "33\n1700000000\n"
    assert sorted(path.name for path in (root / "home/jovyan").iterdir()) == [
        "copy", "folder", "made", "notes.txt", "ocibuild.toml", "postBuild"
    ]  # fmt: skip
    (source / "notes.txt").write_text("3\n")
    again = program.run("build", source, *options)
    assert _RESOLVING not in again.stderr
    assert again.stdout.strip() == fresh(tmp_path / "second", source, *options)


def test_a_step_that_changes_accounts(program: Program, base: str, tmp_path: Path) -> None:
    """Who a later step runs as may then be another after every change."""
    extra = "grep -v bob /etc/passwd > /tmp/p; read -r id < uid.txt; echo bob:x:$id:34::/:/bin/sh >> /etc/passwd"
    extra = extra.replace(
        "grep -v bob /etc/passwd > /tmp/p; ", "head -n 2 /etc/passwd > /tmp/p; cp /tmp/p /etc/passwd; "
    )
    source = with_steps(tmp_path / "repository", extra=extra, notes_txt="1\n", uid_txt="33\n")
    program.result("build", source, "--base", base)
    (source / "uid.txt").write_text("44\n")
    root = tmp_path / "root"
    changed = program.run("build", source, "--base", base, "-o", f"rootfs:{root}")
    assert changed.returncode == 0, changed.stderr
    assert _RESOLVING in changed.stderr
    assert (root / "var/lib/open/who").read_text().startswith("44\n")


def test_a_step_fails_on_the_files_as_they_are_now(program: Program, base: str, tmp_path: Path) -> None:
    source = with_steps(tmp_path / "repository", notes_txt="1\n")
    program.result("build", source, "--base", base)
    (source / "notes.txt").unlink()
    said = program.error("build", source, "--base", base, code=1)
    assert "notes.txt" in said
    (source / "notes.txt").write_text("4\n")
    assert program.result("build", source, "--base", base) == fresh(tmp_path, source, "--base", base)


def test_what_steps_need_was_lost(program: Program, base: str, tmp_path: Path) -> None:
    source = with_steps(tmp_path / "repository", notes_txt="1\n")
    program.result("build", source, "--base", base)
    for kind in (program.store / "records").glob("fragment-*"):
        for record in kind.rglob("*.json"):
            record.unlink()
    (source / "notes.txt").write_text("2\n")
    assert program.result("build", source, "--base", base) == fresh(tmp_path, source, "--base", base)


def test_what_lies_above_the_steps_is_on_what_they_made(program: Program, base: str, tmp_path: Path) -> None:
    """The lock's layer repeats the folders above it as they are below, and a step may change these."""
    extra = "read -r n < notes.txt; [ $n = 1 ] || mkdir -p -m 700 /usr/share/ocibuild; [ $n != 3 ] || chmod 711 /usr"
    source = with_steps(tmp_path / "repository", extra=extra, notes_txt="1\n")
    program.result("build", source, "--base", base)
    for text in ("2\n", "3\n", "1\n"):
        (source / "notes.txt").write_text(text)
        assert program.result("build", source, "--base", base) == fresh(tmp_path / text[0], source, "--base", base)


def test_steps_that_are_left_out(program: Program, base: str, tmp_path: Path) -> None:
    source = with_steps(tmp_path / "repository", notes_txt="1\n")
    platform = f"linux/{Platform.parse(os.uname().machine).architecture}"
    options = ("--base", base, "--platform", platform, "--skip-steps-on", platform)
    program.result("build", source, *options)
    (source / "notes.txt").write_text("2\n")
    changed = program.run("build", source, *options)
    assert _RESOLVING not in changed.stderr
    assert changed.stdout.strip() == fresh(tmp_path, source, *options)


def test_a_shell_where_a_step_failed(program: Program, base: str, tmp_path: Path, sandbox: str) -> None:
    source = with_steps(tmp_path / "repository", extra="echo half > /var/half; exit 9", notes_txt="1\n")
    options = ("build", "--profile", "plain", str(source), "--base", base, "--sandbox", sandbox)
    assert "--debug-step" in program.error(*options[:1], *options[3:], code=1)
    process, terminal = pty.fork()
    if process == 0:
        os.environ["OCIBUILD_STORE"] = str(program.store)
        os.execv(sys.executable, [sys.executable, "-m", "ocibuild.cli", *options, "--debug-step"])  # noqa: S606 - as a shell
    try:
        said = said_until(terminal, "# ")
        os.write(terminal, b"cat /var/half; id -u; exit\n")
        said += said_until(terminal, "")
    finally:
        os.close(terminal)
        _, status = os.waitpid(process, 0)
    assert "a shell where the step failed" in said
    assert "half\r\n0\r\n" in said, said[-900:]
    assert "as root failed with exit code 9" in said
    assert os.waitstatus_to_exitcode(status) == 1


def said_until(terminal: int, end: str) -> str:
    """What comes from the terminal until it says ``end``, or until nobody uses it any more."""
    said = b""
    while not end or not said.endswith(end.encode()):
        ready, _, _ = select.select([terminal], [], [], 60)
        assert ready, said
        try:
            data = os.read(terminal, 4096)
        except OSError:
            data = b""
        if not data:
            break
        said += data
    return said.decode()
