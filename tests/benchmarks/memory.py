"""Measures the peak memory of ocibuild on images that are larger than any memory it may take.

::

    python tests/benchmarks/memory.py [--gigabytes N] [--jobs N]... [--only WORKLOAD] [--folder DIR]

Builds, with zstd and with gzip, a folder of many files, a folder of one huge file (N GB each, 4 by default), and a
wheel of half that size, and prints the largest resident set (the kernel's VmHWM) of the program. The default limit,
``--memory 300M``, is for the whole process. Needs Debian's mirror for the base of the wheel.
"""

import argparse
import base64
import hashlib
import os
import random
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.measuring import measured
from tests.support.program import program_command

_BLOCK_BYTES = 1 << 20


def _blocks(size_bytes: int) -> Iterator[bytes]:
    """Blocks of 1 MiB that differ from each other, and of which a quarter can be compressed."""
    for number in range(size_bytes // _BLOCK_BYTES):
        yield random.Random(number).randbytes(3 * _BLOCK_BYTES // 4) + bytes(_BLOCK_BYTES // 4)


def _many_files(folder: Path, size_bytes: int) -> None:
    for number, block in enumerate(_blocks(size_bytes)):
        below = folder / f"{number // 256}"
        below.mkdir(exist_ok=True)
        for part in range(8):
            (below / f"{number}-{part}").write_bytes(block[part << 17 : part + 1 << 17])


def _huge_file(folder: Path, size_bytes: int) -> None:
    with (folder / "huge").open("wb") as file:
        file.writelines(_blocks(size_bytes))


def _huge_wheel(folder: Path, size_bytes: int) -> None:
    state = hashlib.sha256()
    for block in _blocks(size_bytes):
        state.update(block)
    digest = base64.urlsafe_b64encode(state.digest()).rstrip(b"=").decode()
    information = "huge-1.dist-info"
    small = {
        f"{information}/METADATA": "Metadata-Version: 2.1\nName: huge\nVersion: 1\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: a benchmark\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(folder / "huge-1-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("huge/data", "w", force_zip64=True) as member:
            for block in _blocks(size_bytes):
                member.write(block)
        rows = [f"huge/data,sha256={digest},{size_bytes}"]
        for name, text in small.items():
            archive.writestr(name, text)
            rows.append(f"{name},,")
        archive.writestr(f"{information}/RECORD", "\n".join([*rows, f"{information}/RECORD,,"]) + "\n")
    (folder / "requirements.txt").write_text("huge\n")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=4)
    parser.add_argument("--jobs", type=int, action="append", help="as ocibuild's --jobs; default: 2 and 16")
    parser.add_argument("--only", help="the name of one workload")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder, removed afterwards")
    arguments = parser.parse_args()
    size_bytes = int(arguments.gigabytes * 1024) << 20
    kinds = [
        ("many files", _many_files, size_bytes, "scratch"),
        ("one file", _huge_file, size_bytes, "scratch"),
        ("one wheel", _huge_wheel, size_bytes // 2, "apt:bookworm"),
    ]
    print(f"{'workload':14}{'GB':>6}{'codec':>7}{'jobs':>6}{'peak MB':>10}{'wall s':>9}{'CPU s':>9}")
    for name, make, size, base in kinds:
        if arguments.only not in (None, name):
            continue
        with tempfile.TemporaryDirectory(dir=arguments.folder) as text:
            folder = Path(text)
            source = folder / "source"
            source.mkdir()
            make(source, size)
            for codec in ("zstd", "gzip"):
                for jobs in arguments.jobs or [2, 16]:
                    store = folder / f"store-{codec}-{jobs}"
                    environment = {**os.environ, "OCIBUILD_STORE": str(store), "PIP_FIND_LINKS": str(source)}
                    command = program_command("build", source, "--base", base)
                    options = ["--compression", codec, "--jobs", str(jobs)]
                    cost = measured([*command, *options], environment=environment, log=folder / "log")
                    print(
                        f"{name:14}{size / 1e9:6.1f}{codec:>7}{jobs:>6}{cost.peak_bytes / 1e6:10.0f}"
                        f"{cost.wall_seconds:9.1f}{cost.cpu_seconds:9.1f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
