import importlib.util
import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

from ocibuild.sandbox.bytecode import HEADER_BYTES, source_path, with_source_time


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("a/__pycache__/m.cpython-311.pyc", "a/m.py"),
        ("a/__pycache__/m.cpython-311.opt-1.pyc", "a/m.py"),
        ("__pycache__/m.pypy39.pyc", "m.py"),
        ("a/m.pyc", "a/m.py"),
        ("a/m.py", None),
        ("a/__pycache__/notes", None),
    ],
)
def test_the_source_of_a_bytecode_file(path: str, source: str | None) -> None:
    assert source_path(path) == source
    if "cpython" in path:
        assert importlib.util.source_from_cache(path) == source


def test_python_takes_bytecode_with_the_time_that_its_source_was_given(tmp_path: Path) -> None:
    """Python itself judges: it runs the bytecode, which says another thing than the source, only where it is valid."""
    source = tmp_path / "module.py"
    source.write_text("print('a')")
    bytecode = Path(py_compile.compile(str(source), doraise=True) or "")
    status = source.stat()
    source.write_text("print('b')")
    os.utime(source, (1_600_000_000, 1_600_000_000))
    run = [sys.executable, "-B", "-c", "import module"]
    assert subprocess.check_output(run, cwd=tmp_path) == b"b\n"
    data = bytecode.read_bytes()
    header = with_source_time(
        data[:HEADER_BYTES],
        source_seconds=int(status.st_mtime),
        source_size_bytes=status.st_size,
        modified=1_600_000_000,
    )
    bytecode.write_bytes(header + data[HEADER_BYTES:])
    assert subprocess.check_output(run, cwd=tmp_path) == b"a\n"


def test_what_is_too_short_for_a_header_stays() -> None:
    assert with_source_time(b"\0" * 15, source_seconds=0, source_size_bytes=0, modified=1) == b"\0" * 15
