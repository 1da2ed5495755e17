"""Disks that are full, and folders that may not be written."""

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Program, assert_sound, repository
from tests.support.apt_repository import make_deb
from tests.support.program import program_command
from tests.support.tiny_system import TinySystem

MakeDisk = Callable[[str, str], Path]

_Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def source(system: TinySystem, tmp_path: Path) -> Path:
    """A repository that asks for a package of 3 MB."""
    system.add(make_deb("hello", "1.0", files={"usr/share/hello": random.Random(7).randbytes(3_000_000)}))
    system.publish()
    return repository(tmp_path / "repository", apt_txt="hello\n")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[MakeDisk]:
    """Makes a disk of this size."""
    mounted: list[Path] = []

    def make(name: str, size: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def enlarge(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="mounting is root's")
class TestFullDisks:
    @pytest.mark.parametrize("size", ["1m", "4m"], ids=["downloading", "packing"])
    def test_of_the_store(self, program: Program, system: TinySystem, source: Path, disk: MakeDisk, size: str) -> None:
        base = system.base(program)
        small = Program(disk("store-disk", size), {})
        said = small.error("build", source, "--base", base, code=4)
        assert "No space left on device\nhint: free some space" in said
        enlarge(small.store)
        assert small.result("build", source, "--base", base) == program.result("build", source, "--base", base)

    @pytest.mark.parametrize("form", ["oci", "oci-archive", "docker-archive", "rootfs"])
    def test_of_the_output(self, program: Program, system: TinySystem, source: Path, disk: MakeDisk, form: str) -> None:
        base, folder = system.base(program), disk("output-disk", "1m")
        said = program.error("build", source, "--base", base, "-o", f"{form}:{folder / 'image'}", code=4)
        assert "No space left on device\nhint: free some space" in said
        assert list(folder.iterdir()) == []
        enlarge(folder)
        program.result("build", source, "--base", base, "-o", f"{form}:{folder / 'image'}")


@pytest.mark.parametrize("form", ["oci", "oci-archive", "docker-archive", "rootfs"])
def test_an_output_that_is_something_else(
    program: Program, system: TinySystem, source: Path, tmp_path: Path, form: str
) -> None:
    base, folder, file = system.base(program), tmp_path / "thesis", tmp_path / "thesis.tex"
    folder.mkdir()
    (folder / "chapter.tex").write_text("years of work")
    file.write_text("years of work")
    said = program.error("build", source, "--base", base, "-o", f"{form}:{folder}", code=2)
    assert "thesis" in said
    assert "\nhint: " in said
    if form in ("oci", "rootfs"):
        assert "thesis.tex" in program.error("build", source, "--base", base, "-o", f"{form}:{file}", code=2)
        assert file.read_text() == "years of work"
    assert [path.name for path in folder.iterdir()] == ["chapter.tex"]


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
class TestForbiddenFolders:
    """Root may write anywhere, so the program is somebody else here."""

    @pytest.fixture
    def nobody(self, tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
        home = tmp_path / "home"
        home.mkdir()
        os.chown(home, 65534, 65534)
        for folder in (tmp_path, *list(tmp_path.parents)[:3]):
            folder.chmod(folder.stat().st_mode | 0o055)

        def run(*arguments: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
            kept = {name: value for name, value in os.environ.items() if name not in ("HOME", "OCIBUILD_STORE")}
            return subprocess.run(
                program_command(*arguments),
                env={**kept, "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1", **environment},
                capture_output=True,
                text=True,
                check=False,
                user=65534,
                group=65534,
                extra_groups=[],
            )

        return run

    @pytest.mark.parametrize("form", ["oci", "oci-archive", "docker-archive", "rootfs"])
    def test_an_output(
        self,
        program: Program,
        system: TinySystem,
        source: Path,
        tmp_path: Path,
        nobody: _Run,
        form: str,
    ) -> None:
        base, forbidden = system.base(program), tmp_path / "forbidden"
        forbidden.mkdir(mode=0o755)
        arguments = ["build", source, "--base", base, "-o", f"{form}:{forbidden / 'image'}"]
        done = nobody(*arguments, OCIBUILD_STORE=str(tmp_path / "home/store"))
        assert done.returncode == 4, done.stderr
        assert "Permission denied\nhint: choose a place that this user may write" in done.stderr
        assert list(forbidden.iterdir()) == []

    def test_a_store(
        self,
        program: Program,
        system: TinySystem,
        source: Path,
        tmp_path: Path,
        nobody: _Run,
    ) -> None:
        base, forbidden = system.base(program), tmp_path / "forbidden"
        forbidden.mkdir(mode=0o755)
        _assert_denied(nobody("build", source, "--base", base, OCIBUILD_STORE=str(forbidden)))

    def test_a_store_that_cannot_be_read(
        self,
        program: Program,
        system: TinySystem,
        source: Path,
        tmp_path: Path,
        nobody: _Run,
    ) -> None:
        base, theirs = system.base(program), tmp_path / "theirs"
        Program(theirs, {}).result("build", source, "--base", base)
        theirs.chmod(0o700)
        _assert_denied(nobody("build", source, "--base", base, OCIBUILD_STORE=str(theirs)))

    def test_no_home(
        self,
        program: Program,
        system: TinySystem,
        source: Path,
        tmp_path: Path,
        nobody: _Run,
    ) -> None:
        done = nobody("build", source, "--base", system.base(program))
        assert done.returncode == 0, done.stderr
        assert f"{tmp_path / 'home'}" in done.stderr  # it says where the store is
        stores = [path.parent for path in (tmp_path / "home").glob("*/blobs")]
        assert len(stores) == 1
        assert_sound(stores[0])


def test_a_store_that_vanishes_is_made_again(program: Program, system: TinySystem, source: Path) -> None:
    base = system.base(program)
    digest = program.result("build", source, "--base", base)
    shutil.rmtree(program.store / "blobs")
    assert program.result("build", source, "--base", base) == digest


def _assert_denied(done: "subprocess.CompletedProcess[str]") -> None:
    assert done.returncode == 4, done.stderr
    assert "Permission denied" in done.stderr
    assert "Traceback" not in done.stderr
