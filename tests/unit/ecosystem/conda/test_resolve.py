import json
import sys
from datetime import UTC, date, datetime

import pytest

from ocibuild.core.asks import CondaAsk, EitherAsk, Origin
from ocibuild.core.errors import BuildError, MachineError, NetworkError, RepositoryError
from ocibuild.core.package import Ecosystem
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.conda.configuration import CondaSettings
from ocibuild.ecosystem.conda.target import CondaTarget
from tests.support.conda_channel import TIMESTAMP, Recipe, serving
from tests.support.scripted_server import HANG_UP, Reply, Request, ScriptedServer
from tests.unit.ecosystem.conda.conftest import AMD64, Environment, versions

pytest.importorskip("rattler")

PLAIN = [
    Recipe("app", "1.0", depends=["library >=1", "__glibc >=2.17"]),
    Recipe("app", "2.0", depends=["library >=2"]),
    Recipe("library", "1.5"),
    Recipe("library", "2.5"),
    Recipe("tool", "1.0", subdir="noarch", noarch="generic", depends=["app <2"]),
]


def test_packages_are_locked_with_all_that_placing_needs(environment: Environment) -> None:
    address = environment.channel("team", PLAIN)
    resolution = environment.resolve([address], "tool", "library>=1", "library<3")
    assert versions(resolution) == {"app": "1.0", "library": "2.5", "tool": "1.0"}
    app, library, tool = resolution.packages
    assert library.ecosystem is Ecosystem.CONDA
    assert (library.requested, app.requested) == (True, False)
    assert library.why == ("environment.yml:11", "environment.yml:12")
    assert library.fields["specs"].splitlines() == ["library>=1", "library<3"]
    assert app.why == ("tool",)
    assert (tool.architecture, app.architecture) == ("noarch", "amd64")
    assert (app.fields["build"], app.fields["subdir"], app.fields["filename"]) == ("0", "linux-64", "app-1.0-0.conda")
    assert json.loads(app.fields["record"])["depends"] == ["library >=1", "__glibc >=2.17"]
    body = environment.folder / "channels/team" / app.path
    assert app.size_bytes == body.stat().st_size
    assert resolution.addresses[app.source] + app.path == body.as_uri()


def test_no_address_of_this_machine_is_locked(environment: Environment, server: ScriptedServer) -> None:
    environment.channel("mirror/conda-forge", PLAIN)
    environment.channel("local", [Recipe("mine")])
    environment.settings = CondaSettings(alias=f"{server.url}/mirror")
    resolution = environment.resolve(["conda-forge", (environment.folder / "channels/local").as_uri()], "app", "mine")
    for package in resolution.packages:
        text = repr(package)
        assert server.host not in text
        assert str(environment.folder) not in text
    assert {package.fields["channel"] for package in resolution.packages} == {"conda-forge", "file:///local"}
    assert resolution.addresses["conda-forge"] == f"{server.url}/mirror/conda-forge/"


def test_credentials_reach_the_server_and_nothing_else(environment: Environment) -> None:
    environment.channel("private", PLAIN)

    def allow(request: Request) -> bool:
        return request.headers.get("authorization", "").startswith("Basic ")

    with serving(environment.folder / "channels", allow) as private:
        address = f"http://user:p%40ss@{private.host}/private"
        resolution = environment.resolve([address], "app")
        (app, _) = resolution.packages
        assert "p%40ss" not in repr(resolution.packages)
        assert app.fields["channel"] == f"http://{private.host}/private"
        assert resolution.addresses[app.source] == f"{address}/"
        environment.options["variables"] = {"WORD": "wrong"}
        with pytest.raises(NetworkError) as caught:
            environment.resolve([f"http://{private.host}/private"], "app")
        assert caught.value.status == 401
        assert "credentials" in str(caught.value.hint)


def test_tokens_of_paths_are_filled_and_hidden(environment: Environment) -> None:
    environment.channel("t/s3cr3t/private", PLAIN)
    with serving(environment.folder / "channels") as private:
        environment.options["variables"] = {"TOKEN": "s3cr3t"}
        resolution = environment.resolve([f"{private.url}/t/${{TOKEN}}/private"], "app")
        assert "s3cr3t" not in repr(resolution.packages)
        assert resolution.packages[0].fields["channel"] == f"{private.url}/private"
        assert "s3cr3t" in resolution.addresses[resolution.packages[0].source]
        with pytest.raises(RepositoryError) as caught:
            environment.resolve([f"{private.url}/t/${{TOKEN}}/gone"], "app")
        assert "s3cr3t" not in str(caught.value)
        assert caught.value.line == 2


def test_the_environment_of_this_machine_fills_nothing_of_a_repository(
    environment: Environment, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "s3cr3t")
    with pytest.raises(RepositoryError):
        environment.resolve([f"{server.url}/$SECRET"], "app")
    assert not any("s3cr3t" in request.target for request in server.requests)


def test_channel_priorities(environment: Environment) -> None:
    first = environment.channel("first", [Recipe("app", "1.0"), Recipe("other", "1.0", depends=["app >=2"])])
    second = environment.channel("second", [Recipe("app", "2.0")])
    assert versions(environment.resolve([first, second], "app")) == {"app": "1.0"}
    environment.settings = CondaSettings(priority="disabled")
    assert versions(environment.resolve([first, second], "app")) == {"app": "2.0"}
    environment.settings = CondaSettings(priority="flexible")
    assert versions(environment.resolve([first, second], "other"))["app"] == "2.0"
    environment.settings = CondaSettings(priority="strict")
    with pytest.raises(RepositoryError, match="priority"):
        environment.resolve([first, second], "other")


def test_defaults_are_one_channel(environment: Environment) -> None:
    main = environment.channel("mirror/pkgs/main", [Recipe("app", "1.0")])
    r = environment.channel("mirror/pkgs/r", [Recipe("app", "2.0"), Recipe("r-base", "4.4")])
    environment.settings = CondaSettings(multi={"defaults": (main, r)}, priority="strict")
    resolution = environment.resolve(["defaults"], "app", "r-base")
    assert versions(resolution) == {"app": "2.0", "r-base": "4.4"}
    assert {package.fields["channel"] for package in resolution.packages} == {"file:///r"}


def test_a_spec_may_name_its_channel(environment: Environment, server: ScriptedServer) -> None:
    first = environment.channel("first", [Recipe("app", "1.0")])
    environment.channel("alias/second", [Recipe("app", "2.0")])
    environment.settings = CondaSettings(alias=f"{server.url}/alias", priority="strict")
    resolution = environment.resolve([first], "second::app")
    assert versions(resolution) == {"app": "2.0"}
    assert resolution.packages[0].fields["channel"] == "second"
    assert resolution.packages[0].fields["specs"] == "second::app"


def test_virtual_packages_are_the_targets(environment: Environment) -> None:
    address = environment.channel(
        "team",
        [
            Recipe("new", "1.0", depends=["__glibc >=2.30"]),
            Recipe("new", "2.0", depends=["__glibc >=2.99"]),
            Recipe("gpu", build="cpu_0"),
            Recipe("gpu", build="cuda_0", build_number=5, depends=["__cuda >=12"]),
            Recipe("fast", build="v1"),
            Recipe("fast", build="v3", build_number=5, depends=["__archspec 1 x86_64_v3"]),
        ],
    )
    assert versions(environment.resolve([address], "new")) == {"new": "1.0"}
    builds = {
        package.name: package.fields["build"] for package in environment.resolve([address], "gpu", "fast").packages
    }
    assert builds == {"gpu": "cpu_0", "fast": "v1"}
    environment.target = CondaTarget(AMD64, glibc="2.99", cuda="12.4", archspec="x86_64_v3")
    resolution = environment.resolve([address], "gpu", "fast", "new")
    assert {package.fields["build"] for package in resolution.packages} == {"cuda_0", "v3", "0"}
    assert versions(resolution)["new"] == "2.0"


def test_another_platform(environment: Environment) -> None:
    address = environment.channel("team", [*PLAIN, Recipe("app", "3.0", subdir="linux-aarch64")])
    environment.target = CondaTarget(Platform.parse("arm64"), glibc="2.36")
    (app,) = environment.resolve([address], "app").packages
    assert (app.version, app.architecture, app.fields["subdir"]) == ("3.0", "arm64", "linux-aarch64")


def test_as_of_a_day(environment: Environment) -> None:
    day = datetime.fromtimestamp(TIMESTAMP / 1000, UTC).date()
    later = TIMESTAMP + 86_400_000
    address = environment.channel("team", [Recipe("app", "1.0"), Recipe("app", "2.0", index={"timestamp": later})])
    environment.options["as_of"] = day
    assert versions(environment.resolve([address], "app")) == {"app": "1.0"}
    environment.options["as_of"] = date(2020, 1, 1)
    with pytest.raises(RepositoryError, match="cutoff"):
        environment.resolve([address], "app")


def test_offline_from_the_cache(environment: Environment, server: ScriptedServer) -> None:
    environment.channel("team", PLAIN)
    online = environment.resolve([f"{server.url}/team"], "app")
    server.requests.clear()
    environment.options["offline"] = True
    assert environment.resolve([f"{server.url}/team"], "app").packages == online.packages
    with pytest.raises(NetworkError, match="never asked"):
        environment.resolve([f"{server.url}/other"], "app")
    assert server.requests == []


def test_preferences_are_kept_until_something_speaks_against_them(environment: Environment) -> None:
    old = [Recipe("app", "1.0", depends=["library"]), Recipe("library", "1.0"), Recipe("extra", "1.0")]
    address = environment.channel("team", old)
    preferred = environment.resolve([address], "app", "extra").packages
    new = [
        Recipe("app", "2.0", depends=["library"]),
        Recipe("library", "2.0"),
        Recipe("wants", depends=["library >=2"]),
    ]
    environment.channel("team", [*old, *new])
    environment.options["preferred"] = preferred
    kept = environment.resolve([address], "app")
    assert versions(kept) == {"app": "1.0", "library": "1.0"}
    assert kept.given_up == ()
    bent = environment.resolve([address], "app", "wants")
    assert versions(bent) == {"app": "1.0", "library": "2.0", "wants": "1.0"}
    assert [package.name for package in bent.given_up] == ["library"]
    assert {package.digest for package in bent.packages} >= {preferred[0].digest}, (
        "what is kept is byte for byte the same"
    )


def test_preferences_of_other_channels_and_days_are_no_candidates(environment: Environment) -> None:
    address = environment.channel("team", [Recipe("app", "1.0")])
    preferred = environment.resolve([environment.channel("elsewhere", [Recipe("app", "9.0")])], "app").packages
    environment.options["preferred"] = preferred
    assert versions(environment.resolve([address], "app")) == {"app": "1.0"}


def test_nothing_asked_is_nothing(environment: Environment) -> None:
    assert environment.resolve([]).packages == ()


# What goes wrong.


@pytest.mark.parametrize(
    ("specs", "line", "words", "hint"),
    [
        (("app", "torch"), 11, "No candidates were found for torch", "pytorch"),
        (("nothing-like-it",), 10, "nothing-like-it", "pip section"),
        (("tool", "app >=2"), 10, "app", None),
        (("wants-new-libc",), 10, "__glibc >=2.99", "glibc 2.36"),
        (("wants-cuda",), 10, "__cuda >=12", "--cuda"),
    ],
)
def test_what_cannot_be_solved(
    environment: Environment, specs: tuple[str, ...], line: int, words: str, hint: str | None
) -> None:
    more = [Recipe("wants-new-libc", depends=["__glibc >=2.99"]), Recipe("wants-cuda", depends=["__cuda >=12"])]
    address = environment.channel("team", [*PLAIN, *more])
    with pytest.raises(RepositoryError) as caught:
        environment.resolve([address], *specs)
    assert (caught.value.file, caught.value.line) == ("environment.yml", line)
    assert words in str(caught.value)
    assert hint is None or hint in str(caught.value.hint)


@pytest.mark.parametrize("spec", ["app >=,1 !!", "app*", "pip:", "", "a[b"])
def test_what_is_no_spec(environment: Environment, spec: str) -> None:
    with pytest.raises(RepositoryError) as caught:
        environment.resolve([environment.channel("team", PLAIN)], "app", spec)
    assert (caught.value.file, caught.value.line) == ("environment.yml", 11)


def test_an_unknown_channel(environment: Environment, server: ScriptedServer) -> None:
    known = environment.channel("team", PLAIN)
    for address in (f"{server.url}/nowhere", (environment.folder / "nowhere").as_uri()):
        with pytest.raises(RepositoryError, match="does not exist") as caught:
            environment.resolve([known, address], "app")
        assert (caught.value.file, caught.value.line) == ("environment.yml", 3)


def test_a_channel_without_packages_for_the_platform(environment: Environment) -> None:
    address = environment.channel("team", PLAIN)
    empty = environment.folder / "channels/data/noarch"
    empty.mkdir(parents=True)
    (empty / "repodata.json").write_text('{"packages": {}, "packages.conda": {}}')
    assert environment.resolve([empty.parent.as_uri(), address], "app").packages


@pytest.mark.parametrize(
    ("reply", "status"), [(Reply(503), 503), (Reply(403), 403), (HANG_UP, None), (Reply(body=b"no repodata"), None)]
)
def test_a_channel_that_cannot_be_asked(environment: Environment, reply: Reply, status: int | None) -> None:
    with ScriptedServer(lambda _: reply) as broken, pytest.raises(NetworkError) as caught:
        environment.resolve([f"{broken.url}/team"], "app")
    assert caught.value.status == status
    assert "/team" in str(caught.value)


def test_a_server_that_is_not_there(environment: Environment, server: ScriptedServer) -> None:
    with ScriptedServer(lambda _: HANG_UP) as gone:
        address = gone.url
    with pytest.raises(NetworkError, match="refused"):
        environment.resolve([f"{address}/team"], "app")


def test_a_channel_without_hashes(environment: Environment) -> None:
    address = environment.channel("team", [Recipe("app", patch={"sha256": None})])
    path = environment.folder / "channels/team/linux-64/repodata.json"
    text = path.read_text().replace('"sha256": null, ', "")
    path.write_text(text)
    path.with_name("repodata.json.zst").unlink()
    with pytest.raises(BuildError, match="no SHA-256 of app"):
        environment.resolve([address], "app")


def test_a_channel_may_be_in_the_repository_and_nowhere_else_on_this_machine(environment: Environment) -> None:
    environment.channel("../repository/channel", PLAIN)
    assert environment.resolve(["./channel"], "app").packages[0].fields["channel"] == "file:///channel"
    with pytest.raises(RepositoryError, match="outside the repository"):
        environment.resolve(["../channels/team"], "app")


def test_without_rattler(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rattler", None)
    with pytest.raises(MachineError) as caught:
        environment.resolve([environment.channel("team", PLAIN)], "app")
    assert "ocibuild[conda]" in str(caught.value.hint)
    assert caught.value.exit_code == 4


def test_a_platform_that_conda_has_not(environment: Environment) -> None:
    environment.target = CondaTarget(Platform("linux", "sparc"))
    with pytest.raises(MachineError):
        environment.resolve([environment.channel("team", PLAIN)], "app")


def test_the_address_of_a_package_is_no_spec(environment: Environment, server: ScriptedServer) -> None:
    environment.channel("team", PLAIN)
    for text in (f"{server.url}/team/linux-64/app-1.0-0.conda", "./app-1.0-0.tar.bz2"):
        with pytest.raises(RepositoryError, match="CHANNEL::NAME"):
            environment.resolve([f"{server.url}/team"], text)
    assert server.requests == []


def test_what_no_channel_has_is_asked_of_pip(environment: Environment) -> None:
    channel = environment.channel("team", [Recipe("app"), Recipe("jupyter-lab", "4.1"), Recipe("jupyter-lab", "5.0")])
    origin = Origin("jupyter/layer.toml", 7)
    environment.either = (
        EitherAsk(CondaAsk("jupyter-lab <5", origin), "jupyter_lab<5"),
        EitherAsk(CondaAsk("offline", origin), "offline>=1"),
        EitherAsk(CondaAsk("pip", origin)),
    )
    found = environment.resolve([channel], "app")
    assert versions(found) == {"app": "1.0", "jupyter-lab": "4.1"}
    assert found.pip.requirements == (("offline>=1", origin),)
    lab = next(package for package in found.packages if package.name == "jupyter-lab")
    assert (lab.requested, lab.why) == (True, ("jupyter/layer.toml:7",))


@pytest.mark.parametrize(
    ("channels", "spec", "hint"),
    [
        ([], "app", "no channel is named, and nodefaults leaves out the usual one"),
        (["team"], "app >=2", "ask for another version of app, or name a channel that has it"),
        (["team"], "other", "name another channel, or move the package to the pip section"),
    ],
)
def test_what_to_do_about_a_package_that_is_not_there(
    environment: Environment, channels: list[str], spec: str, hint: str
) -> None:
    addresses = [environment.channel(name, [Recipe("app")]) for name in channels]
    with pytest.raises(RepositoryError, match="No candidates were found for") as caught:
        environment.resolve(addresses, spec)
    assert hint in (caught.value.hint or "")
