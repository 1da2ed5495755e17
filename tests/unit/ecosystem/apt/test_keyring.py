import hashlib
from importlib import resources

import pysequoia
import pytest
import tomli

from ocibuild.ecosystem.apt.keyring import shipped_keyring

FOLDER = resources.files("ocibuild.ecosystem.apt").joinpath("keyrings")
ENTRIES = tomli.loads(FOLDER.joinpath("keyrings.toml").read_text())


def test_every_shipped_file_is_described() -> None:
    shipped = {path.name for path in FOLDER.iterdir()} - {"keyrings.toml"}
    assert shipped == {entry["file"] for entry in ENTRIES.values()}


@pytest.mark.parametrize("distribution", sorted(ENTRIES))
def test_the_shipped_keyrings_are_what_they_are_said_to_be(distribution: str) -> None:
    entry = ENTRIES[distribution]
    assert hashlib.sha256(FOLDER.joinpath(entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
    assert {"package", "version", "package_sha256", "path", "licence"} <= entry.keys()


@pytest.mark.parametrize(
    ("distribution", "fingerprint"),
    [
        ("debian", "b8b80b5b623eab6ad8775c45b7c5d7d6350947f8"),  # bookworm's automatic key
        ("debian", "04b54c3cdca79751b16bc6b5225629df75b188bd"),  # trixie's
        ("ubuntu", "f6ecb3762474eda9d21b7022871920d1991bc93c"),  # Ubuntu's of 2018
    ],
)
def test_the_current_keys_are_among_them(distribution: str, fingerprint: str) -> None:
    (block,) = shipped_keyring(distribution).blocks
    assert fingerprint in {certificate.fingerprint for certificate in pysequoia.Cert.split_bytes(block)}
