"""Answers, with apt's own library (python3-apt), what ``apt-get install`` would mark. Runs outside the project.

Started by /usr/bin/python3 with APT_CONFIG set; reads one JSON list of words a line and answers one JSON object a line. A
word is a plain name, ``name:architecture`` or ``name=version``; what apt-get does with other words is left to apt-get
itself (``{"special": true}``). The steps are those of apt-get's DoCacheManipulationFromCommandLine up to the place where
it calls the problem resolver: ``broken`` then counts the packages with unmet dependencies.
"""

import json
import sys
from typing import Any

import apt_pkg


def find(cache: Any, word: str) -> Any:
    """The package and the version that a word names, or None."""
    name, _, version = word.partition("=")
    name, _, architecture = name.partition(":")
    try:
        package = cache[name, architecture] if architecture else cache[name]
    except KeyError:
        return None
    if not package.has_versions:
        return None
    if not version:
        return package, None
    return next(((package, one) for one in package.version_list if one.ver_str == version), None)


def find_all(cache: Any, depcache: Any, words: list[str]) -> list[Any] | None:
    """The versions that the words name, each once; None where apt-get has to say."""
    found: list[Any] = []
    for word in words:
        one = find(cache, word)
        if one is None:
            return None
        package, version = one
        version = version or depcache.get_candidate_ver(package)
        if version is None:
            return None
        if all(version.id != other.id for _, other in found):
            found.append((package, version))
    return found


def mark(depcache: Any, found: list[Any]) -> None:
    """Mark as apt-get does: each alone and protected, then each with what it needs."""
    fixer = apt_pkg.ProblemResolver(depcache)
    was_broken = depcache.broken_count > 0
    for package, version in found:
        depcache.set_candidate_ver(package, version)
        fixer.clear(package)
        fixer.protect(package)
        depcache.mark_install(package, False, True)
        if not depcache.marked_install(package) and not depcache.marked_upgrade(package):
            depcache.mark_auto(package, False)
    if not was_broken:
        for package, _ in found:
            depcache.mark_install(package, True, True)


def answer(cache: Any, real: list[Any], depcache: Any, words: list[str]) -> dict[str, Any]:
    """What one command line gives."""
    unknown = [word for word in words if word.replace("-", "").isalnum() and word not in cache]
    if unknown:
        return {"unknown": unknown}
    depcache.init()
    found = find_all(cache, depcache, words)
    if found is None:
        return {"special": True}
    mark(depcache, found)
    if depcache.broken_count:
        return {"broken": depcache.broken_count}
    new = [package for package in real if not package.current_ver and not depcache.marked_keep(package)]
    if any(depcache.is_garbage(package) for package in new):
        return {"special": True}  # apt-get drops them, and takes some of them back
    return result(real, depcache)


def result(real: list[Any], depcache: Any) -> dict[str, Any]:
    """The state after marking, by names as apt prints them."""
    native = apt_pkg.get_architectures()[0]
    installs: dict[str, str] = {}
    removals: list[str] = []
    automatic: list[str] = []
    for package in real:
        kept = depcache.marked_keep(package)
        if kept and not package.current_ver:
            continue
        name = package.name if package.architecture == native else f"{package.name}:{package.architecture}"
        if depcache.marked_delete(package):
            removals.append(name)
            continue
        if not kept:
            installs[name] = depcache.get_candidate_ver(package).ver_str
        if depcache.is_auto_installed(package):
            automatic.append(name)
    return {"install": installs, "remove": sorted(removals), "automatic": sorted(automatic)}


def main() -> None:
    """Answer until the input ends."""
    apt_pkg.init()
    cache = apt_pkg.Cache(None)
    depcache = apt_pkg.DepCache(cache)
    real = [package for package in cache.packages if package.has_versions]
    for line in sys.stdin:
        print(json.dumps(answer(cache, real, depcache, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
