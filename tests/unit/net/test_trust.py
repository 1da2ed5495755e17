from pathlib import Path

import pytest

from ocibuild.core.errors import UsageError
from ocibuild.net.trust import choose_ca_file


def test_the_order_of_authorities(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("explicit", "ssl", "requests")}
    for file in files.values():
        file.touch()
    environment = {"SSL_CERT_FILE": str(files["ssl"]), "REQUESTS_CA_BUNDLE": str(files["requests"])}
    assert choose_ca_file(files["explicit"], environment) == files["explicit"]
    assert choose_ca_file(None, environment) == files["ssl"]
    assert choose_ca_file(None, {"REQUESTS_CA_BUNDLE": str(files["requests"])}) == files["requests"]
    system = Path("/etc/ssl/certs/ca-certificates.crt")
    if system.is_file():
        assert choose_ca_file(None, {"SSL_CERT_FILE": ""}) == system


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_bundle_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{name} names .*/gone"):
        choose_ca_file(None, {name: str(tmp_path / "gone")})
    with pytest.raises(UsageError, match="--ca names"):
        choose_ca_file(tmp_path / "gone", {})
