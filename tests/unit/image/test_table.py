from ocibuild.image.table import decode_table, encode_table
from ocibuild.image.view import LayerTable, ViewEntry


def test_a_table_is_read_as_it_was_written() -> None:
    table = LayerTable(
        {
            "folder": ViewEntry("directory", 0o2775, 0, 50, modified=0),
            "folder/file": ViewEntry("file", 0o4755, 1000, 1000, 12, layer="sha256:x", modified=1_600_000_000),
            "folder/\udcff": ViewEntry("symlink", 0o777, link="x\udcfe", modified=1 << 40),
            "hard": ViewEntry("hardlink", 0o4755, 1000, 1000, link="folder/file", modified=1_600_000_000),
        },
        {"folder/file": bytes(range(256))},
        {"lib.so": "{}"},
    )
    assert decode_table(encode_table(table)) == table
