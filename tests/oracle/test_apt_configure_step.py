"""The step that configures packages against apt, which unpacks and configures them: the same packages, path by path.

OCIBUILD_TEST_LARGE=1 adds sets of several hundred packages more (TeX, LibreOffice, servers), which take long.
"""

import functools
import hashlib
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from ocibuild.ecosystem.apt.configure_step import DIFFERS_BETWEEN_RUNS, ENVIRONMENT
from ocibuild.store.store import Store
from tests.end_to_end.conftest import Program
from tests.support.unconfigured_image import UnconfiguredImage, install, run_inside, run_step

pytestmark = [
    pytest.mark.network,
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="dpkg makes owners"),
]

SERVERS = ["systemd", "dbus", "polkitd", "postgresql", "mariadb-server", "openssh-server", "exim4-daemon-light"]
LANGUAGES = ["default-jre-headless", "r-base-core", "python3-numpy"]
DOCUMENTS = ["man-db", "sgml-base", "xml-core", "docbook-xml", "tex-common", "dictionaries-common", "wamerican"]
DESKTOP = ["x11-common", "libgtk-3-bin", "hicolor-icon-theme", "fontconfig"]
LARGE = [
    "emacs-nox", "texlive-latex-base", "texlive-fonts-recommended", "lmodern", "octave", "xvfb", "xfonts-base", "nginx", "apache2", "postfix",
    "munge", "slurm-client", "vim", "tcsh", "zsh", "fish", "nodejs", "cups", "avahi-daemon", "tomcat10", "slapd", "libgtk-4-bin",
    "adwaita-icon-theme", "libreoffice-core-nogui", "ghostscript", "fonts-noto-core", "firefox-esr", "gdb", "xterm",
]  # fmt: skip
SETS = {
    "bookworm": ("bookworm", [*SERVERS, *LANGUAGES, *DOCUMENTS, *DESKTOP]),
    "trixie": ("trixie", ["systemd", "polkitd", "openssh-server", "default-jre-headless", "sgml-base", "libgtk-3-bin"]),
}
if os.environ.get("OCIBUILD_TEST_LARGE"):
    SETS |= {
        "trixie-all": ("trixie", [*SERVERS, *LANGUAGES, *DOCUMENTS, *DESKTOP]),
        "bookworm-large": ("bookworm", [*LARGE, "software-properties-common"]),
        "trixie-large": ("trixie", LARGE),
    }

# What one of the two makes and the other does not, and what differs on purpose: pattern -> why.
OF_APT = {
    "var/cache/apt/*": "apt ran there",
    "var/lib/apt/*": "apt ran there",
    "var/log/apt/*": "apt's log",
    "var/log/dpkg.log": "dpkg's log",
    "var/cache/debconf/tmp.ci": "of dpkg-preconfigure, which asks before anything is unpacked (trixie's apt has it)",
    "var/cache/debconf/config.dat": "as above: what was asked by dpkg-preconfigure is marked",
    "var/cache/debconf/templates.dat": "as above: postfix' answers are made of what is there when it asks",
    "etc/postfix/main.cf": "as above",
}
ON_PURPOSE = {
    "etc/machine-id": "a name of one machine: empty",
    "var/lib/dbus/machine-id": "a name of one machine: not there",
    "run/adduser": "a lock",
    "etc/ssl/certs/java/cacerts": "its times are fixed",
    "var/cache/fontconfig/*": "the times of folders are fixed; of a folder that is newer there is none",
    "usr/share/info/dir": "sorted in another order than the folder's",
    "usr/share/info/dir.old": "a backup",
    "var/log/alternatives.log": "a log",
    "var/log/fontconfig.log": "a log",
    "var/cache/ldconfig/aux-cache": "what only ldconfig reads",
    "var/cache/man/*": "man-db's index, which the step takes away",
    "var/lib/dpkg/*-old": "a backup",
    "var/cache/debconf/*-old": "a backup",
    "var/lib/ucf/*": "the order is that of configuring (compared sorted)",
    "var/lib/sgml-base/supercatalog.old": "a backup",
    "var/lib/dpkg/triggers/File": "the order is that of unpacking (compared sorted)",
    "var/lib/dpkg/diversions": "the order is that of unpacking (compared sorted)",
    "etc/passwd*": "numbers are given in the order of configuring (compared without them)",
    "etc/group*": "as above",
    "etc/shadow*": "as above; days are fixed",
    "etc/gshadow*": "as above",
}
# What only this machine notes of a run; no image has it.
NOISE = {"var/cache/ldconfig/aux-cache": "", "var/log/alternatives.log": "", "var/log/fontconfig.log": ""}

Facts = tuple[object, ...]


@dataclass(frozen=True)
class Systems:
    """What the step made, what it made of a copy, and what apt made."""

    ours: Path
    again: Path
    theirs: Path


@pytest.fixture(scope="module", params=SETS)
def systems(
    request: pytest.FixtureRequest, warm: Program, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Systems]:
    suite, names = SETS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    image = UnconfiguredImage.make(names, base=f"apt:{suite}", store=Store.at(warm.store), folder=folder)
    assert image.step is not None
    again = folder / "again"
    subprocess.run(["cp", "-a", image.root, again], check=True)
    for root in (image.root, again):
        done = run_step(image.step, root)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    install(
        image.archives,
        image.base_root,
        {name: ENVIRONMENT[name] for name in ("PATH", "HOME", "LC_ALL", "DEBIAN_FRONTEND")},
    )
    yield Systems(image.root, again, image.base_root)
    shutil.rmtree(folder)  # some gigabytes


def names_of(root: Path, file: str) -> dict[int, str]:
    rows = [line.split(":") for line in (root / file).read_text().splitlines()]
    return {int(row[2]): row[0] for row in rows}


@functools.cache
def facts(root: Path) -> dict[str, Facts]:
    """Path -> kind, mode, owners by name, attributes, and what it holds."""
    users, groups = names_of(root, "etc/passwd"), names_of(root, "etc/group")
    found: dict[str, Facts] = {}
    for path in root.rglob("*"):
        name, status = str(path.relative_to(root)), path.lstat()
        if name.startswith(("proc/", "dev/")) or "__pycache__" in name:
            continue
        owners = (users.get(status.st_uid, status.st_uid), groups.get(status.st_gid, status.st_gid))
        attributes = tuple(
            (key, os.getxattr(path, key, follow_symlinks=False))
            for key in sorted(os.listxattr(path, follow_symlinks=False))
        )
        content: object = None
        if stat.S_ISLNK(status.st_mode):
            content = str(path.readlink())
        elif stat.S_ISREG(status.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        found[name] = (oct(status.st_mode), *owners, attributes, content)
    return found


def left(paths: set[str] | list[str], *named: Mapping[str, str]) -> list[str]:
    """The paths that none of these patterns names."""
    patterns = [pattern for each in named for pattern in each]
    return sorted(path for path in paths if not any(fnmatchcase(path, pattern) for pattern in patterns))


def test_the_tree_is_the_one_that_apt_leaves(systems: Systems) -> None:
    ours, theirs = facts(systems.ours), facts(systems.theirs)
    assert left(theirs.keys() - ours.keys(), OF_APT, ON_PURPOSE, DIFFERS_BETWEEN_RUNS) == []
    assert left(ours.keys() - theirs.keys(), DIFFERS_BETWEEN_RUNS) == []
    both = ours.keys() & theirs.keys()
    assert len(both) > 9000
    different = [path for path in both if ours[path] != theirs[path]]
    assert left(different, OF_APT, ON_PURPOSE, DIFFERS_BETWEEN_RUNS) == []
    # What may hold other bytes belongs to the same and may be read by the same all the same.
    assert (
        left([path for path in both if ours[path][:3] != theirs[path][:3]], {"var/cache/apt/archives/partial": ""})
        == []
    )


def test_accounts_are_equal_but_for_their_numbers(systems: Systems) -> None:
    for file in ("passwd", "group", "shadow", "gshadow"):
        ours, theirs = (
            sorted(re.sub(r":[0-9]+", ":N", (root / "etc" / file).read_text()).splitlines())
            for root in (systems.ours, systems.theirs)
        )
        assert ours == theirs


def test_what_is_in_another_order_is_equal_sorted(systems: Systems) -> None:
    for file in (
        "var/lib/dpkg/triggers/File",
        "var/lib/dpkg/diversions",
        "var/lib/ucf/hashfile",
        "var/lib/ucf/registry",
    ):
        if (systems.theirs / file).exists():
            ours, theirs = (sorted((root / file).read_text().splitlines()) for root in (systems.ours, systems.theirs))
            assert ours == theirs, file


def test_two_runs_make_the_same_bytes(systems: Systems) -> None:
    ours, again = facts(systems.ours), facts(systems.again)
    assert left(ours.keys() ^ again.keys(), DIFFERS_BETWEEN_RUNS) == []
    different = [path for path, found in ours.items() if path in again and found != again[path]]
    assert left(different, DIFFERS_BETWEEN_RUNS, NOISE) == []


def test_accounts_have_the_fixed_day(systems: Systems) -> None:
    days = {line.split(":")[2] for line in (systems.ours / "etc/shadow").read_text().splitlines()}
    assert days == {"3652"}


def test_nothing_of_the_step_is_left(systems: Systems) -> None:
    root = systems.ours
    for path in ("var/lib/ocibuild", "usr/sbin/policy-rc.d", "usr/sbin/start-stop-daemon.REAL", "var/lib/dpkg/tmp.ci"):
        assert not (root / path).exists()
    assert [path for path in root.rglob("*.dpkg-new") if path.is_file()] == []
    assert (root / "usr/sbin/start-stop-daemon").read_bytes()[:4] == b"\x7fELF"


def test_dpkg_and_apt_find_nothing_wrong(systems: Systems) -> None:
    for command in (["dpkg", "--audit"], ["dpkg", "--verify"]):
        assert run_inside(systems.ours, *command, environment=ENVIRONMENT).stdout == ""
    for command in (["apt-get", "check", "-q"], ["apt-get", "-s", "-f", "install"]):
        done = run_inside(systems.ours, *command, environment=ENVIRONMENT)
        assert done.returncode == 0, done.stderr
    shown = run_inside(systems.ours, "dpkg-query", "-W", "-f", "${db:Status-Abbrev}\n", environment=ENVIRONMENT).stdout
    assert set(shown.split()) == {"ii"}


def test_a_package_can_be_configured_again_and_removed(systems: Systems) -> None:
    removed = next(
        name for name in ("openssh-server", "zsh") if (systems.again / f"var/lib/dpkg/info/{name}.list").exists()
    )
    for command in (["dpkg-reconfigure", "debconf"], ["apt-get", "remove", "-y", "-q", removed]):
        done = run_inside(systems.again, *command, environment=ENVIRONMENT)
        assert done.returncode == 0, done.stdout + done.stderr
    assert run_inside(systems.again, "dpkg", "--audit", environment=ENVIRONMENT).stdout == ""
