"""The order in which conda packages are installed: dependencies first. It decides who owns a path that two carry.

Source: rattler 0.28's ``sort_topologically``, with whose order this agrees wherever no package needs itself through
others (tests/oracle/test_conda_order.py). Inside such a cycle any order breaks some dependency, and rattler's is its
own.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ocibuild.core.package import LockedPackage

__all__ = ["dependency_names", "install_order", "package_name"]

_NAME = re.compile(r"(?:[^\s\[]*::)?([A-Za-z0-9_.-]+)")


def package_name(text: str) -> str:
    """The name of the package that a MatchSpec is for, in lower case; empty where the text is none."""
    found = _NAME.match(text)
    return found[1].lower() if found else ""


def dependency_names(record: Mapping[str, Any]) -> set[str]:
    """The names of what a record says the package needs; virtual packages such as ``__glibc`` are among them."""
    found = (_NAME.match(text) for text in record.get("depends", ()))
    return {each[1].lower() for each in found if each}


def install_order(packages: Iterable[LockedPackage]) -> list[LockedPackage]:
    """The packages with each behind what it needs, as far as cycles allow; the order they come in does not matter."""
    by_name = {package.name: package for package in packages}
    records = {name: json.loads(package.fields.get("record", "{}")) for name, package in by_name.items()}
    needs = {name: dependency_names(record) & by_name.keys() for name, record in records.items()}
    needed = {child for name, children in needs.items() for child in children if child != name}
    order: list[str] = []
    visited: set[str] = set()
    # Whatever nothing needs comes first, then what is left: packages that only each other need.
    for roots in (sorted(by_name.keys() - needed), sorted(by_name)):
        _visit(roots, needs, visited, order)
    return [by_name[name] for name in order]


def _visit(roots: list[str], needs: Mapping[str, set[str]], visited: set[str], order: list[str]) -> None:
    """Append what is below ``roots``, the last one first, and each behind what it needs."""
    waiting = [(name, False) for name in roots]
    while waiting:
        name, is_ready = waiting.pop()
        if is_ready:
            order.append(name)
        elif name not in visited:
            visited.add(name)
            waiting.append((name, True))
            waiting += [(child, False) for child in sorted(needs[name])]
