"""What is written to a cache, what is believed of it, and where believing ends."""

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ocibuild.core.descriptor import OCI_MANIFEST
from ocibuild.core.digest import Digest
from ocibuild.core.errors import UsageError
from ocibuild.core.events import Event, Notice
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.image.view import View
from ocibuild.layer.compression import Compression, compressor_for
from ocibuild.layer.entry import Entry
from ocibuild.layer.placement import Placement
from ocibuild.plan.skeleton import declared_folders, skeleton
from ocibuild.registry.cache_entry import Bundle, entry_documents, parse_entry, parse_manifest
from ocibuild.spec.options import BuildOptions
from ocibuild.store.claims import ClaimError
from ocibuild.store.store import Store
from ocibuild.work.budget import MemoryBudget
from ocibuild.work.cache_settings import CacheSettings
from ocibuild.work.frame import SOURCE_LAYER
from ocibuild.work.layers import FragmentRecipe, LayerMaker, LayerRecipe, MadeLayer
from ocibuild.work.shared_cache import SharedCache
from tests.support.fake_registry import FakeRegistry
from tests.support.scripted_server import ScriptedServer

_NAME = "team/cache"


class Site:
    """A registry with a cache, and machines that use it."""

    def __init__(self, folder: Path, server: ScriptedServer, registry: FakeRegistry) -> None:
        self.folder, self.server, self.registry = folder, server, registry
        self.placed: list[str] = []
        self.events: list[Event] = []

    def cache(self, machine: str, *, writes: bool = False, key: str = "0" * 64, now: float = 1e9) -> SharedCache:
        places = CacheSettings.of(BuildOptions(caches=(f"{self.server.host}/{_NAME}",)), BuildOptions(), {})
        assert places is not None
        return SharedCache(
            replace(places, writes=writes),
            key,
            store=Store.at(self.folder / machine),
            max_age_seconds=3600,
            environment={},
            events=self.events.append,
            now=lambda: now,
        )

    def recipe(self, name: str, *packages: str, folder: str = "") -> LayerRecipe:
        """A layer of packages ``NAME=VERSION``, each of which says when it is placed."""

        def fragment(package: str) -> FragmentRecipe:
            name, _, version = package.partition("=")

            def place() -> Placement:
                self.placed.append(package)
                content = package.encode() * 100
                entries = [Entry.directory(f"opt/{name}"), Entry.file(f"opt/{name}/data", content)]
                return Placement(entries, {"control": package.encode()})

            locked = LockedPackage(Ecosystem.APT, name, version, "", "s", package, Digest.of(package.encode()))
            return FragmentRecipe(Digest.of(package.encode()).hex, package, place, (locked,))

        def folders(tables: Any) -> list[Entry]:
            extra = [Entry.directory(folder)] if folder else []
            return [*extra, *skeleton(tables, below=View(), declared=declared_folders(tables))]

        return LayerRecipe(name, tuple(map(fragment, packages)), folders)

    def make(self, cache: SharedCache, *recipes: LayerRecipe) -> list[MadeLayer]:
        maker = LayerMaker(
            cache.store,
            compressor_for(Compression.ZSTD),
            budget=MemoryBudget(64 << 20),
            events=self.events.append,
            on_made=lambda layer: (cache.made(layer), None)[1],
            cache=cache,
            workers=2,
        )
        with maker:
            maker.missing(recipes)  # as a build does, before it fetches packages
            return maker.make_all(recipes)

    def filled(self, *recipes: LayerRecipe) -> list[MadeLayer]:
        """What a machine made and wrote."""
        with self.cache("first", writes=True) as cache:
            made = self.make(cache, *recipes)
            cache.finished()
        self.placed.clear()
        self.registry.log.clear()
        return made

    @property
    def warnings(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Notice) and event.warning]

    def entries(self) -> dict[str, dict[str, Any]]:
        return {
            tag: json.loads(body)
            for (_, tag), (_, body) in self.registry.manifests.items()
            if not tag.startswith("sha256:")
        }

    def written(self) -> str:
        """All that entries say: their configurations and records."""
        said = []
        for manifest in self.entries().values():
            bundle = Bundle.decode(self.registry.blobs[_NAME, manifest["layers"][0]["digest"]], where="")
            said += [base64.b64decode(manifest["config"]["data"]).decode(), repr(dict(bundle.records))]
        return "\n".join(said)

    def put(self, tag: str, manifest: dict[str, Any]) -> None:
        self.registry.manifests[_NAME, tag] = (OCI_MANIFEST, json.dumps(manifest).encode())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    registry = FakeRegistry()
    with ScriptedServer(registry) as server:
        registry.url = server.url
        yield Site(tmp_path, server, registry)


def test_a_layer_that_another_machine_made_is_neither_made_nor_fetched(site: Site) -> None:
    recipe = site.recipe("tools", "git=1", "curl=2")
    (first,) = site.filled(recipe)
    with site.cache("second") as cache:
        (layer,) = site.make(cache, recipe)
        assert (layer.descriptor, layer.diff_id, layer.packages) == (first.descriptor, first.diff_id, first.packages)
        assert [fragment.table for fragment in layer.fragments] == [fragment.table for fragment in first.fragments]
        assert [fragment.notes for fragment in layer.fragments] == [fragment.notes for fragment in first.fragments]
        assert cache.mounts(layer.descriptor.digest, site.server.host) == (_NAME,)
        assert cache.mounts(layer.descriptor.digest, "elsewhere.example.org") == ()
        assert layer.descriptor.digest not in cache.store.blobs
        assert not any(str(layer.descriptor.digest) in line for line in site.registry.log)
        with cache.store.blobs.open(layer.descriptor.digest) as blob:  # until somebody needs its bytes
            assert Digest.of(blob.read()) == layer.descriptor.digest
    assert site.placed == []
    assert site.warnings == []


def test_one_question_answers_all_layers(site: Site) -> None:
    recipes = [site.recipe(f"layer {number}", f"package{number}=1") for number in range(5)]
    site.filled(*recipes)
    with site.cache("second") as cache:
        assert cache.ask_image()
        site.make(cache, *recipes)
    assert [line for line in site.registry.log if "/manifests/" in line] == [
        f"GET /v2/{_NAME}/manifests/asked-{'0' * 64}"
    ]
    assert site.placed == []


def test_other_folders_take_the_fragments(site: Site) -> None:
    (first,) = site.filled(site.recipe("tools", "git=1"))
    with site.cache("second") as cache:
        (layer,) = site.make(cache, site.recipe("tools", "git=1", folder="srv"))
        assert layer.descriptor != first.descriptor
        assert layer.fragments[0].table == first.fragments[0].table
    assert site.placed == []


def test_a_changed_package_is_all_that_is_placed(site: Site) -> None:
    (first,) = site.filled(site.recipe("tools", "git=1", "curl=2", "vim=3"))
    with site.cache("second") as cache:
        (layer,) = site.make(cache, site.recipe("tools", "git=1", "curl=9", "vim=3"))
        assert first.descriptor.digest not in cache.store.blobs  # its parts were read by themselves
    assert site.placed == ["curl=9"]
    with site.cache("third") as cache:
        assert site.make(cache, site.recipe("tools", "git=1", "curl=9", "vim=3"))[0].diff_id == layer.diff_id
    assert not site.warnings


def test_what_a_cache_said_counts_only_where_it_is_asked(site: Site) -> None:
    recipe = site.recipe("tools", "git=1")
    site.filled(recipe)
    with site.cache("second") as cache:
        (layer,) = site.make(cache, recipe)
    store = Store.at(site.folder / "second")
    assert list(store.records.keys("layer-zstd")) == []
    assert not store.holds(layer.descriptor.digest)


def test_files_of_the_repository_are_never_written(site: Site) -> None:
    with site.cache("first", writes=True) as cache:
        site.make(cache, site.recipe("tools", "git=1"), site.recipe(SOURCE_LAYER, "private=1"))
        cache.finished()
    written = site.written()
    assert Digest.of(b"git=1").hex in written
    assert Digest.of(b"private=1").hex not in written


def test_packages_of_the_repository_are_never_written(site: Site) -> None:
    recipes = site.recipe("tools", "git=1"), site.recipe("own", "private=1", "curl=1")
    with site.cache("first", writes=True) as cache:
        cache.withhold([package for fragment in recipes[1].fragments[:1] for package in fragment.packages])
        site.make(cache, *recipes)
        cache.finished()
    written = site.written()
    assert Digest.of(b"git=1").hex in written
    assert Digest.of(b"private=1").hex not in written


@pytest.mark.parametrize(("rung", "written"), [("sub-ids", True), ("one-id", True), ("trap", False), ("chroot", False)])
def test_after_a_step_that_is_not_confined_nothing_is_written(site: Site, rung: str, *, written: bool) -> None:
    with site.cache("first", writes=True) as cache:
        site.make(cache, site.recipe("tools", "git=1"))
        cache.before_step(rung)
        before = dict(site.registry.manifests)
        assert any(tag.startswith("parts-") for _, tag in before)  # what was made before it is there when it begins
        site.make(cache, site.recipe("later", "later=1"))
        cache.finished()
    assert (site.registry.manifests != before) == written
    if not written:
        with site.cache("second") as cache:  # all that was there is found by what was asked too
            assert cache.ask_image()


def test_a_cache_that_may_only_be_read_is_only_read(site: Site) -> None:
    with site.cache("first") as cache:
        site.make(cache, site.recipe("tools", "git=1"))
        cache.before_step("one-id")
        cache.finished()
    assert {line.partition(" ")[0] for line in site.registry.log} == {"GET"}


def _changed(site: Site, change: str) -> None:  # noqa: C901, PLR0912 - one case a lie
    entries = site.entries()
    first, *_, last = entries.values()
    for tag, manifest in entries.items():
        config = json.loads(base64.b64decode(manifest["config"]["data"]))
        if change == "another entry":
            site.put(tag, last if manifest == first else first)
            continue
        if change == "an image":
            del manifest["artifactType"]
        elif change == "a bundle of a terabyte":
            manifest["layers"][0]["size"] = 1 << 40
        elif change == "another bundle":
            site.registry.blobs[_NAME, str(Digest.of(b"nothing"))] = b"nothing"
            manifest["layers"][0] |= {"digest": str(Digest.of(b"nothing")), "size": 7}
        elif change == "other bytes of the bundle":
            site.registry.blobs[_NAME, manifest["layers"][0]["digest"]] = b"\0" * manifest["layers"][0]["size"]
        elif change == "another configuration":
            manifest["config"]["data"] = base64.b64encode(b"{}").decode()
        elif change == "a private record":
            _bundle(site, manifest, {("image", "0" * 64): {"name": "x"}})
        elif change == "an answer of tomorrow":
            _bundle(site, manifest, {("resolution-1", "0" * 64): {"resolved": 2e9}})
        else:
            for layer in config["layers"]:
                descriptor = layer["descriptor"]
                if change == "another media type":
                    descriptor["mediaType"] = "text/plain"
                elif change == "another digest":
                    descriptor["digest"] = str(Digest.of(b"another"))
                elif change == "another size":
                    descriptor["size"] += 1
            content = json.dumps(config).encode()
            manifest["config"] |= {
                "digest": str(Digest.of(content)), "size": len(content), "data": base64.b64encode(content).decode(),
            }  # fmt: skip
        site.put(tag, manifest)


def _bundle(site: Site, manifest: dict[str, Any], records: dict[tuple[str, str], Any]) -> None:
    content = Bundle(records).encode()
    site.registry.blobs[_NAME, str(Digest.of(content))] = content
    manifest["layers"][0] |= {"digest": str(Digest.of(content)), "size": len(content)}


@pytest.mark.parametrize(
    "change",
    [
        "another entry", "an image", "a bundle of a terabyte", "another bundle", "other bytes of the bundle",
        "another configuration", "a private record", "another media type", "another digest", "another size",
    ],
)  # fmt: skip
def test_an_entry_that_is_not_what_it_should_be_is_refused(site: Site, change: str) -> None:
    recipe, other = site.recipe("tools", "git=1"), site.recipe("more", "curl=1")
    first, _ = site.filled(recipe, other)
    _changed(site, change)
    with site.cache("second") as cache:
        (layer,) = site.make(cache, recipe)
    assert layer.diff_id == first.diff_id
    assert site.placed == ["git=1"]
    assert site.warnings
    assert all("is refused" in warning for warning in site.warnings)


def test_an_answer_of_tomorrow_is_not_taken(site: Site) -> None:
    site.filled(site.recipe("tools", "git=1"))
    _changed(site, "an answer of tomorrow")
    with site.cache("second") as cache:
        cache.ask_image()
        assert cache.store.records.get("resolution-1", "0" * 64) is None


@pytest.mark.parametrize("change", ["diff_id", "raw_bytes", "content", "gone"])
def test_a_layer_that_is_not_what_was_said_ends_the_trust(site: Site, change: str) -> None:
    recipe = site.recipe("tools", "git=1")
    (first,) = site.filled(recipe)
    blob = (_NAME, str(first.descriptor.digest))
    for tag, manifest in site.entries().items():
        config = json.loads(base64.b64decode(manifest["config"]["data"]))
        for layer in config["layers"]:
            layer["diff_id"] = str(Digest.of(b"x")) if change == "diff_id" else layer["diff_id"]
            layer["raw_bytes"] = 512 if change == "raw_bytes" else layer["raw_bytes"]
        for (kind, key), value in (records := dict(_records(site, manifest))).items():
            if kind == "layer-zstd" and change in ("diff_id", "raw_bytes"):
                records[kind, key] = value | {"diff_id": config["layers"][0]["diff_id"].partition(":")[2]}
        content = json.dumps(config).encode()
        manifest["config"] |= {
            "digest": str(Digest.of(content)), "size": len(content), "data": base64.b64encode(content).decode(),
        }  # fmt: skip
        old = Bundle.decode(site.registry.blobs[_NAME, manifest["layers"][0]["digest"]], where="")
        new = Bundle(records, old.blobs).encode()
        site.registry.blobs[_NAME, str(Digest.of(new))] = new
        manifest["layers"][0] |= {"digest": str(Digest.of(new)), "size": len(new)}
        site.put(tag, manifest)
    if change == "content":
        site.registry.blobs[blob] = b"\0" * len(site.registry.blobs[blob])
    elif change == "gone":
        del site.registry.blobs[blob]
    with site.cache("second") as cache:
        (layer,) = site.make(cache, recipe)
        with pytest.raises(ClaimError, match="has lost or changed"):
            cache.store.blobs.open(layer.descriptor.digest)
        assert layer.descriptor.digest not in Store.at(site.folder / "second").blobs
    with site.cache("second", key="1" * 64) as cache:  # and it is not believed again
        cache.records.claim("layer-zstd", layer.key, {})
        assert not cache.ask("parts-zstd", "nothing")
    assert not any("parts-zstd" in warning for warning in site.warnings)


def _records(site: Site, manifest: dict[str, Any]) -> Any:
    return Bundle.decode(site.registry.blobs[_NAME, manifest["layers"][0]["digest"]], where="").records


def test_a_server_that_fails_is_asked_no_more(site: Site) -> None:
    def refuse(_: Any) -> Any:
        from tests.support.scripted_server import Reply  # noqa: PLC0415 - here alone

        return Reply(500)

    site.registry.before = refuse
    with site.cache("first", writes=True) as cache:
        site.make(cache, *(site.recipe(f"layer {number}", f"package{number}=1") for number in range(9)))
        cache.finished()
    assert sum("is not used" in warning for warning in site.warnings) == 1
    assert sum("is not written" in warning for warning in site.warnings) == 1


def test_questions_of_many_threads_are_asked_once(site: Site) -> None:
    recipe = site.recipe("tools", "git=1")
    site.filled(recipe)
    with site.cache("second") as cache:
        threads = [threading.Thread(target=cache.ask_image) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum("/manifests/" in line for line in site.registry.log) == 1


def test_entries_are_read_as_they_are_written(site: Site) -> None:
    site.filled(site.recipe("tools", "git=1", "curl=2"))
    manifest = next(entry for tag, entry in site.entries().items() if tag.startswith("layer-"))
    content = json.dumps(manifest).encode()
    parsed = parse_manifest(content, where="")
    tag = next(tag for tag in site.entries() if tag.startswith("layer-"))
    kind, _, key = tag.rpartition("-")
    entry = parse_entry(parsed.inline or b"", parsed, kind=kind, key=key, where="")
    (layer,) = entry.layers
    assert entry.inputs == {"layer": "tools", "packages": ["apt git=1", "apt curl=2"]}
    assert layer.compressor.startswith("zstd/")
    blob = site.registry.blobs[_NAME, str(layer.descriptor.digest)]
    for offset, size_bytes, sha256 in layer.fragments.values():
        assert Digest.of(blob[offset : offset + size_bytes]).hex == sha256
    again, config, _ = entry_documents(entry, Bundle(), created="2001-09-09T01:46:40Z")
    assert config.content == parsed.inline
    assert parse_manifest(again.content, where="").layers == parsed.layers


@pytest.mark.parametrize(
    ("said", "in_file", "environment", "expected"),
    [
        ({}, {}, {}, None),
        ({"caches": ("h.example/a",)}, {"caches": ("h.example/f",)}, {"OCIBUILD_CACHE": "h.example/e"}, (["h.example/a"], False)),
        ({}, {"caches": ("h.example/f",)}, {"OCIBUILD_CACHE": "h.example/e h.example/g"}, (["h.example/e", "h.example/g"], False)),
        ({}, {"caches": ("h.example/f",)}, {"OCIBUILD_CACHE_MODE": "rw"}, (["h.example/f"], False)),
        ({}, {}, {"OCIBUILD_CACHE": "h.example/e", "OCIBUILD_CACHE_MODE": "rw"}, (["h.example/e"], True)),
        ({"no_cache": True}, {"caches": ("h.example/f",)}, {"OCIBUILD_CACHE": "h.example/e"}, None),
    ],
)  # fmt: skip
def test_whose_caches_count(said: Any, in_file: Any, environment: dict[str, str], expected: Any) -> None:
    found = CacheSettings.of(BuildOptions(**said), BuildOptions(**in_file), environment)
    assert (None if found is None else (list(found.names), found.writes)) == expected


@pytest.mark.parametrize(
    "said",
    [
        {"caches": ("h.example/a:tag",)}, {"cache_mode": "rw"}, {"no_cache": True, "caches": ("h.example/a",)},
        {"caches": ("h.example/a",), "cache_username": "x"},
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused(said: Any) -> None:
    with pytest.raises(UsageError):
        CacheSettings.of(BuildOptions(**said), BuildOptions(caches=("h.example/f",)), {})
