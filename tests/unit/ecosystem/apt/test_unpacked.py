"""Packages that are left unpacked: dpkg's database, what the step runs and in which order, and when there is a step at all."""

import hashlib
import shutil
import struct
import subprocess
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import pytest

from ocibuild.ecosystem.apt.configure import UnknownScript
from ocibuild.ecosystem.apt.configure_step import (
    ENVIRONMENT,
    configure_step,
    read_unknown_scripts,
    write_unknown_scripts,
)
from ocibuild.ecosystem.apt.deb822 import Paragraph, read_paragraphs
from ocibuild.ecosystem.apt.state import AptState, make_state
from ocibuild.ecosystem.apt.unpacked import DRIVER_PATH, STEP_FOLDER
from ocibuild.layer.entry import Entry, EntryKind
from tests.support.apt_repository import MadeDeb, make_deb
from tests.support.dpkg_system import DpkgSystem

INFO = "var/lib/dpkg/info"
UNKNOWN = "#!/bin/sh\necho unknown\n"
OLD = """\
Package: one
Status: install ok installed
Architecture: all
Version: 1
Maintainer: Nobody <nobody@example.org>
Conffiles:
 /etc/one.conf 8b04d5e3775d298e78455efc5ca404d5
Description: old

"""


@pytest.fixture
def system(tmp_path: Path) -> DpkgSystem:
    return DpkgSystem(tmp_path)


def put(system: DpkgSystem, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        (system.root / path).parent.mkdir(parents=True, exist_ok=True)
        (system.root / path).write_text(text)


def state_of(system: DpkgSystem, *debs: MadeDeb, removals: tuple[str, ...] = ()) -> AptState:
    return make_state(system.installation(*debs, removals=removals))


def files_of(state: AptState) -> dict[str, Entry]:
    return {entry.path: entry for entry in state.entries if entry.kind is EntryKind.FILE}


def text_of(state: AptState, path: str) -> str:
    return files_of(state)[path].read().decode()


def stanza(state: AptState, name: str) -> Paragraph:
    return next(each for each in read_paragraphs(text_of(state, "var/lib/dpkg/status")) if each["Package"] == name)


def conffile_deb(version: str, text: bytes = b"new\n", **members: str) -> MadeDeb:
    files = {"etc/one.conf": text, "usr/share/one": b""}
    return make_deb("one", version, files=files, control_files={"conffiles": "/etc/one.conf\n"} | members)


def test_known_scripts_leave_nothing_to_run(system: DpkgSystem) -> None:
    state = state_of(system, conffile_deb("2", postinst="#!/bin/sh\nset -e\nexit 0\n"))
    assert state.unknown == ()
    assert stanza(state, "one")["Status"] == "install ok installed"
    assert not [path for path in files_of(state) if path.startswith("var/lib/ocibuild")]


def test_a_new_package(system: DpkgSystem) -> None:
    state = state_of(system, conffile_deb("2", postinst=UNKNOWN))
    assert [(script.package, script.member) for script in state.unknown] == [("one", "postinst")]
    fields = stanza(state, "one")
    assert fields["Status"] == "install ok unpacked"
    assert "Config-Version" not in fields
    # dpkg puts it into place from beside it, where the step moves it.
    assert fields["Conffiles"] == "\n /etc/one.conf newconffile"
    assert text_of(state, f"{STEP_FOLDER}/conffiles") == "/etc/one.conf\n"
    assert text_of(state, f"{STEP_FOLDER}/calls") == ""
    assert files_of(state)[DRIVER_PATH].mode == 0o755


def test_an_upgrade(system: DpkgSystem) -> None:
    scripts = {f"{INFO}/one.{member}": f"#!/bin/sh\necho old {member}\n" for member in ("prerm", "postrm")}
    put(
        system,
        {
            "var/lib/dpkg/status": OLD,
            f"{INFO}/one.list": "/.\n/etc\n/etc/one.conf\n",
            "etc/one.conf": "old\n",
            **scripts,
        },
    )
    digest = hashlib.md5(b"old\n").hexdigest()
    put(system, {"var/lib/dpkg/status": OLD.replace("8b04d5e3775d298e78455efc5ca404d5", digest)})
    state = state_of(system, conffile_deb("2", preinst=UNKNOWN, prerm=UNKNOWN))
    fields = stanza(state, "one")
    assert (fields["Status"], fields["Version"], fields["Config-Version"]) == ("install ok unpacked", "2", "1")
    # Scripts are never without it: it replaces the old one at once.
    assert fields["Conffiles"] == "\n /etc/one.conf " + hashlib.md5(b"new\n").hexdigest()
    assert text_of(state, f"{STEP_FOLDER}/conffiles") == ""
    assert text_of(state, f"{STEP_FOLDER}/calls").splitlines() == [
        f"prerm one all 1 /{STEP_FOLDER}/old/one.prerm upgrade 2",
        f"preinst one all 1 /{INFO}/one.preinst upgrade 1 2",
        f"postrm one all 1 /{STEP_FOLDER}/old/one.postrm upgrade 2",
    ]
    assert text_of(state, f"{STEP_FOLDER}/old/one.prerm") == "#!/bin/sh\necho old prerm\n"


def test_what_is_left_of_a_removed_package(system: DpkgSystem) -> None:
    put(system, {"var/lib/dpkg/status": OLD.replace("install ok installed", "deinstall ok config-files") + "\n"})
    state = state_of(system, conffile_deb("2", preinst=UNKNOWN))
    assert text_of(state, f"{STEP_FOLDER}/calls") == f"preinst one all 1 /{INFO}/one.preinst install 1 2\n"


def test_a_removal_whose_scripts_do_something_is_a_step(system: DpkgSystem) -> None:
    put(
        system,
        {"var/lib/dpkg/status": OLD, f"{INFO}/one.list": "/.\n/usr\n/usr/share\n/usr/share/one\n", "usr/share/one": ""},
    )
    new = make_deb("new", fields={"Conflicts": "one"})
    put(system, {f"{INFO}/one.postrm": "#!/bin/sh\nset -e\nexit 0\n"})
    assert state_of(system, new, removals=("one:all",)).unknown == ()
    put(system, {f"{INFO}/one.prerm": UNKNOWN})
    state = state_of(system, new, removals=("one:all",))
    assert [(script.package, script.member) for script in state.unknown] == [("one", "prerm")]
    assert text_of(state, f"{STEP_FOLDER}/calls").splitlines() == [
        f"prerm one all 1 /{STEP_FOLDER}/old/one.prerm remove",
        f"postrm one all 1 /{STEP_FOLDER}/old/one.postrm remove",
    ]


def test_pre_depends_are_configured_before_a_preinst(system: DpkgSystem) -> None:
    debs = [
        make_deb("a-library"),
        make_deb("tool", fields={"Depends": "a-library, behind"}),
        make_deb("unrelated"),
        make_deb("top", fields={"Pre-Depends": "tool-interface | nothing"}, control_files={"preinst": UNKNOWN}),
        make_deb("behind", fields={"Depends": "top"}),
    ]
    debs[1] = make_deb("tool", fields={"Depends": "a-library, behind", "Provides": "tool-interface"})
    state = state_of(system, *debs)
    assert text_of(state, f"{STEP_FOLDER}/calls").splitlines() == [
        "configure a-library tool",
        f"preinst top all 1 /{INFO}/top.preinst install",
    ]


def test_instances_of_several_architectures_are_counted(system: DpkgSystem) -> None:
    fields = {"Multi-Arch": "same"}
    debs = [make_deb("one", "1", each, fields=fields, control_files={"preinst": UNKNOWN}) for each in ("amd64", "i386")]
    assert text_of(state_of(system, *debs), f"{STEP_FOLDER}/calls").splitlines() == [
        f"preinst one amd64 1 /{INFO}/one:amd64.preinst install",
        f"preinst one i386 2 /{INFO}/one:i386.preinst install",
    ]


def test_triggers_are_pending_only_where_somebody_is_interested(system: DpkgSystem) -> None:
    put(system, {
        "var/lib/dpkg/status": OLD, f"{INFO}/one.list": "/.\n",
        "var/lib/dpkg/triggers/File": "/usr/share/fonts one\n/usr/share/man one/noawait\n",
        "var/lib/dpkg/triggers/named": "one\n",
    })  # fmt: skip
    control = {"triggers": "activate-noawait named\nactivate unheard\n", "postinst": UNKNOWN}
    state = state_of(
        system, make_deb("two", files={"usr/share/fonts/x/y.ttf": b"", "usr/share/manual": b""}, control_files=control)
    )
    assert text_of(state, "var/lib/dpkg/triggers/Unincorp") == "/usr/share/fonts -\nnamed -\n"


def test_what_goes_activates_triggers_too(system: DpkgSystem) -> None:
    put(system, {
        "var/lib/dpkg/status": OLD + OLD.replace("Package: one", "Package: fonts").replace("one.conf", "fonts.conf"),
        f"{INFO}/one.list": "/.\n", f"{INFO}/fonts.list": "/.\n/usr/share/fonts/a.ttf\n",
        f"{INFO}/fonts.triggers": "activate ldconfig\n", f"{INFO}/fonts.prerm": UNKNOWN,
        "var/lib/dpkg/triggers/File": "/usr/share/fonts one\n", "var/lib/dpkg/triggers/ldconfig": "one\n",
    })  # fmt: skip
    state = state_of(system, removals=("fonts:all",))
    assert text_of(state, "var/lib/dpkg/triggers/Unincorp") == "/usr/share/fonts -\nldconfig -\n"


def test_the_step_says_why(system: DpkgSystem) -> None:
    unknown = [UnknownScript(f"package-{number}", "postinst", "not known") for number in range(7)]
    step = configure_step(unknown)
    assert step.arguments == ("/bin/sh", f"/{DRIVER_PATH}")
    assert (step.user, step.network) == ("root", False)
    assert step.why.startswith("package-0: postinst: not known; package-1: ")
    assert step.why.endswith("; and 2 more scripts")
    assert "TZ" not in ENVIRONMENT
    assert read_unknown_scripts(write_unknown_scripts(unknown)) == tuple(unknown)


def test_the_driver_is_a_shell_script() -> None:
    driver = resources.files("ocibuild.ecosystem.apt").joinpath("configure_step.sh").read_text()
    assert f"here=/{STEP_FOLDER}\n" in driver
    subprocess.run(["sh", "-n"], input=driver, text=True, check=True)


def key_store(*, times: tuple[int, ...], key: str = "changeit", tag: int = 2) -> bytes:
    """A Java key store (JKS, version 2) of made-up certificates that came at these times."""
    data = struct.pack(">III", 0xFEEDFEED, 2, len(times))
    for number, time in enumerate(times):
        alias, kind, certificate = f"debian:{number}.pem".encode(), b"X.509", bytes([number]) * (100 + number)
        data += struct.pack(">IH", tag, len(alias)) + alias + struct.pack(">Q", time)
        data += struct.pack(">H", len(kind)) + kind + struct.pack(">I", len(certificate)) + certificate
    return data + hashlib.sha1(key.encode("utf-16-be") + b"Mighty Aphrodite" + data).digest()


def with_fixed_times(folder: Path, data: bytes) -> bytes:
    (folder / "cacerts").write_bytes(data)
    program = resources.files("ocibuild.ecosystem.apt").joinpath("configure_cacerts.pl").read_text()
    subprocess.run(["perl", "-", folder / "cacerts", "315532800"], input=program, text=True, check=True)
    return (folder / "cacerts").read_bytes()


needs_perl = pytest.mark.skipif(shutil.which("perl") is None, reason="perl is not here")


@needs_perl
def test_the_times_of_a_key_store_are_fixed(tmp_path: Path) -> None:
    assert with_fixed_times(tmp_path, key_store(times=(1, 1 << 40))) == key_store(times=(315532800000,) * 2)


@needs_perl
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a key store at all",
        key_store(times=(5,), key="another"),
        key_store(times=(5,), tag=1),
        key_store(times=(5,))[:-1],
        key_store(times=(5,))[:40],
        struct.pack(">III", 0xFEEDFEED, 2, 1 << 31),
        key_store(times=(5, 6)) + b"more",
        bytes(200),
    ],
)
def test_what_is_no_such_store_is_left(tmp_path: Path, data: bytes) -> None:
    assert with_fixed_times(tmp_path, data) == data
