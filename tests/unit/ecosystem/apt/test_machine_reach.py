"""How apt of this machine reaches its servers, as its configuration says."""

from pathlib import Path

import pytest

from ocibuild.ecosystem.apt.machine import MachineApt, parse_configuration, parse_logins, read_machine_apt
from ocibuild.net.reach import Login
from ocibuild.net.trust import Trust


def machine(text: str) -> MachineApt:
    return MachineApt(settings=parse_configuration(text))


def test_proxies() -> None:
    reach = machine(
        'Acquire::http { Proxy "http://proxy.test:3128"; Proxy::direct.test "DIRECT"; Proxy-Auto-Detect "/bin/x"; };\n'
        'Acquire::https::Proxy::special.test "http://other.test:1";\n'
    ).reach
    assert reach.proxy("http://mirror.test/debian") == "http://proxy.test:3128"
    assert reach.proxy("http://direct.test/debian") == ""
    assert reach.proxy("https://mirror.test/debian") == "http://proxy.test:3128"
    assert reach.proxy("https://special.test/debian") == "http://other.test:1"
    assert machine("").reach.proxy("http://mirror.test/") is None
    assert machine('Acquire::https::Proxy "DIRECT";').reach.proxy("https://mirror.test/") == ""


def test_authorities_and_certificates() -> None:
    reach = machine(
        'Acquire::https { CaInfo "/etc/ssl/own.pem"; SslCert "/etc/ssl/me.pem"; SslKey "/etc/ssl/me.key";\n'
        ' strange.test { Verify-Peer "false"; }; other.test::CaInfo "/etc/ssl/other.pem"; };\n'
    ).reach
    own = Trust(Path("/etc/ssl/own.pem"), True, Path("/etc/ssl/me.pem"), Path("/etc/ssl/me.key"))
    assert reach.trust("https://mirror.test/") == own
    assert not reach.trust("https://strange.test/").is_verified
    assert reach.trust("https://other.test/").ca_file == Path("/etc/ssl/other.pem")
    assert machine("").reach.trust("https://mirror.test/") == Trust()


@pytest.mark.parametrize(
    ("text", "logins"),
    [
        ("machine mirror.test login me password secret\n", [Login("mirror.test", "me", "secret")]),
        ("# machine x login y password z\nmachine m.test\n login me\n password p#w\n", [Login("m.test", "me", "p#w")]),
        (
            "machine http://m.test:8080/debian login a password b",
            [Login("m.test", "a", "b", 8080, "/debian", ("http",))],
        ),
        (
            "machine a.test/x login a password b machine b.test password c login d",
            [Login("a.test", "a", "b", None, "/x"), Login("b.test", "d", "c")],
        ),
        ("machine m.test login me\nmachine n.test login me password p\n", [Login("n.test", "me", "p")]),
        ("machine m.test:port login me password p\n", []),
        ("machine", []),
        ("", []),
    ],
)
def test_logins(text: str, logins: list[Login]) -> None:
    assert parse_logins(text) == logins


def test_logins_are_read_from_their_folders(tmp_path: Path) -> None:
    folder = tmp_path / "etc/apt"
    (folder / "auth.conf.d").mkdir(parents=True)
    (folder / "auth.conf").write_text("machine one.test login a password b\n")
    (folder / "auth.conf.d/more.conf").write_text("machine two.test login c password d\n")
    (folder / "auth.conf.d/left.out").write_text("machine three.test login e password f\n")
    found = read_machine_apt(tmp_path)
    assert found.reach.login("https://one.test/debian") == ("a", "b")
    assert found.reach.login("https://two.test/debian") == ("c", "d")
    assert found.reach.login("https://three.test/debian") is None
