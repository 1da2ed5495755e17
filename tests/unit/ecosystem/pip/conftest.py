import base64
import hashlib
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ocibuild.core.digest import Digest
from ocibuild.core.package import Ecosystem, LockedPackage

BuildWheel = Callable[..., Path]


def recorded(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@pytest.fixture
def build_wheel(tmp_path: Path) -> BuildWheel:
    """Writes a wheel of the given files; modes by name; RECORD made unless given; all deflated."""

    def build(
        files: Mapping[str, bytes],
        *,
        name: str = "thing",
        version: str = "1.0",
        modes: Mapping[str, int] = {},
        wheel: str = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        record: str | None = None,
        requires: tuple[str, ...] = (),
        method: int = zipfile.ZIP_DEFLATED,
        file_name: str | None = None,
    ) -> Path:
        info = f"{name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += "".join(f"Requires-Dist: {each}\n" for each in requires)
        contents = {**files, f"{info}/METADATA": metadata.encode(), f"{info}/WHEEL": wheel.encode()}
        rows = "".join(f"{path},{recorded(data)},{len(data)}\n" for path, data in contents.items())
        contents[f"{info}/RECORD"] = (record if record is not None else f"{rows}{info}/RECORD,,\n").encode()
        path = tmp_path / (file_name or f"{name}-{version}-py3-none-any.whl")
        with zipfile.ZipFile(path, "w", method) as archive:
            for member, data in contents.items():
                entry = zipfile.ZipInfo(member)
                entry.compress_type = method
                entry.external_attr = (modes.get(member, 0o100644)) << 16
                archive.writestr(entry, data)
        return path

    return build


@pytest.fixture
def locked() -> Callable[..., LockedPackage]:
    def make(
        name: str = "thing", version: str = "1.0", *, requested: bool = False, requires: str = ""
    ) -> LockedPackage:
        return LockedPackage(
            Ecosystem.PIP, name, version, "any", "pypi", f"{name}.whl", Digest.sha256("0" * 64),
            requested=requested, fields={"filename": f"{name}-{version}-py3-none-any.whl", "requires": requires},
        )  # fmt: skip

    return make
