import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocibuild.core.errors import ImageError
from ocibuild.image.table import decode_table, encode_table
from ocibuild.image.view import LayerTable, View, ViewEntry

DIRECTORY, FILE = ViewEntry("directory", 0o755), ViewEntry("file", 0o644, size_bytes=1)


def link(target: str) -> ViewEntry:
    return ViewEntry("symlink", 0o777, link=target)


def view(*layers: dict[str, ViewEntry], kept: dict[str, bytes] | None = None) -> View:
    return View().extended([LayerTable(layer, kept or {}) for layer in layers])


USRMERGE = {"usr": DIRECTORY, "usr/lib": DIRECTORY, "lib": link("usr/lib"), "usr/lib/a": FILE}


def test_entries_behind_a_link_are_listed_where_the_kernel_puts_them() -> None:
    merged = view(USRMERGE, {"lib/b": FILE, "lib/new/c": FILE})
    assert set(merged) == {"usr", "usr/lib", "lib", "usr/lib/a", "usr/lib/b", "usr/lib/new", "usr/lib/new/c"}
    assert merged.get("lib/b") == FILE
    assert merged.canonical("lib/new/c") == "usr/lib/new/c"
    assert merged.canonical("lib") == "lib"
    assert merged.resolved("lib") == "usr/lib"
    assert merged.children("lib") == ["a", "b", "new"]


def test_a_link_and_what_lies_behind_it_in_one_layer() -> None:
    assert set(view({"usr": DIRECTORY, "lib": link("usr"), "lib/x": FILE})) == {"usr", "lib", "usr/x"}


@pytest.mark.parametrize(
    ("above", "left"),
    [
        ({".wh.d": FILE}, {"f", "d2", "d2/x"}),
        ({".wh.f": FILE, ".wh.d2": FILE}, {"d", "d/x", "d/s", "d/s/y"}),
        ({"d/.wh..wh..opq": FILE}, {"f", "d", "d2", "d2/x"}),
        ({"d/z": FILE, "d/.wh..wh..opq": FILE}, {"f", "d", "d/z", "d2", "d2/x"}),
        ({"d/.wh.s": FILE, "d/s": FILE}, {"f", "d", "d/x", "d/s", "d2", "d2/x"}),
        ({".wh..wh..opq": FILE, "new": FILE}, {"new"}),
        ({"d": FILE}, {"f", "d", "d2", "d2/x"}),
        ({"d": link("d2")}, {"f", "d", "d2", "d2/x"}),
        ({".wh.nothing": FILE}, {"f", "d", "d/x", "d/s", "d/s/y", "d2", "d2/x"}),
    ],
)
def test_whiteouts_hide_what_lies_below_them_only(above: dict[str, ViewEntry], left: set[str]) -> None:
    below = {
        "f": FILE,
        "d": DIRECTORY,
        "d/x": FILE,
        "d/s": DIRECTORY,
        "d/s/y": FILE,
        "d2": DIRECTORY,
        "d2/x": FILE,
    }
    assert set(view(below, above)) == left


def test_a_whiteout_behind_a_link() -> None:
    assert "usr/lib/a" not in view(USRMERGE, {"lib/.wh.a": FILE})
    assert "usr/lib/a" not in view(USRMERGE, {"lib/.wh..wh..opq": FILE})


def test_a_link_replaced_in_the_same_layer_is_not_remembered() -> None:
    above = {"lib/b": FILE, "lib": DIRECTORY, "lib/c": FILE}
    assert set(view(USRMERGE, above)) == {"usr", "usr/lib", "usr/lib/a", "usr/lib/b", "lib", "lib/c"}


def test_a_link_to_elsewhere_in_the_same_layer_is_followed_from_then_on() -> None:
    above = {"lib/b": FILE, "opt": DIRECTORY, "lib": link("opt"), "lib/c": FILE}
    assert {"usr/lib/b", "opt/c"} <= set(view(USRMERGE, above))


@pytest.mark.parametrize("target", ["../../../usr/lib", "/usr/lib", "./usr//lib/", "/lib2"])
def test_links_stay_inside_the_root(target: str) -> None:
    layer = USRMERGE | {"a": link(target), "lib2": link("/usr/lib")}
    assert view(layer).canonical("a/a") == "usr/lib/a"


def test_a_loop_of_links_is_an_error() -> None:
    with pytest.raises(ImageError, match="too many symbolic links"):
        view({"a": link("b"), "b": link("a")}).resolved("a")
    with pytest.raises(ImageError, match="too many symbolic links"):
        view({"a": link("b"), "b": link("a"), "a/x": FILE})


def test_kept_bytes_follow_their_file() -> None:
    merged = view({"f": FILE, "l": link("f"), "h": ViewEntry("hardlink", 0o644, link="f")}, kept={"f": b"x"})
    assert merged.read("f") == merged.read("l") == merged.read("h") == b"x"
    assert merged.extended([LayerTable({"f": FILE}, {"f": b"y"})]).read("f") == b"y"
    with pytest.raises(ImageError, match="not kept"):
        merged.extended([LayerTable({"f": FILE})]).read("f")
    with pytest.raises(ImageError, match="no file"):
        merged.extended([LayerTable({".wh.f": FILE})]).read("f")
    assert merged.read("f") == b"x"


def test_what_is_not_kept_is_asked_for() -> None:
    merged = View(read_content=lambda path, entry: f"{path} {entry.size_bytes}".encode()).extended(
        [LayerTable({"f": FILE})]
    )
    assert merged.read("f") == b"f 1"


def reference(layers: list[dict[str, ViewEntry]]) -> dict[str, ViewEntry]:
    """Layers over each other by the words of layer.md, for layers without links: slow and plain."""
    files: dict[str, ViewEntry] = {}
    for layer in layers:
        for path in layer:
            folder, _, name = path.rpartition("/")
            if name == ".wh..wh..opq":
                files = {p: e for p, e in files.items() if folder and not p.startswith(f"{folder}/")}
            elif name.startswith(".wh."):
                hidden = f"{folder}/{name[4:]}".lstrip("/")
                files = {p: e for p, e in files.items() if p != hidden and not p.startswith(f"{hidden}/")}
        for path, entry in layer.items():
            if path.rpartition("/")[2].startswith(".wh."):
                continue
            parts = path.split("/")
            for count in range(1, len(parts)):
                files.setdefault("/".join(parts[:count]), DIRECTORY)
            if entry.kind != "directory":
                files = {p: e for p, e in files.items() if not p.startswith(f"{path}/")}
            files[path] = entry
    return files


FOLDERS = ["a", "b", "a/a", "a/b", "b/a"]
paths = st.sampled_from(FOLDERS)
layers = st.lists(
    st.one_of(
        st.tuples(paths, st.just(DIRECTORY)),
        st.tuples(paths.map(lambda path: f"{path}/file"), st.just(FILE)),
        st.tuples(
            paths.map(lambda path: ("/" + path)[: ("/" + path).rindex("/") + 1][1:] + ".wh." + path.rpartition("/")[2]),
            st.just(FILE),
        ),
        st.tuples(paths.map(lambda path: f"{path}/.wh.file"), st.just(FILE)),
        st.tuples(paths.map(lambda path: f"{path}/.wh..wh..opq"), st.just(FILE)),
    ),
    max_size=8,
).map(dict)


@given(st.lists(layers, max_size=4))
def test_layers_without_links_merge_as_the_specification_says(stack: list[dict[str, ViewEntry]]) -> None:
    merged = view(*stack)
    assert {path: merged.get(path) for path in merged} == reference(stack)


def test_thousands_of_folders_are_hidden() -> None:
    count = 20_000
    below = {f"d{number}": DIRECTORY for number in range(count)} | {f"d{number}/x": FILE for number in range(count)}
    assert len(view(below, {f".wh.d{number}": FILE for number in range(count)})) == 0


def test_a_table_comes_back_from_its_bytes() -> None:
    table = LayerTable(
        {"a/\udcff": FILE, "l": link("odd\n\udcfe"), ".wh.x": FILE, "d": DIRECTORY},
        {"a": bytes(range(256))},
        {"lib.so": '{"soname": "x"}'},
    )
    again = decode_table(encode_table(table))
    assert list(again.entries.items()) == list(table.entries.items())
    assert (dict(again.kept), dict(again.libraries)) == (dict(table.kept), dict(table.libraries))


@pytest.mark.parametrize("data", [b"", b"x", encode_table(LayerTable({}))[:-3]])
def test_a_damaged_table_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match="damaged"):
        decode_table(data)
