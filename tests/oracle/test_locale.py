"""The compiled locale that ships: compared with Debian's own, of the release whose glibc made it."""

import subprocess
import tarfile
from pathlib import Path

import pytest

FILES = Path(__file__).parents[2] / "layers/locale/files/usr/lib/locale/en_US.utf8"
TOP = "usr/lib/locale/"

pytestmark = pytest.mark.network


def is_bookworm() -> bool:
    return "VERSION_CODENAME=bookworm" in Path("/etc/os-release").read_text("utf-8")


@pytest.mark.skipif(not is_bookworm(), reason="the files are of bookworm's glibc")
def test_the_files_are_those_of_debian(tmp_path: Path) -> None:
    subprocess.run(["apt-get", "download", "locales-all"], cwd=tmp_path, check=True, capture_output=True)
    (package,) = tmp_path.glob("locales-all_*.deb")
    with (tmp_path / "data.tar").open("wb") as data:
        subprocess.run(["dpkg-deb", "--fsys-tarfile", package], stdout=data, check=True)
    with tarfile.open(tmp_path / "data.tar") as archive:
        members = {member.name.removeprefix("./"): member for member in archive}

        def content(name: str) -> bytes:
            member = members[name]
            if member.issym():
                parts: list[str] = name.split("/")[:-1]
                for part in member.linkname.split("/"):
                    parts = parts[:-1] if part == ".." else [*parts, part]
                return content("/".join(parts))
            file = archive.extractfile(member)
            assert file is not None
            return file.read()

        names = sorted(path.relative_to(FILES).as_posix() for path in FILES.rglob("*") if path.is_file())
        assert len(names) == 12
        assert [name for name in names if content(f"{TOP}en_US.utf8/{name}") != (FILES / name).read_bytes()] == []
