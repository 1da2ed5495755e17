"""Resolving with the real uv over indexes on loopback and on disk; nothing outside this machine is asked."""

import base64
import dataclasses
import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urljoin

import pytest

from ocibuild.core.asks import Origin, PipAsks, RequirementsFile
from ocibuild.core.errors import BuildError, NetworkError, OcibuildError, RepositoryError, UsageError
from ocibuild.core.events import Event, Notice
from ocibuild.core.package import LockedPackage
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.pip.configuration import IndexSettings
from ocibuild.ecosystem.pip.locate import locate
from ocibuild.ecosystem.pip.resolve import PipResolution, resolve
from ocibuild.ecosystem.pip.target import Libc, PythonTarget

BuildWheel = Callable[..., Path]
TARGET = PythonTarget(
    "3.11.2", "/usr/bin/python3", "usr/bin/python3.11", "usr/lib/python3.11", Platform(), Libc("glibc", 2, 36)
)
ARM = dataclasses.replace(TARGET, version="3.13.5", platform=Platform("linux", "arm64"), libc=Libc("glibc", 2, 41))
USER, PASSWORD = "me@corp", "s3cret/+word"


def made_sdist(
    folder: Path, name: str, version: str, files: dict[str, str] | None = None, *, metadata_version: str = "2.1"
) -> Path:
    """A source archive of these files."""
    info = f"Metadata-Version: {metadata_version}\nName: {name}\nVersion: {version}\n"
    path = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for file, text in {"setup.py": "", **(files or {}), "PKG-INFO": info}.items():
            member = tarfile.TarInfo(f"{name}-{version}/{file}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


class SimpleIndex:
    """A folder that is a simple repository (PEP 503), to be used as it is or served."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.times: dict[str, str] = {}

    def add(self, wheel: Path, *, uploaded: str = "") -> str:
        """Put a file into the index; its SHA-256."""
        project = wheel.name.partition("-")[0].lower().replace("_", "-")
        target = self.folder / "files" / wheel.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(wheel.read_bytes())
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        page = self.folder / "simple" / project
        page.mkdir(parents=True, exist_ok=True)
        with (page / "index.html").open("a") as file:
            file.write(f'<a href="../../files/{wheel.name}#sha256={digest}">{wheel.name}</a><br>\n')
        files = json.loads((page / "index.json").read_text())["files"] if (page / "index.json").exists() else []
        entry = {"filename": wheel.name, "url": f"../../files/{wheel.name}", "hashes": {"sha256": digest}}
        files.append(entry | {"size": target.stat().st_size} | ({"upload-time": uploaded} if uploaded else {}))
        document = {"meta": {"api-version": "1.1"}, "name": project, "versions": [], "files": files}
        (page / "index.json").write_text(json.dumps(document))
        return digest


class Handler(SimpleHTTPRequestHandler):
    """Serves an index as JSON (PEP 691), behind basic authentication where ``password`` is set."""

    protected = False

    def do_GET(self) -> None:
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.protected and self.headers.get("Authorization") != expected:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        super().do_GET()

    def translate_path(self, path: str) -> str:
        found = super().translate_path(path)
        return found + "/index.json" if "/simple/" in path and Path(found).is_dir() else found

    def guess_type(self, path: object) -> str:
        types = {"index.json": "application/vnd.pypi.simple.v1+json", "index.html": "text/html"}
        return types.get(Path(str(path)).name, "application/octet-stream")

    def log_message(self, *_arguments: object) -> None:
        pass


class ProtectedHandler(Handler):
    protected = True


@pytest.fixture
def index(tmp_path: Path) -> SimpleIndex:
    return SimpleIndex(tmp_path / "index")


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    servers: list[ThreadingHTTPServer] = []

    def start(index: SimpleIndex, *, protected: bool = False) -> str:
        handler = ProtectedHandler if protected else Handler
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(index.folder)))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/simple/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    return folder


@pytest.fixture
def run(tmp_path: Path, repository: Path) -> Callable[..., PipResolution]:
    def call(text: str, settings: IndexSettings, target: PythonTarget = TARGET, **options: object) -> PipResolution:
        asks = PipAsks(files=(RequirementsFile("requirements.txt", text),))
        environment = {"HOME": str(tmp_path), "UV_HTTP_RETRIES": "0"}
        arguments = {"folder": repository, "cache_folder": tmp_path / "uv", "environment": environment} | options
        return resolve(asks, target, settings, **arguments)  # type: ignore[arg-type]

    return call


Run = Callable[..., PipResolution]


def only(index: SimpleIndex) -> IndexSettings:
    """This index on disk and no other."""
    return IndexSettings(index_url=(index.folder / "simple").as_uri())


def by_name(resolution: PipResolution) -> dict[str, LockedPackage]:
    return {package.name: package for package in resolution.packages}


def body(resolution: PipResolution, package: LockedPackage) -> bytes:
    """The file that source and path name, read as a downloader would."""
    url = urljoin(resolution.addresses[package.source], package.path)
    assert url.startswith("file:///")
    return Path(url.removeprefix("file://")).read_bytes()


def test_packages_with_dependencies_and_why(index: SimpleIndex, build_wheel: BuildWheel, run: Run) -> None:
    digests = {
        "app": index.add(build_wheel({"app.py": b""}, name="app", requires=("Base_Lib>1", "extra; extra == 'x'"))),
        "base-lib": index.add(build_wheel({"b.py": b""}, name="base_lib", version="2.0")),
        "extra": index.add(build_wheel({"e.py": b""}, name="extra")),
    }
    resolution = run("# mine\nApp[x]\nbase.lib\nother; sys_platform == 'win32'\n", only(index))
    assert [package.name for package in resolution.packages] == ["app", "base-lib", "extra"]
    packages = by_name(resolution)
    assert {name: package.digest.hex for name, package in packages.items()} == digests
    assert {name: package.why for name, package in packages.items()} == {
        "app": ("requirements.txt:2",),
        "base-lib": ("requirements.txt:3",),
        "extra": ("app",),
    }
    assert {name: package.requested for name, package in packages.items()} == {
        "app": True,
        "base-lib": True,
        "extra": False,
    }
    assert packages["app"].fields["requires"] == "base-lib extra"
    assert packages["base-lib"].version == "2.0"
    assert packages["app"].architecture == "any"
    for package in resolution.packages:
        data = body(resolution, package)
        assert hashlib.sha256(data).hexdigest() == package.digest.hex
        assert package.size_bytes == len(data)
        assert package.source == "pypi"


def test_nothing_asked(run: Run) -> None:
    assert run("# nothing\n", IndexSettings()) == PipResolution()


def test_the_wheel_is_chosen_for_the_target(index: SimpleIndex, build_wheel: BuildWheel, run: Run) -> None:
    for tag in (
        "cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_39_x86_64", "cp313-cp313-manylinux_2_28_aarch64",
        "cp310-abi3-manylinux2014_aarch64", "cp311-cp311-win_amd64", "py3-none-any",
    ):  # fmt: skip
        index.add(build_wheel({"a.py": tag.encode()}, name="native", file_name=f"native-1.0-{tag}.whl"))
    assert (
        by_name(run("native", only(index)))["native"].fields["filename"]
        == "native-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"
    )
    package = by_name(run("native", only(index), ARM))["native"]
    assert package.fields["filename"] == "native-1.0-cp313-cp313-manylinux_2_28_aarch64.whl"
    assert package.architecture == "arm64"


def test_markers_are_the_targets_and_its_version_is_complete(
    index: SimpleIndex, build_wheel: BuildWheel, run: Run
) -> None:
    requires = (
        "arm; platform_machine == 'aarch64'",
        "late; python_full_version >= '3.11.1'",
        "old; python_version < '3.12'",
    )
    index.add(build_wheel({}, name="app", requires=requires))
    for name in ("arm", "late", "old"):
        index.add(build_wheel({}, name=name))
    assert by_name(run("app", only(index))).keys() == {"app", "late", "old"}
    assert by_name(run("app", only(index), ARM)).keys() == {"app", "arm", "late"}


def test_a_newer_version_without_a_wheel_must_be_built(
    index: SimpleIndex, build_wheel: BuildWheel, tmp_path: Path, run: Run
) -> None:
    index.add(build_wheel({}, name="thing", version="1.0"))
    digest = index.add(made_sdist(tmp_path, "thing", "2.0"))
    resolution = run("# x\nthing\n", only(index))
    (source,) = resolution.missing
    assert (source.name, source.version, source.sha256) == ("thing", "2.0", digest)
    assert source.why == ("requirements.txt:2",)
    assert resolution.packages == ()
    for text in ("--prefer-binary\nthing\n", "--only-binary thing\nthing\n", "--only-binary :all:\nthing\n"):
        assert by_name(run(text, only(index)))["thing"].version == "1.0", text
    with pytest.raises(RepositoryError, match=r"requirements.txt:2: no wheel .*thing") as caught:
        run("--only-binary :all:\nthing>1\n", only(index))
    assert caught.value.hint is not None
    assert "thing==1.0" in caught.value.hint
    (forced,) = run("--no-binary thing\nthing<2\n--prefer-binary", only(with_sdist(index, tmp_path))).missing
    assert forced.version == "1.0"


def with_sdist(index: SimpleIndex, folder: Path) -> SimpleIndex:
    index.add(made_sdist(folder, "thing", "1.0"))
    return index


def test_all_sources_that_are_known_to_be_needed_are_named_at_once(
    index: SimpleIndex, tmp_path: Path, run: Run
) -> None:
    for name in ("one", "two"):
        index.add(made_sdist(tmp_path, name, "1.0"))
    (tmp_path / "repository/setup.py").write_text("raise SystemExit('run')")
    resolution = run("one\ntwo\n-e .\ngit+https://host/x\nhttps://host/z.zip ; sys_platform == 'win32'\n", only(index))
    assert [str(source) for source in resolution.missing] == [".", "git+https://host/x", "one 1.0", "two 1.0"]


def test_a_broken_source_archive(index: SimpleIndex, tmp_path: Path, run: Run) -> None:
    (tmp_path / "one-1.0.tar.gz").write_bytes(b"broken")
    index.add(tmp_path / "one-1.0.tar.gz")
    with pytest.raises(RepositoryError, match=r"requirements.txt:1: .*one==1\.0"):
        run("one\n", only(index))


BACKEND = """
import pathlib
pathlib.Path({marker!r}).touch()
"""


@pytest.mark.parametrize("form", ["setup.py", "backend", "backend-path", "metadata 2.2"])
def test_no_code_of_a_package_is_run_here(index: SimpleIndex, tmp_path: Path, run: Run, form: str) -> None:
    marker = tmp_path / "it ran"
    code = BACKEND.format(marker=str(marker))
    files = {"setup.py": code, "mine.py": code, "conftest.py": code, "sitecustomize.py": code}
    if form == "backend":
        files["pyproject.toml"] = '[build-system]\nrequires = []\nbuild-backend = "python.get_interpreter_info"\n'
    if form == "backend-path":
        files["pyproject.toml"] = '[build-system]\nrequires = []\nbuild-backend = "mine"\nbackend-path = ["."]\n'
    index.add(made_sdist(tmp_path, "evil", "1.0", files, metadata_version="2.2" if form == "metadata 2.2" else "2.1"))
    (source,) = run("evil\n", only(index)).missing
    assert str(source) == "evil 1.0"
    assert not marker.exists()


def test_an_unknown_package(index: SimpleIndex, build_wheel: BuildWheel, run: Run) -> None:
    index.add(build_wheel({}, name="numpy"))
    with pytest.raises(RepositoryError, match=r"requirements.txt:2: .*\n.*nunpy was not found") as caught:
        run("numpy\nnunpy\n", only(index))
    assert caught.value.hint == "did you mean numpy?"


def test_a_conflict_is_told_in_uvs_words(index: SimpleIndex, build_wheel: BuildWheel, run: Run) -> None:
    index.add(build_wheel({}, name="app", requires=("lib>=2",)))
    for version in ("1.0", "2.0"):
        index.add(build_wheel({}, name="lib", version=version))
    with pytest.raises(RepositoryError, match=r"app depend on lib>=2") as caught:
        run("app\n\nlib<2\n", only(index))
    assert (caught.value.file, caught.value.line) in {("requirements.txt", 1), ("requirements.txt", 3)}


def test_constraints(index: SimpleIndex, build_wheel: BuildWheel, run: Run, tmp_path: Path) -> None:
    for version in ("1.0", "2.0", "3.0"):
        index.add(build_wheel({}, name="lib", version=version))
    limits = tmp_path / "limits.txt"
    limits.write_text("lib<2\nunused<1\n")
    settings = dataclasses.replace(only(index), constraints=(str(limits),))
    assert by_name(run("lib", settings))["lib"].version == "1.0"
    with pytest.raises(UsageError, match="does not exist"):
        run("lib", dataclasses.replace(only(index), constraints=(str(tmp_path / "gone"),)))


def test_what_the_environment_has_is_taken_and_not_in_the_answer(
    index: SimpleIndex, build_wheel: BuildWheel, run: Run
) -> None:
    index.add(build_wheel({}, name="app", requires=("lib", "gone>=1", "other")))
    for name in ("lib", "other"):
        for version in ("1.0", "3.0"):
            index.add(build_wheel({}, name=name, version=version))
    # No index has this version of lib, and none has gone at all.
    provided = {"lib": "2.0.0", "gone": "1.5", "unused": "1"}
    found = run("app\nlib>=2\n", only(index), provided=provided)
    assert {name: package.version for name, package in by_name(found).items()} == {"app": "1.0", "other": "3.0"}
    assert not [address for address in found.addresses.values() if "provided" in address]
    assert run("gone", only(index), provided=provided, exclude_newer="2030-01-01").packages == ()  # it has no date


def test_what_the_environment_has_is_replaced_only_where_asked(
    index: SimpleIndex, build_wheel: BuildWheel, run: Run
) -> None:
    index.add(build_wheel({}, name="app", requires=("lib>=2", "other")))
    for name in ("lib", "other"):
        for version in ("1.0", "2.0"):
            index.add(build_wheel({}, name=name, version=version))
    provided = {"lib": "1.0", "other": "1.0"}
    with pytest.raises(RepositoryError, match="lib") as caught:
        run("app", only(index), provided=provided)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("the conda environment has lib 1.0: ")
    found = by_name(run("app", only(index), provided=provided, replaces_provided=True))
    assert {name: package.version for name, package in found.items()} == {"app": "1.0", "lib": "2.0"}


def test_prereleases(index: SimpleIndex, build_wheel: BuildWheel, run: Run) -> None:
    for version in ("1.0", "2.0rc1"):
        index.add(build_wheel({}, name="lib", version=version))
    assert by_name(run("lib", only(index)))["lib"].version == "1.0"
    assert by_name(run("--pre\nlib", only(index)))["lib"].version == "2.0rc1"


# Hashes.


def test_hashes_choose_and_refuse(index: SimpleIndex, build_wheel: BuildWheel, run: Run) -> None:
    native = index.add(build_wheel({"a": b"1"}, name="lib", file_name="lib-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"))
    pure = index.add(build_wheel({"a": b"2"}, name="lib"))
    chosen = by_name(run(f"lib==1.0 --hash=sha256:{pure}", only(index)))["lib"]
    assert chosen.digest.hex == pure, "the best wheel is not among those that the file allows"
    both = f"lib==1.0 --hash=sha256:{pure} --hash=sha256:{native}"
    assert by_name(run(both, only(index)))["lib"].digest.hex == native
    with pytest.raises(RepositoryError, match=f"requirements.txt:2: no file of lib==1.0.*{pure}"):
        run(f"\nlib==1.0 --hash=sha256:{'0' * 64}", only(index))


def test_any_hash_requires_all(index: SimpleIndex, build_wheel: BuildWheel, run: Run) -> None:
    app = index.add(build_wheel({}, name="app", requires=("lib",)))
    lib = index.add(build_wheel({}, name="lib"))
    with pytest.raises(RepositoryError, match=r"none is given for lib==1\.0") as caught:
        run(f"app==1.0 --hash=sha256:{app}\n", only(index))
    assert caught.value.hint is not None
    with pytest.raises(RepositoryError, match=r"requirements.txt:2: .*none is given for lib"):
        run(f"app==1.0 --hash=sha256:{app}\nlib==1.0\n", only(index))
    with pytest.raises(RepositoryError, match=r"requirements.txt:2: lib must be pinned"):
        run(f"app==1.0 --hash=sha256:{app}\nlib --hash=sha256:{lib}\n", only(index))
    hashed = run(f"app==1.0 --hash=sha256:{app}\nlib==1.0 --hash=sha256:{lib}\n", only(index))
    assert len(hashed.packages) == 2
    with pytest.raises(RepositoryError, match="none is given for app"):
        run("app==1.0\n", dataclasses.replace(only(index), require_hashes=True))


def test_hashes_are_not_asked_of_what_the_program_itself_adds(
    index: SimpleIndex, build_wheel: BuildWheel, tmp_path: Path
) -> None:
    app = index.add(build_wheel({}, name="app"))
    index.add(build_wheel({}, name="pip", requires=("helper",)))
    index.add(build_wheel({}, name="helper"))
    asks = PipAsks(
        files=(RequirementsFile("r.txt", f"app==1.0 --hash=sha256:{app}\n"),),
        requirements=(("pip", Origin("the Python environment")),),
    )
    resolution = resolve(asks, TARGET, only(index), folder=tmp_path, cache_folder=tmp_path / "uv", environment={})
    assert by_name(resolution).keys() == {"app", "helper", "pip"}
    strict = PipAsks(
        files=(RequirementsFile("r.txt", f"app==1.0 --hash=sha256:{app}\npip==1.0\n"),), requirements=asks.requirements
    )
    with pytest.raises(RepositoryError, match="none is given for"):
        resolve(strict, TARGET, only(index), folder=tmp_path, cache_folder=tmp_path / "uv", environment={})


# Direct references.


def test_a_local_wheel(repository: Path, build_wheel: BuildWheel, run: Run) -> None:
    wheel = build_wheel({"thing.py": b""})
    (repository / "my wheels").mkdir()
    (repository / "my wheels" / wheel.name).write_bytes(wheel.read_bytes())
    resolution = run(f"./my wheels/{wheel.name}", IndexSettings(no_index=True), folder_in_image="/home/jovyan")
    (package,) = resolution.packages
    assert (package.source, package.path) == ("file", f"my%20wheels/{wheel.name}")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert json.loads(package.fields["direct_url"]) == {
        "archive_info": {"hash": f"sha256={digest}", "hashes": {"sha256": digest}},
        "url": f"file:///home/jovyan/my%20wheels/{wheel.name}",
    }
    assert str(repository) not in repr(package)


def test_a_wheel_for_another_platform(repository: Path, build_wheel: BuildWheel, run: Run) -> None:
    wheel = build_wheel({}, file_name="thing-1.0-cp311-cp311-win_amd64.whl")
    (repository / wheel.name).write_bytes(wheel.read_bytes())
    with pytest.raises(RepositoryError, match=r"requirements.txt:1: "):
        run(f"./{wheel.name}", IndexSettings(no_index=True))


def test_a_wheel_by_url(index: SimpleIndex, build_wheel: BuildWheel, serve: Callable[..., str], run: Run) -> None:
    digest = index.add(build_wheel({}))
    url = serve(index).replace("simple/", "files/thing-1.0-py3-none-any.whl")
    resolution = run(f"thing @ {url}", IndexSettings(no_index=True))
    (package,) = resolution.packages
    assert (package.source, package.path, resolution.addresses["url"]) == ("url", url, "")
    assert package.digest.hex == digest
    assert json.loads(package.fields["direct_url"])["url"] == url
    with pytest.raises(RepositoryError, match=r"no file of thing==1\.0"):
        run(f"thing @ {url}#sha256={'0' * 64}", IndexSettings(no_index=True))
    with pytest.raises(NetworkError) as caught:
        run(f"thing @ {url.replace('thing-1.0', 'thing-2.0')}", IndexSettings(no_index=True))
    assert caught.value.status == 404


def test_a_wheel_may_not_ask_for_files_of_this_machine(
    index: SimpleIndex, build_wheel: BuildWheel, run: Run, tmp_path: Path, repository: Path
) -> None:
    outside = build_wheel({}, name="outside")
    inside = build_wheel({}, name="inside", requires=(f"outside @ {outside.as_uri()}",))
    (repository / inside.name).write_bytes(inside.read_bytes())
    with pytest.raises(RepositoryError, match="not in the repository"):
        run(f"./{inside.name}", IndexSettings(no_index=True))


def test_a_url_that_a_wheel_asks_for(
    index: SimpleIndex, build_wheel: BuildWheel, serve: Callable[..., str], run: Run, repository: Path
) -> None:
    index.add(build_wheel({}))
    url = serve(index).replace("simple/", "files/thing-1.0-py3-none-any.whl")
    inside = build_wheel({}, name="inside", requires=(f"thing @ {url}",))
    (repository / inside.name).write_bytes(inside.read_bytes())
    package = by_name(run(f"./{inside.name}", IndexSettings(no_index=True)))["thing"]
    assert (package.source, package.path, package.why, package.requested) == ("url", url, ("inside",), False)
    assert json.loads(package.fields["direct_url"])["url"] == url


# Indexes.


def test_the_best_version_of_all_indexes(
    index: SimpleIndex, tmp_path: Path, build_wheel: BuildWheel, serve: Callable[..., str], run: Run
) -> None:
    other = SimpleIndex(tmp_path / "other")
    index.add(build_wheel({}, name="lib", version="2.0"))
    other.add(build_wheel({}, name="lib", version="1.0"))
    other.add(build_wheel({}, name="own"))
    url = serve(other)
    settings = dataclasses.replace(only(index), extra_index_urls=(url,))
    resolution = run("lib\nown", settings)
    packages = by_name(resolution)
    assert packages["lib"].version == "2.0", "uv alone would stop at the first index that has the name"
    assert (packages["lib"].source, packages["own"].source) == ("pypi", "index-1")
    assert packages["own"].path == "files/own-1.0-py3-none-any.whl"
    assert resolution.addresses["index-1"] == url.removesuffix("simple/")
    assert by_name(run(f"--extra-index-url {url}\nown", only(index)))["own"].source == "index-1"
    assert by_name(run(f"-i {url}\nlib", settings))["lib"].version == "1.0"


def test_pages_and_folders_of_wheels(index: SimpleIndex, build_wheel: BuildWheel, run: Run, tmp_path: Path) -> None:
    index.add(build_wheel({}, name="lib"))
    settings = IndexSettings(no_index=True, find_links=(str(tmp_path / "gone"), str(index.folder / "files")))
    resolution = run("lib", settings)
    (package,) = resolution.packages
    assert (package.source, package.path) == ("find-links-2", "lib-1.0-py3-none-any.whl")
    assert resolution.addresses["find-links-2"] == (index.folder / "files").as_uri() + "/"


def test_a_local_index_that_does_not_exist_is_left_out(index: SimpleIndex, build_wheel: BuildWheel, run: Run) -> None:
    index.add(build_wheel({}, name="lib"))
    settings = dataclasses.replace(only(index), extra_index_urls=("file:///nonexistent/simple",))
    assert len(run("lib", settings).packages) == 1


@pytest.mark.parametrize("way", ["default", "extra", "find-links", "requirements", "netrc"])
def test_credentials_reach_the_index_and_nothing_else(
    index: SimpleIndex, build_wheel: BuildWheel, serve: Callable[..., str], run: Run, tmp_path: Path, way: str
) -> None:
    index.add(build_wheel({}, name="lib"))
    url = serve(index, protected=True)
    secret = url.replace("http://", "http://me%40corp:s3cret%2F%2Bword@")
    text, settings = "lib", IndexSettings(index_url=secret)
    if way == "extra":
        empty = SimpleIndex(tmp_path / "empty")
        (empty.folder / "simple").mkdir(parents=True)
        settings = dataclasses.replace(only(empty), extra_index_urls=(secret,))
    elif way == "find-links":
        settings = IndexSettings(no_index=True, find_links=(f"{secret}lib/index.html",))
    elif way == "requirements":
        text, settings = "-i http://me%40corp:${TOKEN}@" + url.removeprefix("http://") + "\nlib", IndexSettings()
    elif way == "netrc":
        (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
        settings = IndexSettings(index_url=url)
    resolution = run(text, settings, variables={"TOKEN": "s3cret%2F%2Bword"})
    (package,) = resolution.packages
    assert "s3cret" not in repr(package)
    assert "me%40corp" not in repr(package)
    address = resolution.addresses[package.source]
    assert ("me%40corp:s3cret%2F%2Bword@" in address) == (way != "netrc")
    assert all(b"s3cret" not in path.read_bytes() for path in (tmp_path / "uv").rglob("*") if path.is_file())


def test_wrong_credentials(index: SimpleIndex, build_wheel: BuildWheel, serve: Callable[..., str], run: Run) -> None:
    index.add(build_wheel({}, name="lib"))
    url = serve(index, protected=True).replace("http://", "http://me:wrong-one@")
    with pytest.raises(NetworkError) as caught:
        run("lib", IndexSettings(index_url=url))
    assert "wrong-one" not in str(caught.value)
    assert caught.value.hint is not None
    assert "credentials" in caught.value.hint


def test_credentials_in_a_direct_reference(
    index: SimpleIndex, build_wheel: BuildWheel, serve: Callable[..., str], run: Run
) -> None:
    index.add(build_wheel({}))
    plain = serve(index, protected=True).replace("simple/", "files/thing-1.0-py3-none-any.whl")
    resolution = run(
        f"thing @ {plain.replace('http://', 'http://me%40corp:s3cret%2F%2Bword@')}", IndexSettings(no_index=True)
    )
    (package,) = resolution.packages
    assert "s3cret" not in repr(package)
    assert json.loads(package.fields["direct_url"])["url"] == plain
    assert package.path == "files/thing-1.0-py3-none-any.whl"
    assert "s3cret%2F%2Bword@127.0.0.1" in resolution.addresses[package.source]


def test_credentials_are_in_no_message(run: Run) -> None:
    for line in (
        "hg+https://me:s3cret@host/x",
        "ftp://me:s3cret@host/x",
        "https://me:s3cret@host/x.whl",
        "https://me:s3cret@127.0.0.1:9/x-1-py3-none-any.whl",
    ):
        with pytest.raises(OcibuildError) as caught:
            run(line, IndexSettings(no_index=True))
        assert "s3cret" not in str(caught.value)


def test_an_index_that_is_not_there(run: Run) -> None:
    with pytest.raises(NetworkError, match="Connection refused") as caught:
        run("lib", IndexSettings(index_url="http://me:pw@127.0.0.1:9/simple/"))
    assert caught.value.exit_code == 5
    assert caught.value.url == "http://127.0.0.1:9/simple/lib/"


def test_as_of_a_date(index: SimpleIndex, build_wheel: BuildWheel, serve: Callable[..., str], run: Run) -> None:
    index.add(build_wheel({}, name="lib", version="1.0"), uploaded="2024-01-01T12:00:00Z")
    index.add(build_wheel({}, name="lib", version="2.0"), uploaded="2024-06-01T12:00:00Z")
    settings = IndexSettings(index_url=serve(index))
    assert by_name(run("lib", settings))["lib"].version == "2.0"
    assert by_name(run("lib", settings, exclude_newer="2024-01-01"))["lib"].version == "1.0"
    assert by_name(run("lib", settings, exclude_newer="2024-01-01T12:30:00Z"))["lib"].version == "1.0"
    with pytest.raises(RepositoryError):
        run("lib", settings, exclude_newer="2023-01-01")


def test_uvs_warnings_are_told(index: SimpleIndex, build_wheel: BuildWheel, run: Run) -> None:
    index.add(build_wheel({}, name="lib"))
    page = index.folder / "simple/lib/index.html"
    page.write_text(page.read_text().replace("<a ", '<a data-yanked="broken" '))
    told: list[Event] = []
    run("lib==1.0", only(index), tell=told.append)
    (notice,) = told
    assert isinstance(notice, Notice)
    assert notice.warning
    assert "yanked" in notice.message


def test_settings_of_this_process_and_of_the_repository_do_not_leak_in(
    index: SimpleIndex, build_wheel: BuildWheel, run: Run, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add(build_wheel({}, name="lib"))
    (repository / "uv.toml").write_text('index-url = "http://127.0.0.1:9/"\n')
    monkeypatch.chdir(repository)
    for name in ("UV_INDEX", "UV_DEFAULT_INDEX", "PIP_INDEX_URL"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:9/")
    assert len(run("lib", only(index)).packages) == 1


def test_single_requirements_and_their_origin(index: SimpleIndex, build_wheel: BuildWheel, tmp_path: Path) -> None:
    index.add(build_wheel({}, name="pip"))
    asks = PipAsks(requirements=(("pip", Origin("the Python environment")),))
    resolution = resolve(asks, TARGET, only(index), folder=tmp_path, cache_folder=tmp_path / "uv", environment={})
    assert resolution.packages[0].why == ("the Python environment",)


# Finding locked packages again.


def test_a_lock_is_found_on_another_machines_sources(
    index: SimpleIndex, build_wheel: BuildWheel, serve: Callable[..., str], run: Run, tmp_path: Path, repository: Path
) -> None:
    index.add(build_wheel({}, name="lib", version="1.0"))
    wheel = build_wheel({}, name="own")
    (repository / wheel.name).write_bytes(wheel.read_bytes())
    text = f"lib\n./{wheel.name}\n"
    packages = run(text, only(index)).packages
    index.add(build_wheel({}, name="lib", version="2.0"))
    mirror = serve(index, protected=True).replace("http://", "http://me%40corp:s3cret%2F%2Bword@")
    empty = SimpleIndex(tmp_path / "empty")
    (empty.folder / "simple").mkdir(parents=True)
    settings = dataclasses.replace(only(empty), extra_index_urls=(mirror,))

    def found(settings: IndexSettings) -> PipResolution:
        asks = PipAsks(files=(RequirementsFile("requirements.txt", text),))
        return locate(
            packages, TARGET, settings, asks=asks, folder=repository, cache_folder=tmp_path / "uv2", environment={}
        )

    located = found(settings)
    assert [package.digest for package in located.packages] == [package.digest for package in packages]
    assert [package.version for package in located.packages] == ["1.0", "1.0"]
    assert [(package.source, package.path) for package in located.packages] == [
        ("index-1", "files/lib-1.0-py3-none-any.whl"),
        ("file", wheel.name),
    ]
    assert located.addresses["index-1"] == mirror.removesuffix("simple/")
    with pytest.raises(RepositoryError, match="lib was not found"):
        found(only(empty))
    other = SimpleIndex(tmp_path / "other")
    other.add(build_wheel({"changed": b""}, name="lib", version="1.0"))
    with pytest.raises(BuildError, match=r"locked file of lib=1\.0"):
        found(only(other))


def test_direct_references_of_a_lock(
    index: SimpleIndex, build_wheel: BuildWheel, serve: Callable[..., str], run: Run, tmp_path: Path, repository: Path
) -> None:
    index.add(build_wheel({}))
    plain = serve(index, protected=True).replace("simple/", "files/thing-1.0-py3-none-any.whl")
    text = f"thing @ {plain.replace('http://', 'http://me%40corp:s3cret%2F%2Bword@')}"
    resolution = run(text, IndexSettings(no_index=True))
    options = {"folder": repository, "cache_folder": tmp_path / "uv", "environment": {}}
    asks = PipAsks(files=(RequirementsFile("requirements.txt", text),))
    assert locate(resolution.packages, TARGET, IndexSettings(), asks=asks, **options) == resolution  # type: ignore[arg-type]
    with pytest.raises(BuildError, match="URL with credentials"):
        locate(resolution.packages, TARGET, IndexSettings(), **options)  # type: ignore[arg-type]
