import hashlib
import json

import pytest

from ocibuild.core.asks import CondaLockFile
from ocibuild.core.errors import NetworkError, RepositoryError
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.conda.configuration import CondaSettings
from ocibuild.ecosystem.conda.target import CondaTarget
from tests.support.conda_channel import Recipe
from tests.support.scripted_server import ScriptedServer
from tests.unit.ecosystem.conda.conftest import Environment, versions

pytest.importorskip("rattler")

RECIPES = [
    Recipe("app", depends=["library >=1", "__glibc >=2.30"]),
    Recipe("library", "1.5", form=".tar.bz2"),
    Recipe("data", subdir="noarch", noarch="generic"),
]
WHEEL = "https://files.pythonhosted.org/packages/aa/bb/cc/requests-2.0-py3-none-any.whl"


class Locked:
    """The made-up channel of an environment, and locks of it in every form."""

    def __init__(self, environment: Environment, server: ScriptedServer) -> None:
        self.environment = environment
        environment.channel("team", RECIPES)
        self.address = f"{server.url}/team"
        self.recipes = list(RECIPES)

    def url(self, recipe: Recipe) -> str:
        return f"{self.address}/{recipe.subdir}/{recipe.file_name}"

    def digest(self, recipe: Recipe, kind: str) -> str:
        path = self.environment.folder / "channels/team" / recipe.subdir / recipe.file_name
        return hashlib.new(kind, path.read_bytes()).hexdigest()

    def explicit(self, kind: str = "sha256") -> CondaLockFile:
        before = "sha256:" if kind == "sha256" else ""
        lines = [f"{self.url(each)}#{before}{self.digest(each, kind)}" for each in self.recipes]
        text = "\n".join(
            ["# This file may be used to create an environment.", "# platform: linux-64", "@EXPLICIT", *lines]
        )
        return CondaLockFile("explicit", "environment.txt", text)

    def conda_lock(self) -> CondaLockFile:
        packages = [
            {
                "name": each.name, "version": each.version, "manager": "conda", "platform": "linux-64",
                "dependencies": {text.partition(" ")[0]: text.partition(" ")[2] for text in each.depends},
                "url": self.url(each), "hash": {kind: self.digest(each, kind) for kind in ("md5", "sha256")},
                "category": "main", "optional": False,
            }
            for each in self.recipes
        ]  # fmt: skip
        wheel = {
            "name": "requests", "version": "2.0", "manager": "pip", "platform": "linux-64", "dependencies": {},
            "url": WHEEL, "hash": {"sha256": "ab" * 32}, "category": "main", "optional": False,
        }  # fmt: skip
        metadata = {
            "content_hash": {"linux-64": "0"}, "channels": [{"url": "team", "used_env_vars": []}],
            "platforms": ["linux-64"], "sources": ["environment.yml"],
        }  # fmt: skip
        value = {"version": 1, "metadata": metadata, "package": [*packages, wheel]}
        return CondaLockFile("conda-lock", "conda-lock.yml", json.dumps(value))  # JSON is YAML

    def pixi(self) -> CondaLockFile:
        urls = [{"conda": self.url(each)} for each in self.recipes]
        packages = [
            {
                "conda": self.url(each), "sha256": self.digest(each, "sha256"), "md5": self.digest(each, "md5"),
                "depends": list(each.depends), "license": "MIT", "size": 12, "timestamp": 1700000000000,
                **({"noarch": each.noarch} if each.noarch else {}),
            }
            for each in self.recipes
        ]  # fmt: skip
        wheel = {"pypi": WHEEL, "name": "requests", "version": "2.0", "sha256": "ab" * 32}
        environments = {
            name: {"channels": [{"url": self.address}], "packages": {"linux-64": [*urls, *more]}}
            for name, more in (("default", []), ("web", [{"pypi": WHEEL}]))
        }
        value = {"version": 6, "environments": environments, "packages": [*packages, wheel]}
        return CondaLockFile("pixi", "pixi.lock", json.dumps(value), environment="web")


@pytest.fixture
def locked(environment: Environment, server: ScriptedServer) -> Locked:
    return Locked(environment, server)


@pytest.mark.parametrize("form", ["explicit", "conda_lock", "pixi"])
def test_locks_give_exactly_their_packages(environment: Environment, locked: Locked, form: str) -> None:
    solved = environment.resolve([locked.address], "app", "data")
    environment.lock = getattr(locked, form)()
    resolution = environment.resolve([])
    assert versions(resolution) == versions(solved) == {"app": "1.0", "library": "1.5", "data": "1.0"}
    for package, other in zip(resolution.packages, solved.packages, strict=True):
        assert (package.digest, package.path, package.architecture) == (other.digest, other.path, other.architecture)
        assert package.fields["channel"] == other.fields["channel"] == locked.address
        assert resolution.addresses[package.source] + package.path == f"{locked.address}/{package.path}"
        assert package.why


@pytest.mark.parametrize("form", ["conda_lock", "pixi"])
def test_python_packages_of_a_lock_are_requirements(environment: Environment, locked: Locked, form: str) -> None:
    environment.lock = getattr(locked, form)()
    (file,) = environment.resolve([]).pip.files
    assert file.text == f"requests==2.0 --hash=sha256:{'ab' * 32}\n"
    assert file.path == environment.lock.path


def test_an_environment_of_a_pixi_lock(environment: Environment, locked: Locked) -> None:
    lock = locked.pixi()
    environment.lock = CondaLockFile("pixi", lock.path, lock.text)
    assert environment.resolve([]).pip.is_empty
    environment.lock = CondaLockFile("pixi", lock.path, lock.text, environment="nothing")
    with pytest.raises(RepositoryError, match="no environment 'nothing', but default, web"):
        environment.resolve([])


def test_a_list_with_md5_asks_the_channel(environment: Environment, locked: Locked) -> None:
    environment.lock = locked.explicit("md5")
    packages = environment.resolve([]).packages
    assert [package.digest.hex for package in packages] == [
        locked.digest(each, "sha256") for each in sorted(RECIPES, key=lambda recipe: recipe.name)
    ]
    assert json.loads(packages[0].fields["record"])["depends"] == ["library >=1", "__glibc >=2.30"]


def test_a_wrong_md5_is_found_before_anything_is_fetched(environment: Environment, locked: Locked) -> None:
    lock = locked.explicit("md5")
    text = lock.text.replace(locked.digest(RECIPES[1], "md5"), "0" * 32)
    environment.lock = CondaLockFile("explicit", lock.path, text)
    with pytest.raises(RepositoryError, match="MD5") as caught:
        environment.resolve([])
    assert (caught.value.file, caught.value.line) == ("environment.txt", 5)


def test_a_lock_with_sha256_asks_nobody(environment: Environment, locked: Locked, server: ScriptedServer) -> None:
    for lock in (locked.explicit(), locked.pixi(), locked.conda_lock()):
        environment.lock = lock
        assert len(environment.resolve([]).packages) == 3
    assert server.requests == []
    environment.lock = locked.explicit("md5")
    environment.options["offline"] = True
    with pytest.raises(NetworkError):
        environment.resolve([])


def test_a_mirror_stands_in_for_the_channel_of_a_lock(environment: Environment, locked: Locked) -> None:
    locked.address = "https://conda.anaconda.org/team"
    environment.lock = locked.explicit()
    environment.settings = CondaSettings(alias="https://mirror.example/conda")
    resolution = environment.resolve([])
    assert {package.fields["channel"] for package in resolution.packages} == {"team"}
    assert resolution.addresses["team"] == "https://mirror.example/conda/team/"


def test_what_a_locked_package_needs_of_the_system(environment: Environment, locked: Locked) -> None:
    environment.lock = locked.pixi()
    environment.target = CondaTarget(Platform.parse("amd64"), glibc="2.28")
    with pytest.raises(RepositoryError, match=r"app needs __glibc >=2.30, and the image has .*__glibc 2.28") as caught:
        environment.resolve([])
    assert caught.value.file == "pixi.lock"


@pytest.mark.parametrize("form", ["explicit", "conda_lock", "pixi"])
def test_another_platform(environment: Environment, locked: Locked, form: str) -> None:
    environment.lock = getattr(locked, form)()
    environment.target = CondaTarget(Platform.parse("arm64"), glibc="2.36")
    with pytest.raises(RepositoryError, match="linux-64"):
        environment.resolve([])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("https://host/team/linux-64/app-1.0-0.conda", "no hash"),
        ("https://host/team/linux-64/app-1.0-0.conda#12", "neither an MD5"),
        (f"https://host/team/linux-64/app.conda#{'0' * 64}", "no conda package"),
        (f"https://host/team/osx-64/app-1.0-0.conda#{'0' * 64}", "osx-64"),
        (f"../linux-64/app-1.0-0.conda#{'0' * 64}", "no conda package"),
        ("app=1.0", "no hash"),
        ("# platform: osx-arm64", "osx-arm64"),
    ],
)
def test_a_list_that_is_wrong(environment: Environment, line: str, words: str) -> None:
    environment.lock = CondaLockFile("explicit", "environment.txt", f"@EXPLICIT\n{line}\n")
    with pytest.raises(RepositoryError, match=words) as caught:
        environment.resolve([])
    assert (caught.value.file, caught.value.line) == ("environment.txt", 2)


@pytest.mark.parametrize("kind", ["conda-lock", "pixi"])
@pytest.mark.parametrize("text", ["", "[]", "version: 99", "version: 1\npackage: 3", "\x00", "a: &a [*a]"])
def test_a_lock_that_is_none(environment: Environment, kind: str, text: str) -> None:
    environment.lock = CondaLockFile("pixi" if kind == "pixi" else "conda-lock", "some.lock", text)
    with pytest.raises(RepositoryError, match=r"some\.lock"):
        environment.resolve([])


def test_a_package_that_the_channel_deleted(environment: Environment, locked: Locked) -> None:
    lock = locked.explicit("md5")
    environment.channel("team", RECIPES[1:])
    environment.lock = lock
    with pytest.raises(RepositoryError, match=r"no app-1\.0-0\.conda any more") as caught:
        environment.resolve([])
    assert caught.value.line == 4


def test_a_need_that_nobody_understands_is_not_met(environment: Environment, locked: Locked) -> None:
    lock = locked.pixi()
    environment.lock = CondaLockFile("pixi", lock.path, lock.text.replace("__glibc >=2.30", "__glibc >>>2"))
    with pytest.raises(RepositoryError, match=r"pixi\.lock"):
        environment.resolve([])


def test_two_packages_of_one_name(environment: Environment, locked: Locked) -> None:
    environment.channel("team", [*RECIPES, Recipe("library", "2.0")])
    locked.recipes.append(Recipe("library", "2.0"))
    environment.lock = locked.explicit()
    with pytest.raises(RepositoryError, match=r"environment\.txt:7: library is in it twice"):
        environment.resolve([])
