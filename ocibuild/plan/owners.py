"""Which asked package brings each package into an image."""

from collections.abc import Mapping, Sequence

from ocibuild.core.package import LockedPackage

__all__ = ["owners"]


def owners(packages: Sequence[LockedPackage]) -> Mapping[str, str]:
    """For each package's name that of the requested package that it is there for; "" where the lock does not tell.

    A requested package is there for itself. Another one is there for the requested package that needs it, by way of
    packages that were not requested; where several do, for the one that brings the most, which is the least likely to
    be another one in the next image.
    """
    requested = {package.name for package in packages if package.requested}
    needs: dict[str, set[str]] = {}
    for package in packages:
        for user in package.why:
            needs.setdefault(user, set()).add(package.name)
    brought = {name: _brought(name, needs, requested) for name in requested}
    found = {}
    for package in packages:
        name = package.name
        users = [(len(brought[user]), user) for user in requested if name in brought[user]]
        found[name] = name if name in requested else max(users, default=(0, ""))[1]
    return found


def _brought(name: str, needs: Mapping[str, set[str]], requested: set[str]) -> set[str]:
    brought: set[str] = set()
    waiting = [name]
    while waiting:
        for other in needs.get(waiting.pop(), ()):
            if other not in brought and other not in requested:
                brought.add(other)
                waiting.append(other)
    return brought
