import inspect
import re
import tomllib
from importlib import resources

import pytest

from ocibuild.ecosystem.apt.configure import ConfiguredPackage, unknown_scripts
from ocibuild.ecosystem.apt.configure.known import known_parts
from ocibuild.ecosystem.apt.configure.operations import OPERATIONS

TABLE = resources.files("ocibuild.ecosystem.apt.configure").joinpath("known_scripts.toml").read_text("utf-8")
OPENSSL = b"#!/bin/sh -e\n\nif [ ! -e /usr/lib/ssl ]\nthen\n  echo Linking /usr/lib/ssl to /etc/ssl\n  ln -sf /etc/ssl /usr/lib/ssl\nfi\n"


def package(script: bytes, *, member: str = "postinst", previous: str = "") -> ConfiguredPackage:
    return ConfiguredPackage("hello", "amd64", "2.0", previous, {member: script})


def test_the_table_names_no_part_twice() -> None:
    keys = re.findall(r'^sha256 = "([0-9a-f]{64})"$', TABLE, re.MULTILINE)
    assert len(keys) == len(set(keys)) == len(known_parts()) > 100


def test_the_table_has_no_field_that_is_not_read() -> None:
    fields = {"sha256", "seen", "does", "upgrade", "triggered", "since", "only"}
    assert all(part.keys() <= fields for part in tomllib.loads(TABLE)["part"])


@pytest.mark.parametrize("key", sorted(known_parts()), ids=lambda key: key[:12])
def test_every_operation_of_the_table_exists_and_takes_its_words(key: str) -> None:
    known = known_parts()[key]
    for name, *words in (*known.install, *(known.upgrade or ()), *(known.triggered or ())):
        inspect.signature(OPERATIONS[name]).bind(None, *words)


def test_a_known_script_is_not_reported_and_a_changed_one_is() -> None:
    assert unknown_scripts([package(OPENSSL)]) == ()
    (unknown,) = unknown_scripts([package(OPENSSL.replace(b"ln -sf", b"ln -s"))])
    assert (unknown.package, unknown.member) == ("hello", "postinst")
    assert "not known" in unknown.why


def test_known_where_it_is_a_postinst_is_unknown_as_a_preinst() -> None:
    assert len(unknown_scripts([package(OPENSSL, member="preinst")])) == 1


@pytest.mark.parametrize("script", [b"#!/bin/sh\nset -e\nexit 0\n", b"#!/bin/sh\n"])
def test_a_script_that_does_nothing_is_known(script: bytes) -> None:
    assert unknown_scripts([package(script)]) == ()


def test_other_members_are_no_scripts_of_an_install() -> None:
    members = {"postrm": b"#!/bin/sh\nrm -rf /x\n", "config": b"#!/bin/sh\nask\n", "templates": b"Template: x\n"}
    assert unknown_scripts([ConfiguredPackage("hello", "all", "1", "", members)]) == ()


def test_a_version_too_old_to_be_upgraded_from_is_reported_with_what_is_known() -> None:
    perl = (
        b'#!/bin/sh -e\n\nif [ "$1" = configure ]\nthen\n    update-alternatives --remove rename /usr/bin/prename\n\n'
        b'    if which dpkg-trigger >/dev/null 2>&1 && \\\n       [ -n "$2" ] && \\\n'
        b'       dpkg --compare-versions "$2" lt 5.40.0~\n    then\n'
        b"        dpkg-trigger --no-await perl-major-upgrade\n    fi\nfi\n\nexit 0\n"
    )
    assert unknown_scripts([package(perl, previous="5.40.1-6")]) == ()
    (unknown,) = unknown_scripts([package(perl, previous="5.36.0-7")])
    assert "5.40.0" in unknown.why
    assert "5.36.0-7" in unknown.why
