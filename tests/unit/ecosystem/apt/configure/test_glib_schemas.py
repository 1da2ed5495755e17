"""The golden file was written by glib-compile-schemas 2.74.6 from the files beside it."""

import re
from pathlib import Path

import pytest

from ocibuild.ecosystem.apt.configure.glib_schemas import compile_schemas
from ocibuild.image.overlay import Overlay
from ocibuild.image.view import View

GOLDEN = Path(__file__).parent / "golden/glib"
FOLDER = "usr/share/glib-2.0/schemas"
COMPILED = f"{FOLDER}/gschemas.compiled"


def overlay_with(**files: str | bytes) -> Overlay:
    overlay = Overlay(View())
    overlay.make_folders(FOLDER)
    for name, data in files.items():
        overlay.write(f"{FOLDER}/{name}", data)
    return overlay


def schema(inside: str) -> str:
    return f'<schemalist><schema id="a.b">{inside}</schema></schemalist>'


def key(inside: str, kind: str = 'type="s"') -> str:
    return schema(f'<key name="k" {kind}>{inside}</key>')


def test_every_kind_of_key_and_override_is_compiled_like_the_reference() -> None:
    overlay = overlay_with(**{path.name: path.read_bytes() for path in GOLDEN.iterdir() if path.suffix != ".compiled"})
    assert compile_schemas(overlay) == ()
    assert overlay.read(COMPILED) == (GOLDEN / "gschemas.compiled").read_bytes()


def test_without_schemas_an_old_file_goes() -> None:
    overlay = overlay_with(**{"gschemas.compiled": b"old", "some.other": b""})
    assert compile_schemas(overlay) == ()
    assert COMPILED not in overlay


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<schemalist>", "no element found"),
        ("<schemas/>", "<schemas> does not belong into <>"),
        ('<!DOCTYPE s [<!ENTITY a "aaaa">]><schemalist>&a;</schemalist>', "entity"),
        ("<schemalist>text</schemalist>", "text inside <schemalist>"),
        ("<schemalist><schema/></schemalist>", r"has no \['id'\]"),
        ('<schemalist><enum id="e"/></schemalist>', "without a value"),
        (schema("") .replace("><schema", '><schema id="a.b"/><schema'), "defined twice"),
        (schema("").replace("id=", 'path="no/slash" id='), "has the path"),
        (schema("").replace("id=", 'extends="a.missing" id='), "a.missing, which is not defined"),
        (key(""), "<key> without <default>"),
        (key("<default>'a'</default>", 'type="q(" '), "is no type"),
        (key("<default>'a'</default>", 'enum="e"'), "not defined before"),
        (key("<default>'a'</default>", ""), "needs one of"),
        (key("<default>5</default>"), "'5' where s belongs"),
        (key("<default>'a' 'b'</default>"), "behind the value"),
        (key("<default>[1, 300]</default>", 'type="ay"'), "out of the range of y"),
        (key("<default>b'bytes'</default>", 'type="ay"'), "not modelled"),
        (key("<default>" + "[" * 90 + "</default>", 'type="' + "a" * 60 + 'i"'), "where"),
        (key("<default>" + "&lt;" * 90 + "</default>", 'type="v"'), "too deep"),
        (key("<default>5</default><range max='4'/>", 'type="i"'), "not among the values allowed"),
        (key("<choices><choice value='a'/></choices><default>'b'</default>"), "not among the values allowed"),
        (key("<default l10n='messages'>'a'</default>"), "no gettext-domain"),
        (key("<default context='c'>'a'</default>"), "a context for a value"),
        (schema('<key name="Upper" type="s"><default>""</default></key>'), "bad name"),
    ],
)  # fmt: skip
def test_a_schema_that_the_reference_would_leave_out_gives_the_reason(text: str, why: str) -> None:
    overlay = overlay_with(**{"x.gschema.xml": text})
    (reason,) = compile_schemas(overlay)
    assert reason.startswith("/usr/share/glib-2.0/schemas/x.gschema.xml, line 1: ")
    assert re.search(why, reason)
    assert COMPILED not in overlay


@pytest.mark.parametrize(
    ("override", "why"),
    [(b"k='x'\n", "line 1 is no key of a group"), (b"[a.b]\nk='x\n", "odd character"), (b"\xff", "no UTF-8")],
)
def test_an_override_that_cannot_be_read_gives_the_reason(override: bytes, why: str) -> None:
    overlay = overlay_with(**{"x.gschema.xml": key("<default>''</default>")}, **{"1.gschema.override": override})
    (reason,) = compile_schemas(overlay)
    assert why in reason
    assert COMPILED not in overlay
