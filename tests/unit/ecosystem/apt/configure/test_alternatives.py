import pytest

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.configure.alternatives import (
    Alternative,
    AlternativeCall,
    alternative_calls,
    install_alternative,
    remove_alternative,
    run_alternative_calls,
)
from tests.support.made_context import made_context, made_overlay

FILES = {
    "usr/bin/mawk": "",
    "usr/bin/gawk": "",
    "usr/share/man/man1/mawk.1.gz": "",
}
MAWK = AlternativeCall(
    "awk",
    "/usr/bin/mawk",
    "/usr/bin/awk",
    5,
    (
        ("/usr/share/man/man1/awk.1.gz", "awk.1.gz", "/usr/share/man/man1/mawk.1.gz"),
        ("/usr/bin/nawk", "nawk", "/usr/bin/mawk"),
    ),
)
GAWK = AlternativeCall("awk", "/usr/bin/gawk", "/usr/bin/awk", 10, (("/usr/bin/nawk", "nawk", "/usr/bin/gawk"),))
DATABASE = "var/lib/dpkg/alternatives/awk"


def link(overlay: object, path: str) -> str:
    entry = overlay.get(path)  # type: ignore[attr-defined]
    assert entry is not None, path
    return str(entry.link)


def test_a_new_group_has_the_files_format_of_dpkg() -> None:
    overlay = made_overlay(FILES)
    install_alternative(overlay, MAWK)
    assert overlay.read_text(DATABASE) == (
        "auto\n/usr/bin/awk\nawk.1.gz\n/usr/share/man/man1/awk.1.gz\nnawk\n/usr/bin/nawk\n\n"
        "/usr/bin/mawk\n5\n/usr/share/man/man1/mawk.1.gz\n/usr/bin/mawk\n\n"
    )
    assert link(overlay, "usr/bin/awk") == "/etc/alternatives/awk"
    assert link(overlay, "etc/alternatives/awk") == "/usr/bin/mawk"
    assert link(overlay, "usr/share/man/man1/awk.1.gz") == "/etc/alternatives/awk.1.gz"


def test_the_choice_of_the_highest_priority_wins_and_a_slave_it_lacks_goes() -> None:
    overlay = made_overlay(FILES)
    install_alternative(overlay, MAWK)
    install_alternative(overlay, GAWK)
    assert link(overlay, "etc/alternatives/awk") == "/usr/bin/gawk"
    assert link(overlay, "etc/alternatives/nawk") == "/usr/bin/gawk"
    assert "usr/share/man/man1/awk.1.gz" not in overlay
    assert "etc/alternatives/awk.1.gz" not in overlay
    assert "/usr/bin/gawk\n10\n\n/usr/bin/gawk\n" in overlay.read_text(DATABASE)


def test_what_was_chosen_by_hand_stays() -> None:
    overlay = made_overlay(FILES)
    install_alternative(overlay, MAWK)
    overlay.write(DATABASE, overlay.read_text(DATABASE).replace("auto", "manual"))
    install_alternative(overlay, GAWK)
    assert link(overlay, "etc/alternatives/awk") == "/usr/bin/mawk"
    assert overlay.read_text(DATABASE).startswith("manual\n")


def test_a_real_file_in_the_links_place_stays() -> None:
    overlay = made_overlay({**FILES, "usr/bin/awk": "mine"})
    install_alternative(overlay, MAWK)
    assert overlay.read_text("usr/bin/awk") == "mine"


def test_installing_again_changes_nothing() -> None:
    overlay = made_overlay(FILES)
    install_alternative(overlay, MAWK)
    before = overlay.changes()
    install_alternative(overlay, MAWK)
    assert overlay.changes() == before


def test_removing_a_choice_falls_back_and_removing_the_last_removes_all() -> None:
    overlay = made_overlay(FILES)
    install_alternative(overlay, MAWK)
    install_alternative(overlay, GAWK)
    remove_alternative(overlay, "awk", "/usr/bin/gawk")
    assert link(overlay, "etc/alternatives/awk") == "/usr/bin/mawk"
    assert link(overlay, "usr/share/man/man1/awk.1.gz") == "/etc/alternatives/awk.1.gz"
    remove_alternative(overlay, "awk", "/usr/bin/mawk")
    assert all(
        path not in overlay for path in (DATABASE, "usr/bin/awk", "etc/alternatives/awk", "etc/alternatives/nawk")
    )


def test_removing_what_is_not_there_does_nothing() -> None:
    overlay = made_overlay(FILES)
    before = overlay.changes()
    remove_alternative(overlay, "awk", "/usr/bin/gawk")
    assert overlay.changes() == before


def test_calls_are_read_from_a_script() -> None:
    text = (
        "update-alternatives --quiet \\\n    --install /usr/bin/cc cc /usr/bin/gcc 20 \\\n    #--slave /a a /b\n"
        "# update-alternatives --install /x x /y 1\n"
        "if true; then update-alternatives --remove rename /usr/bin/prename; fi\n"
        "update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 \\\n  --slave /usr/bin/nawk nawk /usr/bin/mawk || true\n"
    )
    assert alternative_calls(text) == [
        AlternativeCall("cc", "/usr/bin/gcc", "/usr/bin/cc", 20),
        AlternativeCall("rename", "/usr/bin/prename"),
        AlternativeCall("awk", "/usr/bin/mawk", "/usr/bin/awk", 5, (("/usr/bin/nawk", "nawk", "/usr/bin/mawk"),)),
    ]


@pytest.mark.parametrize(
    "words", ["/usr/bin/cc cc /usr/bin/$compiler 20", "/usr/bin/cc cc `id` 20", "/a a", "/a a /b 1 --slave /c"]
)
def test_a_call_that_is_not_literal_is_an_error(words: str) -> None:
    with pytest.raises(ValueError, match="update-alternatives"):
        alternative_calls(f"update-alternatives --install {words}\n")


def test_a_missing_file_is_refused_unless_the_script_goes_on() -> None:
    context = made_context(made_overlay(), "update-alternatives --install /usr/bin/cc cc /usr/bin/gcc 20\n")
    run_alternative_calls(context)
    assert [unknown.why for unknown in context.unknown] == ["update-alternatives would fail: there is no /usr/bin/gcc"]
    context = made_context(made_overlay(), "update-alternatives --install /usr/bin/cc cc /usr/bin/gcc 20 || true\n")
    run_alternative_calls(context)
    assert context.unknown == []


@pytest.mark.parametrize("text", ["", "auto\n", "auto\n/a\n\n/b\nx\n\n", "odd\n/a\n\n\n", "auto\n/a\ns\n"])
def test_a_malformed_database_is_an_error(text: str) -> None:
    with pytest.raises(ImageError, match="alternatives/awk"):
        Alternative.parse("awk", text)
