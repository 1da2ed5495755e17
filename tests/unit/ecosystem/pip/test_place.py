import base64
import csv
import dataclasses
import hashlib
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ocibuild.core.errors import ImageError, IntegrityError
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.pip.place import PLACING_VERSION, PipPlaceContext, place
from ocibuild.ecosystem.pip.wheel import LARGEST_WHOLE_BYTES
from ocibuild.layer.entry import Entry, EntryKind

BuildWheel = Callable[..., Path]
MakeLocked = Callable[..., LockedPackage]
PREFIX = "srv/env"
SITE = f"{PREFIX}/lib/python3.11/site-packages"
CONTEXT = PipPlaceContext(prefix=PREFIX, python_version="3.11", interpreter="/srv/env/bin/python3", uid=1000, gid=100)


@pytest.fixture
def placed(locked: MakeLocked) -> Callable[..., dict[str, tuple[Entry, bytes]]]:
    def run(body: Path, context: PipPlaceContext = CONTEXT, name: str = "thing") -> dict[str, tuple[Entry, bytes]]:
        entries = {}
        for entry in place(locked(name), body, context).entries:
            assert entry.path not in entries, "no path occurs twice"
            entries[entry.path] = (entry, entry.read())
        return entries

    return run


Placed = Callable[..., dict[str, tuple[Entry, bytes]]]


def record_of(entries: dict[str, tuple[Entry, bytes]]) -> dict[str, tuple[str, str]]:
    text = entries[f"{SITE}/thing-1.0.dist-info/RECORD"][1].decode()
    return {path: (digest, size) for path, digest, size in csv.reader(text.splitlines())}


def test_files_folders_owners_and_record(build_wheel: BuildWheel, placed: Placed) -> None:
    body = build_wheel(
        {"thing/__init__.py": b"x = 1\n", "thing/tool": b"#!/bin/sh\n", "top.py": b""}, modes={"thing/tool": 0o100775}
    )
    entries = placed(body)
    files = {path: entry for path, (entry, _) in entries.items() if entry.kind is EntryKind.FILE}
    assert entries[f"{SITE}/thing/__init__.py"][1] == b"x = 1\n"
    assert {path: entry.mode for path, entry in files.items()} == dict.fromkeys(files, 0o644) | {
        f"{SITE}/thing/tool": 0o755
    }
    folders = [path for path, (entry, _) in entries.items() if entry.kind is EntryKind.DIRECTORY]
    assert folders == sorted(folders)
    assert f"{PREFIX}/lib" in folders
    assert PREFIX not in folders, "the prefix itself is not the package's"
    assert list(files) == sorted(files)
    assert all((entry.uid, entry.gid) == (1000, 100) for entry, _ in entries.values())
    assert entries[f"{SITE}/thing-1.0.dist-info/INSTALLER"][1] == b"pip\n"
    assert f"{SITE}/thing-1.0.dist-info/REQUESTED" not in entries
    record = record_of(entries)
    assert {f"{SITE}/{path}" for path in record} == set(files)
    assert record["thing-1.0.dist-info/RECORD"] == ("", "")


def test_requested_and_direct_url(build_wheel: BuildWheel, placed: Placed) -> None:
    context = dataclasses.replace(CONTEXT, requested=True, direct_url='{"url": "https://host/x.whl"}')
    entries = placed(build_wheel({"a.py": b""}), context)
    assert entries[f"{SITE}/thing-1.0.dist-info/REQUESTED"][1] == b""
    assert entries[f"{SITE}/thing-1.0.dist-info/direct_url.json"][1] == b'{"url": "https://host/x.whl"}'
    assert {"thing-1.0.dist-info/REQUESTED", "thing-1.0.dist-info/direct_url.json"} <= record_of(entries).keys()


def test_the_five_schemes(build_wheel: BuildWheel, placed: Placed) -> None:
    data = "thing-1.0.data"
    entries = placed(
        build_wheel(
            {
                f"{data}/purelib/pure.py": b"p",
                f"{data}/platlib/plat.py": b"q",
                f"{data}/headers/thing.h": b"h",
                f"{data}/scripts/run": b"#!python -E\nprint()\n",
                f"{data}/scripts/binary": b"\x7fELF",
                f"{data}/data/share/doc.txt": b"d",
                f"{data}/data/lib64/thing.so": b"s",
            }
        )
    )
    assert entries[f"{SITE}/pure.py"][1] == b"p"
    assert entries[f"{SITE}/plat.py"][1] == b"q"
    assert entries[f"{PREFIX}/include/site/python3.11/thing/thing.h"][1] == b"h"
    assert entries[f"{PREFIX}/bin/run"][1] == b"#!/srv/env/bin/python3\nprint()\n"
    assert entries[f"{PREFIX}/bin/run"][0].mode == 0o755
    assert entries[f"{PREFIX}/bin/binary"][1] == b"\x7fELF"
    assert entries[f"{PREFIX}/bin/binary"][0].mode == 0o755
    assert entries[f"{PREFIX}/share/doc.txt"][1] == b"d"
    assert entries[f"{PREFIX}/lib/thing.so"][1] == b"s", "lib64 is a link to lib, and no entry has a link above it"
    record = record_of(entries)
    script = entries[f"{PREFIX}/bin/run"][1]
    assert record["../../../bin/run"][1] == str(len(script))
    assert record["../../../lib64/thing.so"][1] == "1"


def test_entry_points(build_wheel: BuildWheel, placed: Placed) -> None:
    points = b"[console_scripts]\nrun = thing.cli:main\n\n[gui_scripts]\nwindow = thing:App.start [gui]\n"
    files = {"thing-1.0.dist-info/entry_points.txt": points, "thing-1.0.data/scripts/run": b"#!python\nold\n"}
    entries = placed(build_wheel(files))
    assert entries[f"{PREFIX}/bin/run"][1].decode() == (
        "#!/srv/env/bin/python3\nimport sys\nfrom thing.cli import main\nif __name__ == '__main__':\n"
        "    sys.argv[0] = sys.argv[0].removesuffix('.exe')\n    sys.exit(main())\n"
    )
    assert b"from thing import App\n" in entries[f"{PREFIX}/bin/window"][1]
    assert b"sys.exit(App.start())" in entries[f"{PREFIX}/bin/window"][1]


@pytest.mark.parametrize(
    "path",
    [
        "../evil.py", "/etc/passwd", "a/../../b", "a\\..\\b", "./a", "a//b", "a\nb",
        "thing-1.0.data/data/../../../../etc/x", "thing-1.0.data/nowhere/x", "thing-1.0.data/x",
        "thing-1.0.data/data/lib64",
    ],
)  # fmt: skip
def test_paths_that_are_refused(build_wheel: BuildWheel, placed: Placed, path: str) -> None:
    body = build_wheel({path: b"x"})
    with pytest.raises(ImageError, match="not a wheel that can be used"):
        placed(body)


@pytest.mark.parametrize(
    ("first", "second", "match"),
    [
        ("a.py", "thing-1.0.data/purelib/a.py", "two files would be"),
        ("thing-1.0.data/data/lib/x", "thing-1.0.data/data/lib64/x", "two files would be"),
        ("a", "a/b.py", "a file and a folder"),
    ],
)
def test_files_that_claim_one_place(
    build_wheel: BuildWheel, placed: Placed, first: str, second: str, match: str
) -> None:
    with pytest.raises(ImageError, match=match):
        placed(build_wheel({first: b"1", second: b"2"}))


@pytest.mark.parametrize("size", [10, LARGEST_WHOLE_BYTES + 10])
def test_record_is_verified_while_the_content_streams(build_wheel: BuildWheel, placed: Placed, size: int) -> None:
    data = random.Random(size).randbytes(size)
    wrong = f"big.bin,sha256=AAAA,{size}\n"
    with pytest.raises(IntegrityError, match=r"big.bin differs from the hash"):
        placed(build_wheel({"big.bin": data}, record=wrong))
    assert placed(build_wheel({"big.bin": data}))[f"{SITE}/big.bin"][1] == data


def test_a_changed_script_is_verified_before_it_is_changed(build_wheel: BuildWheel, placed: Placed) -> None:
    body = build_wheel(
        {"thing-1.0.data/scripts/run": b"#!python\n"}, record="thing-1.0.data/scripts/run,sha256=AAAA,9\n"
    )
    with pytest.raises(IntegrityError, match="run differs"):
        placed(body)


def test_other_hashes_of_record(build_wheel: BuildWheel, placed: Placed) -> None:
    good = "sha512=" + base64.urlsafe_b64encode(hashlib.sha512(b"x").digest()).rstrip(b"=").decode()
    assert f"{SITE}/a" in placed(build_wheel({"a": b"x"}, record=f"a,{good},1\n"))
    with pytest.raises(ImageError, match="proves nothing"):
        placed(build_wheel({"a": b"x"}, record="a,md5=nd3tgvj5,1\n"))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"wheel": "Wheel-Version: 2.0\n"}, "newer than"),
        ({"wheel": "Root-Is-Purelib: true\n"}, "Wheel-Version is ''"),
        ({"wheel": "Wheel-Version: one\n"}, "Wheel-Version is 'one'"),
        ({"wheel": f"Wheel-Version: {'9' * 5000}\n"}, "Wheel-Version is"),
        ({"record": ""}, "no RECORD"),
        ({"record": '"' + "x" * 200_000}, "RECORD is malformed"),
        ({"name": "other"}, "holds other, not thing"),
    ],
)
def test_metadata_that_is_refused(build_wheel: BuildWheel, placed: Placed, change: dict[str, str], match: str) -> None:
    with pytest.raises(ImageError, match=match):
        placed(build_wheel({"a.py": b""}, **change))


def test_two_dist_infos(build_wheel: BuildWheel, placed: Placed) -> None:
    with pytest.raises(ImageError, match=r"2 \.dist-info folders"):
        placed(build_wheel({"other-2.dist-info/METADATA": b""}))


@pytest.mark.parametrize(
    "point", ["x = thing", "x = thing.main", "x = a:b:c", "../x = a:b", "a b = a:b", "= a:b", ". = a:b"]
)
def test_entry_points_that_are_refused(build_wheel: BuildWheel, placed: Placed, point: str) -> None:
    text = f"[console_scripts]\n{point}\n".encode()
    with pytest.raises(ImageError, match="the entry point"):
        placed(build_wheel({"thing-1.0.dist-info/entry_points.txt": text}))


def test_left_out_paths_stay_in_record(build_wheel: BuildWheel, placed: Placed) -> None:
    context = dataclasses.replace(CONTEXT, left_out=(f"{SITE}/shared/x.py",))
    entries = placed(build_wheel({"shared/x.py": b"", "own.py": b""}), context)
    assert f"{SITE}/shared/x.py" not in entries
    assert "shared/x.py" in record_of(entries)


def test_names_are_compared_normalised(build_wheel: BuildWheel, placed: Placed) -> None:
    body = build_wheel({"a.py": b""}, name="Thing_with.Dots")
    assert f"{SITE}/a.py" in placed(body, name="thing-with-dots")


def test_every_field_of_the_context_is_in_its_canonical_form() -> None:
    other = {
        "prefix": "opt/env", "python_version": "3.12", "interpreter": "/usr/bin/python3", "uid": 1, "gid": 1,
        "requested": True, "direct_url": "{}", "left_out": ("a",),
    }  # fmt: skip
    assert other.keys() == {field.name for field in dataclasses.fields(PipPlaceContext)}
    forms = {CONTEXT.canonical()}
    forms |= {dataclasses.replace(CONTEXT, **{name: value}).canonical() for name, value in other.items()}  # type: ignore[arg-type]
    assert len(forms) == 1 + len(other)
    assert (
        dataclasses.replace(CONTEXT, left_out=("b", "a")).canonical()
        == dataclasses.replace(CONTEXT, left_out=("a", "b")).canonical()
    )
    assert PLACING_VERSION >= 1


def test_the_same_wheel_gives_the_same_entries(build_wheel: BuildWheel, placed: Placed) -> None:
    body = build_wheel({"b.py": b"1", "a.py": b"2"})
    first, second = placed(body), placed(body)
    assert [(e.path, e.mode, data) for e, data in first.values()] == [
        (e.path, e.mode, data) for e, data in second.values()
    ]
    assert {entry.modified for entry, _ in first.values()} == {315532800}


MEASURE = """
import resource, sys
from pathlib import Path
from ocibuild.core.digest import Digest
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.ecosystem.pip.place import PipPlaceContext, place
package = LockedPackage(Ecosystem.PIP, "thing", "1.0", "any", "pypi", "x", Digest.sha256("0" * 64))
context = PipPlaceContext(prefix="e", python_version="3.11", interpreter="/e/bin/python3")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
size = sum(len(chunk) for entry in place(package, Path(sys.argv[1]), context).entries for chunk in entry.chunks())
print(size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_large_member_needs_constant_memory(build_wheel: BuildWheel, method: int) -> None:
    body = build_wheel({"weights.bin": bytes(200 << 20)}, method=method)
    done = subprocess.run([sys.executable, "-c", MEASURE, body], capture_output=True, text=True, check=True)
    size, grown_kib = (int(word) for word in done.stdout.split())
    assert size > 200 << 20
    assert grown_kib < 24 << 10
