import subprocess
import sys

import pytest

HEAVY = {"rattler", "zstandard", "yaml", "tomli", "requests", "urllib3", "zipfile", "bz2", "asyncio", "ssl"}


@pytest.mark.parametrize(
    "module",
    ["place", "settle", "target", "environment", "resolve", "configuration", "order", "link_scripts", "distributions"],
)
def test_what_an_unchanged_build_imports_is_light(module: str) -> None:
    def loaded(code: str) -> set[str]:
        done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    found = loaded(f"import sys, ocibuild.ecosystem.conda.{module}; print(*sys.modules)")
    assert not (found - loaded("import sys; print(*sys.modules)")) & HEAVY
