"""Repositories that ask for R packages, from a small CRAN on loopback that behaves as Posit's."""

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Program, repository
from tests.support.apt_repository import make_deb
from tests.support.r_repository import RRepository, posit_imitation
from tests.support.scripted_server import Reply, Request, ScriptedServer
from tests.support.tiny_system import TinySystem

LIBRARY = "usr/local/lib/R/site-library"
DAY = "2024-01-10"


@pytest.fixture(scope="session")
def cran(tmp_path_factory: pytest.TempPathFactory) -> RRepository:
    return RRepository.make(tmp_path_factory.mktemp("r"))


@pytest.fixture
def posit(cran: RRepository) -> Iterator[ScriptedServer]:
    today = datetime.now(UTC).date().isoformat()
    with posit_imitation(cran, codename="tiny", days=(DAY, today)) as server:
        yield server


@pytest.fixture
def r_program(program: Program, posit: ScriptedServer) -> Program:
    """A program for which the imitation stands in for the public repository."""
    return Program(program.store, {"OCIBUILD_R_REPOSITORY": f"{posit.url}/cran"})


@pytest.fixture
def r_system(system: TinySystem, cran: RRepository) -> TinySystem:
    """An archive with an R in name alone: packages are placed without it."""
    for name in ("r-base-core", "r-recommended", "r-base-dev"):
        system.add(make_deb(name, f"{cran.r_version}.20221110-2"))
    system.add(make_deb("r-cran-mass", "7.3-58.2-1"))
    system.add(make_deb("r-cran-tinydeb", "1:1.5+dfsg-1"))
    system.add(make_deb("r-cran-tinybase", "2.0-1"))
    system.add(make_deb("zlib1g-dev", "1.0"))
    system.publish()
    return system


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in folder.rglob("*")
        if path.is_file()
    }


def wanted(folder: Path, *packages: str, more: str = "", **files: str) -> Path:
    listed = ", ".join(json.dumps(package) for package in packages)
    return repository(folder, ocibuild_toml=f"[r]\npackages = [{listed}]\n{more}", **files)


def test_packages_become_an_image(
    r_program: Program, r_system: TinySystem, posit: ScriptedServer, cran: RRepository, tmp_path: Path
) -> None:
    source = wanted(tmp_path / "source", "tinytop")
    base, root, lock = r_system.base(r_program), tmp_path / "root", tmp_path / "lock"
    first = r_program.result("build", source, "--base", base, "-o", f"rootfs:{root}", "--lock", lock)
    assert tree(root / LIBRARY) == tree(cran.library)
    agents = {request.headers["user-agent"] for request in posit.requests}
    assert agents == {f"R/{cran.r_version} R ({cran.r_version} x86_64-pc-linux-gnu x86_64 linux-gnu)"}
    assert {request.path.partition("/src/")[0] for request in posit.requests} == {"/cran/__linux__/tiny/latest"}
    plan = json.loads(r_program.result("plan", source, "--base", base, "--json"))
    by_name = {each["name"]: each for each in plan["packages"]}
    assert by_name["tinytop"]["why"] == "ocibuild.toml:2"
    assert by_name["tinyhead"]["why"] == "tinyc"
    assert by_name["zlib1g-dev"]["why"] == "R package tinyc"
    assert posit.url not in lock.read_text()
    # The second build asks nobody, and a lock gives the same image on another machine, of the day it was made.
    posit.requests.clear()
    assert r_program.result("build", source, "--base", base) == first
    assert posit.requests == []


def test_a_lock_is_enough(r_program: Program, r_system: TinySystem, posit: ScriptedServer, tmp_path: Path) -> None:
    source = wanted(tmp_path / "source", "tinyc")
    (source / "runtime.txt").write_text(f"r-{DAY}\n")
    base, lock = r_system.base(r_program), tmp_path / "lock"
    options: list[str | Path] = ["build", source, "--base", base, "--lock", lock]
    first = r_program.result(*options)
    assert '"name": "r"' in lock.read_text()
    posit.requests.clear()
    other = Program(tmp_path / "other", r_program.environment)
    assert other.result(*options, "--locked") == first
    paths = [request.path for request in posit.requests]
    assert [path.rpartition("/")[2] for path in sorted(paths)] == ["tinyc_0.2-1.tar.gz", "tinyhead_1.0.tar.gz"]
    assert all(path.startswith(f"/cran/__linux__/tiny/{DAY}/") for path in paths)
    assert all(request.headers["user-agent"].startswith("R/") for request in posit.requests)
    # What is not of a day is of the day on which it was locked.
    (source / "runtime.txt").unlink()
    first = r_program.result(*options, "--refresh")
    posit.requests.clear()
    assert Program(tmp_path / "third", r_program.environment).result(*options, "--locked") == first
    today = datetime.now(UTC).date()
    assert all(request.path.startswith(f"/cran/__linux__/tiny/{today}/") for request in posit.requests)
    (source / "ocibuild.toml").write_text('[r]\npackages = ["tinytop"]\n')
    assert "tinytop is asked of r" in other.error(*options, "--locked", code=3)


def test_a_description(r_program: Program, r_system: TinySystem, tmp_path: Path) -> None:
    text = "Package: mine\nVersion: 0.1\nImports: tinybase (>= 2.0),\n  MASS\nSuggests: nothing\n"
    source = repository(tmp_path / "source", DESCRIPTION=text)
    plan = json.loads(
        r_program.result("plan", source, "--base", r_system.base(r_program), "--profile", "plain", "--json")
    )
    why = {each["name"]: each["why"] for each in plan["packages"]}
    assert why["tinybase"] == "DESCRIPTION:3"
    assert why["r-base-core"] == "DESCRIPTION"
    assert "nothing" not in why


def test_debian_first_and_where_no_repository_has_it(
    r_program: Program, r_system: TinySystem, posit: ScriptedServer, tmp_path: Path
) -> None:
    base = r_system.base(r_program)
    plan: list[str | Path] = ["--base", base, "--json"]
    source = wanted(tmp_path / "fallback", "tinydeb (>= 1.2)", "tinybase")
    found = json.loads(r_program.result("plan", source, *plan))
    by_name = {each["name"]: each for each in found["packages"]}
    assert by_name["r-cran-tinydeb"]["why"] == "ocibuild.toml:2"
    assert (by_name["tinybase"]["version"], "r-cran-tinybase" in by_name) == ("2.0.1", False)
    source = wanted(tmp_path / "first", "tinydeb", "tinybase", more='prefer = "debian"\n')
    posit.requests.clear()
    found = json.loads(r_program.result("plan", source, *plan))
    assert {"r-cran-tinydeb", "r-cran-tinybase"} <= {each["name"] for each in found["packages"]}
    assert posit.requests == []


@pytest.mark.parametrize(
    ("packages", "code", "message"),
    [
        (["nothing"], 3, "ocibuild.toml:2: nothing is asked for, and no repository has it"),
        (["TinyTop"], 3, "did you mean tinytop?"),
        (["tinybase (>= 3)"], 3, "the repositories have tinybase 2.0.1"),
        (["tinybase@7.0"], 3, "tinybase 7.0 is not in"),
        (["R (>= 9)"], 3, "R (>= 9) is asked for, and the image has R 4."),
        (["tiny top"], 3, "ocibuild.toml:2: packages: not a requirement of an R package: 'tiny top'"),
    ],
)
def test_what_cannot_be_had(
    r_program: Program, r_system: TinySystem, tmp_path: Path, packages: list[str], code: int, message: str
) -> None:
    source = wanted(tmp_path / "source", *packages)
    assert message in r_program.error("build", source, "--base", r_system.base(r_program), code=code)


def test_the_r_of_a_base_that_is_not_debians(r_program: Program, posit: ScriptedServer, tmp_path: Path) -> None:
    """As in images whose R was built from its source: Debian is asked for nothing."""
    layer = tmp_path / "layer"
    description = layer / "files/usr/local/lib/R/library/base/DESCRIPTION"
    description.parent.mkdir(parents=True)
    description.write_text("Package: base\nVersion: 4.2.1\nBuilt: R 4.2.1; ; 2022; unix\n")
    (layer / "files/etc").mkdir()
    (layer / "files/etc/os-release").write_text('VERSION_CODENAME="tiny"\n')
    (layer / "layer.toml").write_text('summary = "an R"\n')
    (tmp_path / "nothing").mkdir()
    base = f"oci:{tmp_path / 'base'}"
    r_program.result("build", tmp_path / "nothing", "--base", "scratch", "--layer", layer, "-o", base)
    source = wanted(tmp_path / "source", "tinybase")
    r_program.result("build", source, "--base", base, "-o", f"rootfs:{tmp_path / 'root'}")
    assert (tmp_path / "root" / LIBRARY / "tinybase/R/tinybase.rdb").is_file()
    assert "4.2.1" in posit.requests[-1].headers["user-agent"]
    nothing = wanted(tmp_path / "other", "tinybase")
    said = r_program.error("build", nothing, "--base", "scratch", code=3)
    assert "r-base-core cannot be installed in the base scratch" in said


def test_another_r_than_the_image_has(r_program: Program, r_system: TinySystem, tmp_path: Path) -> None:
    source = repository(tmp_path / "source", runtime_txt=f"r-3.6-{DAY}\n")
    said = r_program.error("build", source, "--base", r_system.base(r_program), code=3)
    assert "runtime.txt:1: R 3.6 is asked for, and oci" in said
    assert "apt:bookworm has 4.2" in said


def test_packages_for_another_r(program: Program, r_system: TinySystem, cran: RRepository, tmp_path: Path) -> None:
    """What a repository gives for another R is refused, not placed."""
    other = RRepository(cran.folder, "4.9.1")
    for name in ("r-base-core", "r-recommended"):
        r_system.add(make_deb(name, "4.9.0-1"))
    r_system.publish()
    source = wanted(tmp_path / "source", "tinybase")
    with posit_imitation(other, codename="tiny") as server:
        strange = Program(program.store, {"OCIBUILD_R_REPOSITORY": f"{server.url}/cran"})
        said = strange.error("build", source, "--base", r_system.base(program), code=1)
    assert f"tinybase_2.0.1.tar.gz was built with R {cran.r_version}, and the image has R 4.9.0" in said


def test_a_file_that_is_not_what_was_promised(
    program: Program, r_system: TinySystem, cran: RRepository, tmp_path: Path
) -> None:
    copy = RRepository(tmp_path / "copy", "0.0.0")  # nobody gets binaries
    shutil.copytree(cran.source, copy.source)
    contrib = copy.source / "src/contrib"
    shutil.copy(contrib / "tinybase_2.0.1.tar.gz", contrib / "tinyc_0.2-1.tar.gz")
    with posit_imitation(copy, codename="tiny") as server:
        strange = Program(program.store, {"OCIBUILD_R_REPOSITORY": f"{server.url}/cran"})
        base = r_system.base(program)
        said = strange.error("build", wanted(tmp_path / "one", "tinyc"), "--base", base, code=5)
        assert "tinyc_0.2-1.tar.gz holds tinybase 2.0.1, and its repository says tinyc 0.2-1" in said
        shutil.copy(cran.source / "src/contrib/Archive/tinybase/tinybase_1.0.tar.gz", contrib)
        index = (contrib / "PACKAGES").read_text().replace("Version: 2.0.1", "Version: 1.0")
        (contrib / "PACKAGES").write_text(index)
        (contrib / "PACKAGES.gz").unlink()
        said = strange.error("build", wanted(tmp_path / "two", "tinybase"), "--base", base, code=5)
        assert "has the MD5 sum" in said


def test_no_repository(program: Program, r_system: TinySystem, tmp_path: Path) -> None:
    source = wanted(tmp_path / "source", "tinybase")
    base = r_system.base(program)
    with ScriptedServer(lambda _: Reply(404)) as server:
        nobody = Program(program.store, {"OCIBUILD_R_REPOSITORY": f"{server.url}/cran"})
        said = nobody.error("build", source, "--base", base, code=5)
    assert "reading R packages" in said
    assert "404" in said
    wrong = Program(program.store, {"OCIBUILD_R_REPOSITORY": "file:///cran"})
    assert "is no http or https address" in wrong.error("build", source, "--base", base, code=2)


def test_sources_are_told_before_they_are_built(r_program: Program, r_system: TinySystem, tmp_path: Path) -> None:
    """An old version, and what only exists as source, are a step; the compiler comes with what holds code for one."""
    base = r_system.base(r_program)
    plain = r_program.result("plan", wanted(tmp_path / "plain", "tinybase@1.0"), "--base", base, "--json")
    (step,) = json.loads(plain)["steps"]
    assert (step["name"], step["user"]) == ("R packages from source", "root")
    assert step["why"] == "no repository has them built: tinybase"
    packages = {each["name"]: each for each in json.loads(plain)["packages"]}
    assert packages["tinybase"]["url"].endswith("/src/contrib/Archive/tinybase/tinybase_1.0.tar.gz")
    assert "r-base-dev" not in packages
    nobody = {"OCIBUILD_R_REPOSITORY": r_program.environment["OCIBUILD_R_REPOSITORY"]}
    sources = f'repository = "{nobody["OCIBUILD_R_REPOSITORY"]}/latest"\n'
    compiled = json.loads(
        r_program.result("plan", wanted(tmp_path / "compiled", "tinytop", more=sources), "--base", base, "--json")
    )
    (step,) = compiled["steps"]
    assert step["why"] == "no repository has them built: tinybase, tinyhead, tinyc, tinytop"
    assert "r-base-dev" in {each["name"] for each in compiled["packages"]}
    refused = r_program.error("build", tmp_path / "plain", "--base", base, "--sandbox", "none", code=4)
    assert "R packages from source has to run" in refused


def test_a_lock_of_renv_and_a_script(r_program: Program, r_system: TinySystem, tmp_path: Path) -> None:
    base = r_system.base(r_program)
    lock = {"Packages": {"tinyhead": {"Package": "tinyhead", "Version": "1.0", "Source": "Repository"}}}
    source = repository(tmp_path / "renv", renv_lock=json.dumps(lock))
    plan = json.loads(r_program.result("plan", source, "--base", base, "--json"))
    assert {each["name"]: each["why"] for each in plan["packages"]}["tinyhead"] == "renv.lock"
    source = repository(tmp_path / "renv", renv_lock=json.dumps({**lock, "R": {"Version": "3.6.1"}}))
    said = r_program.run("plan", source, "--base", base).stderr
    assert "renv.lock: made with R 3.6.1, and the image has 4." in said
    text = 'install.packages(c("tinyhead", "elsewhere"))\n'
    source = repository(tmp_path / "script", runtime_txt=f"r-{DAY}", install_R=text)
    plan = json.loads(r_program.result("plan", source, "--base", base, "--json"))
    assert [step["name"] for step in plan["steps"]] == ["install.R"]
    assert "tinyhead" not in {each["name"] for each in plan["packages"]}
    (source / "ocibuild.toml").write_text("[r]\npreinstall = true\n")
    done = r_program.run("plan", source, "--base", base, "--json")
    assert "install.R:1: no repository has elsewhere: it is left to the script" in done.stderr
    packages = {each["name"]: each["why"] for each in json.loads(done.stdout)["packages"]}
    assert packages["tinyhead"] == "install.R:1"


def test_an_image_knows_the_public_repository(r_program: Program, r_system: TinySystem, tmp_path: Path) -> None:
    """What stands in for it on this machine is this machine's business."""
    source = wanted(tmp_path / "source", "tinyhead")
    (source / "runtime.txt").write_text(f"r-{DAY}\n")
    image = f"oci:{tmp_path / 'image'}"
    r_program.result("build", source, "--base", r_system.base(r_program), "-o", image)
    (inspected,) = json.loads(r_program.result("inspect", image, "--json"))
    variables = inspected["environment"]
    assert variables["R_REPOSITORIES"] == f"https://packagemanager.posit.co/cran/__linux__/tiny/{DAY}"
    assert variables["R_LIBS_USER"] == "/srv/rlibs"
    assert "127.0.0.1" not in json.dumps(inspected)


DESCRIPTION = """\
Package: mine
Version: 0.1
Title: Mine
Description: Made up.
License: GPL-2
Author: A B
Maintainer: A B <a@example.org>
Imports: tinytop
"""
ASK = """\
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import start_new_kernel
print(sorted(KernelSpecManager().find_kernel_specs()))
manager, client = start_new_kernel(kernel_name="ir")
client.execute_interactive(
    "cat(mine::six())", timeout=60, output_hook=lambda message: print(message["content"].get("text", ""), end="")
)
client.stop_channels()
manager.shutdown_kernel(now=True)
"""


@contextlib.contextmanager
def vendor(folder: Path) -> Iterator[Path]:
    """The layer of RStudio, with made-up packages on loopback in the place of its vendor's files."""
    programs = {"usr/lib/rstudio-server/bin/rserver": b"#!/bin/sh\necho served\n"}
    mode = {"usr/lib/rstudio-server/bin/rserver": (0o755, 0, 0)}
    debs = {
        "rstudio-server": make_deb("rstudio-server", files=programs, owners=mode).data,
        "shiny-server": make_deb("shiny-server").data,
    }

    def answer(request: Request) -> Reply:
        return Reply(body=debs[request.path.strip("/")])

    shutil.copytree(Path(__file__).parents[2] / "layers/rstudio", folder / "rstudio")
    toml = folder / "rstudio/layer.toml"
    with ScriptedServer(answer) as server:
        text = toml.read_text()
        for name, variable in (("rstudio-server", "RSTUDIO"), ("shiny-server", "SHINY")):
            digest = hashlib.sha256(debs[name]).hexdigest()
            text = re.sub(rf'{variable}_URL = ".*"', f'{variable}_URL = "{server.url}/{name}"', text)
            text = re.sub(rf'{variable}_SHA256 = ".*"', f'{variable}_SHA256 = "{digest}"', text)
        toml.write_text(text)
        yield folder / "rstudio"


@pytest.mark.network
@pytest.mark.slow
def test_an_r_repository_in_jupyter(warm: Program, cran: RRepository, tmp_path: Path) -> None:
    """Binaries, an old version and C code from their sources, a script, the repository's own package, the kernel."""
    source = repository(
        tmp_path / "source",
        DESCRIPTION=DESCRIPTION,
        NAMESPACE="importFrom(tinytop, three)\nexport(six)\n",
        runtime_txt=f"r-4.2-{DAY}",
        ask_py=ASK,
    )
    (source / "R").mkdir()
    (source / "R/six.R").write_text("six <- function() 2 * three()\n")
    (source / "ocibuild.toml").write_text('[r]\npackages = ["tinyhead@0.9"]\n')
    (source / "install.R").write_text(
        'install.packages("tinybase")\nwriteLines(as.character(getOption("repos")), "repositories")\n'
    )
    with posit_imitation(cran, days=(DAY,)) as server, vendor(tmp_path) as layer:
        program = Program(warm.store, {"OCIBUILD_R_REPOSITORY": f"{server.url}/cran"})
        program.result("build", source, "-t", "tests/r", "--profile", "binder", "--layer", layer)
    answer = program.result("run", "tests/r", "python3", "ask.py")
    assert answer == "['ir', 'python3']\n6"
    assert (
        program.result(
            "run", "tests/r", "sh", "-c", "/usr/lib/rstudio-server/bin/rserver; stat -c %U /var/log/shiny-server.log"
        )
        == "served\njovyan"
    )
    code = (
        'p <- function(n) packageDescription(n)[c("Version", "Built")]; '
        'cat(find.package(c("tinybase", "tinyhead", "mine")), readLines("repositories"), p("tinyhead")$Built, sep = "\\n")'
    )
    found = program.result("run", "tests/r", "Rscript", "-e", code).splitlines()
    assert found[:3] == ["/srv/rlibs/tinybase", f"/{LIBRARY}/tinyhead", "/srv/rlibs/mine"]
    assert found[3].startswith("http://127.0.0.1:")
    assert found[4].endswith("1980-01-01 00:00:00 UTC; unix")
