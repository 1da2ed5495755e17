from pathlib import Path

from ocibuild.sandbox.root_state import Known, RootState, StatKey, load_state, save_state
from ocibuild.sandbox.wanted import TreeEntry

KEY = StatKey(0o100644, 1, 2, 3, 4_000_000_001, 5_000_000_002, 6)


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = TreeEntry("file", 0o4755, 1000, 50, 7, "", -1, "key/lib/other", "group")
    same = file._replace(content="key/same", group="")
    state = RootState(
        "chain",
        ("key", "other"),
        {
            "lib": Known(TreeEntry("directory", 0o755, 0, 0, 0, "", 1, "", ""), KEY, "", 0),
            "lib/\udcff\u00e9": Known(file, KEY, "digest", 9),
            "same": Known(same, KEY._replace(inode=1 << 63), "digest", 1 << 62),
            "link": Known(TreeEntry("symlink", 0o777, 0, 0, 0, "x\udcfe\ny", 1, "", ""), KEY, "", 0),
        },
        {"bad": True, "worse": False},
        {"same": {"security.capability": bytes(range(256))}},
        {"same": "other/same"},
    )
    save_state(state, tmp_path / "state")
    assert load_state(tmp_path / "state") == state


def test_nothing_is_known_without_a_state(tmp_path: Path) -> None:
    assert load_state(tmp_path / "state") is None
