from pathlib import Path

import pytest

from ocibuild.core.digest import Digest
from ocibuild.core.errors import UsageError
from ocibuild.net.trust import Trust
from ocibuild.registry.location import Endpoint, Locations
from ocibuild.registry.registries_conf import RegistriesConf

DIGEST = Digest.of(b"x")


@pytest.mark.parametrize(
    ("registry", "host", "schemes"),
    [
        ("registry.example.org", "registry.example.org", ("https",)),
        ("registry.example.org:5000", "registry.example.org:5000", ("https",)),
        ("docker.io", "registry-1.docker.io", ("https",)),
        ("localhost", "localhost", ("http", "https")),
        ("localhost:5000", "localhost:5000", ("http", "https")),
        ("127.0.0.1:5000", "127.0.0.1:5000", ("http", "https")),
        ("[::1]:5000", "[::1]:5000", ("http", "https")),
        ("localhost.example.org", "localhost.example.org", ("https",)),
        ("10.0.0.1:5000", "10.0.0.1:5000", ("https",)),
    ],
)
def test_only_loopback_is_plain_by_itself(registry: str, host: str, schemes: tuple[str, ...]) -> None:
    assert Locations().primary(registry, "a/b") == Endpoint(registry, host, "a/b", schemes, Trust())


def test_a_host_named_insecure_is_that_host_alone() -> None:
    locations = Locations(insecure=frozenset({"r.example:5000"}))
    named = locations.primary("r.example:5000", "a")
    assert named.schemes == ("https", "http")
    assert not named.trust.is_verified
    for other in ("r.example", "r.example:5001", "x.r.example:5000"):
        assert locations.primary(other, "a").schemes == ("https",)
        assert locations.primary(other, "a").trust.is_verified


CONF = """
unqualified-search-registries = ["docker.io"]

[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "mirror.example:5000/hub"
insecure = true
[[registry.mirror]]
location = "second.example"
pull-from-mirror = "digest-only"

[[registry]]
prefix = "docker.io/team"
location = "internal.example/team-images"

[[registry]]
prefix = "bad.example"
location = "bad.example"
blocked = true

[[registry]]
prefix = "*.lab.example"
insecure = true

[[registry]]
location = "digests.example"
mirror-by-digest-only = true
[[registry.mirror]]
location = "copy.example/"
"""


@pytest.fixture
def locations(tmp_path: Path) -> Locations:
    path = tmp_path / "registries.conf"
    path.write_text(CONF)
    return Locations.of_environment({"CONTAINERS_REGISTRIES_CONF": str(path), "HOME": str(tmp_path)})


def places(endpoints: tuple[Endpoint, ...]) -> list[str]:
    return [f"{endpoint.host}/{endpoint.repository}" for endpoint in endpoints]


def test_mirrors(locations: Locations) -> None:
    assert places(locations.readable("docker.io", "library/debian", "12")) == [
        "mirror.example:5000/hub/library/debian",
        "registry-1.docker.io/library/debian",
    ]
    assert places(locations.readable("docker.io", "library/debian", DIGEST)) == [
        "mirror.example:5000/hub/library/debian", "second.example/library/debian", "registry-1.docker.io/library/debian",
    ]  # fmt: skip
    mirror, primary = locations.readable("docker.io", "library/debian", "12")
    assert (mirror.registry, mirror.trust.is_verified) == ("mirror.example:5000", False)
    assert primary.trust.is_verified
    assert places(locations.readable("digests.example", "a", "1")) == ["digests.example/a"]
    assert places(locations.readable("digests.example", "a", DIGEST)) == ["copy.example/a", "digests.example/a"]


def test_the_longest_prefix_holds(locations: Locations) -> None:
    assert places((locations.primary("docker.io", "team/app"),)) == ["internal.example/team-images/app"]
    assert locations.primary("docker.io", "team/app").registry == "internal.example"
    assert places((locations.primary("docker.io", "teams/app"),)) == ["registry-1.docker.io/teams/app"]


def test_blocked_and_insecure(locations: Locations) -> None:
    with pytest.raises(UsageError, match=r"bad\.example/a is blocked by .*registries\.conf"):
        locations.primary("bad.example", "a")
    assert not locations.primary("one.lab.example", "a").trust.is_verified
    assert locations.primary("lab.example", "a").trust.is_verified
    assert locations.primary("evil-lab.example", "a").trust.is_verified


def test_drop_ins_replace_a_prefix(tmp_path: Path) -> None:
    folder = tmp_path / ".config/containers"
    (folder / "registries.conf.d").mkdir(parents=True)
    (folder / "registries.conf").write_text('[[registry]]\nlocation = "a.example"\nblocked = true\n')
    (folder / "registries.conf.d/1.conf").write_text('[[registry]]\nlocation = "a.example"\ninsecure = true\n')
    conf = RegistriesConf.of_environment({"HOME": str(tmp_path)})
    rule = conf.rule("a.example/b")
    assert rule is not None
    assert (rule.is_blocked, rule.is_insecure) == (False, True)


@pytest.mark.parametrize(
    "text",
    [
        "[[registry",
        "registry = 5",
        "[[registry]]\n",
        "[[registry]]\nlocation = 5",
        '[[registry]]\nlocation = "a"\n[[registry.mirror]]\n',
        "\xff",
    ],
)
def test_a_malformed_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "registries.conf"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"registries\.conf"):
        RegistriesConf.of_environment({"CONTAINERS_REGISTRIES_CONF": str(path)})


def test_no_file_is_no_rules(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        RegistriesConf.of_environment({"CONTAINERS_REGISTRIES_CONF": str(tmp_path / "gone")})


def test_certificates_of_a_host(tmp_path: Path) -> None:
    folder = tmp_path / "certs.d/r.example:5000"
    folder.mkdir(parents=True)
    for name in ("ca.crt", "client.cert", "client.key"):
        (folder / name).touch()
    locations = Locations(certificates=(tmp_path / "certs.d", tmp_path / "gone"))
    assert locations.primary("r.example:5000", "a").trust == Trust(
        folder / "ca.crt", True, folder / "client.cert", folder / "client.key"
    )
    assert locations.primary("r.example", "a").trust == Trust()
