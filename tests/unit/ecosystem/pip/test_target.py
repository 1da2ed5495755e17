import pytest
from packaging.markers import Marker

from ocibuild.core.errors import MachineError
from ocibuild.core.paths import ancestors
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.pip.target import Libc, PythonTarget, debian_python, find_python
from ocibuild.image.view import View, ViewEntry

AMD64, ARM64 = Platform(), Platform("linux", "arm64")
STATUS = """\
Package: python3
Status: install ok installed
Version: 3.11.2-1+b1

Package: python3.11-minimal
Status: install ok installed
Description: minimal subset
 Version: 9
Version: 3.11.2-6+deb12u6

Package: python3.12-minimal
Status: deinstall ok config-files
Version: 3.12.1-1

Package: libc6
Status: install ok installed
Version: 2.36-9+deb12u14
"""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def view(files: dict[str, str | bytes]) -> View:
    """Text starting with -> is a link; the rest are executable files with their content kept."""
    entries = {folder: ViewEntry("directory", 0o755) for path in files for folder in ancestors(path)}
    for path, content in files.items():
        if isinstance(content, str) and content.startswith("->"):
            entries[path] = ViewEntry("symlink", 0o777, link=content[2:])
        else:
            entries[path] = ViewEntry("file", 0o755, size_bytes=len(content))
    kept = {path: content.encode() if isinstance(content, str) else content for path, content in files.items()}
    return View(entries, kept=kept)


def debian(**changes: str | bytes) -> dict[str, str | bytes]:
    return {
        "bin": "->usr/bin",
        "usr/bin/python3": "->python3.11",
        "usr/bin/python3.11": b"ELF",
        "usr/lib/python3.11/os.py": b"",
        "var/lib/dpkg/status": STATUS,
        **changes,
    }


def test_debians_python() -> None:
    target = find_python(view(debian()), path=PATH, platform=AMD64)
    assert target == PythonTarget(
        "3.11.2", "/usr/bin/python3", "usr/bin/python3.11", "usr/lib/python3.11", AMD64, Libc("glibc", 2, 36)
    )
    versions = {"python3-minimal": "3.11.2-1+b1", "python3.11-minimal": "3.11.2-6+deb12u6", "libc6": "2.36-9+deb12u14"}
    assert debian_python(versions, platform=AMD64) == target, "what is planned is what is found"


@pytest.mark.parametrize(
    "versions",
    [
        {},
        {"python3-minimal": "3.11.2-1", "libc6": "2.36-9"},
        {"python3-minimal": "3.11.2-1", "python3.11-minimal": "3.11.2-6"},
    ],
)
def test_a_debian_without_python(versions: dict[str, str]) -> None:
    assert debian_python(versions, platform=AMD64) is None


def test_a_prerelease_of_debian() -> None:
    versions = {"python3-minimal": "3.14.0~rc2-1", "python3.14-minimal": "3.14.0~rc2-1", "libc6": "2.41-12"}
    target = debian_python(versions, platform=AMD64)
    assert target is not None
    assert (target.version, target.minor_version) == ("3.14.0rc2", "3.14")


def test_the_first_on_path_counts() -> None:
    files = debian() | {
        "usr/local/bin/python3": "->python3.13",
        "usr/local/bin/python3.13": b"ELF",
        "usr/local/lib/python3.13/os.py": b"",
        "usr/local/lib/libpython3.13.so.1.0": b"\0003.13.7\0 3.13\0003.130.1\0",
    }
    target = find_python(view(files), path=PATH, platform=AMD64)
    assert target is not None
    assert (target.version, target.interpreter) == ("3.13.7", "/usr/local/bin/python3")
    assert target.standard_library == "usr/local/lib/python3.13"
    assert find_python(view(files), path="/bin", platform=AMD64) == find_python(
        view(files), path="/bin:/usr/bin", platform=AMD64
    )


def test_the_header_of_python_orgs_images() -> None:
    files = debian() | {
        "usr/local/bin/python3": "->python3.13",
        "usr/local/bin/python3.13": "never read",
        "usr/local/lib/python3.13/os.py": b"",
        "usr/local/include/python3.13/patchlevel.h": '#define PY_VERSION      "3.13.0rc1+"\n#define PY_VERSION_HEX',
    }
    target = find_python(view(files), path=PATH, platform=AMD64)
    assert target is not None
    assert (target.version, target.release) == ("3.13.0rc1", "3.13.0")


def test_conda() -> None:
    files: dict[str, str | bytes] = {
        "opt/conda/bin/python3": "->python3.12",
        "opt/conda/bin/python3.12": b"ELF",
        "opt/conda/lib/python3.12/os.py": b"",
        "opt/conda/conda-meta/python-3.12.4-h194c7f8_0_cpython.json": b"{}",
        "lib/x86_64-linux-gnu/libc-2.31.so": b"",
    }
    target = find_python(view(files), path="/opt/conda/bin", platform=AMD64)
    assert target is not None
    assert (target.version, target.libc) == ("3.12.4", Libc("glibc", 2, 31))


def test_a_file_instead_of_a_link_and_the_c_librarys_own_words() -> None:
    files: dict[str, str | bytes] = {
        "usr/bin/python3": b"\x003.9.25\0...",
        "usr/lib64/python3.9/os.py": b"",
        "usr/lib64/libc.so.6": b"GNU C Library (GNU libc) stable release version 2.34.\n",
        "lib64": "->usr/lib64",
    }
    target = find_python(view(files), path="/usr/bin", platform=AMD64)
    assert target is not None
    assert (target.version, target.standard_library) == ("3.9.25", "usr/lib64/python3.9")
    assert target.libc == Libc("glibc", 2, 34)


def test_alpine() -> None:
    files: dict[str, str | bytes] = {
        "usr/bin/python3": "->python3.12",
        "usr/bin/python3.12": b"\0003.12.13\0",
        "usr/lib/python3.12/os.py": b"",
        "lib/ld-musl-aarch64.so.1": b"",
    }
    target = find_python(view(files), path=PATH, platform=ARM64)
    assert target is not None
    assert target.libc == Libc("musl", 1, 2)
    assert target.uv_platform == "aarch64-unknown-linux-musl"
    platforms = [tag.platform for tag in target.tags() if tag.interpreter == "cp312" and tag.abi == "cp312"]
    assert platforms == ["linux_aarch64", "musllinux_1_2_aarch64", "musllinux_1_1_aarch64", "musllinux_1_0_aarch64"]


def test_none() -> None:
    assert find_python(view({"usr/bin/python3.11": b""}), path=PATH, platform=AMD64) is None
    assert find_python(view({"usr/bin/python3": "->nowhere"}), path=PATH, platform=AMD64) is None
    assert find_python(view({"usr/bin/python3": b""}), path="usr/bin::.", platform=AMD64) is None


@pytest.mark.parametrize(
    ("remove", "match"),
    [("usr/lib/python3.11/os.py", "no CPython"), ("var/lib/dpkg/status", "no CPython")],
)
def test_what_is_not_understood(remove: str, match: str) -> None:
    files = debian()
    del files[remove]
    with pytest.raises(MachineError, match=match):
        find_python(view(files), path=PATH, platform=AMD64)


def test_no_known_c_library() -> None:
    files = debian(**{"usr/bin/python3.11": b"\0003.11.9\0"})
    del files["var/lib/dpkg/status"]
    with pytest.raises(MachineError, match="neither glibc nor musl"):
        find_python(view(files), path=PATH, platform=AMD64)


def target(libc: Libc, platform: Platform = AMD64) -> PythonTarget:
    return PythonTarget("3.11.2", "/usr/bin/python3", "usr/bin/python3.11", "usr/lib/python3.11", platform, libc)


@pytest.mark.parametrize(
    ("libc", "platform", "expected"),
    [
        (Libc("glibc", 2, 17), AMD64, "x86_64-manylinux_2_17"),
        (Libc("glibc", 2, 30), AMD64, "x86_64-manylinux_2_28"),
        (Libc("glibc", 2, 36), ARM64, "aarch64-manylinux_2_36"),
        (Libc("glibc", 2, 41), AMD64, "x86_64-manylinux_2_40"),
        (Libc("musl", 1, 2), AMD64, "x86_64-unknown-linux-musl"),
        (Libc("glibc", 2, 41), Platform("linux", "riscv64"), "riscv64-unknown-linux"),
    ],
)
def test_uvs_names(libc: Libc, platform: Platform, expected: str) -> None:
    assert target(libc, platform).uv_platform == expected


@pytest.mark.parametrize(
    ("libc", "platform"),
    [
        (Libc("glibc", 2, 12), AMD64),
        (Libc("glibc", 2, 36), Platform("linux", "s390x")),
        (Libc("glibc", 2, 36), Platform("linux", "arm", "v7")),
    ],
)
def test_what_uv_has_no_name_for(libc: Libc, platform: Platform) -> None:
    with pytest.raises(MachineError, match="cannot be resolved for"):
        _ = target(libc, platform).uv_platform


def test_platform_tags() -> None:
    tags = [tag.platform for tag in target(Libc("glibc", 2, 18)).tags() if tag.abi == "cp311"]
    assert tags[:4] == ["linux_x86_64", "manylinux_2_18_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"]
    assert tags[-2:] == ["manylinux_2_5_x86_64", "manylinux1_x86_64"]
    tags = [tag.platform for tag in target(Libc("glibc", 2, 18), ARM64).tags() if tag.abi == "cp311"]
    assert tags == ["linux_aarch64", "manylinux_2_18_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"]


def test_markers() -> None:
    environment = {key: str(value) for key, value in target(Libc("glibc", 2, 36), ARM64).environment().items()}
    assert Marker('platform_machine == "aarch64" and python_full_version >= "3.11.2"').evaluate(environment)
    assert not Marker('sys_platform == "win32" or platform_system == "Darwin"').evaluate(environment)
