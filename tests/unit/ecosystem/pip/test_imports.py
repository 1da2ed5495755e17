import subprocess
import sys

import pytest

HEAVY = {"packaging", "tomli", "requests", "urllib3", "email", "uv", "subprocess", "ssl"}


@pytest.mark.parametrize("module", ["place", "settle", "target", "prefix", "resolve", "configuration"])
def test_what_an_unchanged_build_imports_is_light(module: str) -> None:
    code = f"import sys, ocibuild.ecosystem.pip.{module}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    before = subprocess.run(
        [sys.executable, "-I", "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert not (set(loaded) - set(before.stdout.split())) & HEAVY
