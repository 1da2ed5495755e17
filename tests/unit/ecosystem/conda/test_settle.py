import itertools
from collections.abc import Callable

import pytest

from ocibuild.core.errors import BuildError
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.conda.order import install_order
from ocibuild.ecosystem.conda.settle import settle
from ocibuild.image.view import LayerTable, ViewEntry

Locked = Callable[..., LockedPackage]


def table(*paths: str) -> LayerTable:
    entries = {path: ViewEntry("file", 0o644) for path in paths}
    return LayerTable({"env/lib": ViewEntry("directory", 0o755), **entries})


def test_nothing_is_contested_in_the_common_case(locked: Locked) -> None:
    settlement = settle([(locked("a"), table("env/lib/a")), (locked("b"), table("env/lib/b"))])
    assert dict(settlement.displaced) == {}
    assert dict(settlement.winners) == {}


def test_the_dependant_has_the_path(locked: Locked) -> None:
    base, top = locked("zz"), locked("aa", depends=["zz >=1"])
    tables = [(base, table("env/x", "env/own")), (top, table("env/x"))]
    for order in itertools.permutations(tables):
        settlement = settle(order)
        assert dict(settlement.displaced) == {"zz": ("env/x",)}
        assert dict(settlement.winners) == {"env/x": "aa"}


def test_of_three_only_the_last_stays(locked: Locked) -> None:
    packages = [locked("a"), locked("b", depends=["a"]), locked("c", depends=["b"])]
    settlement = settle([(package, table("env/x")) for package in packages])
    assert dict(settlement.displaced) == {"a": ("env/x",), "b": ("env/x",)}


@pytest.mark.parametrize("other", ["env/x/y", "env/x/y/z"])
def test_a_file_where_another_has_a_folder(locked: Locked, other: str) -> None:
    with pytest.raises(BuildError, match=r"b=1\.0 amd64 puts /env/x/y.* into a folder that is a file or link of a"):
        settle([(locked("a"), table("env/x")), (locked("b"), table(other))])


def test_cycles_end_and_do_not_depend_on_the_order_given(locked: Locked) -> None:
    packages = [
        locked("app", depends=["left", "right"]),
        locked("left", depends=["right", "leaf"]),
        locked("right", depends=["left", "gone"]),
        locked("leaf"),
        locked("self", depends=["self"]),
        locked("p", depends=["q"]),
        locked("q", depends=["p"]),
    ]
    orders = {tuple(each.name for each in install_order(order)) for order in itertools.permutations(packages)}
    (order,) = orders
    assert set(order) == {package.name for package in packages}
    assert order.index("leaf") < order.index("left") < order.index("app")
    assert order.index("right") < order.index("app")


def test_a_deep_graph_is_no_deep_recursion(locked: Locked) -> None:
    packages = [locked(f"p{number}", depends=[f"p{number + 1}"]) for number in range(3_000)]
    assert install_order(packages)[0].name == "p2999"
