"""The helper process is started for every run: it must start quickly."""

import json
import subprocess
import sys

import pytest

from ocibuild.sandbox.process import _START, helper_command

HEAVY = {
    "pathlib",
    "typing",
    "subprocess",
    "logging",
    "tempfile",
    "threading",
    "urllib",
    "traceback",
    "asyncio",
    "shutil",
}


@pytest.mark.parametrize("module", ["enter", "in_ids"])
def test_it_imports_light_modules_only(module: str) -> None:
    command = helper_command(module)
    start = _START.format(module=module)
    assert start in command
    only_import = start.rpartition(";")[0]
    report = f"{only_import}; import json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [report if each == start else each for each in command], capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stdout))
    assert loaded & HEAVY == set()
    ours = {name for name in loaded if name.startswith("ocibuild")}
    assert not [name for name in ours if name.split(".")[1:2] not in ([], ["sandbox"])]


def test_it_is_this_interpreter_kept_from_the_environment() -> None:
    assert helper_command("enter")[0] == sys.executable
    assert helper_command("enter")[1:3] == ("-I", "-S")
