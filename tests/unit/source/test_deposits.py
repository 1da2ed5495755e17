"""Archives of research data, imitated on loopback from their documented answers."""

import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ocibuild.core.errors import IntegrityError, MachineError, NetworkError, UsageError
from ocibuild.net.client import HttpClient
from ocibuild.source.address import parse_source, resolve_source
from ocibuild.source.deposit.ckan import CkanDataset
from ocibuild.source.deposit.client import DepositClient
from ocibuild.source.deposit.dataverse import DataverseDataset
from ocibuild.source.deposit.figshare import FigshareArticle
from ocibuild.source.deposit.hydroshare import HydroshareResource
from ocibuild.source.deposit.software_heritage import HeritageObject
from ocibuild.source.deposit.zenodo import ZenodoRecord
from ocibuild.source.git import GitAddress
from ocibuild.source.mercurial import MercurialAddress, fetch_mercurial

PLACES = {
    "doi": "https://doi.org",
    "zenodo": ["https://zenodo.org", "https://sandbox.zenodo.org"],
    "caltech-data": "https://data.caltech.edu",
    "figshare": "https://figshare.com",
    "figshare-api": "https://api.figshare.com/v2",
    "hydroshare": "https://www.hydroshare.org",
    "software-heritage": "https://archive.softwareheritage.org",
}
RESOURCE = "0" * 31 + "a"
HASH = "1" * 40


@dataclass
class Server:
    """Answers by method and path; a list of answers is given one after the other, the last one again and again."""

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def places(self) -> dict[str, Any]:
        own = {name: [self.url] if isinstance(place, list) else self.url for name, place in PLACES.items()}
        return {**own, "figshare-api": f"{self.url}/v2"}

    def answer(self, key: str) -> Any:
        self.asked.append(key)
        found = self.answers.get(key)
        if isinstance(found, list):
            return found.pop(0) if len(found) > 1 else found[0]
        return found


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            found = state.answer(f"{self.command} {self.path}")
            body = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815 - as the class behind it asks

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=lambda: listening.serve_forever(poll_interval=0.01))
    thread.start()
    yield state
    listening.shutdown()
    thread.join()
    listening.server_close()


@pytest.fixture
def client(server: Server) -> Iterator[DepositClient]:
    with HttpClient(environment={}, sleep=lambda _: None) as http:
        yield DepositClient(http, places=server.places(), sleep=lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def zipped(**files: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return stream.getvalue()


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def zenodo_file(server: Server, name: str, data: bytes, **facts: Any) -> dict[str, Any]:
    server.answers[f"GET /files/{name}"] = data
    facts = {"checksum": f"md5:{md5(data)}", "size": len(data), **facts}
    return {"key": name, "links": {"self": f"{server.url}/files/{name}"}, **facts}


def test_zenodo(server: Server, client: DepositClient, folder: Path) -> None:
    files = [zenodo_file(server, "a.txt", b"one"), zenodo_file(server, "b.zip", zipped(x="y"))]
    server.answers["GET /api/records/7"] = {"id": 7, "files": files}
    assert ZenodoRecord(server.url, "7").fetch(folder, client) == "7"
    assert sorted(path.name for path in folder.iterdir()) == ["a.txt", "b.zip"]


def test_a_single_zip_archive_is_unpacked_and_its_single_folder_lifted(
    server: Server, client: DepositClient, folder: Path
) -> None:
    data = zipped(**{"repo-1/README": "hello", "repo-1/sub/x": "1"})
    server.answers["GET /api/records/7"] = {"files": [zenodo_file(server, "repo.zip", data)]}
    ZenodoRecord(server.url, "7").fetch(folder, client)
    assert tree(folder) == {"README": "hello", "sub/x": "1"}
    assert [path.name for path in folder.parent.iterdir()] == ["folder"]


def test_files_that_a_record_links_to(server: Server, client: DepositClient, folder: Path) -> None:
    file = zenodo_file(server, "a", b"1")
    file["links"] = {"content": file["links"]["self"]}
    server.answers["GET /api/records/7"] = {"links": {"files": f"{server.url}/api/records/7/files"}}
    server.answers["GET /api/records/7/files"] = {"entries": [file]}
    ZenodoRecord(server.url, "7").fetch(folder, client)
    assert tree(folder) == {"a": "1"}


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"checksum": "md5:" + "0" * 32}, "not the file"),
        ({"size": 5}, "not the file"),
        ({"key": "../evil"}, "leads out"),
        ({"key": "/etc/evil"}, "leads out"),
        ({"key": ".git/hooks/x"}, "leads out"),
    ],
)
def test_what_is_not_as_described(
    server: Server, client: DepositClient, folder: Path, facts: dict[str, Any], message: str
) -> None:
    server.answers["GET /api/records/7"] = {"files": [zenodo_file(server, "a", b"123", **facts)]}
    with pytest.raises(IntegrityError, match=message):
        ZenodoRecord(server.url, "7").fetch(folder, client)


def test_a_hostile_archive(server: Server, client: DepositClient, folder: Path) -> None:
    data = zipped(**{"../../evil": "x"})
    server.answers["GET /api/records/7"] = {"files": [zenodo_file(server, "a.zip", data)]}
    with pytest.raises(IntegrityError, match="leads out"):
        ZenodoRecord(server.url, "7").fetch(folder, client)
    assert not (folder.parent.parent / "evil").exists()


@pytest.mark.parametrize("answer", [None, [[]], {"id": 7}, b"<html>", {"files": [{"key": "a"}]}])
def test_answers_that_make_no_sense(server: Server, client: DepositClient, folder: Path, answer: Any) -> None:
    server.answers["GET /api/records/7"] = answer
    with pytest.raises(NetworkError, match="record"):
        ZenodoRecord(server.url, "7").fetch(folder, client)


def test_figshare(server: Server, client: DepositClient, folder: Path) -> None:
    server.answers["GET /v2/articles/5/versions/2"] = {
        "files": [
            {"name": "a", "download_url": f"{server.url}/a", "size": 1, "computed_md5": md5(b"1")},
            {"name": "link", "download_url": "https://elsewhere.example/x", "is_link_only": True},
        ]
    }
    server.answers["GET /a"] = b"1"
    assert FigshareArticle("5", "2").fetch(folder, client) == "5.v2"
    assert tree(folder) == {"a": "1"}


def dataset(server: Server, *files: dict[str, Any]) -> None:
    server.answers["GET /api/datasets/:persistentId?persistentId=doi:10.1/D"] = {
        "data": {"latestVersion": {"files": list(files)}}
    }


def test_dataverse(server: Server, client: DepositClient, folder: Path) -> None:
    plain = {"label": "a.txt", "directoryLabel": "in/side", "dataFile": {"id": 1, "filesize": 3, "md5": md5(b"one")}}
    table = {"label": "t.tab", "dataFile": {"id": 2, "originalFileName": "t.dta", "filesize": 99, "md5": "0" * 32}}
    dataset(server, plain, table)
    server.answers["GET /api/access/datafile/1?format=original"] = b"one"
    server.answers["GET /api/access/datafile/2?format=original"] = b"two"
    assert DataverseDataset(server.url, "doi:10.1/D").fetch(folder, client) == "doi:10.1/D"
    assert tree(folder) == {"in/side/a.txt": "one", "t.dta": "two"}


@pytest.mark.parametrize(
    ("identifier", "question"),
    [
        ("12", "GET /api/files/12?returnDatasetVersion=true"),
        ("doi:10.1/D/F", "GET /api/files/:persistentId?persistentId=doi:10.1/D/F&returnDatasetVersion=true"),
    ],
)
def test_a_file_of_dataverse_stands_for_its_dataset(
    server: Server, client: DepositClient, folder: Path, identifier: str, question: str
) -> None:
    dataset(server, {"label": "a", "dataFile": {"id": 1}})
    server.answers[question] = {"data": {"datasetVersion": {"datasetPersistentId": "doi:10.1/D"}}}
    server.answers["GET /api/access/datafile/1?format=original"] = b"x"
    assert DataverseDataset(server.url, identifier).fetch(folder, client) == "doi:10.1/D"
    assert tree(folder) == {"a": "x"}


def test_hydroshare_waits_until_the_archive_is_made(server: Server, client: DepositClient, folder: Path) -> None:
    elements = f"GET /hsapi/resource/{RESOURCE}/scimeta/elements"
    server.answers[elements] = {"dates": [{"type": "modified", "start_date": "2020-01-01T00:00:10.5Z"}]}
    bag = zipped(**{f"{RESOURCE}/data/contents/a": "1", f"{RESOURCE}/bagit.txt": "no"})
    server.answers[f"GET /django_s3/download/bags/{RESOURCE}.zip"] = [b"<html>wait", b"<html>wait", bag]
    assert HydroshareResource(RESOURCE).fetch(folder, client) == f"{RESOURCE}.v1577836810"
    assert tree(folder) == {"a": "1"}
    server.answers[f"GET /django_s3/download/bags/{RESOURCE}.zip"] = b"<html>wait"
    with pytest.raises(NetworkError, match="not made ready"):
        HydroshareResource(RESOURCE).fetch(folder, client)


def tarred(**files: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


def heritage(server: Server, *statuses: str, archive: bytes = b"") -> None:
    url = f"/api/1/vault/flat/swh:1:dir:{HASH}/"
    answers = [{"status": status, "fetch_url": f"{server.url}/raw"} for status in statuses]
    server.answers[f"POST {url}"] = answers[0]
    server.answers[f"GET {url}"] = answers[1:] or answers
    server.answers["GET /raw"] = archive


def test_software_heritage(server: Server, client: DepositClient, folder: Path) -> None:
    top = f"swh:1:dir:{HASH}"
    heritage(server, "new", "pending", "done", archive=tarred(**{f"{top}/a": "1", f"{top}/b/c": "2", "other": "no"}))
    server.answers[f"GET /api/1/revision/{'2' * 40}/"] = {"directory": HASH}
    assert HeritageObject("rev", "2" * 40).fetch(folder, client) == top
    assert tree(folder) == {"a": "1", "b/c": "2"}


def test_software_heritage_that_fails_or_lies(server: Server, client: DepositClient, folder: Path) -> None:
    heritage(server, "failed")
    with pytest.raises(NetworkError, match="cannot make"):
        HeritageObject("dir", HASH).fetch(folder, client)
    heritage(server, "done", archive=tarred(**{f"swh:1:dir:{HASH}/../../evil": "x"}))
    with pytest.raises((IntegrityError, NetworkError)):
        HeritageObject("dir", HASH).fetch(folder, client)
    assert not list(folder.parent.parent.glob("evil"))


def test_ckan(server: Server, client: DepositClient, folder: Path) -> None:
    shown = {
        "metadata_modified": "2020-01-01T00:00:10.000001",
        "resources": [{"url": f"{server.url}/d/file.csv?x=1", "id": "r1"}, {"url": "", "id": "r2"}],
    }
    server.answers["GET /portal/api/3/action/package_show?id=things"] = {"result": shown}
    server.answers["GET /portal/api/3/action/activity_data_show?id=act&object_type=package"] = {"result": shown}
    server.answers["GET /d/file.csv?x=1"] = b"1,2"
    found = CkanDataset.parse(f"{server.url}/portal/dataset/things/history/act", PLACES)
    assert found is not None
    assert found.fetch(folder, client) == "things.v1577836810"
    assert tree(folder) == {"file.csv": "1,2"}


def test_an_address_with_dataset_in_it_is_ckans_only_where_a_portal_answers(
    server: Server, client: DepositClient
) -> None:
    text = f"{server.url}/me/dataset/repo"
    address = parse_source(text, places=server.places())
    assert isinstance(address, CkanDataset)
    assert resolve_source(address, text, client) == GitAddress(text)
    server.answers["GET /me/api/3/action/status_show"] = {"success": True}
    assert resolve_source(address, text, client) == address


def test_a_doi_leads_to_its_archive(server: Server, client: DepositClient) -> None:
    target = f"{server.url}/records/7"
    values = [{"type": "HS_ADMIN"}, {"type": "URL", "data": {"value": target}}]
    server.answers["GET /api/handles/10.5281/zenodo.7"] = {"values": values}
    address = parse_source("https://doi.org/10.5281/zenodo.7", places=server.places())
    assert resolve_source(address, "", client) == ZenodoRecord(server.url, "7")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "is not known"),
        ({"values": [{"type": "URL", "data": {"value": "https://example.org/x"}}]}, "no archive that can be read"),
        ({"values": []}, "names no address"),
    ],
)
def test_a_doi_that_leads_nowhere(server: Server, client: DepositClient, answer: Any, message: str) -> None:
    server.answers["GET /api/handles/10.1/x"] = answer
    with pytest.raises(NetworkError, match=message):
        resolve_source("10.1/x", "", client)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.5281/zenodo.3242074", "10.5281/zenodo.3242074"),
        ("doi:10.5281/zenodo.3242074", "10.5281/zenodo.3242074"),
        ("https://dx.doi.org/10.7910/DVN/6ZXAGT/3YRRYJ", "10.7910/DVN/6ZXAGT/3YRRYJ"),
        ("https://zenodo.org/record/3232985", ZenodoRecord("https://zenodo.org", "3232985")),
        ("http://zenodo.org/records/3232985?x=1", ZenodoRecord("https://zenodo.org", "3232985")),
        ("https://data.caltech.edu/records/abc12-x", ZenodoRecord("https://data.caltech.edu", "abc12-x")),
        ("https://figshare.com/articles/title/9782777", FigshareArticle("9782777")),
        ("https://figshare.com/articles/code/title/9782777/3", FigshareArticle("9782777", "3")),
        (f"https://hydroshare.org/resource/{RESOURCE}/", HydroshareResource(RESOURCE)),
        (
            "https://dataverse.harvard.edu/citation?persistentId=doi:10.7910/DVN/TJCLKP",
            DataverseDataset("https://dataverse.harvard.edu", "doi:10.7910/DVN/TJCLKP"),
        ),
        (
            "https://dataverse.harvard.edu/api/access/datafile/3323458",
            DataverseDataset("https://dataverse.harvard.edu", "3323458"),
        ),
        (f"swh:1:dir:{HASH};origin=x", HeritageObject("dir", HASH)),
        ("hg+https://example.org/x", MercurialAddress("https://example.org/x")),
        ("https://hg.example.org/x", MercurialAddress("https://hg.example.org/x")),
        ("https://github.com/a/b", GitAddress("https://github.com/a/b")),
    ],
)
def test_sources_are_told_by_their_form(text: str, address: Any) -> None:
    assert parse_source(text, places=PLACES) == address


@pytest.mark.parametrize(
    ("text", "ref", "message"),
    [
        ("./nothing-here", None, "no folder here"),
        ("", None, "no folder here"),
        (f"swh:1:cnt:{HASH}", None, "neither a folder nor a commit"),
        ("10.5281/zenodo.1", "main", "is a deposit"),
    ],
)
def test_sources_that_are_none(text: str, ref: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_source(text, ref=ref, places=PLACES)


def test_mercurial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "out").mkdir()
    address = MercurialAddress.parse("hg+https://me:secret@example.org/x", ref="stable")
    assert address is not None
    with pytest.raises(MachineError, match="not installed"):
        fetch_mercurial(address, tmp_path / "out", environment={"PATH": str(tmp_path / "bin")})
    hg = tmp_path / "bin" / "hg"
    hg.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncase "$*" in *"log "*) echo {HASH};; esac\n')
    hg.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    assert fetch_mercurial(address, tmp_path / "out", environment=environment) == HASH
    calls = (tmp_path / "calls").read_text()
    assert "update --quiet --clean --rev stable" in calls
    assert calls.count("--noninteractive") == 3


def test_what_mercurial_complains_of_shows_no_credential(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    hg = tmp_path / "bin" / "hg"
    hg.write_text("#!/bin/sh\necho 'abort: https://me:secret@example.org/x is not there' >&2\nexit 255\n")
    hg.chmod(0o755)
    address = MercurialAddress("https://me:secret@example.org/x")
    with pytest.raises(NetworkError, match=r"abort: .*example\.org/x is not there") as caught:
        fetch_mercurial(address, tmp_path, environment={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"})
    assert "secret" not in str(caught.value)
