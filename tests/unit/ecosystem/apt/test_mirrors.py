from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ocibuild.core.defaults import apt_defaults
from ocibuild.core.errors import UsageError
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.apt.distribution import distribution_of, suite_sources
from ocibuild.ecosystem.apt.machine import MachineApt, parse_configuration, read_machine_apt
from ocibuild.ecosystem.apt.mirrors import ArchiveName, Mirrors
from ocibuild.ecosystem.apt.source_list import parse_source_list

AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")
DEBIAN = {"ID": "debian", "VERSION_CODENAME": "bookworm"}


def machine(lines: str, os_release: dict[str, str] | None = None) -> MachineApt:
    return MachineApt(parse_source_list(lines, file="sources.list"), {}, DEBIAN if os_release is None else os_release)


def test_the_public_default_is_used_where_nothing_else_is_known() -> None:
    mirrors = Mirrors()
    for archive in ArchiveName:
        assert mirrors.address(archive).url == apt_defaults(archive.distribution)[archive.key]


def test_the_machines_own_mirror_comes_before_the_default() -> None:
    mirrors = Mirrors(
        machine(
            "deb http://packages.example/debian bookworm main\ndeb http://corp.example/deb bookworm-security main\n"
        )
    )
    assert mirrors.address(ArchiveName.DEBIAN).url == "http://packages.example/debian"
    assert mirrors.address(ArchiveName.DEBIAN).is_of_machine
    assert mirrors.address(ArchiveName.DEBIAN_SECURITY).url == "http://corp.example/deb"
    assert mirrors.address(ArchiveName.UBUNTU).url == apt_defaults("ubuntu")["mirror"]


def test_a_third_partys_source_is_never_taken_for_the_distributions() -> None:
    mirrors = Mirrors(
        machine(
            "deb [signed-by=/etc/apt/keyrings/runner.gpg] https://vendor.example/runner/debian bookworm main\n"
            "deb [signed-by=/etc/apt/keyrings/docker.gpg] https://other.example/linux/debian bookworm stable\n"
            "deb https://flat.example/debian ./\n"
        )
    )
    assert mirrors.address(ArchiveName.DEBIAN).url == apt_defaults("debian")["mirror"]


def test_a_keyring_of_the_distribution_identifies_its_archive_on_any_machine() -> None:
    keyring = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    mirrors = Mirrors(machine(f"deb {keyring} http://m.example/d trixie main", {"ID": "ubuntu"}))
    assert mirrors.address(ArchiveName.DEBIAN).url == "http://m.example/d"


def test_environment_wins_over_configuration_wins_over_the_machine() -> None:
    own = machine("deb http://machine.example/debian bookworm main")
    mirrors = Mirrors(own, {}, configured="http://toml.example/debian/")
    assert mirrors.address(ArchiveName.DEBIAN).url == "http://toml.example/debian"
    environment = {
        "OCIBUILD_APT_MIRROR": "http://env.example/debian",
        "OCIBUILD_APT_SECURITY_MIRROR": "http://env.example/s",
    }
    mirrors = Mirrors(own, environment, configured="http://toml.example/debian/")
    assert mirrors.address(ArchiveName.DEBIAN).url == "http://env.example/debian"
    assert mirrors.address(ArchiveName.DEBIAN_SECURITY).url == "http://env.example/s"


def test_a_mirror_that_is_no_address_is_refused() -> None:
    with pytest.raises(UsageError, match="no http or https address"):
        Mirrors(configured="/srv/mirror").address(ArchiveName.DEBIAN)


def test_a_day_means_the_snapshot_archive_whatever_the_mirror() -> None:
    mirrors = Mirrors(configured="http://toml.example/debian", as_of=date(2025, 5, 20))
    address = mirrors.address(ArchiveName.DEBIAN_SECURITY)
    assert address.url == f"{apt_defaults('debian')['snapshot-security']}/20250520T000000Z"
    assert address.as_of == datetime(2025, 5, 20, tzinfo=UTC)
    chosen = Mirrors(environment={"OCIBUILD_APT_SNAPSHOT": "http://s.example/archive/"}, as_of=date(2025, 5, 20))
    assert chosen.address(ArchiveName.UBUNTU).url == "http://s.example/archive/ubuntu/20250520T000000Z"


def test_suites_of_debian() -> None:
    found = [(source.name, source.suite) for source in suite_sources("bookworm", AMD64, Mirrors())]
    assert found == [("debian", "bookworm"), ("debian", "bookworm-updates"), ("debian-security", "bookworm-security")]
    assert [source.suite for source in suite_sources("sid", AMD64, Mirrors())] == ["sid"]


def test_suites_of_ubuntu_lie_on_the_ports_mirror_for_other_architectures() -> None:
    amd64 = suite_sources("noble", AMD64, Mirrors())
    assert [source.name for source in amd64] == ["ubuntu", "ubuntu", "ubuntu-security"]
    arm64 = suite_sources("noble", ARM64, Mirrors())
    assert {source.url for source in arm64} == {apt_defaults("ubuntu")["ports"]}
    assert [source.suite for source in arm64] == ["noble", "noble-updates", "noble-security"]


def test_an_unknown_suite_lists_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        distribution_of("bokworm")
    assert "bookworm" in (caught.value.hint or "")
    assert distribution_of("debian/duke") == ("debian", "duke")


def test_the_machines_configuration_is_read_from_its_folders(tmp_path: Path) -> None:
    apt = tmp_path / "etc/apt"
    (apt / "sources.list.d").mkdir(parents=True)
    (apt / "apt.conf.d").mkdir()
    (apt / "sources.list").write_text("not a line\n")
    (apt / "sources.list.d/debian.sources").write_text(
        "Types: deb\nURIs: http://m.example/debian\nSuites: bookworm\nComponents: main\n"
    )
    (apt / "sources.list.d/x.list.save").write_text("deb http://left.example/debian bookworm main\n")
    (apt / "apt.conf.d/10proxy").write_text('Acquire::http::Proxy "http://proxy.example:3128";\n')
    (apt / "apt.conf.d/20valid").write_text("Acquire { Check-Valid-Until false; };\n")
    (tmp_path / "etc/os-release").write_text('ID=debian\nVERSION_CODENAME="bookworm"\n')
    found = read_machine_apt(tmp_path)
    assert [entry.url for entry in found.entries] == ["http://m.example/debian"]
    assert found.reach.proxy("http://m.example/debian") == "http://proxy.example:3128"
    assert not found.check_valid_until
    assert not suite_sources("bookworm", AMD64, Mirrors(found))[0].check_valid_until
    assert suite_sources("bookworm", AMD64, Mirrors(found))[2].check_valid_until  # that one is not the machine's


def test_a_machine_without_apt_is_no_error(tmp_path: Path) -> None:
    assert read_machine_apt(tmp_path) == MachineApt()


def test_apt_conf_scopes_comments_and_lists() -> None:
    text = """// a comment
APT { NeverAutoRemove { "^linux-.*"; }; Install-Recommends "false"; };
Acquire::https { Proxy "DIRECT"; } /* more */
# another
Acquire::http::Proxy "http://a//b;c";
"""
    assert parse_configuration(text) == {
        "apt::install-recommends": "false",
        "acquire::https::proxy": "DIRECT",
        "acquire::http::proxy": "http://a//b;c",
    }
