import pytest

from ocibuild.sandbox.noise import NOISE, PathPatterns, noise_at


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/tmp/**", "tmp/x", True),
        ("/tmp/**", "tmp/x/y", True),
        ("/tmp/**", "tmp", False),
        ("/tmp/**", "var/tmp/x", False),
        ("/var/cache/apt/*.bin", "var/cache/apt/pkgcache.bin", True),
        ("/var/cache/apt/*.bin", "var/cache/apt/below/pkgcache.bin", False),
        ("/etc/hosts", "etc/hosts", True),
        ("/etc/hosts", "etc/hosts.allow", False),
        ("/etc/hosts", "srv/etc/hosts", False),
        ("srv/*/data/**", "srv/a/data/x/y", True),
        ("srv/[ab]", "srv/b", True),
    ],
)
def test_patterns_match_part_by_part(pattern: str, path: str, *, matches: bool) -> None:
    assert PathPatterns(["/other", pattern]).match(path) == matches


def test_every_rule_is_an_exact_place_of_the_system() -> None:
    for rule in NOISE:
        assert rule.pattern.startswith("/")
        assert not rule.pattern.startswith(("/home", "/root", "/srv", "/opt", "/usr"))
        assert "*" not in rule.pattern.removesuffix("/**").rpartition("/")[0]
        assert rule.why
        assert noise_at(rule.pattern.lstrip("/").replace("**", "x").replace("*", "x")) is rule


@pytest.mark.parametrize(
    "path", ["home/me/.cache/pip/x", "root/.cache/x", "usr/share/doc/x", "etc/passwd-", "tmp", "run"]
)
def test_what_is_nowhere_in_the_list_is_no_noise(path: str) -> None:
    assert noise_at(path) is None
