import pytest

from ocibuild.core.errors import RepositoryError
from ocibuild.spec.config_files import ConfigFiles
from ocibuild.spec.poetry_lock import parse_poetry_lock
from ocibuild.spec.pylock import parse_pylock
from ocibuild.spec.python_lock import read_python_lock
from ocibuild.spec.uv_lock import parse_uv_lock

A, B = "a" * 64, "b" * 64

UV = f"""\
version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "project"
version = "0.1.0"
source = {{ editable = "." }}
dependencies = [
    {{ name = "anyio" }},
    {{ name = "colorama", marker = "sys_platform == 'win32'" }},
    {{ name = "tool", extra = ["fast"] }},
]

[package.dev-dependencies]
dev = [ {{ name = "pytest" }} ]
docs = [ {{ name = "sphinx" }} ]

[[package]]
name = "anyio"
version = "4.0"
source = {{ registry = "https://pypi.org/simple" }}
dependencies = [
    {{ name = "numpy", version = "1.26", source = {{ registry = "https://pypi.org/simple" }}, marker = "python_full_version < '3.12'" }},
    {{ name = "numpy", version = "2.0", source = {{ registry = "https://pypi.org/simple" }}, marker = "python_full_version >= '3.12'" }},
]
sdist = {{ url = "https://example.org/anyio.tar.gz", hash = "sha256:{B}", size = 1 }}
wheels = [ {{ url = "https://example.org/anyio.whl", hash = "sha256:{A}", size = 1 }} ]

[[package]]
name = "numpy"
version = "1.26"
source = {{ registry = "https://pypi.org/simple" }}

[[package]]
name = "numpy"
version = "2.0"
source = {{ registry = "https://packages.example.org/simple" }}

[[package]]
name = "numpy"
version = "2.0"
source = {{ registry = "https://pypi.org/simple" }}

[[package]]
name = "colorama"
version = "0.4"
source = {{ registry = "https://pypi.org/simple" }}
dependencies = [ {{ name = "anyio" }} ]

[[package]]
name = "tool"
version = "1"
source = {{ git = "https://example.org/tool?rev=v1#0123" }}
[package.optional-dependencies]
fast = [ {{ name = "colorama", marker = "python_full_version < '3.13'" }} ]
slow = [ {{ name = "sphinx" }} ]

[[package]]
name = "pytest"
version = "8"
source = {{ registry = "https://packages.example.org/simple" }}

[[package]]
name = "sphinx"
version = "7"
source = {{ path = "wheels/sphinx-7-py3-none-any.whl" }}
"""


def test_a_lock_of_uv() -> None:
    file = parse_uv_lock(UV, file="uv.lock")
    lines = [line for line in file.text.splitlines() if line]
    assert lines == [
        "--extra-index-url https://packages.example.org/simple",
        f"anyio==4.0 --hash=sha256:{A} --hash=sha256:{B}",
        "numpy==1.26 ; (python_full_version < '3.12')",
        "numpy==2.0 ; (python_full_version >= '3.12')",
        "colorama==0.4 ; ((python_full_version < '3.13')) or ((sys_platform == 'win32'))",
        "tool @ git+https://example.org/tool@0123",
        "pytest==8",
    ]
    assert file.text.splitlines()[18].startswith("anyio==4.0")


def test_groups_of_uv() -> None:
    assert "./wheels/sphinx-7-py3-none-any.whl" in parse_uv_lock(UV, file="uv.lock", default_groups=["docs"]).text
    assert "pytest" not in parse_uv_lock(UV, file="uv.lock", default_groups=[]).text
    text = '[tool.uv]\ndefault-groups = ["docs"]\n'
    files = {"uv.lock": UV.encode(), "pyproject.toml": text.encode()}
    found = read_python_lock(ConfigFiles(files.get))
    assert found is not None
    assert "sphinx" in found.text
    assert "pytest" not in found.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version = 2\n", "a lock of version 2"),
        ("", "a lock of version None"),
        ("version = 1\npackage = 1\n", "package: must be tables"),
        (UV.replace('name = "pytest"\nversion', "version"), "a package without a name"),
        (UV.replace('name = "pytest"\nversion', 'name = "other"\nversion'), "pytest is needed, and the lock has 0"),
        (UV.replace('dependencies = [\n    { name = "anyio" },', "dependencies = [\n    1,"), ":5: dependencies must"),
    ],
)
def test_what_is_wrong_in_a_lock_of_uv(text: str, message: str) -> None:
    with pytest.raises(RepositoryError) as caught:
        parse_uv_lock(text, file="uv.lock")
    assert message in str(caught.value)


POETRY = f"""\
[[package]]
name = "numpy"
version = "2.0"
optional = false
python-versions = ">=3.9"
groups = ["main", "docs"]
markers = {{main = "python_version >= \\"3.12\\"", docs = "sys_platform == \\"linux\\""}}
files = [
    {{file = "numpy.whl", hash = "sha256:{B}"}},
    {{file = "numpy.tar.gz", hash = "sha256:{A}"}},
]

[[package]]
name = "six"
version = "1.16"
optional = false
groups = ["main"]
markers = "python_version < \\"3.12\\""
files = []
[package.source]
type = "legacy"
url = "https://packages.example.org/simple"
reference = "mine"

[[package]]
name = "extra"
version = "1"
optional = true
groups = ["main"]
files = []

[[package]]
name = "sphinx"
version = "7"
optional = false
groups = ["docs"]
files = []
[package.source]
type = "git"
url = "https://example.org/sphinx"
reference = "HEAD"
resolved_reference = "0123"

[metadata]
lock-version = "2.1"
python-versions = ">=3.11"
"""


def test_a_lock_of_poetry() -> None:
    file = parse_poetry_lock(POETRY, file="poetry.lock")
    assert file is not None
    assert [line for line in file.text.splitlines() if line] == [
        "--extra-index-url https://packages.example.org/simple",
        f'numpy==2.0 ; (python_version >= "3.12") or (sys_platform == "linux") --hash=sha256:{A} --hash=sha256:{B}',
        'six==1.16 ; python_version < "3.12"',
        "sphinx @ git+https://example.org/sphinx@0123",
    ]


def test_optional_groups_of_poetry() -> None:
    pyproject = b"[tool.poetry.group.docs]\noptional = true\n"
    found = read_python_lock(ConfigFiles({"poetry.lock": POETRY.encode(), "pyproject.toml": pyproject}.get))
    assert found is not None
    assert "sphinx" not in found.text
    assert 'numpy==2.0 ; (python_version >= "3.12") --hash' in found.text


def test_an_older_lock_of_poetry_tells_too_little() -> None:
    assert parse_poetry_lock(POETRY.replace("2.1", "2.0"), file="poetry.lock") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no lock-version"),
        (POETRY.replace('"2.1"', '"x"'), "no lock-version"),
        (POETRY.replace('groups = ["docs"]', 'groups = "docs"'), ":32: groups: must be a list"),
        (POETRY.replace('"2.0"', '"2.0\\n-r x"'), "must be on one line"),
    ],
)
def test_what_is_wrong_in_a_lock_of_poetry(text: str, message: str) -> None:
    with pytest.raises(RepositoryError) as caught:
        parse_poetry_lock(text, file="poetry.lock")
    assert message in str(caught.value)


PYLOCK = f"""\
lock-version = "1.0"
created-by = "a test"
default-groups = ["dev"]

[[packages]]
name = "numpy"
version = "2.0"
index = "https://pypi.org/simple"
marker = "python_version >= '3.11' and ('dev' in dependency_groups or 'x' in extras)"
sdist = {{ url = "https://example.org/numpy.tar.gz", hashes = {{ sha256 = "{B}", md5 = "x" }} }}
[[packages.wheels]]
url = "https://example.org/numpy.whl"
hashes = {{ sha256 = "{A}" }}

[[packages]]
name = "docs-only"
version = "1"
index = "https://packages.example.org/simple"
marker = "'docs' in dependency_groups and 'y' not in extras"

[[packages]]
name = "direct"
archive = {{ url = "https://example.org/direct.zip", hashes = {{ sha256 = "{A}" }} }}

[[packages]]
name = "checkout"
vcs = {{ type = "git", url = "https://example.org/checkout", commit-id = "0123", subdirectory = "a" }}

[[packages]]
name = "here"
directory = {{ path = "here" }}
"""


def test_a_pylock() -> None:
    file = parse_pylock(PYLOCK, file="pylock.toml")
    hashes = f"--hash=sha256:{A} --hash=sha256:{B}"
    assert [line for line in file.text.splitlines() if line] == [
        "--extra-index-url https://packages.example.org/simple",
        f"numpy==2.0 ; python_version >= '3.11' and (python_version >= '0' or python_version < '0') {hashes}",
        "docs-only==1 ; python_version < '0' and python_version >= '0'",
        f"direct @ https://example.org/direct.zip --hash=sha256:{A}",
        "checkout @ git+https://example.org/checkout@0123#subdirectory=a",
        "./here",
    ]
    assert file.text.splitlines()[4].startswith("numpy==2.0")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lock-version: '' cannot be read"),
        ('lock-version = "2.0"', "cannot be read"),
        ('lock-version = "1.0"\n[[packages]]\nname = "a"\n', "pylock.toml:2: a has no version"),
        ('lock-version = "1.0"\n[[packages]]\nname = "a b"\n', "pylock.toml:2: a package without a name"),
        ('lock-version = "1.0"\n[[packages]]\nname = "a"\nvcs = 1\n', "pylock.toml:2: vcs: must be a table"),
    ],
)
def test_what_is_wrong_in_a_pylock(text: str, message: str) -> None:
    with pytest.raises(RepositoryError) as caught:
        parse_pylock(text, file="pylock.toml")
    assert message in str(caught.value)


def test_the_first_lock_counts() -> None:
    files = {"pylock.toml": PYLOCK.encode(), "uv.lock": UV.encode(), "poetry.lock": POETRY.encode()}
    for name in ("pylock.toml", "uv.lock", "poetry.lock"):
        found = read_python_lock(ConfigFiles(files.get))
        assert found is not None
        assert found.path == name
        del files[name]
    assert read_python_lock(ConfigFiles(files.get)) is None
