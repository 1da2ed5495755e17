"""What is asked for, line by line: what a lock is compared with, so that it cannot silently be out of date."""

import hashlib

from ocibuild.core.asks import CondaAsks, Origin, PackageAsks, RequirementsFile
from ocibuild.core.r_asks import RAsks
from ocibuild.spec.options import BuildOptions

__all__ = ["asked"]


def asked(packages: PackageAsks, options: BuildOptions) -> dict[str, Origin]:
    """Each thing asked for (``apt git=1:2*``, ``pip numpy>=2``) and where, without order, comments and spacing.

    ``options`` are those of the build. What only says where packages are fetched from is left out: a lock has no
    addresses, and its packages are known by their hashes.
    """
    pip = packages.pip
    asks = {f"apt {ask}": ask.origin for ask in packages.apt}
    asks |= _conda(packages.conda, options)
    asks |= {f"conda root {each.conda}": each.conda.origin for each in packages.conda_root.either}
    asks |= _r(packages.r)
    if options.apt_recommends:
        asks["apt recommends"] = Origin("ocibuild.toml")
    for source in options.apt_sources:
        asks[f"apt source {' '.join([source.name, source.suite, *source.components])}"] = source.origin
    for file in (*pip.files, *pip.included):
        asks |= _requirements(file)
    for text, origin in pip.requirements:
        asks[f"pip {' '.join(text.split())}"] = origin
    return asks


def _r(asks: RAsks) -> dict[str, Origin]:
    if asks.wanted is None:
        return {}
    found = {f"r {ask}": ask.origin for ask in asks.packages}
    found[f"r R {asks.version}".rstrip()] = asks.version_origin or asks.wanted
    if asks.day is not None:
        found[f"r as of {asks.day}"] = asks.version_origin or asks.wanted
    if asks.preference != "repository":
        found[f"r prefer {asks.preference}"] = Origin("ocibuild.toml")
    return found


def _conda(asks: CondaAsks, options: BuildOptions) -> dict[str, Origin]:
    found = {f"conda {' '.join(ask.text.split())}": ask.origin for ask in asks.packages}
    for lock in asks.locks:
        found[f"conda lock {hashlib.sha256(lock.text.encode()).hexdigest()}"] = Origin(lock.path)
    for either in asks.either:
        found[f"conda {' '.join(either.conda.text.split())}"] = either.conda.origin
    if not asks.is_empty:
        facts = {"cuda": options.cuda, "archspec": options.archspec}
        found |= {f"conda {name} {value}": Origin(f"--{name}") for name, value in facts.items() if value}
    return found


def _requirements(file: RequirementsFile) -> dict[str, Origin]:
    """The requirements of a file; options of pip in it name places, or files that are read by themselves."""
    found: dict[str, Origin] = {}
    start, logical = 0, ""
    for number, line in enumerate(file.text.splitlines(), start=1):
        text = "" if line.lstrip().startswith("#") else line.partition(" #")[0].strip()
        start = start if logical else number
        logical += text.removesuffix("\\")
        if text.endswith("\\"):  # pip joins such lines
            continue
        words = " ".join(logical.split())
        if words and not words.startswith("-"):
            found[f"pip {words}"] = Origin(file.path, start)
        logical = ""
    return found
