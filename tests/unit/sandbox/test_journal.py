import errno

from ocibuild.sandbox.journal import Journal

STARTED = 1_000_000
OLD, NEW, UNDATED = (1, STARTED - 5), (2, STARTED + 5), (3, 0)
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


def journal(
    uid: int = 0, gid: int = 0, groups: tuple[int, ...] = (), owners: tuple[tuple[int, int, int, int], ...] = ()
) -> Journal:
    return Journal(uid=uid, gid=gid, groups=groups, owners=owners, started=STARTED)


def test_what_was_there_is_roots_and_what_is_born_the_programs() -> None:
    noted = journal(1000, 100, owners=((*OLD[:1], OLD[1], 7, 8),))
    assert noted.owner(OLD) == (7, 8)
    assert noted.owner((9, STARTED - 1)) == (0, 0)
    assert noted.owner(NEW) == (1000, 100)
    assert noted.owner(UNDATED) == (1000, 100)


def test_minus_one_keeps_an_id() -> None:
    """Of a new file it is left open: its group may be its folder's."""
    noted = journal(owners=((*OLD, 7, 8),))
    noted.chown(OLD, -1, 50)
    noted.chown(NEW, 33, -1)
    assert noted.owners == {OLD: (7, 50), NEW: (33, -1)}
    assert noted.owner(NEW) == (33, 0)
    noted.chown(OLD, 5, -1)
    assert noted.owners[OLD] == (5, 50)


def test_an_ordinary_user_gives_his_own_files_to_his_own_groups() -> None:
    noted = journal(1000, 1000, (50, 60))
    assert noted.may_chown(NEW, -1, 50)
    assert noted.may_chown(NEW, 1000, 1000)
    assert noted.may_chown(NEW, -1, -1)
    assert not noted.may_chown(NEW, 1001, -1)
    assert not noted.may_chown(NEW, -1, 51)
    assert not noted.may_chown(OLD, -1, 50)
    assert not noted.may_chown(OLD, 1000, -1)
    assert journal().may_chown(OLD, 12345, 54321)


def test_capabilities_are_taken_as_the_kernel_takes_them() -> None:
    noted = journal()
    assert noted.set_capability(NEW, CAPABILITY, 0) == 0
    assert noted.set_capability(NEW, CAPABILITY, 1) == errno.EEXIST
    assert noted.set_capability(OLD, CAPABILITY, 2) == errno.ENODATA
    for value in (b"", b"x", CAPABILITY[:-1], CAPABILITY + b"\0", b"\0\0\0\1" + bytes(8), bytes(20)):
        assert noted.set_capability(OLD, value, 0) == errno.EINVAL
    assert journal(1000).set_capability(NEW, CAPABILITY, 0) == errno.EPERM
    assert noted.capabilities == {NEW: CAPABILITY}


def test_a_change_of_owner_takes_capabilities_away() -> None:
    noted = journal()
    noted.set_capability(NEW, CAPABILITY, 0)
    noted.chown(NEW, 5, 5)
    assert noted.capabilities == {}
    assert noted.remove_capability(NEW) is None
    noted.set_capability(NEW, CAPABILITY, 0)
    assert noted.remove_capability(NEW) == 0
    assert noted.capabilities == {}
