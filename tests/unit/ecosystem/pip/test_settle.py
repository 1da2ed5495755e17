import itertools
from collections.abc import Callable

from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.pip.settle import install_order, settle
from ocibuild.image.view import LayerTable, ViewEntry

MakeLocked = Callable[..., LockedPackage]


def table(*paths: str) -> LayerTable:
    entries = {path: ViewEntry("file", 0o644) for path in paths}
    return LayerTable({"site": ViewEntry("directory", 0o755), **entries})


def test_nothing_is_contested_in_the_common_case(locked: MakeLocked) -> None:
    settlement = settle([(locked("a"), table("site/a.py")), (locked("b"), table("site/b.py"))])
    assert dict(settlement.winners) == {}
    assert dict(settlement.left_out) == {}


def test_the_dependant_is_installed_last_and_wins(locked: MakeLocked) -> None:
    base, top = locked("zz"), locked("aa", requires="zz", requested=True)
    tables = [(base, table("site/x.py", "site/own.py")), (top, table("site/x.py"))]
    for order in itertools.permutations(tables):
        settlement = settle(order)
        assert dict(settlement.winners) == {"site/x.py": "aa"}
        assert dict(settlement.left_out) == {"aa": ("site/x.py",), "zz": ("site/x.py",)}


def test_of_independent_packages_the_first_name_wins_as_pip_installs_it_last(locked: MakeLocked) -> None:
    packages = [locked(name, requested=True) for name in ("b", "a", "c")]
    assert [package.name for package in install_order(packages)] == ["c", "b", "a"]
    settlement = settle([(package, table("x")) for package in packages])
    assert settlement.winners["x"] == "a"


def test_cycles_end(locked: MakeLocked) -> None:
    packages = [
        locked("app", requires="left right", requested=True),
        locked("left", requires="right leaf"),
        locked("right", requires="left gone"),
        locked("leaf"),
    ]
    orders = {tuple(each.name for each in install_order(order)) for order in itertools.permutations(packages)}
    assert len(orders) == 1, "the order of the packages does not matter"
    (order,) = orders
    assert order[0] == "leaf"
    assert order[-1] == "app"


def test_a_wide_cyclic_graph_is_quick(locked: MakeLocked) -> None:
    names = [f"p{number}" for number in range(60)]
    packages = [locked(name, requires=" ".join(names)) for name in names]
    assert len(install_order(packages)) == 60
