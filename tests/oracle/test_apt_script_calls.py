"""The scripts that the step runs, their order and their surroundings, against dpkg: packages whose scripts tell what they see."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ocibuild.ecosystem.apt.configure import UnknownScript
from ocibuild.ecosystem.apt.configure_step import configure_step
from ocibuild.store.store import Store
from tests.end_to_end.conftest import Program
from tests.support.apt_repository import MadeDeb, make_deb
from tests.support.dpkg_system import DpkgSystem
from tests.support.unconfigured_image import run_inside, run_step, write_base

pytestmark = [
    pytest.mark.network,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="chroot is root's"),
    pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is not here"),
]

STEP = configure_step([UnknownScript("one", "postinst", "made for a test")])
TELL = """\
#!/bin/sh
exec >>/told 2>&1
echo "$DPKG_MAINTSCRIPT_PACKAGE $DPKG_MAINTSCRIPT_NAME: $*"
echo "  file $0, in $(pwd), umask $(umask), root '$DPKG_ROOT', admin $DPKG_ADMINDIR, dpkg $DPKG_RUNNING_VERSION"
echo "  architecture $DPKG_MAINTSCRIPT_ARCH, $DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT installed"
echo "  conffiles in place: $(cd /etc && ls -d told* 2>/dev/null | grep -v dpkg-new | tr '\\n' ' ')"
"""
MEMBERS = ("preinst", "postinst", "prerm", "postrm")


@pytest.fixture(scope="module")
def base(warm: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_base("apt:bookworm", store=Store.at(warm.store), folder=tmp_path_factory.mktemp("base"))
    for name in ("usr/share/locale", "usr/share/doc", "usr/share/man", "usr/share/zoneinfo"):  # each test has a copy
        shutil.rmtree(root / name)
    return root


@pytest.fixture
def system(base: Path, tmp_path: Path) -> DpkgSystem:
    subprocess.run(["cp", "-a", base, tmp_path / "root"], check=True)
    return DpkgSystem(tmp_path)


def deb(
    name: str, version: str, architecture: str = "all", *, conffile: bytes = b"", more: str = "", **fields: str
) -> MadeDeb:
    """A package whose scripts tell; ``more`` is a line that all of them run."""
    control = dict.fromkeys(MEMBERS, TELL + more)
    files = {f"usr/share/{name}/{version}": b""}
    if conffile:
        control["conffiles"] = f"/etc/told-{name}\n"
        files[f"etc/told-{name}"] = conffile
    renamed = {key.replace("_", "-"): text for key, text in fields.items()}
    return make_deb(name, version, architecture, fields=renamed, files=files, control_files=control)


def dpkg(system: DpkgSystem, *arguments: str | Path) -> None:
    """Run dpkg in the system itself."""
    command = ["dpkg", "--force-confold", "--force-unsafe-io", "--log=/dev/null", *map(str, arguments)]
    done = run_inside(system.root, *command, environment=STEP.environment)
    assert done.returncode == 0, done.stdout + done.stderr


def install(system: DpkgSystem, *debs: MadeDeb) -> None:
    for each in debs:
        (system.root / each.filename).write_bytes(each.data)
    dpkg(system, "--install", *(f"/{each.filename}" for each in debs))
    for each in debs:
        (system.root / each.filename).unlink()


def told(root: Path) -> dict[str, list[str]]:
    """What each package's scripts told, in their order."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in (root / "told").read_text().splitlines():
        name = name if line.startswith("  ") else line.split()[0]
        # Where scripts of old versions lie is no business of theirs.
        found.setdefault(name, []).append(line.replace("/var/lib/ocibuild/configure/old/", "/var/lib/dpkg/info/"))
    return found


def compare(system: DpkgSystem, *debs: MadeDeb, removed: tuple[str, ...] = ()) -> Path:
    """Let the step and dpkg go on from the same system; what scripts told and what is left must be equal."""
    ours = system.ours_unconfigured(*debs, removals=tuple(f"{name}:all" for name in removed))
    done = run_step(STEP, ours)
    assert done.returncode == 0, done.stdout + done.stderr
    if removed:
        dpkg(system, "--remove", *removed)
    install(system, *debs)
    assert told(ours) == told(system.root)
    for path in ("var/lib/dpkg/status", *(f"etc/{each.name}" for each in (system.root / "etc").glob("told*"))):
        assert (ours / path).read_bytes() == (system.root / path).read_bytes()
    return ours


def test_a_new_package(system: DpkgSystem) -> None:
    ours = compare(system, deb("one", "1", conffile=b"first\n"), deb("two", "2", Depends="one"))
    assert (ours / "told").read_text().startswith("one preinst: install\n  file /var/lib/dpkg/tmp.ci/preinst, in /,")


def test_an_upgrade(system: DpkgSystem) -> None:
    install(system, deb("one", "1", conffile=b"first\n"))
    (system.root / "told").unlink()
    # dpkg runs the old version's prerm and postrm around the new version's preinst.
    ours = compare(system, deb("one", "2", conffile=b"second\n"))
    heads = [line for line in (ours / "told").read_text().splitlines() if not line.startswith("  ")]
    assert heads == [
        "one prerm: upgrade 2",
        "one preinst: upgrade 1 2",
        "one postrm: upgrade 2",
        "one postinst: configure 1",
    ]


@pytest.mark.parametrize("disk", [None, b"mine\n", b"second\n"])
def test_a_conffile_that_somebody_changed(system: DpkgSystem, disk: bytes | None) -> None:
    install(system, deb("one", "1", conffile=b"first\n"))
    path = system.root / "etc/told-one"
    path.unlink() if disk is None else path.write_bytes(disk)
    ours = system.ours_unconfigured(deb("one", "2", conffile=b"second\n"))
    assert run_step(STEP, ours).returncode == 0
    install(system, deb("one", "2", conffile=b"second\n"))
    kept = {each.name: each.read_bytes() for each in (ours / "etc").glob("told*")}
    assert kept == {each.name: each.read_bytes() for each in (system.root / "etc").glob("told*")}
    assert (ours / "var/lib/dpkg/status").read_bytes() == (system.root / "var/lib/dpkg/status").read_bytes()


@pytest.mark.parametrize("disk", [b"first\n", b"mine\n"])
def test_a_conffile_that_the_new_version_takes_away(system: DpkgSystem, disk: bytes) -> None:
    install(system, deb("one", "1", conffile=b"first\n"))
    (system.root / "etc/told-one").write_bytes(disk)
    ours = compare(system, deb("one", "2", more='dpkg-maintscript-helper rm_conffile /etc/told-one 2~ one -- "$@"\n'))
    listed = "var/lib/dpkg/info/one.list"
    assert (ours / listed).read_text() == (system.root / listed).read_text()
    assert [path.name for path in (ours / "etc").glob("told*")] == [
        path.name for path in (system.root / "etc").glob("told*")
    ]


def test_a_package_that_was_removed_comes_back(system: DpkgSystem) -> None:
    install(system, deb("one", "1", conffile=b"first\n"))
    dpkg(system, "--remove", "one")
    ours = compare(system, deb("one", "2", conffile=b"second\n"))
    assert "one preinst: install 1 2\n" in (ours / "told").read_text()


def test_a_package_goes_for_another(system: DpkgSystem) -> None:
    install(system, deb("old", "1", conffile=b"first\n"))
    ours = compare(system, deb("new", "1", Conflicts="old"), removed=("old",))
    assert "old prerm: remove\n" in (ours / "told").read_text()
    assert "old postrm: remove\n" in (ours / "told").read_text()


def test_packages_of_two_architectures(system: DpkgSystem) -> None:
    dpkg(system, "--add-architecture", "i386")
    debs = [deb("one", "1", architecture, Multi_Arch="same") for architecture in ("amd64", "i386")]
    ours = system.ours_unconfigured(*debs)
    assert run_step(STEP, ours).returncode == 0
    install(system, *debs)
    counted = [line for line in (ours / "told").read_text().splitlines() if "architecture" in line]
    theirs = [line for line in (system.root / "told").read_text().splitlines() if "architecture" in line]
    assert sorted(counted) == sorted(theirs)


def test_pre_depends_are_configured_first(system: DpkgSystem) -> None:
    debs = [
        deb("base", "1"),
        deb("middle", "1", Depends="base"),
        deb("top", "1", Pre_Depends="virtual", more="test -e /ready\n"),
    ]
    middle = make_deb(
        "provider", fields={"Provides": "virtual", "Depends": "middle"}, control_files={"postinst": "#!/bin/sh\ntouch /ready\n"}
    )  # fmt: skip
    ours = system.ours_unconfigured(debs[0], debs[1], middle, debs[2])
    done = run_step(STEP, ours)
    assert done.returncode == 0, done.stdout + done.stderr


def test_triggers_of_the_base_run(system: DpkgSystem) -> None:
    listener = make_deb(
        "listener",
        control_files={
            "triggers": "interest-noawait /usr/share/listened\ninterest named\n",
            "postinst": '#!/bin/sh\necho "listener $*" >>/heard\n',
        },
    )
    install(system, listener)
    (system.root / "heard").unlink()
    debs = [
        make_deb("files", files={"usr/share/listened/file": b""}, control_files={"postinst": "#!/bin/sh\necho files >>/heard\n"}),
        make_deb("name", control_files={"triggers": "activate named\n"}),
        make_deb("nothing", files={"usr/share/other": b""}),
    ]  # fmt: skip
    ours = system.ours_unconfigured(*debs)
    assert run_step(STEP, ours).returncode == 0
    heard = (ours / "heard").read_text().splitlines()
    assert heard[0] == "files"
    assert {word for line in heard[1:] for word in line.split()[2:]} == {"/usr/share/listened", "named"}


def test_a_diversion_that_a_preinst_makes_leaves_its_own_file(system: DpkgSystem) -> None:
    divert = "#!/bin/sh\ndpkg-divert --package one --rename --add --divert /usr/bin/tool.real /usr/bin/tool\n"
    one = make_deb("one", files={"usr/bin/tool": b"mine"}, control_files={"preinst": divert})
    ours = system.ours_unconfigured(one)
    done = run_step(STEP, ours)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (ours / "usr/bin/tool").read_bytes() == b"mine"
    assert "/usr/bin/tool.real" in (ours / "var/lib/dpkg/diversions").read_text()


def test_daemons_are_not_started_and_an_own_policy_is_respected(system: DpkgSystem) -> None:
    start = "#!/bin/sh\nset -e\n/usr/sbin/policy-rc.d one start && echo allowed >/answer || echo $? >/answer\n"
    daemon = "start-stop-daemon --start --exec /bin/touch -- /started\n"
    one = make_deb("one", control_files={"postinst": start + daemon})
    ours = system.ours_unconfigured(one)
    assert run_step(STEP, ours).returncode == 0
    assert (ours / "answer").read_text() == "101\n"
    assert not (ours / "started").exists()
    assert not (ours / "usr/sbin/policy-rc.d").exists()
    policy = system.root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n")
    policy.chmod(0o755)
    ours = system.ours_unconfigured(one)
    assert run_step(STEP, ours).returncode == 0
    assert (ours / "answer").read_text() == "allowed\n"
    assert (ours / "usr/sbin/policy-rc.d").read_text() == "#!/bin/sh\nexit 0\n"


@pytest.mark.parametrize("member", ["preinst", "postinst"])
def test_a_script_that_fails_is_named(system: DpkgSystem, member: str) -> None:
    one = make_deb("one", control_files={member: "#!/bin/sh\necho no disk\nexit 7\n"})
    ours = system.ours_unconfigured(one, make_deb("two", control_files={"postinst": "#!/bin/sh\ntrue\n"}))
    done = run_step(STEP, ours)
    assert done.returncode != 0
    assert "no disk" in done.stdout
    assert "one" in done.stderr
    assert "7" in done.stderr
    assert not (ours / "usr/sbin/policy-rc.d").exists()
    assert (ours / "usr/sbin/start-stop-daemon").read_bytes()[:4] == b"\x7fELF"
    # Whoever looks for the fault in there can run the step again.
    (ours / f"var/lib/dpkg/info/one.{member}").write_text("#!/bin/sh\n")
    done = run_step(STEP, ours)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (ours / "var/lib/ocibuild").exists()


def test_a_name_of_the_machine_stays_out_unless_it_is_there(system: DpkgSystem) -> None:
    makes = "#!/bin/sh\n[ -s /etc/machine-id ] || echo 0123456789abcdef0123456789abcdef >/etc/machine-id\n"
    one = make_deb(
        "one", control_files={"postinst": f"{makes}mkdir -p /var/lib/dbus\ncp /etc/machine-id /var/lib/dbus\n"}
    )
    ours = system.ours_unconfigured(one)
    assert run_step(STEP, ours).returncode == 0
    assert (ours / "etc/machine-id").read_text() == ""
    assert not (ours / "var/lib/dbus/machine-id").exists()
    (system.root / "etc/machine-id").write_text("fedcba9876543210fedcba9876543210\n")
    ours = system.ours_unconfigured(one)
    assert run_step(STEP, ours).returncode == 0
    assert (ours / "etc/machine-id").read_text() == "fedcba9876543210fedcba9876543210\n"
