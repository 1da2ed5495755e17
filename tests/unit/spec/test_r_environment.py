"""What files of R ask for."""

import json
from datetime import date

import pytest

from ocibuild.core.errors import RepositoryError
from ocibuild.core.r_asks import RAsks
from ocibuild.spec.options import BuildOptions
from ocibuild.spec.r_environment import bases_with_r
from ocibuild.spec.r_script import literal_packages
from ocibuild.spec.renv_lock import parse_renv_lock
from ocibuild.spec.repository import RepositorySpec, read_repository

PLAIN = BuildOptions(profile="plain")


def read(files: dict[str, str], said: BuildOptions = PLAIN) -> RepositorySpec:
    reader = {name: text.encode() for name, text in files.items()}.get
    return read_repository(reader, is_folder=lambda _: False, said=said)


def asks(files: dict[str, str], said: BuildOptions = PLAIN) -> RAsks:
    spec = read(files, said)
    return spec.r.asks(said.over(spec.options))


def failure(files: dict[str, str]) -> str:
    with pytest.raises(RepositoryError) as caught:
        asks(files)
    return f"{caught.value} | {caught.value.hint}"


def listed(found: RAsks) -> dict[str, str]:
    return {str(ask): str(ask.origin) for ask in found.packages}


def test_nothing_asks_for_r() -> None:
    assert asks({"requirements.txt": "six"}).is_empty
    assert asks({"runtime.txt": "r-4.2", "install.R": ""}).is_empty  # as in repo2docker


def test_a_description() -> None:
    text = "Package: a\nVersion: 1\nDepends: R (>= 4.0),\n  methods\nImports: rlang (>= 1.0), cli\nSuggests: later\n"
    found = asks({"DESCRIPTION": text})
    assert listed(found) == {
        "R (>= 4.0)": "DESCRIPTION:3",
        "methods": "DESCRIPTION:4",
        "rlang (>= 1.0)": "DESCRIPTION:5",
        "cli": "DESCRIPTION:5",
    }
    assert str(found.wanted) == "DESCRIPTION"
    assert "DESCRIPTION: not the description of an R package" in failure({"DESCRIPTION": "Imports: a b c\n"})


def test_packages_that_come_from_elsewhere_are_told() -> None:
    spec = read({"DESCRIPTION": "Package: a\nVersion: 1\nImports: b, c\nRemotes: someone/b@main,\n  gitlab::x/d\n"})
    assert [ask.requirement.name for ask in spec.r.needs] == ["c"]
    assert any("install someone/b@main, gitlab::x/d in install.R" in notice for notice in spec.notices)


@pytest.mark.parametrize(
    ("runtime", "version", "day"),
    [("r-2024-01-10", "", date(2024, 1, 10)), ("r-4.2-2024-01-10", "4.2", date(2024, 1, 10))],
)
def test_runtime_txt(runtime: str, version: str, day: date) -> None:
    found = asks({"runtime.txt": f"{runtime}\n"})
    assert (found.version, found.day, str(found.wanted)) == (version, day, "runtime.txt")


def test_the_options_of_ocibuild_toml() -> None:
    text = (
        '[r]\npackages = ["rlang", "cli@3.6.0", "glue (>= 1.0)"]\nprefer = "debian"\n'
        'repository = ["https://r.example.org/cran/", "http://other.example.org"]\n'
    )
    found = asks({"ocibuild.toml": text, "requirements.txt": ""})
    assert list(listed(found)) == ["rlang", "cli (== 3.6.0)", "glue (>= 1.0)"]
    assert found.preference == "debian"
    assert found.repositories == ("https://r.example.org/cran", "http://other.example.org")
    assert asks({"ocibuild.toml": 'as-of = "2024-02-01"\n' + text}).day == date(2024, 2, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('packages = ["a b"]', "packages: not a requirement of an R package: 'a b' | write dplyr"),
        ('packages = ["a@x"]', "packages: not a requirement"),
        ('repository = "/srv/cran"', "repository: must be http or https addresses"),
        ('prefer = "conda"', "prefer: must be one of repository, debian"),
        ("preinstall = 1", "preinstall: must be true or false"),
        ("mirror = 1", "mirror: no such option of [r]"),
    ],
)
def test_wrong_options(text: str, message: str) -> None:
    assert f"ocibuild.toml:2: {message}" in failure({"ocibuild.toml": f"[r]\n{text}\n"})


def test_bases() -> None:
    assert bases_with_r(RAsks()) == ("apt:bookworm", "apt:trixie")
    assert bases_with_r(RAsks(version="4")) == ("apt:bookworm", "apt:trixie")
    assert bases_with_r(RAsks(version="4.2.2")) == ("apt:bookworm",)
    assert bases_with_r(RAsks(version="4.5")) == ("apt:trixie",)
    with pytest.raises(RepositoryError, match=r"R 4\.20 is asked for"):
        bases_with_r(RAsks(version="4.20"))


def test_what_runs() -> None:
    spec = read({"DESCRIPTION": "Package: a\nVersion: 1\n", "install.R": ""})
    assert [step.name for step in spec.r.steps(installs_package=True)] == ["install.R", "the repository's R package"]
    (script,) = spec.r.steps(installs_package=False)
    assert script.arguments[0] == "Rscript"
    assert script.arguments[-1] == "install.R"
    assert any("DESCRIPTION: the package itself is not installed" in notice for notice in spec.notices)


# install.R

SCRIPT = """\
# install.packages("commented")
install.packages("dplyr")  # and "not this"
install.packages(c("tidyr", 'readr',
                   "# purrr"), repos = "https://cloud.r-project.org")
utils::install.packages(pkgs = "glue")
remotes::install_version("jsonlite", version = "1.8.0")
devtools::install_version("xml2", "1.3.3", upgrade = FALSE)
remotes::install_version("fs", ">= 1.5")
pak::pkg_install(c("cli@3.6.0", "cran::rlang", "r-lib/pillar", "any::vctrs"))
remotes::install_github("tidyverse/ggplot2")
packages <- c("computed"); install.packages(packages)
my.install.packages("mine")
install.packages("dplyr")
"""


def test_literal_packages_of_a_script() -> None:
    found = literal_packages(SCRIPT, file="install.R")
    assert {str(ask): str(ask.origin) for ask in found} == {
        "dplyr": "install.R:2",
        "tidyr": "install.R:3",
        "readr": "install.R:3",
        "glue": "install.R:5",
        "jsonlite (== 1.8.0)": "install.R:6",
        "xml2 (== 1.3.3)": "install.R:7",
        "fs": "install.R:8",
        "cli (== 3.6.0)": "install.R:9",
        "rlang": "install.R:9",
        "vctrs": "install.R:9",
    }
    assert all(ask.is_optional for ask in found)


def test_they_count_where_that_is_asked() -> None:
    files = {"install.R": 'install.packages("dplyr")', "runtime.txt": "r-2024-01-10"}
    assert listed(asks(files)) == {}
    assert listed(asks({**files, "ocibuild.toml": "[r]\npreinstall = true\n"})) == {"dplyr": "install.R:1"}


# renv.lock

LOCK = {
    "R": {"Version": "4.3.1", "Repositories": [{"Name": "CRAN", "URL": "https://cloud.r-project.org"}]},
    "Packages": {
        "rlang": {"Package": "rlang", "Version": "1.1.1", "Source": "Repository", "Repository": "CRAN", "Hash": "x"},
        "MASS": {"Package": "MASS", "Version": "7.3-60", "Source": "Repository", "Repository": "CRAN"},
    },
}


def test_a_lock_of_renv() -> None:
    lock = parse_renv_lock(json.dumps(LOCK, indent=2), file="renv.lock")
    assert lock.r_version == "4.3.1"
    assert {str(ask): str(ask.origin) for ask in lock.packages} == {
        "rlang (== 1.1.1)": "renv.lock:12",
        "MASS (== 7.3-60)": "renv.lock:19",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "renv.lock:1: not JSON"),
        ("[]", "renv.lock: not a lock of renv"),
        ("{}", "renv.lock: not a lock of renv"),
        ('{"Packages": {"a": 1}}', "renv.lock: not a lock of renv"),
        ('{"Packages":\n{"a": {"Source": "Repository", "Version": "x"}}}', "a has no version of R's"),
        ('{"Packages": {\n"a": {"Source": "GitHub", "Version": "1.0"}}}', "renv.lock:2: .*a \\(GitHub\\)"),
    ],
)
def test_wrong_locks(text: str, message: str) -> None:
    with pytest.raises(RepositoryError, match=message):
        parse_renv_lock(text, file="renv.lock")
