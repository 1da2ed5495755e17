import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

BuildPackage = Callable[..., Path]

BUILT = "R 4.2.2; x86_64-pc-linux-gnu; 2026-01-01 00:00:00 UTC; unix"


@pytest.fixture
def build_package(tmp_path: Path) -> BuildPackage:
    """Writes the archive of a package, binary unless ``built`` is empty; ``members`` are added as they are."""

    def build(
        name: str = "thing",
        *,
        version: str = "1.0",
        built: str = BUILT,
        files: Mapping[str, bytes] = {},
        members: tuple[tuple[tarfile.TarInfo, bytes], ...] = (),
        description: str | None = None,
    ) -> Path:
        text = f"Package: {name}\nVersion: {version}\n" + (f"Built: {built}\n" if built else "")
        contents = {f"{name}/DESCRIPTION": (text if description is None else description).encode(), **files}
        if built:
            contents[f"{name}/Meta/package.rds"] = b"rds"
        path = tmp_path / f"{name}_{version}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for file, data in contents.items():
                member = tarfile.TarInfo(file)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
            for member, data in members:
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return path

    return build
