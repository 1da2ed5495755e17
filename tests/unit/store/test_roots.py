import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ocibuild.core.errors import OcibuildError
from ocibuild.store import lease
from ocibuild.store.eviction import GRACE_SECONDS, prune, usage
from ocibuild.store.lease import STALE_SECONDS, Holder
from ocibuild.store.roots import MOST_IDLE_ROOTS, PreparedRoots, RootFolder


@pytest.fixture
def roots(tmp_path: Path) -> PreparedRoots:
    return PreparedRoots(tmp_path)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "roots" / "flat").iterdir())


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_a_root_is_held_by_one_and_found_again(tmp_path: Path, roots: PreparedRoots) -> None:
    with roots.lease("flat", remove=shutil.rmtree) as first, roots.lease("flat", remove=shutil.rmtree) as second:
        assert first.path != second.path
        assert first.is_dirty
        assert list(roots.idle()) == []
        first.tree.mkdir()
        identifier = first.path.name.partition("@")[0]
        first.state.write_bytes(b"{}")
        first.mark_clean("chain", ["a", "b"], 7)
    assert len(names(tmp_path)) == 2
    with roots.lease("flat", remove=shutil.rmtree, wanted=["b"]) as again:
        assert again.path.name.startswith(f"{identifier}@")
        assert again.tree.is_dir()
        assert (again.is_dirty, again.chain) == (False, "chain")
        again.mark_dirty()
        assert (again.is_dirty, again.chain) == (True, "")


def test_the_root_that_has_most_of_what_is_wanted_is_taken(roots: PreparedRoots) -> None:
    with (
        roots.lease("flat", remove=shutil.rmtree) as one,
        roots.lease("flat", remove=shutil.rmtree) as two,
    ):
        for root, pieces in ((one, ["a", "b", "c"]), (two, ["a", "x"])):
            root.state.write_bytes(b"{}")
            root.mark_clean("", pieces, 1)
        identifiers = [root.path.name.partition("@")[0] for root in (one, two)]
    for wanted, number in ((["a", "b"], 0), (["x", "y"], 1)):
        with roots.lease("flat", remove=shutil.rmtree, wanted=wanted) as taken:
            assert taken.path.name.partition("@")[0] == identifiers[number]


def test_idle_roots_above_the_limit_go_least_recently_used_first(tmp_path: Path, roots: PreparedRoots) -> None:
    removed = []

    def remove(path: Path) -> None:
        removed.append(path.name.partition("@")[0])
        assert RootFolder(path).is_dirty  # somebody who finds it half removed must not trust it
        shutil.rmtree(path)

    for number in range(MOST_IDLE_ROOTS):
        path = tmp_path / "roots" / "flat" / f"{number:016x}"
        path.mkdir(parents=True)
        age(path, 1000 - number)
    held = tmp_path / "roots" / "flat" / f"{9:016x}@{Holder.here()}"
    held.mkdir()
    with roots.lease("real-sub-ids", remove=remove):
        pass
    with roots.lease("flat", remove=remove), roots.lease("flat", remove=remove):
        pass
    assert removed == []
    (tmp_path / "roots" / "flat" / f"{8:016x}").mkdir()
    with roots.lease("flat", remove=remove):
        pass
    assert removed == [f"{0:016x}"]
    assert held.is_dir()


@pytest.mark.parametrize("ending", ["killed", "used again"])
def test_a_root_of_a_process_that_is_gone_is_taken_over(tmp_path: Path, roots: PreparedRoots, ending: str) -> None:
    code = (
        "import os, pathlib, shutil, sys; from ocibuild.store.roots import PreparedRoots;\n"
        "with PreparedRoots(pathlib.Path(sys.argv[1])).lease('flat', remove=shutil.rmtree) as root:\n"
        "    root.tree.mkdir(); print(root.path, flush=True); sys.stdin.read(); os.kill(os.getpid(), 9)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        path = Path(process.stdout.readline().strip())
        with roots.lease("flat", remove=shutil.rmtree) as other:
            assert other.path.name.partition("@")[0] != path.name.partition("@")[0]
        shutil.rmtree(tmp_path / "roots" / "flat" / other.path.name.partition("@")[0])
        if ending == "used again":  # the same process id, but of a process that started at another time
            holder = Holder.parse(path.name.partition("@")[2])
            assert holder is not None
            path.rename(path.with_name(path.name.replace(f"-{holder.started}-", f"-{holder.started - 1}-")))
        else:
            process.stdin.close()
            process.wait()
        with roots.lease("flat", remove=shutil.rmtree) as taken:
            assert taken.path.name.partition("@")[0] == path.name.partition("@")[0]
            assert taken.tree.is_dir()
            assert taken.is_dirty
        if ending == "used again":
            process.stdin.close()


@pytest.mark.parametrize(("seconds", "taken"), [(STALE_SECONDS - 60, False), (STALE_SECONDS + 60, True)])
def test_a_root_held_elsewhere_is_stale_after_days(
    tmp_path: Path, roots: PreparedRoots, seconds: float, *, taken: bool
) -> None:
    path = tmp_path / "roots" / "flat" / f"{1:016x}@{'0' * 16}-{os.getpid()}-1-00000000"
    path.mkdir(parents=True)
    age(path, seconds)
    with roots.lease("flat", remove=shutil.rmtree) as root:
        assert (root.path.name.partition("@")[0] == f"{1:016x}") == taken


def test_of_two_takers_one_wins(tmp_path: Path) -> None:
    code = (
        "import pathlib, shutil, sys; from ocibuild.store.roots import PreparedRoots;\n"
        "sys.stdin.readline()\n"
        "with PreparedRoots(pathlib.Path(sys.argv[1])).lease('flat', remove=shutil.rmtree) as root:\n"
        "    print(root.path.name.partition('@')[0], flush=True); sys.stdin.readline()"
    )
    path = tmp_path / "roots" / "flat" / f"{1:016x}@{'0' * 16}-1-1-00000000"
    path.mkdir(parents=True)
    age(path, STALE_SECONDS + 60)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in processes:
        process.stdin.write("go\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    identifiers = [process.stdout.readline().strip() for process in processes]  # type: ignore[union-attr]
    for process in processes:
        process.communicate("\n")
    assert len(set(identifiers)) == 4
    assert identifiers.count(f"{1:016x}") == 1


def test_other_folders_and_wrong_kinds_are_no_roots(tmp_path: Path, roots: PreparedRoots) -> None:
    for name in ("notes", f"{1:016x}@nobody", f"{1:016x}@", "x@y"):
        (tmp_path / "roots" / "flat" / name).mkdir(parents=True)
    assert list(roots.idle()) == []
    with pytest.raises(OcibuildError, match="kind"), roots.lease("../up", remove=shutil.rmtree):
        pass


def test_roots_are_counted_and_pruned_with_the_store(tmp_path: Path, roots: PreparedRoots) -> None:
    with roots.lease("flat", remove=shutil.rmtree) as root:
        root.state.write_bytes(b"{}")
        root.mark_clean("", [], 1000)
    with roots.lease("flat", remove=shutil.rmtree) as held:
        used = usage(tmp_path)
        assert (used.root_count, used.root_bytes) == (0, 0)
        assert prune(tmp_path, now=time.time() * 2, limit_bytes=0, most_age_seconds=0, remove_root=shutil.rmtree) == []
        assert held.path.is_dir()
    assert (usage(tmp_path).root_count, usage(tmp_path).root_bytes) == (1, 1000)
    later = time.time() + GRACE_SECONDS + 60
    assert prune(tmp_path, now=later, limit_bytes=2000, most_age_seconds=None, remove_root=shutil.rmtree) == []
    assert prune(tmp_path, now=later, limit_bytes=10, most_age_seconds=None) == []
    (evicted,) = prune(tmp_path, now=later, limit_bytes=10, most_age_seconds=None, remove_root=shutil.rmtree)
    assert evicted.size_bytes == 1000
    assert names(tmp_path) == []


def test_without_proc_a_holder_is_not_taken_for_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    holder = Holder.here()
    assert not holder.is_stale(idle_seconds=0)
    monkeypatch.setattr(lease, "_started", lambda _: None)
    assert not holder.is_stale(idle_seconds=0)
    assert holder.is_stale(idle_seconds=STALE_SECONDS + 1)


def test_a_root_from_before_the_machine_was_started_is_not_trusted(
    roots: PreparedRoots, monkeypatch: pytest.MonkeyPatch
) -> None:
    with roots.lease("flat", remove=shutil.rmtree) as root:
        root.state.write_bytes(b"{}")
        root.mark_clean("chain", [], 0)
        before = (root.is_dirty, root.chain)
        monkeypatch.setattr("ocibuild.store.roots.boot_identifier", lambda: "another")
        assert (before, root.is_dirty, root.chain) == ((False, "chain"), True, "")
