"""Built wheels: their one normal form, and what they may say of themselves."""

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ocibuild.core.errors import BuildError, ImageError
from ocibuild.ecosystem.pip.built import (
    UnsuitableSourceError,
    check_requires_python,
    read_wheel_metadata,
    requires_python_of,
    write_normalised,
)
from ocibuild.ecosystem.pip.source import PythonSource, SourceKind

BuildWheel = Callable[..., Path]
SOURCE = PythonSource(SourceKind.ARCHIVE, name="thing", version="1.0", is_of_index=True)


def normalised(wheel: Path) -> bytes:
    out = io.BytesIO()
    write_normalised(wheel, out, file_name=wheel.name)
    return out.getvalue()


def test_equal_content_has_one_form(tmp_path: Path, build_wheel: BuildWheel) -> None:
    wheel = build_wheel(
        {"thing/a.py": b"1" * 9000, "thing/run": b"#!/bin/sh\n", "empty": b""}, modes={"thing/run": 0o100775}
    )
    wanted = normalised(wheel)
    numbers = random.Random(1)
    for _ in range(5):
        other = tmp_path / "other.whl"
        with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(other, "w") as new:
            infos = old.infolist()
            numbers.shuffle(infos)
            for info in infos:
                copy = zipfile.ZipInfo(info.filename, (numbers.randint(1980, 2040), 1, 1, 1, 1, 1))
                copy.external_attr = (info.external_attr >> 16 & ~0o022 | numbers.choice((0, 0o022))) << 16
                copy.compress_type = numbers.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
                new.writestr(copy, old.read(info))
            new.mkdir("thing")
        assert normalised(other) == wanted
    with zipfile.ZipFile(io.BytesIO(wanted)) as archive:
        assert archive.testzip() is None
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
        assert archive.read("thing/a.py") == b"1" * 9000
    assert modes["thing/run"] == 0o100755
    assert modes["thing/a.py"] == 0o100644
    assert list(modes)[-1] == "thing-1.0.dist-info/WHEEL"


def test_other_content_has_another_form(build_wheel: BuildWheel) -> None:
    forms = {
        normalised(build_wheel({"a": b"1"})),
        normalised(build_wheel({"a": b"2"})),
        normalised(build_wheel({"b": b"1"})),
        normalised(build_wheel({"a": b"1"}, modes={"a": 0o100755})),
    }
    assert len(forms) == 4


def test_what_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "thing-1.0-py3-none-any.whl"
    path.write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(ImageError, match=r"thing-1\.0"):
        write_normalised(path, io.BytesIO(), file_name=path.name)


def test_metadata(build_wheel: BuildWheel) -> None:
    wheel = build_wheel({}, name="My_Thing", version="1.0", requires=("six>1", "more; extra == 'x'"))
    found = read_wheel_metadata(wheel, file_name=wheel.name, where="here")
    assert (found.name, found.version) == ("my-thing", "1.0")
    assert found.requires_dist == ("six>1", "more; extra == 'x'")


@pytest.mark.parametrize(
    ("file_name", "message"),
    [
        ("other-1.0-py3-none-any.whl", "METADATA is of thing 1.0"),
        ("thing-2.0-py3-none-any.whl", "METADATA is of thing 1.0"),
        ("thing.whl", "no name of a wheel"),
    ],
)
def test_a_wheel_that_contradicts_itself(build_wheel: BuildWheel, file_name: str, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        read_wheel_metadata(build_wheel({}), file_name=file_name, where="here")


def test_two_metadata_files(build_wheel: BuildWheel) -> None:
    wheel = build_wheel({"other-1.0.dist-info/METADATA": b"Name: other\nVersion: 1.0\n"})
    with pytest.raises(BuildError, match="2 METADATA files"):
        read_wheel_metadata(wheel, file_name=wheel.name, where="here")


@pytest.mark.parametrize("specifier", ["", ">=3.8", "<4", ">=3.11.2,<3.12", "not one"])
def test_pythons_that_fit(specifier: str) -> None:
    check_requires_python(SOURCE, specifier, "3.11.2")


@pytest.mark.parametrize("specifier", ["<3", ">=3.12", "!=3.11.*", ">=3.11.3"])
def test_pythons_that_do_not_fit(specifier: str) -> None:
    with pytest.raises(UnsuitableSourceError, match=r"thing 1\.0 requires Python"):
        check_requires_python(SOURCE, specifier, "3.11.2")


def test_the_python_that_an_archive_wants() -> None:
    assert (
        requires_python_of("Metadata-Version: 2.1\nName: x\nRequires-Python: >=3.8\n\nRequires-Python: <3\n") == ">=3.8"
    )
    assert requires_python_of("Name: x\n") == ""
