"""The layers that ship: complete, and what their files say of themselves."""

import hashlib
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from ocibuild.core.errors import RepositoryError
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.pip.target import Libc, PythonTarget
from ocibuild.spec.catalogue import shipped_layer
from ocibuild.spec.preferred import preferred_packages
from ocibuild.spec.profile import PROFILES_BY_NAME

LAYERS = Path(__file__).parents[3] / "layers"
NAMES = sorted(path.parent.name for path in LAYERS.glob("*/layer.toml"))


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_can_be_read_and_is_told_of(name: str) -> None:
    layer = shipped_layer(name)
    assert layer.summary
    assert f"| `{name}` |" in (LAYERS / "README.md").read_text("utf-8")


@pytest.mark.parametrize("profile", PROFILES_BY_NAME.values(), ids=list(PROFILES_BY_NAME))
def test_a_profile_names_layers_that_there_are(profile: object) -> None:
    names = profile.layer_names(runs_code=True)  # type: ignore[attr-defined]
    assert set(names) <= set(NAMES)
    assert shipped_layer(names[0]).accounts


def test_the_locale_is_what_its_source_says() -> None:
    text = (LAYERS / "locale/SOURCE.md").read_text("utf-8")
    listed = dict(re.findall(r"\| `([0-9a-f]{64})` \| `(\S+)` \|", text))
    folder = LAYERS / "locale/files/usr/lib/locale/en_US.utf8"
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert {name: digest for digest, name in listed.items()} == {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()
    }


def test_no_package_is_in_two_layers() -> None:
    names = [ask.name for name in NAMES for ask in shipped_layer(name).apt_for("bookworm")]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("version", ["3.10.12", "3.11.2", "3.12.3", "3.13.5", "3.14.0"])
@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_the_lock_of_jupyter_holds_all_that_is_asked(version: str, architecture: str) -> None:
    layer = shipped_layer("jupyter")
    assert layer.pip_lock is not None
    platform = Platform.parse(architecture)
    target = PythonTarget(
        version, "/usr/bin/python3", "usr/bin/python3", "usr/lib/python3", platform, Libc("glibc", 2, 36)
    )
    preferred = preferred_packages(layer.pip_lock.read_text("utf-8"), file="lock.txt", environment=target.environment())
    lines = (LAYERS / "jupyter/requirements.in").read_text("utf-8").splitlines()
    required = [Requirement(line) for line in lines if not line.startswith("#")]
    # setuptools is in every environment before Python 3.12, whatever asks.
    assert [requirement.name for requirement in required] == [*(name for name, _ in layer.pip), "setuptools"]
    for requirement in required:
        assert preferred[requirement.name].version in requirement.specifier
    assert "colorama" not in preferred  # which is for Windows alone
    assert ("tomli" in preferred) == version.startswith("3.10")
    assert all(package.hashes for package in preferred.values())


@pytest.mark.parametrize("line", ["six", "six>=1", "six==1", f"-r x --hash=sha256:{'a' * 64}", "six==1 --hash=md5:x"])
def test_a_lock_that_pins_nothing(line: str) -> None:
    good = f"# a comment\nidna==3 ; python_version > '3' \\\n    --hash=sha256:{'a' * 64}\n"
    with pytest.raises(RepositoryError, match=r"lock\.txt:4: "):
        preferred_packages(good + line, file="lock.txt", environment=_target().environment())


def _target() -> PythonTarget:
    return PythonTarget("3.11.2", "", "", "", Platform.parse("amd64"), Libc("glibc", 2, 36))
