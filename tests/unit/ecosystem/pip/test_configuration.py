from pathlib import Path

import pytest

from ocibuild.core.errors import UsageError
from ocibuild.ecosystem.pip.configuration import IndexSettings, read_index_settings


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    for folder in ("home/.config/pip", "home/.config/uv", "home/.pip", "etc/xdg/pip", "etc/uv", "venv"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def read(machine: Path, environment: dict[str, str] | None = None) -> IndexSettings:
    return read_index_settings(
        environment or {}, home=machine / "home", prefix=machine / "venv", system=machine / "etc"
    )


def put(machine: Path, path: str, text: str) -> Path:
    (machine / path).write_text(text)
    return machine / path


def test_nothing_is_set_up(machine: Path) -> None:
    assert read(machine) == IndexSettings()


def test_pips_files_replace_each_other_in_pips_order(machine: Path) -> None:
    order = ["etc/xdg/pip/pip.conf", "etc/pip.conf", "home/.pip/pip.conf", "home/.config/pip/pip.conf", "venv/pip.conf"]
    for number, path in enumerate(order):
        put(machine, path, f"[global]\nindex-url = https://host/{number}\n")
        assert read(machine).index_url == f"https://host/{number}"
    chosen = put(machine, "own.conf", "[global]\nindex-url = https://host/own\n")
    assert read(machine, {"PIP_CONFIG_FILE": str(chosen)}).index_url == "https://host/own"
    environment = {"PIP_CONFIG_FILE": str(chosen), "PIP_INDEX_URL": "https://host/env"}
    assert read(machine, environment).index_url == "https://host/env"


def test_a_chosen_file_replaces_the_users(machine: Path) -> None:
    put(machine, "home/.config/pip/pip.conf", "[global]\nextra-index-url = https://host/user\n")
    put(machine, "etc/pip.conf", "[global]\nno-index = yes\n")
    chosen = put(machine, "own.conf", "[global]\nfind-links = /links\n")
    settings = read(machine, {"PIP_CONFIG_FILE": str(chosen)})
    assert settings == IndexSettings(find_links=("/links",), no_index=True)
    missing = read(machine, {"PIP_CONFIG_FILE": str(machine / "missing")})
    assert missing.extra_index_urls == ("https://host/user",)


def test_dev_null_switches_files_off_but_not_the_environment(machine: Path) -> None:
    put(machine, "etc/pip.conf", "[global]\nindex-url = https://host/\n")
    environment = {"PIP_CONFIG_FILE": "/dev/null", "PIP_FIND_LINKS": "/a /b"}
    assert read(machine, environment) == IndexSettings(find_links=("/a", "/b"))


def test_the_section_of_install_wins_over_global_whatever_the_file(machine: Path) -> None:
    put(machine, "etc/pip.conf", "[install]\nindex-url = https://host/install\n[freeze]\nindex-url = https://no/\n")
    put(machine, "venv/pip.conf", "[global]\nindex-url = https://host/global\n")
    assert read(machine).index_url == "https://host/install"


def test_every_key(machine: Path) -> None:
    put(
        machine,
        "etc/pip.conf",
        "[global]\nINDEX_URL = https://u:p@host/\nextra-index-url =\n    https://a/\n    https://b/\nfind-links = ~/w\n"
        "trusted-host = h1 h2\nconstraint = /c.txt\nno-index = 0\npre = true\ncert = /ca.pem\nproxy = http://proxy\n"
        "require-hashes = 1\n",
    )
    assert read(machine) == IndexSettings(
        index_url="https://u:p@host/",
        extra_index_urls=("https://a/", "https://b/"),
        find_links=(str(machine / "home/w"),),
        trusted_hosts=("h1", "h2"),
        constraints=("/c.txt",),
        prereleases=True,
        require_hashes=True,
        certificate="/ca.pem",
        proxy="http://proxy",
    )


def test_empty_values_replace_those_of_other_files_only(machine: Path) -> None:
    put(machine, "etc/pip.conf", "[global]\nindex-url = https://host/\n")
    assert read(machine, {"PIP_INDEX_URL": ""}).index_url == "https://host/"
    put(machine, "venv/pip.conf", "[global]\nindex-url =\n")
    assert read(machine).index_url is None


def test_a_malformed_file_is_named(machine: Path) -> None:
    path = put(machine, "etc/pip.conf", "index-url = https://host/\n")
    with pytest.raises(UsageError, match="malformed") as caught:
        read(machine)
    assert str(path) in str(caught.value)
    path.write_bytes(b"[global]\n\xff")
    with pytest.raises(UsageError, match="cannot be read"):
        read(machine)


def test_uvs_files_and_environment(machine: Path) -> None:
    put(machine, "etc/uv/uv.toml", 'index-url = "https://old/"\nfind-links = ["/links"]\n')
    put(
        machine,
        "home/.config/uv/uv.toml",
        '[[index]]\nname = "corp"\nurl = "https://corp/"\ndefault = true\n[[index]]\nurl = "https://more/"\n'
        '[[index]]\nname = "torch"\nurl = "https://torch/"\nexplicit = true\n[pip]\nextra-index-url = ["https://pip/"]\n',
    )
    settings = read(machine)
    assert settings.index_url == "https://corp/"
    assert settings.extra_index_urls == ("https://more/", "https://pip/")
    assert settings.find_links == ("/links",)
    environment = {
        "UV_DEFAULT_INDEX": "https://env/",
        "UV_INDEX": "own=https://own/simple https://x/",
        "UV_FIND_LINKS": "/1,/2",
    }
    environment |= {"UV_INDEX_OWN_USERNAME": "me", "UV_INDEX_OWN_PASSWORD": "s@cret", "UV_NO_CONFIG": "1"}
    assert read(machine, environment) == IndexSettings(
        index_url="https://env/",
        extra_index_urls=("https://me:s%40cret@own/simple", "https://x/"),
        find_links=("/1", "/2"),
    )


def test_uvs_default_index_counts_before_pips_and_lists_add_up(machine: Path) -> None:
    put(machine, "etc/pip.conf", "[global]\nindex-url = https://pip/\nextra-index-url = https://a/ https://b/\n")
    settings = read(machine, {"UV_INDEX_URL": "https://uv/", "UV_EXTRA_INDEX_URL": "https://b/ https://c/"})
    assert settings.index_url == "https://uv/"
    assert settings.extra_index_urls == ("https://a/", "https://b/", "https://c/")


def test_a_malformed_uv_file_is_named(machine: Path) -> None:
    path = put(machine, "etc/uv/uv.toml", "index-url = \n")
    with pytest.raises(UsageError, match="uv's configuration file") as caught:
        read(machine)
    assert str(path) in str(caught.value)


def test_how_pip_reaches_its_servers(machine: Path) -> None:
    put(
        machine,
        "home/.config/pip/pip.conf",
        "[global]\ncert = /etc/ssl/own.pem\nclient-cert = /etc/ssl/me.pem\nproxy = http://proxy.test:3128\n"
        "trusted-host = odd.test\n    other.test:8443\n",
    )
    reach = read(machine).reach
    trust = reach.trust("https://index.test/simple")
    assert (trust.ca_file, trust.client_certificate) == (Path("/etc/ssl/own.pem"), Path("/etc/ssl/me.pem"))
    assert reach.proxy("https://index.test/simple") == reach.proxy("http://index.test/") == "http://proxy.test:3128"
    assert not reach.trust("https://odd.test/simple").is_verified
    assert not reach.trust("https://other.test:8443/simple").is_verified
    assert reach.trust("https://other.test/simple").is_verified
    assert read(machine, {"PIP_CONFIG_FILE": "/dev/null"}).reach.proxy("https://index.test/simple") is None
