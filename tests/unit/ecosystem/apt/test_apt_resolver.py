"""Sources, signatures, indexes and the solver together, against made-up archives on loopback."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ocibuild.core.asks import AptAsk, AptSourceAsk, Origin
from ocibuild.core.errors import ImageError, IntegrityError, NetworkError, RepositoryError, UsageError
from ocibuild.core.events import Event, Notice
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.apt.distribution import suite_sources
from ocibuild.ecosystem.apt.keyring import Keyring
from ocibuild.ecosystem.apt.mirrors import ArchiveName, Mirrors
from ocibuild.ecosystem.apt.resolve import AptResolver
from ocibuild.ecosystem.apt.source import Source, asked_sources
from ocibuild.image.view import View, ViewEntry
from ocibuild.net.client import HttpClient
from ocibuild.net.policy import HttpPolicy
from ocibuild.store.store import Store
from tests.support.apt_repository import AptRepository, RepositoryServer, SigningKey, compress, make_deb

AMD64 = Platform.parse("linux/amd64")
KEY = SigningKey.generate("archive")
NOW = datetime.now(UTC).replace(microsecond=0)
INDEX = "dists/stable/main/binary-amd64/Packages"


class Site:
    """One archive with its server, and a resolver with a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.repository = AptRepository(KEY)
        self.server = RepositoryServer(self.repository.files)
        self.store = Store.at(folder / "store")
        self.http = HttpClient(HttpPolicy(tries=1))
        self.events: list[Event] = []

    def source(self, suite: str = "stable", **fields: object) -> Source:
        flat = suite.endswith("/")
        values: dict[str, object] = {
            "name": "example",
            "url": self.server.url,
            "suite": suite,
            "components": () if flat else ("main",),
            "signed_by": Keyring("the test's key", (KEY.public,)),
            "origin": "here",
        }
        return Source(**(values | fields))  # type: ignore[arg-type] # a test's shorthand

    def resolver(self, now: datetime | None = None) -> AptResolver:
        # The repository is dated when it is published, which may be long after this module was imported.
        return AptResolver(self.http, self.store, now or datetime.now(UTC), self.events.append)

    def install(self, *names: str, sources: tuple[Source, ...] = (), view: View | None = None) -> list[str]:
        asks = [AptAsk(name, Origin("apt.txt", line)) for line, name in enumerate(names, 1)]
        found = self.resolver().resolve(asks, view=view or View(), platform=AMD64, sources=sources or (self.source(),))
        return [f"{package.name}={package.version}" for package in found.packages]

    def warnings(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Notice) and event.warning]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    with made.server:
        yield made
    made.http.close()


def add(site: Site, name: str, version: str = "1.0", *, suite: str = "stable", **fields: str) -> str:
    return site.repository.add(
        make_deb(name, version, "amd64", fields={key.replace("_", "-"): text for key, text in fields.items()}),
        suite=suite,
    )


def view_of(files: dict[str, bytes]) -> View:
    entries: dict[str, ViewEntry] = {}
    for path, data in files.items():
        parts = path.split("/")
        for count in range(1, len(parts)):
            entries["/".join(parts[:count])] = ViewEntry("directory", 0o755)
        entries[path] = ViewEntry("file", 0o644, size_bytes=len(data))
    return View(entries, kept=files)


def test_packages_are_locked_by_source_name_and_relative_path(site: Site) -> None:
    add(site, "library")
    path = add(site, "program", "2:1.5", Depends="library (>= 1)", Multi_Arch="foreign")
    site.repository.publish(date=NOW - timedelta(hours=1))
    found = site.resolver().resolve(
        [AptAsk("program", Origin("apt.txt", 7))], view=View(), platform=AMD64, sources=[site.source()]
    )
    library, program = found.packages
    assert (library.name, library.why, library.requested) == ("library", ("program",), False)
    assert (program.source, program.path, program.why) == ("example", path, ("apt.txt:7",))
    assert (program.version, program.architecture, program.requested) == ("2:1.5", "amd64", True)
    data = site.repository.files[path]
    assert program.size_bytes == len(data)
    assert found.addresses == {"example": site.server.url}
    (source,) = found.sources
    assert (source.name, source.description) == ("example", "stable main")
    assert source.date == f"{NOW - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    assert not any("127.0.0.1" in str(package) for package in found.packages)


def test_a_base_from_nothing_holds_what_is_required_and_apt(site: Site) -> None:
    add(site, "base-files", Essential="yes")
    add(site, "libc", Priority="optional")
    add(site, "dash", Priority="required", Depends="libc")
    add(site, "apt", Priority="important")
    add(site, "git", Priority="optional", Depends="libc, curl")
    add(site, "curl", Priority="optional")
    site.repository.publish()
    resolver = site.resolver()
    base = resolver.resolve_base("stable", AMD64, [site.source()])
    assert sorted(package.name for package in base.packages) == ["apt", "base-files", "dash", "libc"]
    requests = len(site.server.requests)
    found = resolver.resolve(
        [AptAsk("git", Origin("apt.txt", 1))], view=View(), platform=AMD64, sources=[site.source()], base=base
    )
    assert [package.name for package in found.packages] == ["curl", "git"]
    assert len(site.server.requests) == requests, "what was read once serves the whole build"


@pytest.mark.parametrize("codec", ["none", "xz", "gzip", "zstd", "bzip2"])
def test_indexes_of_every_compression(site: Site, codec: str) -> None:
    add(site, "program")
    site.repository.publish(codecs=(codec,))
    assert site.install("program") == ["program=1.0"]


def test_an_unchanged_index_is_fetched_once_for_a_store(site: Site) -> None:
    add(site, "program")
    site.repository.publish()
    site.install("program")
    assert [path for path in site.server.requests if "Packages" in path or "by-hash" in path]
    site.server.requests.clear()
    assert site.install("program") == ["program=1.0"]
    assert site.server.requests == ["dists/stable/InRelease"]


def test_an_index_without_a_plain_sum_is_remembered_too(site: Site) -> None:
    site.repository.add(make_deb("program", architecture="amd64"), suite="flat/")
    site.repository.publish("flat/", codecs=("xz",))
    text = b"Date: Mon, 01 Jan 2024 00:00:00 UTC\nSHA256:\n"
    data = site.repository.files["flat/Packages.xz"]
    text += f" {hashlib.sha256(data).hexdigest()} {len(data)} Packages.xz\n".encode()
    site.repository.sign("flat/", text, "inline")
    source = site.source("flat/")
    assert site.install("program", sources=(source,)) == ["program=1.0"]
    site.server.requests.clear()
    assert site.install("program", sources=(source,)) == ["program=1.0"]
    assert site.server.requests == ["flat/InRelease"]


def test_a_mirror_that_is_updated_between_two_requests_serves_by_hash(site: Site) -> None:
    add(site, "program", "1.0")
    site.repository.publish(date=NOW - timedelta(hours=2))

    def swap(path: str) -> None:
        if "Packages" in path or "by-hash" in path:
            site.server.before_answer = None
            add(site, "program", "2.0")
            site.repository.publish(date=NOW - timedelta(hours=1))

    site.server.before_answer = swap
    assert site.install("program") == ["program=1.0"], "the state that the first Release describes"
    assert site.install("program") == ["program=2.0"]


def test_the_same_race_without_by_hash_is_noticed(site: Site) -> None:
    add(site, "program", "1.0")
    site.repository.publish(by_hash=False)
    changed = site.repository.packages("stable", "main", "amd64").replace(b"1.0", b"6.6")
    site.repository.files[f"{INDEX}.xz"] = compress(changed, "xz")
    with pytest.raises(NetworkError):
        site.install("program")


def test_by_hash_switched_off_in_the_list_asks_for_the_plain_name(site: Site) -> None:
    add(site, "program")
    site.repository.publish()
    site.install("program", sources=(site.source(use_by_hash=False),))
    assert f"{INDEX}.xz" in site.server.requests
    assert not any("by-hash" in path for path in site.server.requests)


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes((data[-1] ^ 1,))


@pytest.mark.parametrize("damage", [_flip, lambda data: data[:-3], lambda data: b"", lambda data: data + b"x"])
def test_a_wrong_index_is_refused_before_it_is_parsed(
    site: Site, monkeypatch: pytest.MonkeyPatch, damage: Callable[[bytes], bytes]
) -> None:
    add(site, "program")
    site.repository.publish(by_hash=False, codecs=("xz",))
    site.repository.files[f"{INDEX}.xz"] = damage(site.repository.files[f"{INDEX}.xz"])

    def never(*arguments: object, **options: object) -> bytes:
        raise AssertionError("decoded before it was verified")

    monkeypatch.setattr("ocibuild.ecosystem.apt.packages_reader._decode", never)
    with pytest.raises(NetworkError, match=r"Packages\.xz"):
        site.install("program")
    assert not list(site.store.records.keys("apt-index"))


def test_a_bomb_stops_at_the_size_that_the_release_states(site: Site) -> None:
    add(site, "program")
    site.repository.publish(by_hash=False, codecs=("xz",))
    plain = site.repository.packages("stable", "main", "amd64")
    bomb = compress(b"\n" * (8 << 20), "xz")
    text = f"Suite: stable\nDate: Mon, 01 Jan 2024 00:00:00 UTC\nSHA256:\n {hashlib.sha256(plain).hexdigest()} {len(plain)} main/binary-amd64/Packages\n {hashlib.sha256(bomb).hexdigest()} {len(bomb)} main/binary-amd64/Packages.xz\n"
    site.repository.sign("dists/stable/", text.encode(), "inline")
    site.repository.files[f"{INDEX}.xz"] = bomb
    with pytest.raises(ImageError, match=f"more than {len(plain)} bytes"):
        site.install("program")


@pytest.mark.parametrize("codec", ["xz", "gzip", "zstd", "bzip2"])
def test_signed_garbage_in_an_index_is_an_error_of_the_image_kind(site: Site, codec: str) -> None:
    suffix = {"xz": ".xz", "gzip": ".gz", "zstd": ".zst", "bzip2": ".bz2"}[codec]
    for data in (b"garbage", compress(b"Package: x\n" * 500, codec)[:-9]):
        text = f"Suite: stable\nDate: Mon, 01 Jan 2024 00:00:00 UTC\nSHA256:\n {hashlib.sha256(data).hexdigest()} {len(data)} main/binary-amd64/Packages{suffix}\n"
        site.repository.sign("dists/stable/", text.encode(), "inline")
        site.repository.files[f"{INDEX}{suffix}"] = data
        with pytest.raises(ImageError, match="binary-amd64/Packages"):
            site.install("program")


def test_an_unknown_suite_names_the_address(site: Site) -> None:
    add(site, "program")
    site.repository.publish()
    with pytest.raises(
        NetworkError, match=r"/dists/sable/InRelease: not found: the archive .* has no suite sable"
    ) as caught:
        site.install("program", sources=(site.source("sable"),))
    assert caught.value.status == 404


def test_a_wrong_signature_is_refused(site: Site) -> None:
    add(site, "program")
    site.repository.publish()
    path = "dists/stable/InRelease"
    site.repository.files[path] = site.repository.files[path].replace(b"Origin: Example", b"Origin: Another")
    with pytest.raises(IntegrityError, match="is wrong"):
        site.install("program")


def test_a_signature_by_another_key_names_that_key(site: Site) -> None:
    add(site, "program")
    site.repository.publish()
    ring = Keyring("another", (SigningKey.generate("x").public,))
    with pytest.raises(IntegrityError, match=r"signed by [0-9A-F]{40}, which another does not hold"):
        site.install("program", sources=(site.source(signed_by=ring),))


@pytest.mark.parametrize("suite", ["stable", "flat/"])
def test_release_with_a_detached_signature(site: Site, suite: str) -> None:
    site.repository.add(make_deb("program", architecture="amd64"), suite=suite)
    site.repository.publish(suite, signature="detached")
    assert site.install("program", sources=(site.source(suite),)) == ["program=1.0"]
    folder = suite if suite.endswith("/") else f"dists/{suite}/"
    site.repository.files[f"{folder}Release"] += b"X: y\n"
    with pytest.raises(IntegrityError, match="is wrong"):
        site.install("program", sources=(site.source(suite),))


def test_an_unsigned_source_is_refused(site: Site) -> None:
    add(site, "program")
    site.repository.publish(signature="none")
    with pytest.raises(IntegrityError, match="not signed"):
        site.install("program")


def test_trust_without_a_signature_is_said_aloud(site: Site) -> None:
    add(site, "program")
    for signature in ("none", "inline"):
        site.events.clear()
        site.repository.publish(signature=signature)
        assert site.install("program", sources=(site.source(signed_by=None),)) == ["program=1.0"]
        assert any("trusted without a signature" in message for message in site.warnings())


def test_valid_until(site: Site) -> None:
    add(site, "program")
    site.repository.publish(date=NOW - timedelta(days=9), valid_until=NOW - timedelta(days=2))
    with pytest.raises(IntegrityError, match=r"valid until .* only"):
        site.install("program")
    assert site.install("program", sources=(site.source(check_valid_until=False),)) == ["program=1.0"]
    assert any("the check is switched off" in message for message in site.warnings())
    assert site.install("program", sources=(site.source(as_of=NOW),)) == ["program=1.0"]


def test_a_release_of_the_future_is_refused(site: Site) -> None:
    add(site, "program")
    site.repository.publish(date=NOW + timedelta(hours=1))
    with pytest.raises(IntegrityError, match="which is after"):
        site.install("program")


@pytest.mark.parametrize("signature", ["inline", "detached"])
def test_an_older_release_than_the_one_seen_is_not_taken(site: Site, signature: str) -> None:
    add(site, "program", "1.0")
    site.repository.publish(date=NOW - timedelta(days=2), signature=signature)
    old = dict(site.repository.files)
    add(site, "program", "2.0")
    site.repository.publish(date=NOW - timedelta(days=1), signature=signature)
    assert site.install("program") == ["program=2.0"]
    site.repository.files.update(old)
    if signature == "inline":  # it is kept whole
        assert site.install("program") == ["program=2.0"]
        told = [event.message for event in site.events if isinstance(event, Notice)]
        assert [message for message in told if message.endswith("was seen before: that one is used")]
    else:
        with pytest.raises(IntegrityError, match="was seen before"):
            site.install("program")
    assert site.install("program", sources=(site.source(as_of=NOW),)) == ["program=1.0"], "asked for on purpose"


def test_a_release_that_is_kept_is_verified_again(site: Site) -> None:
    add(site, "program")
    site.repository.publish(date=NOW - timedelta(days=2))
    old = dict(site.repository.files)
    site.repository.publish(date=NOW - timedelta(days=1))
    site.install("program")
    site.repository.files.update(old)
    (key,) = site.store.records.keys("apt-release")
    record: Any = site.store.records.get("apt-release", key)
    site.store.records.put(
        "apt-release", key, record | {"inrelease": record["inrelease"].replace("Origin: Example", "Origin: Another")}
    )
    with pytest.raises(IntegrityError, match="is wrong"):
        site.install("program")


def test_another_suites_release_is_refused(site: Site) -> None:
    add(site, "program")
    site.repository.publish()
    for path in list(site.repository.files):
        if path.startswith("dists/stable/"):
            site.repository.files[path.replace("stable", "testing")] = site.repository.files[path]
    with pytest.raises(IntegrityError, match="this is the Release of stable, and testing was asked for"):
        site.install("program", sources=(site.source("testing"),))


def test_suite_and_codename_both_count(site: Site) -> None:
    for suite, codename in (("bookworm", "bookworm"), ("oldstable", "bookworm")):
        site.repository.add(make_deb("program", architecture="amd64"), suite=suite)
        site.repository.publish(suite, fields={"Suite": "oldstable", "Codename": codename})
        assert site.install("program", sources=(site.source(suite),)) == ["program=1.0"]


def test_sums_other_than_sha256_are_not_enough(site: Site) -> None:
    site.repository.sign(
        "dists/stable/", b"Suite: stable\nDate: Mon, 01 Jan 2024 00:00:00 UTC\nMD5Sum:\n a 1 b\n", "inline"
    )
    with pytest.raises(IntegrityError, match="without SHA256"):
        site.install("program")


def test_a_server_that_is_not_there(site: Site) -> None:
    with pytest.raises(NetworkError):
        site.install("program", sources=(site.source(url="http://127.0.0.1:9"),))


def test_keys_of_a_snapshot_are_judged_at_its_date(site: Site) -> None:
    key = SigningKey.generate("short", validity_seconds=3600)
    site.repository.key = key
    add(site, "program")
    site.repository.publish(date=NOW)
    ring = Keyring("short", (key.public,))
    later = site.resolver(NOW + timedelta(days=400))
    ask = [AptAsk("program", Origin("apt.txt", 1))]
    with pytest.raises(IntegrityError, match="have expired"):
        later.resolve(ask, view=View(), platform=AMD64, sources=[site.source(signed_by=ring)])
    found = later.resolve(ask, view=View(), platform=AMD64, sources=[site.source(signed_by=ring, as_of=NOW)])
    assert found.packages


def test_the_snapshot_archive(site: Site) -> None:
    """An imitation of its layout: the archive's name and the time, then the archive of that day."""
    day = AptRepository(KEY)
    day.add(make_deb("program", "0.9", "amd64"))
    past = datetime(2025, 5, 19, 20, tzinfo=UTC)
    day.publish(date=past, valid_until=past + timedelta(days=7))
    for path, data in day.files.items():
        site.repository.files[f"archive/debian/20250520T000000Z/{path}"] = data
    mirrors = Mirrors(environment={"OCIBUILD_APT_SNAPSHOT": f"{site.server.url}/archive"}, as_of=date(2025, 5, 20))
    address = mirrors.address(ArchiveName.DEBIAN)
    source = site.source(url=address.url, as_of=address.as_of)
    first, second = (site.install("program", sources=(source,)) for _ in range(2))
    assert first == second == ["program=0.9"]


def test_a_snapshot_that_is_newer_than_asked_for_is_refused(site: Site) -> None:
    add(site, "program")
    site.repository.publish(date=NOW - timedelta(days=3))
    with pytest.raises(IntegrityError, match="which is after"):
        site.install("program", sources=(site.source(as_of=NOW - timedelta(days=4)),))


def test_a_day_in_the_future_is_refused(site: Site) -> None:
    with pytest.raises(UsageError, match="in the future"):
        site.install("program", sources=(site.source(as_of=NOW + timedelta(days=1)),))
    assert not site.server.requests


def test_a_source_without_snapshots_beside_one_of_a_past_day_is_told(site: Site) -> None:
    add(site, "program")
    site.repository.publish(date=NOW - timedelta(days=9))
    today = site.source(name="vendor")
    assert site.install("program", sources=(site.source(as_of=NOW), today)) == ["program=1.0"]
    assert site.warnings() == ["vendor has no known snapshots: its packages are those of today"]


def test_third_party_sources_of_a_repository(site: Site) -> None:
    own = SigningKey.generate("vendor")
    vendor = AptRepository(own)
    vendor.add(make_deb("tool", "3", "amd64", fields={"Depends": "program"}), suite="./", stored_as="tool.deb")
    vendor.publish("./")
    add(site, "program")
    site.repository.publish()
    for path, data in vendor.files.items():
        site.repository.files[f"vendor/{path}"] = data
    ask = AptSourceAsk("vendor", f"{site.server.url}/vendor/", "./", (), (), own.public, Origin("ocibuild.toml", 3))
    sources = (site.source(), *asked_sources([ask]))
    found = site.resolver().resolve(
        [AptAsk("tool", Origin("apt.txt", 1))], view=View(), platform=AMD64, sources=sources
    )
    tool = found.packages[-1]
    assert (tool.source, tool.path) == ("vendor", "tool.deb")
    assert found.addresses == {"example": site.server.url, "vendor": f"{site.server.url}/vendor"}


def test_a_third_party_source_without_a_key_is_refused() -> None:
    ask = AptSourceAsk("vendor", "https://v.example/", "./", (), (), b"\n", Origin("ocibuild.toml", 3))
    with pytest.raises(RepositoryError, match=r"ocibuild\.toml:3: the apt source vendor has no key"):
        asked_sources([ask])


def test_one_name_is_one_address(site: Site) -> None:
    with pytest.raises(RepositoryError, match="another apt source is called example"):
        site.install("x", sources=(site.source(), site.source(url="http://other.example")))


def test_backports_are_chosen_only_when_asked_for(site: Site) -> None:
    add(site, "program", "1.0")
    add(site, "program", "2.0", suite="stable-backports")
    site.repository.publish()
    automatic = {"NotAutomatic": "yes", "ButAutomaticUpgrades": "yes"}
    site.repository.publish("stable-backports", fields=automatic)
    sources = (site.source(), site.source("stable-backports"))
    assert site.install("program", sources=sources) == ["program=1.0"]
    asked = AptAsk("program", Origin("apt.txt", 1), suite="stable-backports")
    found = site.resolver().resolve([asked], view=View(), platform=AMD64, sources=sources)
    assert [package.version for package in found.packages] == ["2.0"]


def test_installed_packages_and_pins_of_the_image_count(site: Site) -> None:
    add(site, "library", "1.0")
    add(site, "program", "1.0", Depends="library")
    add(site, "program", "2.0", Depends="library")
    site.repository.publish()
    status = b"Package: library\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\n"
    files = {"var/lib/dpkg/status": status}
    assert site.install("program", view=view_of(files)) == ["program=2.0"]
    files["etc/apt/preferences.d/pin"] = b"Package: program\nPin: version 1.*\nPin-Priority: 1001\n"
    assert site.install("program", view=view_of(files)) == ["program=1.0"]


def test_a_foreign_architecture_is_read_where_a_package_of_it_is_asked_for(site: Site) -> None:
    site.repository.add(make_deb("program", architecture="i386"))
    add(site, "other")
    site.repository.publish(architectures=("amd64", "i386"))
    asked = AptAsk("program", Origin("apt.txt", 1), architecture="i386")
    found = site.resolver().resolve([asked], view=View(), platform=AMD64, sources=[site.source()])
    assert [package.architecture for package in found.packages] == ["i386"]
    assert found.architectures == ("amd64", "i386")


def test_an_architecture_that_a_source_lacks_is_told(site: Site) -> None:
    add(site, "program")
    site.repository.publish()
    arm64 = Platform.parse("linux/arm64")
    with pytest.raises(RepositoryError):
        site.resolver().resolve(
            [AptAsk("program", Origin("apt.txt", 1))], view=View(), platform=arm64, sources=[site.source()]
        )
    assert site.warnings() == ["stable of example has no main for arm64"]


def test_packages_for_all_architectures_in_an_index_of_their_own(site: Site) -> None:
    site.repository.add(make_deb("data", architecture="all"))
    add(site, "program")  # so that the two indexes differ
    site.repository.publish(architectures=("amd64", "all"))
    assert site.install("data", sources=(site.source(use_by_hash=False),)) == ["data=1.0"]
    assert "dists/stable/main/binary-all/Packages.xz" in site.server.requests


def test_text_that_is_no_utf8_does_no_harm(site: Site) -> None:
    add(
        site,
        "program",
        Maintainer="J\N{LATIN SMALL LETTER O WITH DIAERESIS}rg \N{GREEK SMALL LETTER ALPHA} <j@example.org>",
    )
    site.repository.publish(codecs=("none",))
    assert site.install("program") == ["program=1.0"]


def test_a_suite_laid_out_as_ubuntus(site: Site) -> None:
    """Two components, zstd indexes and packages, updates and security beside the release; phasing does not count."""
    for suite in ("noble", "noble-updates", "noble-security"):
        version = {"noble": "1.0", "noble-updates": "1.2", "noble-security": "1.1"}[suite]
        fields = {"Depends": "engine", "Phased-Update-Percentage": "0"}
        site.repository.add(make_deb("program", version, "amd64", fields=fields, codec="zstd"), suite=suite)
        site.repository.add(make_deb("engine", "1", "amd64", codec="zstd"), suite=suite, component="universe")
        site.repository.publish(suite, components=("main", "universe"), codecs=("zstd",), fields={"Origin": "Ubuntu"})
    mirrors = Mirrors(
        environment={"OCIBUILD_APT_MIRROR": site.server.url, "OCIBUILD_APT_SECURITY_MIRROR": site.server.url}
    )
    ring = Keyring("the test's key", (KEY.public,))
    sources = tuple(replace(source, signed_by=ring) for source in suite_sources("noble", AMD64, mirrors))
    assert site.install("program", sources=sources) == ["engine=1", "program=1.2"]
