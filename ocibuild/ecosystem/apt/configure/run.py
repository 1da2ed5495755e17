"""Configuring: the known parts of every script in dpkg's order, then triggers, then the caches made from everything."""

from collections.abc import Iterable, Sequence

from ocibuild.ecosystem.apt.configure.caches import make_cache
from ocibuild.ecosystem.apt.configure.context import Context
from ocibuild.ecosystem.apt.configure.known import known_parts, script_parts, unknown_scripts
from ocibuild.ecosystem.apt.configure.operations import OPERATIONS
from ocibuild.ecosystem.apt.configure.package import ConfiguredPackage, ConfigureReport, UnknownScript
from ocibuild.ecosystem.apt.configure.triggers import triggered_packages
from ocibuild.image.overlay import Overlay

__all__ = ["configure"]

_MEMBERS = ("preinst", "postinst")


def configure(
    overlay: Overlay, packages: Sequence[ConfiguredPackage], *, architecture: str, changed_paths: Iterable[str] = ()
) -> ConfigureReport:
    """Make in ``overlay`` what the packages' scripts would make, in the order given.

    Their files, and dpkg's database with them, must be in place. ``changed_paths`` are absolute paths that went with a
    removed package. With a script that is not known nothing is made, and all that are not known are reported; what is
    found to be unknown only on this tree is reported too, and the tree is then not complete.

    Of what scripts write, these are left out on purpose, since they differ from machine to machine or can be made again
    from what is there: logs, locks, backups (``*-``, ``*-old``, ``*.dpkg-old`` and ucf's numbered ones), ldconfig's
    aux-cache, Python's byte code, man-db's index, a machine's id, and debconf's answers (what was never asked has its
    default again). Where a script gives a file capabilities and, if that fails, the set-user-id bit, it has the bit. No
    daemon is started.
    """
    unknown = list(unknown_scripts(packages))
    if unknown:
        return ConfigureReport(tuple(unknown))
    pending: dict[str, str] = {}
    activated: list[str] = []
    for member in _MEMBERS:
        for package in packages:
            for part in script_parts(package, member):
                context = Context(overlay, architecture, package, member, part, pending, activated, unknown)
                _run(context, known_parts()[part.key].does(package.previous_version) or ())
    for package, triggers in triggered_packages(overlay, packages, {*changed_paths, *activated}):
        for part in script_parts(package, "postinst"):
            context = Context(overlay, architecture, package, "postinst", part, pending, activated, unknown)
            known = known_parts().get(part.key)
            if known is None or known.triggered is None:
                context.refuse(f"it is triggered by {', '.join(triggers)}, and is not known")
            else:
                _run(context, known.triggered)
    for cache, name in pending.items():
        reasons = make_cache(cache, overlay, architecture=architecture)
        unknown.extend(UnknownScript(name, "postinst", why) for why in reasons)
    return ConfigureReport(tuple(unknown))


def _run(context: Context, operations: Iterable[tuple[str, ...]]) -> None:
    for name, *words in operations:
        OPERATIONS[name](context, *words)
