import pytest

from ocibuild.ecosystem.apt.configure.parts import ScriptPart, split_script

HELPER = """\
# Automatically added by dh_installdeb/{tool}
dpkg-maintscript-helper rm_conffile /etc/{name} {version}\\~ -- "$@"
# End automatically added section
"""
UNITS = """\
# Automatically added by dh_installsystemd/13.11.4
if [ "$1" = "configure" ]; then
	deb-systemd-helper enable {units} >/dev/null || true
fi
# End automatically added section
"""


def parts(text: str, *, member: str = "postinst", version: str = "1.2-3", package: str = "hello") -> list[ScriptPart]:
    return split_script(member, text.encode(), package=package, version=version, architecture="amd64")


def key(text: str, **options: str) -> str:
    (part,) = parts(text, **options)
    return part.key


def test_a_script_of_boilerplate_and_a_snippet_has_one_part_that_does_something() -> None:
    own, snippet = parts(
        "#!/bin/sh\nset -e\n\n# a comment\n" + HELPER.format(tool="13", name="a", version="1") + "exit 0\n"
    )
    assert own.is_empty
    assert (snippet.tool, snippet.captures) == (
        "dh_installdeb",
        ('dpkg-maintscript-helper rm_conffile /etc/a 1\\~ -- "$@"',),
    )


def test_snippets_that_differ_in_names_and_debhelper_only_have_one_key() -> None:
    texts = [
        HELPER.format(tool=tool, name=name, version=version)
        for tool, name, version in (("13.11.4", "a", "1"), ("12", "b/c", "2:3"))
    ]
    assert len({parts(f"#!/bin/sh\n{text}")[1].key for text in texts}) == 1


def test_any_number_of_units_is_one_snippet_and_all_are_captured() -> None:
    one, several = (
        parts("#!/bin/sh\n" + UNITS.format(units=units))[1] for units in ("'a.service'", "'a.timer' 'b@.socket'")
    )
    assert one.key == several.key
    assert several.captures == ("a.timer", "b@.socket")


@pytest.mark.parametrize("units", ["'a.service; rm -rf /'", "'$(id).service'", '"a.service"', "'a.service' -x"])
def test_a_unit_that_is_no_plain_name_makes_another_part(units: str) -> None:
    plain = parts("#!/bin/sh\n" + UNITS.format(units="'a.service'"))[1]
    assert parts("#!/bin/sh\n" + UNITS.format(units=units))[1].key != plain.key


def test_one_more_word_in_a_snippet_makes_another_part() -> None:
    text = "#!/bin/sh\n" + UNITS.format(units="'a.service'")
    assert parts(text)[1].key != parts(text.replace("fi\n", "fi; rm -rf /\n"))[1].key


def test_a_command_beside_a_helper_call_is_not_captured() -> None:
    plain = HELPER.format(tool="13", name="a", version="1")
    assert parts(f"#!/bin/sh\n{plain}")[1].key != parts("#!/bin/sh\n" + plain.replace("# End", "reboot\n# End"))[1].key


def test_where_a_snippet_stands_in_the_script_matters() -> None:
    snippet = HELPER.format(tool="13", name="a", version="1")
    first = f"#!/bin/sh\nif false; then\n:\n{snippet}fi\ntrue x\n"
    second = f"#!/bin/sh\nif false; then\n:\nfi\n{snippet}true x\n"
    assert parts(first)[0].key != parts(second)[0].key


def test_comments_and_blank_lines_do_not_matter() -> None:
    assert key("#!/bin/sh\n# one\n\ntouch /a\n") == key("#! /bin/sh\ntouch /a\n\n# two\n")


def test_in_a_here_document_a_comment_is_content() -> None:
    assert key("#!/bin/sh\ncat <<EOF >/a\n# one\nEOF\n") != key("#!/bin/sh\ncat <<EOF >/a\n# two\nEOF\n")


def test_the_packages_own_version_triplet_and_python_do_not_matter() -> None:
    assert key("#!/bin/sh\ntest 1.2-3 /usr/lib/x86_64-linux-gnu/x hello:amd64 python3.11\n") == key(
        "#!/bin/sh\ntest 9-1 /usr/lib/aarch64-linux-gnu/x hello:amd64 python3.13\n", version="9-1"
    )


def test_another_version_number_matters() -> None:
    assert key("#!/bin/sh\ntest 1.2-4\n") != key("#!/bin/sh\ntest 1.2-5\n")


def test_the_same_text_does_something_else_before_unpacking() -> None:
    text = "#!/bin/sh\ntouch /a\n"
    assert key(text) != key(text, member="preinst")


@pytest.mark.parametrize(
    "content", [b"#!/usr/bin/perl\nexit 0;\n", b"\x7fELF\x02\x01\xff\xfe", b"", b"#!/bin/shady\nset -e\n"]
)
def test_what_is_no_shell_script_is_never_empty(content: bytes) -> None:
    (part,) = split_script("postinst", content, package="a", version="1", architecture="amd64")
    assert not part.is_empty or content == b""


def test_an_unclosed_snippet_stays_text_of_the_script() -> None:
    (part,) = parts("#!/bin/sh\n# Automatically added by dh_installdeb/13\nreboot\n")
    assert not part.is_empty
