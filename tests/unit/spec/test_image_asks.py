from dataclasses import replace
from pathlib import Path

import pytest

from ocibuild import __version__
from ocibuild.core.asks import Origin
from ocibuild.core.errors import RepositoryError, UsageError
from ocibuild.core.platform import Platform
from ocibuild.spec.catalogue import CatalogueLayer, read_catalogue_layer, shipped_layer
from ocibuild.spec.image_asks import ImageAsks, image_asks, read_image_asks
from ocibuild.spec.options import BuildOptions
from ocibuild.spec.profile import profile_named
from ocibuild.spec.repository import read_repository

AMD64 = Platform.parse("linux/amd64")
BASE = {"PATH": "/usr/bin:/bin"}


def asks(
    files: dict[str, bytes], profile_name: str = "binder", *layers: CatalogueLayer, said: BuildOptions | None = None
) -> ImageAsks:
    profile = profile_named(profile_name)
    options = said or BuildOptions(profile=profile_name)
    spec = read_repository(
        files.get, is_folder=lambda path: any(name.startswith(f"{path}/") for name in files), said=options
    )
    shipped = [shipped_layer(name) for name in profile.layer_names(runs_code=False)]
    return image_asks(spec, profile, [*shipped, *layers], options, origin=("local", "None"))


def test_the_plain_profile_asks_nothing_of_its_own() -> None:
    found = asks({"apt.txt": b"git\n", "requirements.txt": b"six\n", "start": b"", ".dockerignore": b"*"}, "plain")
    assert [ask.name for ask in found.apt("bookworm")] == ["git"]
    assert found.pip.requirements == ()
    assert found.environment(BASE, AMD64, has_python=True) == {
        "PATH": "/srv/conda/envs/notebook/bin:/usr/bin:/bin",
        "HOME": "/home/jovyan",
        "USER": "jovyan",
    }
    assert found.environment(BASE, AMD64, has_python=False)["PATH"] == "/usr/bin:/bin"
    assert (found.labels, found.entrypoint, found.command, found.ports) == ({}, None, None, ())
    assert not found.ignored.ignores("a")


def test_a_binder_image() -> None:
    found = asks({"apt.txt": b"graphviz\n", "binder/x": b""})
    assert [ask.name for ask in found.apt("bookworm")][-1] == "python3"  # the file at the top does not count
    assert found.account.name == "jovyan"
    assert found.labels == {"repo2docker.ref": "None", "repo2docker.repo": "local", "repo2docker.version": __version__}
    assert found.entrypoint == ("/usr/local/bin/repo2docker-entrypoint",)
    assert found.command == ("jupyter", "notebook", "--ip", "0.0.0.0")
    assert (found.ports, found.owned) == (("8888/tcp",), ("srv/npm",))
    assert (str(found.apt("")[0].origin), str(found.pip.requirements[0][1])) == (
        "tools/layer.toml:10",
        "jupyter/layer.toml:9",
    )
    assert {text for text, _ in found.pip.requirements} >= {"jupyterlab", "notebook", "jupyterhub"}


def test_another_user_and_place() -> None:
    said = BuildOptions(profile="binder", user_name="alice", user_id=1234, repository_folder="/srv/repo")
    found = asks({"start": b""}, said=said)
    assert (found.account.name, found.account.uid, found.account.gid) == ("alice", 1234, 1234)
    assert found.layers[0].accounts == (found.account,)
    environment = found.environment(BASE, Platform.parse("linux/arm64"), has_python=True)
    assert (environment["HOME"], environment["REPO_DIR"]) == ("/home/alice", "/srv/repo")
    assert environment["PATH"].startswith("/home/alice/.local/bin:/srv/repo/.local/bin:/srv/conda/envs/notebook/bin:")
    assert environment["R2D_ENTRYPOINT"] == "/srv/repo/start"
    assert environment["CONDA_PLATFORM"] == "linux-aarch64"


def test_what_runs_and_must_be_executable() -> None:
    said = BuildOptions(profile="binder", appendix="USER root\nRUN true\nENV A=$NB_UID\n")
    found = asks({"binder/start": b"", "binder/postBuild": b"", "binder/.dockerignore": b"data"}, said=said)
    assert found.executable == {"binder/start", "binder/postBuild"}
    assert found.post_build == "binder/postBuild"
    assert found.ignored.ignores("data/x")
    effect = found.appended(found.environment(BASE, AMD64, has_python=True))
    assert (effect.user, effect.environment, effect.steps[0].user) == ("root", {"A": "1000"}, "root")


def test_the_package_of_the_repository() -> None:
    assert asks({"setup.py": b""}).pip.requirements[-1] == (".", Origin("setup.py"))
    assert asks({"setup.py": b""}, "plain").pip.requirements == ()


def test_layers_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "layer.toml").write_text(
        'path = ["${OURS}/bin"]\nport = ["80/tcp"]\ncmd = ["serve"]\nowned = ["/opt/ours"]\n'
        '[environment]\nOURS = "/opt/ours"\nHERE = "${REPO_DIR}/${NONE}x"\n[label]\na = "1"\n'
        '[apt]\npackages = ["jq"]\n[apt.trixie]\npackages = ["libtiff6", "g++=1:2*"]\n[[step]]\nrun = "true"\n'
    )
    layer = read_catalogue_layer(tmp_path)
    said = BuildOptions(profile="plain", labels={"a": "2"}, environment={"HERE": "there", "PATH": "/mine"})
    found = asks({}, "plain", layer)
    environment = found.environment(BASE, AMD64, has_python=True)
    assert environment["PATH"] == "/opt/ours/bin:/srv/conda/envs/notebook/bin:/usr/bin:/bin"
    assert environment["HERE"] == "/home/jovyan/x"
    assert (found.labels, found.command, found.ports, found.owned) == (
        {"a": "1"},
        ("serve",),
        ("80/tcp",),
        ("opt/ours",),
    )
    assert list(map(str, found.apt("trixie"))) == ["jq", "libtiff6", "g++=1:2*"]
    assert list(map(str, found.apt("bookworm"))) == ["jq"]
    assert str(found.apt("")[0].origin) == f"{tmp_path.name}/layer.toml:11"
    assert [step.name for step in found.steps] == ["step 1"]
    over = asks({}, "plain", layer, said=said)
    assert over.labels == {"a": "2"}
    assert over.environment(BASE, AMD64, has_python=True)["PATH"] == "/mine"


@pytest.mark.parametrize(
    ("files", "appendix", "has_compilers"),
    [
        ({"postBuild": b""}, None, True),
        ({"setup.py": b""}, None, True),
        ({"requirements.txt": b""}, None, False),
        ({}, "RUN true", False),
    ],
)
def test_code_of_the_repository_brings_compilers(
    files: dict[str, bytes], appendix: str | None, *, has_compilers: bool
) -> None:
    options = BuildOptions(profile="binder", appendix=appendix)
    spec = read_repository(files.get, is_folder=lambda _: False, said=options)
    names = [layer.name for layer in read_image_asks(spec, options, origin=("local", "None")).layers]
    assert ("buildpack" in names) == has_compilers
    more = replace(options, layer_folders=("buildpack",))
    assert read_image_asks(spec, more, origin=("local", "None")).apt("bookworm")


def test_layers_for_code() -> None:
    assert "buildpack" in profile_named("binder").layer_names(runs_code=True)
    assert "buildpack" not in profile_named("binder").layer_names(runs_code=False)


def test_a_wrong_appendix_and_profile() -> None:
    with pytest.raises(RepositoryError, match=r"--appendix:1: COPY"):
        asks({}, said=BuildOptions(profile="binder", appendix="COPY a b"))
    with pytest.raises(UsageError, match="no profile 'none'") as caught:
        profile_named("none")
    assert "binder, plain" in str(caught.value.hint)


def test_what_must_run_may_not_be_ignored() -> None:
    with pytest.raises(RepositoryError, match=r"binder/postBuild: has to run"):
        asks({"binder/postBuild": b"", "binder/.dockerignore": b"binder\n"})
    assert asks({"postBuild": b"", ".dockerignore": b"*\n"}, "plain").executable == {"postBuild"}
