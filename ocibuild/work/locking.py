"""The lock as a file: read for ``--locked``, compared with what the repository asks, and written after resolving."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ocibuild.core.asks import Origin
from ocibuild.core.atomic import map_os_error, replacing
from ocibuild.core.errors import RepositoryError
from ocibuild.core.platform import Platform
from ocibuild.lock import Lock, PlatformLock

__all__ = ["locked_platform", "read_lock", "write_lock"]

_AGAIN = "'ocibuild lock' resolves again and writes the lock anew"


def read_lock(path: Path) -> Lock:
    """The lock in this file; a RepositoryError where there is none or it is malformed."""
    try:
        return Lock.parse(path.read_bytes(), file=str(path))
    except FileNotFoundError as error:
        raise RepositoryError("there is no lock", file=str(path), hint="'ocibuild lock' writes one") from error
    except OSError as error:
        raise map_os_error(error, attempted=f"reading the lock {path}") from error


def write_lock(path: Path, lock: Lock) -> None:
    """Put the lock into the file, which appears whole or not at all.

    Platforms that the file holds and ``lock`` does not are kept: each is resolved for itself. A file that is no lock is
    not replaced: a RepositoryError says so.
    """
    if path.exists():
        old = read_lock(path)
        if all(old.platforms.get(platform) == new for platform, new in lock.platforms.items()):
            return
        lock = replace(lock, platforms={**old.platforms, **lock.platforms})
    with replacing(path) as file:
        file.write(lock.to_text().encode())
        Path(file.name).chmod(0o644)


def locked_platform(
    lock: Lock, platform: Platform, *, base: str, asks: Mapping[str, Origin], file: Path
) -> PlatformLock:
    """The part of a lock that is for this platform.

    A RepositoryError where it was made for another base, or for other asks than these: it names the first that the lock
    does not hold, or that nothing asks for any more.
    """
    found = lock.platforms.get(platform)
    if found is None:
        known = ", ".join(map(str, lock.platforms))
        raise RepositoryError(f"the lock is for {known}, not for {platform}", file=str(file), hint=_AGAIN)
    if found.base != base:
        raise RepositoryError(f"the lock is for the base {found.base}, not for {base}", file=str(file), hint=_AGAIN)
    for ask, origin in asks.items():
        if ask not in found.asks:
            ecosystem, _, what = ask.partition(" ")
            raise RepositoryError(
                f"{what} is asked of {ecosystem}, and the lock {file} does not hold it",
                file=origin.file,
                line=origin.line,
                hint=_AGAIN,
            )
    gone = [ask for ask in found.asks if ask not in asks]
    if gone:
        ecosystem, _, what = gone[0].partition(" ")
        raise RepositoryError(
            f"the lock was made for {what} of {ecosystem}, which nothing asks for any more", file=str(file), hint=_AGAIN
        )
    return found
