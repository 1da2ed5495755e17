"""Caches in a registry: a machine that has never built before makes nothing that another one has made."""

import contextlib
import json
import re
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocibuild.core.descriptor import OCI_LAYER_ZSTD, OCI_MANIFEST
from tests.end_to_end.conftest import Program, assert_sound, repository, trials
from tests.support.apt_repository import make_deb
from tests.support.program import program_command
from tests.support.registry_server import RegistryServer
from tests.support.tiny_system import TinySystem

pytestmark = pytest.mark.registry

_REQUEST = re.compile(r"http\.request\.method=(\w+).*?http\.request\.uri=\"?([^\" ]+)")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    with RegistryServer(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def names(registry: RegistryServer, request: pytest.FixtureRequest) -> tuple[str, str]:
    """A cache and an image of this test's own."""
    own = re.sub(r"[^a-z0-9]+", "-", request.node.name).strip("-")
    return f"{registry.host}/{own}/cache", f"{registry.host}/{own}/app:1"


@pytest.fixture
def source(system: TinySystem, tmp_path: Path) -> Path:
    for name in ("hello", "world"):
        system.add(make_deb(name, "1.0", files={f"usr/bin/{name}": f"#!/bin/sh\necho {name}\n".encode() * 200}))
    system.publish()
    return repository(tmp_path / "repository", apt_txt="hello\nworld\n", notes_txt="x")


def fresh(tmp_path: Path, name: str = "other") -> Program:
    """A machine that has never built before."""
    return Program(tmp_path / name, {})


def asked(server: RegistryServer) -> list[tuple[str, str]]:
    """Method and path of what the registry was asked since the last call."""
    found = [match for line in server.log if "response completed" in line and (match := _REQUEST.search(line))]
    server.log.clear()
    return [(match[1], match[2].partition("?")[0]) for match in found]


def uploads(requests: list[tuple[str, str]], name: str) -> int:
    """How many blobs were sent to this repository."""
    return sum(method == "PUT" and path.startswith(f"/v2/{name}/blobs/") for method, path in requests)


def call(server: RegistryServer, path: str, method: str = "GET", body: bytes | None = None, kind: str = "") -> bytes:
    headers = {"Accept": OCI_MANIFEST} | ({"Content-Type": kind} if kind else {})
    request = urllib.request.Request(f"{server.url}/v2/{path}", body, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return bytes(answer.read())


def entries(server: RegistryServer, cache: str) -> list[str]:
    name = cache.partition("/")[2]
    return sorted(json.loads(call(server, f"{name}/tags/list"))["tags"] or ())


def built(program: Program, source: Path, *options: str | Path, base: str) -> tuple[str, str]:
    """The digest, and what was said, of a build that must end well."""
    done = program.run("build", source, "--base", base, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


def base_manifest(base: str) -> str:
    """The hexadecimal digest of a layout's only manifest."""
    index = json.loads(Path(base.partition(":")[2], "index.json").read_text())
    return str(index["manifests"][0]["digest"]).partition(":")[2]


@pytest.fixture
def filled(program: Program, system: TinySystem, registry: RegistryServer, source: Path, names: tuple[str, str]) -> str:
    """The digest of an image that a machine has made and pushed, and filled the cache with."""
    cache, image = names
    digest, said = built(
        program, source, "-t", image, "--push", "--cache", cache, "--cache-mode", "rw", base=system.base(program)
    )
    assert "not written" not in said
    return digest


def test_a_machine_without_anything_fetches_nothing_and_mounts_all(
    program: Program, system: TinySystem, registry: RegistryServer, source: Path, names: tuple[str, str],
    filled: str, tmp_path: Path,
) -> None:  # fmt: skip
    cache, image = names
    base, other, second = system.base(program), fresh(tmp_path), image.replace("/app:", "/second:")
    system.repository.files.clear()  # there is no archive any more: whoever asks it for something fails
    asked(registry)
    digest, said = built(other, source, "-t", second, "--push", "--cache", cache, base=base)
    assert digest == filled
    assert "warning" not in said
    requests = asked(registry)
    repository_name = second.partition("/")[2].partition(":")[0]
    of_base = len(json.loads(Path(base.partition(":")[2], "blobs/sha256", base_manifest(base)).read_text())["layers"])
    assert (
        uploads(requests, repository_name) == of_base + 2
    )  # the base is not in the cache; the files; the configuration
    assert not any("/blobs/" in path and method == "PUT" and "/cache/" in path for method, path in requests)
    questions = [path for _, path in requests if "/cache/manifests/" in path]
    assert len(questions) == 1  # one entry answers all
    assert_sound(other.store)


def test_an_image_that_stays_here_is_whole(
    program: Program, system: TinySystem, source: Path, names: tuple[str, str], filled: str, tmp_path: Path
) -> None:
    other = fresh(tmp_path)
    digest, _ = built(other, source, "--cache", names[0], "-t", "kept:1", base=system.base(program))
    assert digest == filled
    other.result("check", "kept:1")


def test_changed_files_cost_their_own_layer(
    program: Program, system: TinySystem, registry: RegistryServer, source: Path, names: tuple[str, str],
    filled: str, tmp_path: Path,
) -> None:  # fmt: skip
    base, other = system.base(program), fresh(tmp_path)
    (source / "notes.txt").write_text("changed")
    system.repository.files.clear()
    asked(registry)
    digest, _ = built(other, source, "-t", names[1], "--push", "--cache", names[0], base=base)
    assert digest != filled
    assert uploads(asked(registry), names[1].partition("/")[2].partition(":")[0]) == 2  # the files, the configuration


def test_a_changed_package_costs_itself(
    program: Program, system: TinySystem, registry: RegistryServer, source: Path, names: tuple[str, str],
    filled: str, tmp_path: Path,
) -> None:  # fmt: skip
    """Another version beside packages that a layer of the cache holds: they are read out of that layer."""
    base, other = system.base(program), fresh(tmp_path)
    system.add(make_deb("world", "2.0", files={"usr/bin/world": b"#!/bin/sh\necho new\n"}))
    system.publish()
    system.server.requests.clear()
    expected = fresh(tmp_path, "third").result("build", source, "--base", base, "--refresh")
    fetched = [path for path in system.server.requests if path.endswith(".deb")]
    assert len(fetched) == 2
    system.server.requests.clear()
    digest, _ = built(other, source, "--cache", names[0], "--refresh", base=base)
    assert digest == expected
    assert [path for path in system.server.requests if path.endswith(".deb") and "hello" in path] == []


def test_a_base_that_another_machine_has_read_is_not_read_again(
    program: Program, system: TinySystem, registry: RegistryServer, source: Path, names: tuple[str, str], tmp_path: Path
) -> None:
    """Neither where all is asked that was asked before, nor where something else is asked on the same base."""
    cache, image = names
    base = image.replace("/app:", "/base:")
    program.result("push", system.base(program), base)
    layers = [layer["digest"] for layer in manifest_of(registry, base)["layers"]]
    digest, _ = built(program, source, "-t", image, "--push", "--cache", cache, "--cache-mode", "rw", base=base)
    asked(registry)
    other = fresh(tmp_path)
    assert built(other, source, "-t", f"{image}-2", "--push", "--cache", cache, base=base)[0] == digest
    (source / "apt.txt").write_text("hello\n")
    built(other, source, "-t", f"{image}-3", "--push", "--cache", cache, base=base)
    read = [path.rpartition("/")[2] for method, path in asked(registry) if method == "GET" and "/blobs/" in path]
    assert set(read) & set(layers) == set()


def manifest_of(server: RegistryServer, image: str) -> Any:
    name, _, tag = image.partition("/")[2].partition(":")
    return json.loads(call(server, f"{name}/manifests/{tag}"))


def test_without_a_cache_nothing_counts_that_one_said(
    program: Program, system: TinySystem, source: Path, names: tuple[str, str], filled: str, tmp_path: Path
) -> None:
    base, other = system.base(program), fresh(tmp_path)
    built(other, source, "--cache", names[0], base=base)
    system.server.requests.clear()
    digest, _ = built(other, source, base=base)
    assert digest == filled
    assert any(path.endswith(".deb") for path in system.server.requests)


def test_a_cache_that_cannot_be_reached_is_told_of_once(program: Program, system: TinySystem, source: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        cache = f"127.0.0.1:{taken.getsockname()[1]}/cache"
        done = program.run("build", source, "--base", system.base(program), "--cache", cache)
    assert done.returncode == 0
    assert done.stderr.count("is not used") == 1


def manifests(server: RegistryServer, cache: str) -> dict[str, Any]:
    name = cache.partition("/")[2]
    return {tag: json.loads(call(server, f"{name}/manifests/{tag}")) for tag in entries(server, cache)}


def test_entries_that_stand_for_something_else_are_refused_and_the_image_made_here(
    program: Program, system: TinySystem, registry: RegistryServer, source: Path, names: tuple[str, str],
    filled: str, tmp_path: Path,
) -> None:  # fmt: skip
    first, *_, last = (found := manifests(registry, names[0])).values()
    for tag, manifest in found.items():
        other_one = json.dumps(last if manifest == first else first).encode()
        call(registry, f"{names[0].partition('/')[2]}/manifests/{tag}", "PUT", other_one, OCI_MANIFEST)
    other = fresh(tmp_path)
    digest, said = built(other, source, "--cache", names[0], base=system.base(program))
    assert digest == filled
    assert "is refused" in said
    assert_sound(other.store)


def test_a_layer_that_is_lost_is_made_here(
    program: Program, system: TinySystem, registry: RegistryServer, source: Path, names: tuple[str, str],
    filled: str, tmp_path: Path,
) -> None:  # fmt: skip
    name = names[0].partition("/")[2]
    for manifest in manifests(registry, names[0]).values():
        for layer in manifest["layers"]:
            if layer["mediaType"] == OCI_LAYER_ZSTD:
                with contextlib.suppress(urllib.error.HTTPError):  # the layers of many entries are the same
                    call(registry, f"{name}/blobs/{layer['digest']}", "DELETE")
    other = fresh(tmp_path)
    digest, said = built(other, source, "--cache", names[0], base=system.base(program))
    assert digest == filled
    assert "lost" in said


def test_reading_writes_nothing(
    program: Program, system: TinySystem, registry: RegistryServer, source: Path, names: tuple[str, str], filled: str
) -> None:
    before = entries(registry, names[0])
    (source / "apt.txt").write_text("hello\n")
    asked(registry)
    built(program, source, "--cache", names[0], base=system.base(program))
    assert {method for method, _ in asked(registry)} <= {"GET", "HEAD"}
    assert entries(registry, names[0]) == before


def test_looking_after_a_cache(
    program: Program, system: TinySystem, registry: RegistryServer, source: Path, names: tuple[str, str],
    filled: str, tmp_path: Path,
) -> None:  # fmt: skip
    cache, base, other = names[0], system.base(program), fresh(tmp_path)
    built(other, source, "--cache", cache, base=base)
    shown = other.result("cache", "--cache", cache)
    assert re.search(r"1 of 1 questions answered, [1-9]\d* layers of [1-9]", shown)
    assert "layer-zstd" in shown
    assert "0 with problems" in other.result("cache", "audit", "--cache", cache, "--sample", "3")
    # Made again in an empty store it is the same; a cache that has something else under a key is found out.
    again = other.result("cache", "audit", source, "--cache", cache, "--base", base, "--profile", "plain")
    assert int(again.partition(" ")[0]) >= 4
    assert again.endswith("0 with problems")
    found = manifests(registry, cache)
    layers = {tag: manifest for tag, manifest in found.items() if tag.startswith("layer-zstd-")}
    first, second, *_ = layers
    name = cache.partition("/")[2]
    call(registry, f"{name}/manifests/{first}", "PUT", json.dumps(layers[second]).encode(), OCI_MANIFEST)
    done = other.run("cache", "audit", "--cache", cache)
    assert done.returncode == 1
    assert first in done.stdout
    assert "1 with problems" in done.stdout
    # What was written a moment ago stays.
    assert "removed 0 entries" in other.result("cache", "prune", "--cache", cache, "--age", "0")
    aged(registry, cache)
    assert "removed" in other.result("cache", "prune", "--cache", cache, "--age", "1d")
    assert entries(registry, cache) == []


def aged(server: RegistryServer, cache: str) -> None:
    """Let all entries be of yesterday."""
    for tag, manifest in manifests(server, cache).items():
        manifest["annotations"]["org.opencontainers.image.created"] = "2020-01-01T00:00:00Z"
        call(server, f"{cache.partition('/')[2]}/manifests/{tag}", "PUT", json.dumps(manifest).encode(), OCI_MANIFEST)


def test_why(program: Program, system: TinySystem, source: Path) -> None:
    base = system.base(program)
    built(program, source, "-t", "app:1", base=base)
    assert "nothing to compare with" in program.result("why", "docker.io/library/app:1")
    system.add(make_deb("world", "2.0", files={"usr/bin/world": b"new"}))
    system.publish()
    (source / "main.py").write_text("print()")
    built(program, source, "-t", "app:1", "--refresh", base=base)
    said = program.result("why", "docker.io/library/app:1")
    assert "apt world 1.0 is 2.0 now" in said
    assert "/home/jovyan/main.py" in said
    assert re.search(r"\d+ of \d+ layers are new", said)
    (layer,) = [line.split()[0] for line in said.splitlines() if "main.py" in line]
    assert program.result("why", layer).count("main.py") == 1
    found = json.loads(program.result("why", "docker.io/library/app:1", "--json"))
    assert any(each["reason"].startswith("files changed") for each in found["layers"])
    assert "no image in the store" in program.error("why", "0" * 12, code=2)


def started(program: Program, source: Path, *options: str | Path, base: str) -> "subprocess.Popen[str]":
    command = program_command("build", source, "--base", base, *options)
    return subprocess.Popen(
        command, env=program.whole_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_writing_has_a_login_of_its_own(program: Program, tmp_path: Path) -> None:
    source, password = repository(tmp_path / "repository", notes_txt="x"), tmp_path / "password"
    password.write_text("pass:word\n")
    with RegistryServer(tmp_path / "guarded", htpasswd={"writer": "pass:word"}) as server:
        rw = ("--cache", f"{server.host}/cache", "--cache-mode", "rw")
        _, said = built(program, source, *rw, base="scratch")
        assert "is not used" in said
        assert "is not written" in said
        login = ("--cache-username", "writer", "--cache-password-file", password)
        _, said = built(fresh(tmp_path), source, *rw, *login, base="scratch")
        assert "warning" not in said
        asked(server)
        _, said = built(fresh(tmp_path, "third"), source, *rw[:2], *login, base="scratch")
        assert any("/cache/blobs/" in path for _, path in asked(server))


def test_ten_builds_at_once_make_nothing_twice(program: Program, system: TinySystem, source: Path) -> None:
    """Ten repositories of the same packages, two of each, at the same time in one store."""
    base = system.base(program)
    sources = [
        source,
        *(repository(source.with_name(f"sibling-{n}"), apt_txt="hello\nworld\n", n=str(n)) for n in range(4)),
    ]
    system.server.requests.clear()
    builds = [started(program, sources[number % 5], "-v", base=base) for number in range(10)]
    answers = [build.communicate(timeout=300) for build in builds]
    assert [build.returncode for build in builds] == [0] * 10, answers
    digests = [out.strip() for out, _ in answers]
    assert digests[:5] == digests[5:]
    assert len(set(digests)) == 5
    fetched = [path for path in system.server.requests if path.endswith(".deb")]
    assert len(fetched) == len(set(fetched)) == 2
    made = [line.strip() for _, said in answers for line in said.splitlines() if line.strip().startswith("packing")]
    shared = [line for line in made if line != "packing source"]
    assert len(shared) == len(set(shared)) > 3
    assert made.count("packing source") == 5
    assert list((program.store / "turns").iterdir()) == []
    assert_sound(program.store)
    alone = Program(program.store.with_name("alone"), {})
    assert alone.result("build", sources[3], "--base", base) == digests[3]


def test_builds_at_once_from_two_stores_make_nothing_twice(
    program: Program, system: TinySystem, source: Path, names: tuple[str, str], tmp_path: Path
) -> None:
    base, other = system.base(program), fresh(tmp_path)
    system.server.requests.clear()
    rw = ("--cache", names[0], "--cache-mode", "rw", "-t", names[1], "--push", "-v")
    builds = [started((program, other)[number % 2], source, *rw, base=base) for number in range(6)]
    answers = [build.communicate(timeout=300) for build in builds]
    assert [build.returncode for build in builds] == [0] * 6, answers
    assert len({out for out, _ in answers}) == 1
    fetched = [path for path in system.server.requests if path.endswith(".deb")]
    assert len(fetched) == len(set(fetched)) == 2
    made = [line.strip() for _, said in answers for line in said.splitlines() if line.strip().startswith("packing")]
    assert [line for line in made if line != "packing source" and made.count(line) > 1] == []
    assert_sound(other.store)


@pytest.mark.network
@pytest.mark.parametrize(("rung", "is_shared"), [("one-id", True), ("trap", False)])
def test_what_a_step_made_is_shared_where_it_was_confined(
    rung: str, *, is_shared: bool, warm: Program, registry: RegistryServer, names: tuple[str, str], tmp_path: Path
) -> None:
    if not trials()[rung].works:
        pytest.skip(f"{rung} does not work here: {trials()[rung].reason}")
    source = repository(tmp_path / "repository", postBuild="#!/bin/sh\nhead -c 16 /dev/urandom | od -x > made\n")
    (source / "postBuild").chmod(0o755)
    base = f"oci:{tmp_path / 'base'}"
    warm.result("build", repository(tmp_path / "nothing"), "-o", base)
    rw = ("--cache", names[0], "--cache-mode", "rw", "--sandbox", rung)
    first, second = fresh(tmp_path, "first"), fresh(tmp_path, "second")
    digest, said = built(first, source, *rw, "-t", names[1], "--push", base=base)
    assert ("nothing more is written" in said) == (not is_shared)
    asked(registry)
    again, said = built(second, source, "--cache", names[0], "--sandbox", "none" if is_shared else rung,
                        "-t", f"{names[1]}-2", "--push", base=base)  # fmt: skip
    assert (again == digest) == is_shared  # what it makes is another thing each time
    written = [path for method, path in asked(registry) if method == "PUT" and "/cache/" in path]
    assert written == []
