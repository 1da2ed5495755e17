"""Prepared roots under real rungs: what a step changes is the same layer on each, owners and capabilities included."""

import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import pytest

from ocibuild.core.errors import MachineError
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.sandbox.capture import CapturedChange
from ocibuild.sandbox.chain import Chain
from ocibuild.sandbox.execution import Execution, Identity, Streams
from ocibuild.sandbox.keeper_process import remove_root
from ocibuild.sandbox.ladder import choose
from ocibuild.sandbox.prepared_root import prepared_root, root_kind
from ocibuild.sandbox.rung import Rung
from ocibuild.sandbox.selection import CaptureRules
from ocibuild.store.roots import PreparedRoots
from ocibuild.store.store import Store
from tests.support.made_roots import made_piece
from tests.support.sandbox_roots import entries_of, small_root

USER = 1000
RUNGS = ("sub-ids", "one-id", "trap", "chroot")
ENVIRONMENT = {"PATH": "/usr/bin"}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    folder = tmp_path_factory.mktemp("chain")
    own = [
        Entry.directory("srv", mode=0o2775, gid=50),
        Entry("srv/ping", EntryKind.FILE, 0o755, size_bytes=1, content=b"p"),
        *(Entry.file(f"home/jovyan/{name}", b"same", uid=USER, gid=USER) for name in ("a", "b", "c")),
        Entry.file("home/jovyan/d", b"other"),
    ]
    return Chain(
        (
            made_piece(folder / "blobs", list(entries_of(small_root(folder / "small")))),
            made_piece(folder / "blobs", own),
        )
    )


@pytest.fixture(params=RUNGS)
def rung(request: pytest.FixtureRequest) -> Rung:
    try:
        return choose(request.param)
    except MachineError as error:
        pytest.skip(error.message)


@pytest.fixture
def store(rung: Rung) -> Iterator[Store]:
    """In a folder that every user can reach. Its roots are removed by whoever may."""
    folder = Path(mkdtemp(prefix="ocibuild-roots-"))
    folder.chmod(0o755)
    yield Store.at(folder)
    roots = PreparedRoots(folder)
    for root in list(roots.idle()):
        assert roots.remove(root, partial(remove_root, rung.keeper()))
    shutil.rmtree(folder)


def changed_by(
    store: Store, rung: Rung, chain: Chain, script: str, *, uid: int = 0
) -> tuple[CapturedChange, list[Entry]]:
    execution = Execution(("sh", "-ec", script), ENVIRONMENT, Identity(uid, uid))
    output = bytearray()
    with prepared_root(store, rung) as root:
        root.move(chain)
        outcome = rung.run(root.enter(), execution, Streams(output.extend), owners=root.owners())
        assert outcome.exit_code == 0, output.decode()
        change = root.capture(outcome, execution, CaptureRules(0))
        return change, list(change.entries())


def test_owners_and_modes_are_as_on_every_other_rung(store: Store, rung: Rung, chain: Chain) -> None:
    script = """
    echo new > /srv/inherits; mkdir /srv/sub; echo x > /srv/sub/x; chmod 600 /srv/sub/x
    chown 33:34 /srv/sub/x; chown -R 1000:1000 /home/jovyan; chmod 4711 /srv/ping
    rm /home/jovyan/a; ln /home/jovyan/b /home/jovyan/hard; mv /home/jovyan/c /srv/moved; ln -s nowhere /srv/link
    """
    change, found = changed_by(store, rung, chain, script)
    facts = {entry.path: (entry.kind.value, oct(entry.mode), entry.uid, entry.gid) for entry in found}
    assert {path: fact for path, fact in facts.items() if fact[0] != "directory"} == {
        "home/jovyan/.wh.a": ("file", "0o644", 0, 0),
        "home/jovyan/.wh.c": ("file", "0o644", 0, 0),
        "home/jovyan/b": ("file", "0o644", USER, USER),
        "home/jovyan/d": ("file", "0o644", USER, USER),
        "home/jovyan/hard": ("hardlink", "0o644", USER, USER),
        "srv/inherits": ("file", "0o644", 0, 50),
        "srv/link": ("symlink", "0o777", 0, 50),
        "srv/moved": ("file", "0o644", USER, USER),
        "srv/ping": ("file", "0o4711", 0, 0),
        "srv/sub/x": ("file", "0o600", 33, 34),
    }
    assert change.digest == changed_by(store, rung, chain, script)[0].digest
    assert facts["srv/sub"] == ("directory", "0o2755", 0, 50)


def test_a_user_may_write_in_his_home_alone(store: Store, rung: Rung, chain: Chain) -> None:
    change, found = changed_by(store, rung, chain, "echo x > /home/jovyan/mine; echo y >> /home/jovyan/a", uid=USER)
    assert {entry.path: (entry.uid, entry.gid) for entry in found if entry.kind is EntryKind.FILE} == {
        "home/jovyan/a": (USER, USER),
        "home/jovyan/mine": (USER, USER),
    }
    assert change.left_out == ()


def test_the_next_lease_finds_the_root_as_it_should_be(store: Store, rung: Rung, chain: Chain) -> None:
    changed_by(store, rung, chain, "rm -rf /var /home/jovyan/*; chmod 0 /srv; ln -s /etc /var; mkdir -m 0 /locked")
    (kept,) = (store.folder / "roots" / root_kind(rung)).iterdir()
    change, _ = changed_by(store, rung, chain, "true")
    assert (change.count, change.left_out, change.special) == (0, (), ())
    assert [path.name for path in (store.folder / "roots" / root_kind(rung)).iterdir()] == [kept.name]


def test_the_machine_has_no_name_of_its_own(store: Store, rung: Rung, chain: Chain) -> None:
    """What the machine is called is in nothing that a step makes, by whatever way it asks."""
    script = "echo $HOSTNAME; cat /proc/sys/kernel/hostname; cat /etc/hosts /etc/resolv.conf"
    output = bytearray()
    with prepared_root(store, rung) as root:
        root.move(chain)
        step = Execution(("bash", "-ec", script), ENVIRONMENT, network=False, host_name="localhost")
        assert rung.run(root.enter(), step, Streams(output.extend)).exit_code == 0, output.decode()
        hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
        assert output.decode() == f"localhost\nlocalhost\n{hosts}"
        output.clear()
        own = Execution(("bash", "-c", "echo -n $HOSTNAME"), ENVIRONMENT)
        assert rung.run(root.enter(), own, Streams(output.extend)).exit_code == 0
        assert output.decode() == os.uname().nodename
