import dataclasses
import hashlib
import json
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ocibuild.core.errors import BuildError, ImageError, IntegrityError
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.conda.place import CondaPlaceContext, place
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.fragment import fragment_key
from ocibuild.layer.tar import write_entries
from tests.support.conda_channel import PLACEHOLDER, File, Recipe, link_to, write_package

PREFIX = "srv/env"
OLD = PLACEHOLDER.encode()
Locked = Callable[..., LockedPackage]


def context_of(recipe: Recipe, **changes: Any) -> CondaPlaceContext:
    record = {"name": recipe.name, "depends": [], "fn": recipe.file_name, "subdir": recipe.subdir, "channel": "team"}
    python = {"python_version": "3.11", "site_packages": "lib/python3.11/site-packages"} if recipe.noarch else {}
    return CondaPlaceContext(prefix=PREFIX, **{"record": json.dumps(record), **python, **changes})


class Placed:
    """The entries of a package by path, and the notes."""

    def __init__(self, body: Path, name: str, context: CondaPlaceContext, *, verify_files: bool = False) -> None:
        fields = {"filename": body.name}
        package = dataclasses.replace(PACKAGE, name=name, fields=fields)
        placement = place(package, body, context, verify_files=verify_files)
        self.contents: dict[str, bytes] = {}
        self.entries: dict[str, Entry] = {}
        for entry in placement.entries:
            assert entry.path not in self.entries, "no path occurs twice"
            self.entries[entry.path] = entry
            self.contents[entry.path] = entry.read()
        self.notes = dict(placement.notes)

    def __getitem__(self, below: str) -> bytes:
        return self.contents[f"{PREFIX}/{below}"]

    def entry(self, below: str) -> Entry:
        return self.entries[f"{PREFIX}/{below}"]

    @property
    def record(self) -> Any:
        (path,) = [path for path in self.entries if path.startswith(f"{PREFIX}/conda-meta/") and path.endswith(".json")]
        return json.loads(self.contents[path])


PACKAGE: LockedPackage


@pytest.fixture(autouse=True)
def _package(locked: Locked) -> None:
    global PACKAGE  # noqa: PLW0603 - one made-up package for all of this module
    PACKAGE = locked()


def placed(folder: Path, recipe: Recipe, *, verify_files: bool = False, **changes: Any) -> Placed:
    return Placed(write_package(folder, recipe), recipe.name, context_of(recipe, **changes), verify_files=verify_files)


def test_folders_files_owners_and_record(tmp_path: Path) -> None:
    recipe = Recipe("thing", files=[File("lib/a/x", b"x", 0o755), link_to("lib/y", "a/x")])
    result = placed(tmp_path, recipe, uid=1000, gid=100)
    kinds = {path: entry.kind.value for path, entry in result.entries.items()}
    assert kinds == {
        f"{PREFIX}/conda-meta": "directory", f"{PREFIX}/lib": "directory", f"{PREFIX}/lib/a": "directory",
        f"{PREFIX}/lib/a/x": "file", f"{PREFIX}/lib/y": "symlink",
        f"{PREFIX}/conda-meta/thing-1.0-0.json": "file",
    }  # fmt: skip
    assert list(kinds)[:3] == sorted(kinds, key=lambda path: kinds[path] != "directory")[:3]
    assert all((entry.uid, entry.gid) == (1000, 100) for entry in result.entries.values())
    assert all(entry.modified == 315532800 for entry in result.entries.values())
    assert result.entry("lib/a/x").mode == 0o755
    assert result.entry("lib/y").link == "a/x"
    assert result.record["url"] == "https://conda.anaconda.org/team/linux-64/thing-1.0-0.conda"
    assert result.record["channel"] == "https://conda.anaconda.org/team/"
    assert result.record["files"] == ["lib/a/x", "lib/y"]


def test_equal_packages_give_equal_bytes(tmp_path: Path) -> None:
    recipe = Recipe("thing", files=[File("a", OLD, prefix="text"), File("b", b"\0" + OLD, prefix="binary")])
    bodies = [write_package(tmp_path / name, recipe) for name in ("one", "two")]

    def tar(body: Path) -> bytes:
        package = dataclasses.replace(PACKAGE, fields={"filename": body.name})
        return b"".join(write_entries(place(package, body, context_of(recipe)).entries))

    assert tar(bodies[0]) == tar(bodies[1])


CHANGES: Mapping[str, Any] = {
    "prefix": "srv/other", "record": "{}", "python_version": "3.12", "site_packages": "lib/x", "uid": 1, "gid": 1,
    "requested_specs": ("a",), "displaced": ("a",),
}  # fmt: skip


def test_every_field_of_the_context_is_part_of_the_key() -> None:
    context = CondaPlaceContext(prefix=PREFIX, record='{"a": 1}')
    assert {field.name for field in dataclasses.fields(context)} == CHANGES.keys()
    keys = {
        fragment_key(PACKAGE.digest, context=each.canonical(), placing_version="1")
        for each in (context, *(dataclasses.replace(context, **{name: value}) for name, value in CHANGES.items()))
    }
    assert len(keys) == 1 + len(CHANGES)
    reordered = [dataclasses.replace(context, displaced=paths).canonical() for paths in (("a", "b"), ("b", "a"))]
    assert reordered[0] == reordered[1]


def test_a_hard_link_shares_what_it_can(tmp_path: Path) -> None:
    files = [
        File("a", b"data", 0o755), File("b", shares="a"), File("c", shares="b"),
        File("t", OLD, prefix="text"), File("u", shares="t", prefix="text"), File("v", shares="t"),
        File("hidden", b"h", is_listed=False), File("w", shares="hidden"),
    ]  # fmt: skip
    result = placed(tmp_path, Recipe("thing", files=files))
    for name, target in (("b", "a"), ("c", "b"), ("u", "t")):
        assert result.entry(name).kind is EntryKind.HARDLINK
        assert result.entry(name).link == f"{PREFIX}/{target}"
        assert result.entry(name).mode == result.entry(target).mode
    assert (result["t"], result["v"], result["w"]) == (b"/srv/env", OLD, b"h")


def test_displaced_files_go_aside_with_their_hard_links(tmp_path: Path) -> None:
    recipe = Recipe("thing", files=[File("bin/a", b"1"), File("bin/b", shares="bin/a"), File("bin/c", b"2")])
    result = placed(tmp_path, recipe, displaced=(f"{PREFIX}/bin/a",))
    assert result["__clobbers__/thing/bin/a"] == b"1"
    assert f"{PREFIX}/bin/a" not in result.entries
    assert result.entry("bin/b").link == f"{PREFIX}/__clobbers__/thing/bin/a"
    (aside,) = [path for path in result.record["paths_data"]["paths"] if "original_path" in path]
    assert (aside["_path"], aside["original_path"]) == ("__clobbers__/thing/bin/a", "bin/a")
    assert result.record["files"] == ["__clobbers__/thing/bin/a", "bin/b", "bin/c"]


def test_requested_specs_are_recorded(tmp_path: Path) -> None:
    assert placed(tmp_path, Recipe("thing"), requested_specs=("thing >=1",)).record["requested_specs"] == ["thing >=1"]


def test_without_a_record_the_package_speaks_for_itself(tmp_path: Path) -> None:
    recipe = Recipe("thing", depends=["other"], index={"license": "MIT"}, build_number=7)
    record = json.dumps({"fn": recipe.file_name, "subdir": "linux-64", "channel": "team"})
    found = placed(tmp_path, recipe, record=record).record
    assert (found["depends"], found["license"], found["build_number"]) == (["other"], "MIT", 7)
    assert "constrains" not in found


def test_notes(tmp_path: Path) -> None:
    site = "lib/python3.11/site-packages"
    recipe = Recipe(
        "thing",
        files=[
            File("bin/.thing-post-link.sh", b""), File("bin/.other-post-link.sh", b""),
            File("etc/conda/activate.d/thing.sh", b""), File("etc/conda/activate.d/thing.fish", b""),
            File(f"{site}/Some_Thing-1.2.dist-info/METADATA", b""), File(f"{site}/old.thing-3-py3.11.egg-info/PKG-INFO", b""),
            File(f"{site}/vendor/inner-9.dist-info/METADATA", b""), File("share/x-1.dist-info/METADATA", b""),
        ],
    )  # fmt: skip
    assert placed(tmp_path, recipe).notes == {
        "post-link": b"bin/.thing-post-link.sh",
        "activate": b"etc/conda/activate.d/thing.sh",
        "distributions": b"some-thing 1.2\nold-thing 3",
    }


def test_noarch_python_needs_a_python(tmp_path: Path) -> None:
    recipe = Recipe("thing", subdir="noarch", noarch="python", files=[File("site-packages/x.py", b"")])
    with pytest.raises(BuildError, match="needs a Python"):
        placed(tmp_path, recipe, python_version="", site_packages="")
    free_threaded = placed(tmp_path, recipe, python_version="3.13", site_packages="lib/python3.13t/site-packages")
    assert f"{PREFIX}/lib/python3.13t/site-packages/x.py" in free_threaded.entries


def test_a_prefix_without_room(tmp_path: Path) -> None:
    recipe = Recipe("thing", files=[File("lib/x.so", b"\0/short\0", prefix="binary", placeholder="/short")])
    with pytest.raises(BuildError, match=r"thing-1\.0-0\.conda: lib/x\.so has room for a prefix of 6 bytes"):
        placed(tmp_path, recipe)


# Hashes.


def test_files_are_verified_on_request(tmp_path: Path) -> None:
    wrong = "0" * 64
    for data in (b"small", b"large" * 600_000):
        recipe = Recipe("thing", files=[File("x", data, sha256=wrong)])
        assert placed(tmp_path, recipe)["x"] == data
        with pytest.raises(IntegrityError, match="x differs"):
            placed(tmp_path, recipe, verify_files=True)
        right = Recipe("thing", files=[File("x", data)])
        assert placed(tmp_path, right, verify_files=True)["x"] == data


def test_large_patched_files_are_streamed(tmp_path: Path) -> None:
    text = (b"x" * 99 + OLD + b"\n") * 60_000
    binary = (b"y" * 99 + OLD + b"\0") * 60_000
    recipe = Recipe("thing", files=[File("text", text, prefix="text"), File("binary", binary, prefix="binary")])
    body = write_package(tmp_path, recipe)
    sizes = {}
    digests = {}
    del text, binary
    tracemalloc.start()
    for entry in place(dataclasses.replace(PACKAGE, fields={}), body, context_of(recipe)).entries:
        state = hashlib.sha256()
        sizes[entry.path] = 0
        for chunk in entry.chunks():
            state.update(chunk)
            sizes[entry.path] += len(chunk)
        digests[entry.path] = state.hexdigest()
        assert sizes[entry.path] == entry.size_bytes
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 << 20
    assert sizes[f"{PREFIX}/binary"] == 60_000 * (99 + len(OLD) + 1)
    assert digests[f"{PREFIX}/text"] == hashlib.sha256((b"x" * 99 + b"/srv/env\n") * 60_000).hexdigest()


def test_contents_need_not_be_taken(tmp_path: Path) -> None:
    """Whoever looks for one entry alone gets a right record none the less."""
    recipe = Recipe("thing", files=[File("x", (b"\0" + OLD) * 9_000, prefix="binary"), File("y", OLD, prefix="text")])
    whole = placed(tmp_path, recipe)
    body = write_package(tmp_path, recipe)
    for entry in place(dataclasses.replace(PACKAGE, fields={"filename": body.name}), body, context_of(recipe)).entries:
        if entry.path.endswith(".json"):
            assert json.loads(entry.read()) == whole.record


# What is hostile or broken.


def paths_json(*paths: Mapping[str, Any]) -> dict[str, bytes]:
    return {"paths.json": json.dumps({"paths": list(paths), "paths_version": 1}).encode()}


HOSTILE = {
    "leaves": ([File("../../escape", b"")], {}),
    "absolute": ([File("/etc/passwd", b"")], {}),
    "listed-outside": ([File("x", b"")], paths_json({"_path": "../x", "path_type": "hardlink"})),
    "root": ([], paths_json({"_path": ".", "path_type": "hardlink"})),
    "missing": ([File("x", b"")], paths_json({"_path": "y", "path_type": "hardlink"})),
    "behind-a-link": ([link_to("lib64", "/etc"), File("lib64/x", b"")], {}),
    "below-a-file": ([File("a", b""), File("a/b", b"")], {}),
    "twice-in-the-archive": ([File("x", b"1"), File("x", b"2", is_listed=False)], {}),
    "twice-in-the-list": ([File("x", b"")], paths_json(*[{"_path": "x", "path_type": "hardlink"}] * 2)),
    "no-kind": ([File("x", b"")], paths_json({"_path": "x"})),
    "odd-kind": ([File("x", b"")], paths_json({"_path": "x", "path_type": "socket"})),
    "odd-size": ([File("x", b"")], paths_json({"_path": "x", "path_type": "hardlink", "size_in_bytes": "1"})),
    "no-json": ([], {"paths.json": b"{"}),
    "other-version": ([], {"paths.json": b'{"paths_version": 9, "paths": []}'}),
    "a-list": ([], {"index.json": b"[]"}),
    "another-package": ([], {"index.json": b'{"name": "other"}'}),
    "its-own-record": ([File("conda-meta/thing-1.0-0.json", b"{}")], {}),
    "a-link-to-nowhere": ([File("x", shares="gone")], {}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_refused(tmp_path: Path, kind: str) -> None:
    files, info = HOSTILE[kind]
    with pytest.raises(ImageError, match=r"thing-1\.0-0\.conda"):
        placed(tmp_path, Recipe("thing", files=files, info=info))


@pytest.mark.parametrize("point", ["../x = a:b", "x = a", "x = a:b;c", " = a:b", "x y = a:b", ". = a:b", "a/b = c:d"])
def test_entry_points_that_are_refused(tmp_path: Path, point: str) -> None:
    recipe = Recipe("thing", subdir="noarch", noarch="python", entry_points=[point])
    with pytest.raises(ImageError, match="entry point"):
        placed(tmp_path, recipe)


@pytest.mark.parametrize("form", [".conda", ".tar.bz2"])
def test_truncated_and_flipped_packages(tmp_path: Path, form: Any) -> None:
    files = [File(f"x{number}", bytes(str(number), "ascii") * 999, prefix="") for number in range(20)]
    recipe = Recipe("thing", files=files, form=form)
    body = write_package(tmp_path, recipe)
    data = body.read_bytes()
    whole = placed(tmp_path, recipe).contents
    wrong = 0
    for position in range(0, len(data), max(1, len(data) // 150)):
        flipped = bytearray(data)
        flipped[position] ^= 0x55
        for broken in (data[:position], bytes(flipped)):
            body.write_bytes(broken)
            try:
                result = Placed(body, "thing", context_of(recipe)).contents
            except (ImageError, IntegrityError):
                wrong += 1
            else:
                assert result == whole, "what is not noticed makes no difference"
    assert wrong > 200


def rezipped(body: Path, change: Callable[[dict[str, bytes]], None], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(body) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(body, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    "change",
    [
        lambda members: members.pop("metadata.json"),
        lambda members: members.update({"metadata.json": b'{"conda_pkg_format_version": 3}'}),
        lambda members: members.update({"metadata.json": b"[]"}),
        lambda members: members.update({"info-other.tar.zst": b""}),
        lambda members: members.pop("pkg-thing-1.0-0.tar.zst"),
        lambda members: members.update({"info-thing-1.0-0.tar.zst": b""}),
    ],
)
def test_archives_that_are_no_conda_packages(tmp_path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    recipe = Recipe("thing", files=[File("x", b"")])
    body = write_package(tmp_path, recipe)
    rezipped(body, change)
    with pytest.raises(ImageError):
        Placed(body, "thing", context_of(recipe))


def test_a_compressed_zip_is_refused(tmp_path: Path) -> None:
    recipe = Recipe("thing", files=[File("x", b"")])
    body = write_package(tmp_path, recipe)
    rezipped(body, lambda _: None, zipfile.ZIP_DEFLATED)
    with pytest.raises(ImageError, match="compressed"):
        Placed(body, "thing", context_of(recipe))


def test_something_else(tmp_path: Path) -> None:
    body = tmp_path / "thing.conda"
    for data in (b"", b"PK", b"\x7fELF", b"BZh9", b"<html>"):
        body.write_bytes(data)
        with pytest.raises((ImageError, IntegrityError)):
            Placed(body, "thing", context_of(Recipe("thing")))
