import pytest

from ocibuild.ecosystem.apt.configure.accounts import (
    add_system_group,
    add_system_user,
    group_number,
    shadow_on,
    write_here_document,
)
from tests.support.made_context import made_context, made_overlay

FILES = {
    "etc/passwd": "root:*:0:0:root:/root:/bin/bash\n",
    "etc/group": "root:*:0:\nadm:*:4:root\nusers:*:100:\n",
}


def test_passwords_move_to_files_that_only_root_and_shadow_read() -> None:
    overlay = made_overlay(FILES)
    shadow_on(made_context(overlay))
    assert overlay.read_text("etc/passwd") == "root:x:0:0:root:/root:/bin/bash\n"
    assert overlay.read_text("etc/shadow") == "root:*:3652:0:99999:7:::\n"
    assert overlay.read_text("etc/group").startswith("root:x:0:\nadm:x:4:root\n")
    assert overlay.read_text("etc/gshadow") == "root:*::\nadm:*::root\nusers:*::\n"
    for path in ("etc/shadow", "etc/gshadow"):
        entry = overlay.get(path)
        assert entry is not None
        assert (entry.mode, entry.uid, entry.gid) == (0o640, 0, 42)


def test_an_upgrade_leaves_the_account_files_alone() -> None:
    overlay = made_overlay(FILES)
    shadow_on(made_context(overlay, previous="1.0"))
    assert "etc/shadow" not in overlay


def test_a_shadowed_password_is_not_lost() -> None:
    overlay = made_overlay(
        {**FILES, "etc/passwd": "root:x:0:0:root:/root:/bin/bash\n", "etc/shadow": "root:$y$secret:1::::::\n"}
    )
    shadow_on(made_context(overlay))
    assert overlay.read_text("etc/shadow") == "root:$y$secret:1::::::\n"


def test_system_accounts_get_the_first_free_numbers() -> None:
    overlay = made_overlay(FILES)
    shadow_on(made_context(overlay))
    add_system_user(made_context(overlay), "bus", "/nonexistent", "group")
    add_system_group(made_context(overlay), "rdma")
    add_system_user(made_context(overlay), "plain", "/nonexistent")
    assert overlay.read_text("etc/passwd").splitlines()[1:] == [
        "bus:x:100:101::/nonexistent:/usr/sbin/nologin",
        "plain:x:101:65534::/nonexistent:/usr/sbin/nologin",
    ]
    assert overlay.read_text("etc/group").splitlines()[3:] == ["bus:x:101:", "rdma:x:102:"]
    assert overlay.read_text("etc/shadow").splitlines()[1:] == ["bus:!:3652::::::", "plain:!:3652::::::"]
    assert overlay.read_text("etc/gshadow").splitlines()[3:] == ["bus:!::", "rdma:!::"]
    assert group_number(overlay, "rdma") == 102


def test_accounts_that_are_there_stay_as_they_are() -> None:
    overlay = made_overlay(FILES)
    before = overlay.changes()
    add_system_user(made_context(overlay), "root", "/x", "group")
    add_system_group(made_context(overlay), "users")
    assert overlay.changes() == before


def test_a_group_without_its_account_is_refused() -> None:
    context = made_context(made_overlay(FILES))
    add_system_user(context, "users", "/x", "group")
    assert "there is a group users" in context.unknown[0].why


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat > /etc/hosts <<-EOF\n\t127.0.0.1\tlocalhost\n\n\t# two\n\tEOF\n", "127.0.0.1\tlocalhost\n\n# two\n"),
        ("cat > \"$DPKG_ROOT/etc/hosts\" <<'EOF'\n a:*:\nEOF\n", " a:*:\n"),
    ],
)
def test_a_here_document_is_written_where_the_file_is_missing(text: str, expected: str) -> None:
    overlay = made_overlay()
    write_here_document(made_context(overlay, text), "etc/hosts")
    assert overlay.read_text("etc/hosts") == expected
    overlay.write("etc/hosts", "mine\n")
    write_here_document(made_context(overlay, text), "etc/hosts")
    assert overlay.read_text("etc/hosts") == "mine\n"


def test_a_here_document_of_another_file_is_refused() -> None:
    context = made_context(made_overlay(), "cat > /etc/other <<EOF\nx\nEOF\n")
    write_here_document(context, "etc/hosts")
    assert len(context.unknown) == 1
