"""From a registry's base to a registry's image: what is asked, sent, kept and told."""

import base64
import hashlib
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import Program, repository
from tests.support.apt_repository import make_deb
from tests.support.registry_server import RegistryServer
from tests.support.scripted_server import Reply, Request, ScriptedServer
from tests.support.tiny_system import TinySystem

pytestmark = pytest.mark.registry

_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_TYPES = {
    "application/vnd.oci.image.manifest.v1+json": _DOCKER_MANIFEST,
    "application/vnd.oci.image.config.v1+json": "application/vnd.docker.container.image.v1+json",
    "application/vnd.oci.image.layer.v1.tar+gzip": "application/vnd.docker.image.rootfs.diff.tar.gzip",
}
_REQUEST = re.compile(r"http\.request\.method=(\w+).*?http\.request\.uri=\"?([^\" ]+)")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RegistryServer]:
    with RegistryServer(tmp_path / "registry") as server:
        yield server


@pytest.fixture
def second(tmp_path: Path) -> Iterator[RegistryServer]:
    with RegistryServer(tmp_path / "second-registry") as server:
        yield server


@pytest.fixture
def source(system: TinySystem, tmp_path: Path) -> Path:
    system.add(make_deb("hello", "1.0", files={"usr/bin/hello": b"#!/bin/sh\necho hello\n"}))
    system.publish()
    return repository(tmp_path / "repository", apt_txt="hello\n")


def requests(server: RegistryServer) -> list[tuple[str, str]]:
    """Method and path of what the registry answered since the last call, without upload sessions' names."""
    matches = (_REQUEST.search(line) for line in server.log if "response completed" in line)
    found = [(match[1], match[2].partition("?")[0]) for match in matches if match]
    server.log.clear()
    return found


def get(server: RegistryServer, path: str) -> Any:
    accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " + _DOCKER_MANIFEST
    request = urllib.request.Request(f"{server.url}/v2/{path}", headers={"Accept": accept})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def base_in(server: RegistryServer, program: Program, system: TinySystem, name: str, *options: str) -> str:
    """A base with settings of its own, in this registry."""
    folder = system.base(program, *options).partition(":")[2]
    settings = 'cmd = ["sleep"]\nentrypoint = ["/init"]\n[env]\nFROM_BASE = "yes"\n[label]\nbase = "tiny"\n'
    base = repository(Path(folder).with_name("with-settings"), ocibuild_toml=settings)
    image = f"{server.host}/{name}"
    program.result("build", base, "--base", f"oci:{folder}", "-t", image, "--push", *options)
    requests(server)
    return image


def test_a_base_is_read_once_and_its_layers_are_mounted(
    program: Program, system: TinySystem, registry: RegistryServer, source: Path, tmp_path: Path
) -> None:
    base = base_in(registry, program, system, "team/base:1")
    other = Program(tmp_path / "other-store", {})
    image = f"{registry.host}/team/app:1"
    digest = other.result("build", source, "--base", base, "-t", image, "--push")
    asked = requests(registry)
    manifest, of_base = get(registry, "team/app/manifests/1"), get(registry, "team/base/manifests/1")
    layers = [layer["digest"] for layer in of_base["layers"]]
    for layer in layers:
        assert asked.count(("GET", f"/v2/team/base/blobs/{layer}")) == 1
        assert ("PUT", f"/v2/team/app/blobs/uploads/{layer}") not in asked
    assert [layer["digest"] for layer in manifest["layers"]][: len(layers)] == layers
    assert asked[-1] == ("PUT", "/v2/team/app/manifests/1")  # the tag moves last
    uploads = [path for method, path in asked if method == "PUT" and "/blobs/" in path]
    own = len(manifest["layers"]) - len(layers)
    assert len(uploads) == own + 1  # and the configuration; the base's layers were mounted
    config, base_config = (
        get(registry, f"{name}/blobs/{value['config']['digest']}")
        for name, value in (("team/app", manifest), ("team/base", of_base))
    )
    assert config["history"][: len(base_config["history"])] == base_config["history"]
    assert config["rootfs"]["diff_ids"][: len(layers)] == base_config["rootfs"]["diff_ids"]
    assert "FROM_BASE=yes" in config["config"]["Env"]
    assert config["config"]["Labels"]["base"] == "tiny"
    assert (config["config"]["Entrypoint"], config["config"]["Cmd"]) == (["/init"], ["sleep"])
    assert manifest["annotations"]["org.opencontainers.image.base.name"] == base

    requests(registry)  # the next build has nothing to do, and asks whether the tag is right
    assert other.result("build", source, "--base", base, "-t", image, "--push") == digest
    asked = requests(registry)
    assert ("HEAD", "/v2/team/app/manifests/1") in asked
    assert {method for method, _ in asked} <= {"HEAD", "GET"}


def test_the_second_build_reads_no_layer(
    program: Program, system: TinySystem, registry: RegistryServer, source: Path, tmp_path: Path
) -> None:
    base = base_in(registry, program, system, "team/base:1")
    other = Program(tmp_path / "other-store", {})
    other.result("build", source, "--base", base)
    requests(registry)
    other.result("build", repository(tmp_path / "next", apt_txt="hello\n", notes_txt="x"), "--base", base)
    config = get(registry, "team/base/manifests/1")["config"]["digest"]
    blobs = [path for method, path in requests(registry) if method == "GET" and "/blobs/" in path]
    assert set(blobs) <= {f"/v2/team/base/blobs/{config}"}


def test_layers_are_copied_between_registries(
    program: Program, system: TinySystem, registry: RegistryServer, second: RegistryServer, source: Path, tmp_path: Path
) -> None:
    base = base_in(registry, program, system, "base:1")
    other = Program(tmp_path / "other-store", {})
    digest = other.result("build", source, "--base", base, "-t", f"{second.host}/app:1", "--push")
    other.result("build", source, "--base", base, "-t", f"{second.host}/app:1", "-o", f"oci:{tmp_path / 'image'}")
    assert other.result("check", f"{second.host}/app:1").endswith("is sound")
    assert other.result("check", f"oci:{tmp_path / 'image'}").endswith("is sound")
    third = Program(tmp_path / "third-store", {})
    assert third.result("pull", f"{second.host}/app:1", "-o", f"oci-archive:{tmp_path / 'app.tar'}") == digest
    assert third.result("push", f"oci-archive:{tmp_path / 'app.tar'}", f"{registry.host}/copy:1") == digest
    assert third.result("push", f"{registry.host}/copy:1", f"{registry.host}/again:1") == digest
    assert get(registry, "again/manifests/1") == get(second, "app/manifests/1")


def test_a_base_with_dockers_types(
    program: Program, system: TinySystem, registry: RegistryServer, source: Path
) -> None:
    base_in(registry, program, system, "base:1", "--compression", "gzip")
    manifest = get(registry, "base/manifests/1")
    converted = json.loads(json.dumps(manifest), object_hook=_with_docker_types)
    converted.pop("annotations", None)
    assert all(
        layer["mediaType"] == "application/vnd.docker.image.rootfs.diff.tar.gzip" for layer in converted["layers"]
    )
    request = urllib.request.Request(
        f"{registry.url}/v2/base/manifests/docker",
        data=json.dumps(converted).encode(),
        headers={"Content-Type": _DOCKER_MANIFEST},
        method="PUT",
    )
    urllib.request.urlopen(request).close()
    program.result("build", source, "--base", f"{registry.host}/base:docker", "-t", f"{registry.host}/app:1", "--push")
    types = {layer["mediaType"] for layer in get(registry, "app/manifests/1")["layers"]}
    assert all(name.startswith("application/vnd.oci.image.layer.v1.tar+") for name in types)
    assert program.result("check", f"{registry.host}/app:1").endswith("is sound")


def _with_docker_types(value: dict[str, Any]) -> dict[str, Any]:
    return {name: _TYPES.get(member, member) if name == "mediaType" else member for name, member in value.items()}


def test_an_index_is_a_base_for_each_of_its_platforms(
    program: Program, system: TinySystem, registry: RegistryServer, source: Path
) -> None:
    nothing = repository(source.with_name("nothing"))
    both = ["--platform", "linux/amd64", "--platform", "linux/arm64"]
    program.result("build", nothing, "--base", "scratch", *both, "-t", f"{registry.host}/two:1", "--push")
    plain = repository(source.with_name("plain"), notes_txt="x")
    image = f"{registry.host}/app:1"
    program.result("build", plain, "--base", f"{registry.host}/two:1", *both, "-t", image, "--push")
    index = get(registry, "app/manifests/1")
    assert [member["platform"]["architecture"] for member in index["manifests"]] == ["amd64", "arm64"]
    reports = json.loads(program.result("inspect", "--json", image))
    assert [report["platform"] for report in reports] == ["linux/amd64", "linux/arm64"]
    said = program.error("build", plain, "--base", f"{registry.host}/two:1", "--platform", "linux/s390x", code=1)
    assert "linux/s390x" in said
    assert "linux/arm64" in said


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Reply(401, headers={"WWW-Authenticate": 'Basic realm="x"'}), "401 Unauthorized"),
        (Reply(403, b'{"errors": [{"code": "DENIED", "message": "read-only"}]}'), "read-only"),
        (Reply(405, b'{"errors": [{"code": "UNSUPPORTED", "message": "this registry is a mirror"}]}'), "a mirror"),
    ],
    ids=["401", "403", "405"],
)
def test_a_registry_that_refuses(
    program: Program, system: TinySystem, registry: RegistryServer, source: Path, answer: Reply, message: str
) -> None:
    def refuse(request: Request) -> Reply:
        if request.method in ("GET", "HEAD"):
            return Reply() if request.path == "/v2/" else Reply(404)
        return answer

    base = system.base(program)
    with ScriptedServer(refuse) as server:
        host = server.url.removeprefix("http://")
        said = program.error("build", source, "--base", base, "-t", f"{host}/app:1", "--push", code=5)
        assert message in said
        assert host in said
        assert not [request for request in server.requests if request.method == "PUT" and "manifests" in request.path]
    program.result("build", source, "--base", base, "-t", f"{registry.host}/app:1", "--push")


def test_a_registry_that_is_not_there(program: Program, system: TinySystem, source: Path) -> None:
    said = program.error("build", source, "--base", system.base(program), "-t", "localhost:1/x:1", "--push", code=5)
    assert "connection refused\nhint: is the server running" in said


def test_a_wrong_password_is_not_repeated(program: Program, system: TinySystem, source: Path, tmp_path: Path) -> None:
    with RegistryServer(tmp_path / "closed", htpasswd={"me": "right"}) as server:
        config = tmp_path / "docker" / "config.json"
        config.parent.mkdir()
        token = base64.b64encode(b"me:swordfish").decode()
        config.write_text(json.dumps({"auths": {server.host: {"auth": token}}}))
        base = system.base(program)
        image = f"{server.host}/app:1"
        said = program.error(
            "build", source, "--base", base, "-t", image, "--push", code=5, DOCKER_CONFIG=str(config.parent)
        )
        assert "401" in said
        assert "swordfish" not in said
        assert token not in said
        password = tmp_path / "password"
        password.write_text("right\n")
        login = ["--username", "me", "--password-file", str(password)]
        digest = program.result("build", source, "--base", base, "-t", image, "--push", *login)
    assert digest.startswith("sha256:")


def test_several_names(program: Program, system: TinySystem, registry: RegistryServer, source: Path) -> None:
    names = [f"{registry.host}/{name}" for name in ("one:1", "one:latest", "two:1")]
    options = [word for name in names for word in ("-t", name)]
    digest = program.result("build", source, "--base", system.base(program), *options, "--push")
    listed = {image["name"]: image["digest"] for image in json.loads(program.result("cache", "list", "--json"))}
    for name in names:
        assert listed[name] == digest
        path = name.removeprefix(f"{registry.host}/").replace(":", "/manifests/")
        with urllib.request.urlopen(
            urllib.request.Request(
                f"{registry.url}/v2/{path}", headers={"Accept": "application/vnd.oci.image.manifest.v1+json"}
            )
        ) as answer:
            assert f"sha256:{hashlib.sha256(answer.read()).hexdigest()}" == digest
