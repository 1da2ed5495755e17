"""What the imitated places need."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.rigs.seccomp import docker_profile


@pytest.fixture(scope="session")
def profile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Docker's seccomp profile, kept between runs where OCIBUILD_TEST_CACHE says so."""
    cache = os.environ.get("OCIBUILD_TEST_CACHE")
    return docker_profile(Path(cache) if cache else tmp_path_factory.mktemp("cache"))
