"""``gschemas.compiled``, which ``glib-compile-schemas`` makes of all settings schemas.

Source: GLib 2.74's ``gio/glib-compile-schemas.c`` (2.84 writes the same); vendors' overrides as its manual page says.
"""

from collections.abc import Iterator

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.configure.glib.hash_table import GHashTable
from ocibuild.ecosystem.apt.configure.glib.schema import Key, Schema, compiled
from ocibuild.ecosystem.apt.configure.glib.schema_file import SchemaReader
from ocibuild.ecosystem.apt.configure.glib.variant_text import parse_variant
from ocibuild.image.overlay import Overlay

__all__ = ["compile_schemas"]

_FOLDER = "usr/share/glib-2.0/schemas"
_COMPILED = f"{_FOLDER}/gschemas.compiled"


def compile_schemas(overlay: Overlay) -> tuple[str, ...]:
    """Write ``usr/share/glib-2.0/schemas/gschemas.compiled``; without any schema, remove it.

    Byte for byte what glib-compile-schemas of GLib 2.74 to 2.84 writes on a little-endian machine. Returns why it
    cannot be done: a schema or override with an error, which that program would leave out, or in a way of writing
    values that is not modelled; then nothing is written.
    """
    names = overlay.children(_FOLDER)
    enums = [name for name in names if name.endswith(".enums.xml")]
    files = enums + [name for name in names if name.endswith(".gschema.xml")]
    if not files:
        overlay.remove(_COMPILED)
        return ()
    reader = SchemaReader()
    reasons = []
    for name in files:
        try:
            reader.read(overlay.read(f"{_FOLDER}/{name}"), where=f"/{_FOLDER}/{name}")
        except ImageError as error:
            reasons.append(str(error))
            break  # what follows may build on it
    for name in names if not reasons else ():
        if name.endswith(".gschema.override"):
            where = f"/{_FOLDER}/{name}"
            try:
                _override(reader.schemas, overlay.read(f"{_FOLDER}/{name}"), where=where)
            except ImageError as error:
                reasons.append(f"{where}: {error}")
    if not reasons:
        overlay.write(_COMPILED, compiled(reader.schemas))
    return tuple(reasons)


def _override(schemas: GHashTable[Schema], data: bytes, *, where: str) -> None:
    """Apply a file of overrides; what names an unknown schema or key, or an impossible value, has no effect."""
    for group, name, text in _assignments(data, where=where):
        schema_name, _, desktop = group.partition(":")
        schema = schemas.get(schema_name)
        key = schema.keys.get(name) if schema is not None else None
        is_for_desktop = ":" in group
        if not isinstance(key, Key) or (is_for_desktop and key.localised):
            continue
        value = parse_variant(key.type, text)
        if not key.allows(value):
            continue
        if is_for_desktop:
            key.desktops[desktop] = value
        else:
            key.default = value


def _assignments(data: bytes, *, where: str) -> Iterator[tuple[str, str, str]]:
    """Group, key and value of each line; a group's or key's later lines count like a GKeyFile's: the last wins."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ImageError(f"{where} is no UTF-8") from error
    group = None
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip(" \t\r\f\v")
        if not stripped or stripped.startswith("#"):
            continue
        if stripped.startswith("[") and stripped.endswith("]"):
            group = stripped[1:-1]
        elif "=" in stripped and group is not None:
            name, _, value = stripped.partition("=")
            if not name.rstrip().endswith("]"):  # a translation
                yield group, name.rstrip(), value.strip()
        else:
            raise ImageError(f"line {number} is no key of a group")
