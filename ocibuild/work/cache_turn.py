"""Builds on several machines that share a cache: one makes what others ask for as well, and they wait for it.

Whoever begins to make something says so in the cache, under what is asked, and says it again every few seconds.
Registries cannot compare and swap, so after writing its own word a builder waits a moment and reads again: the last
word counts. Two may make the same now and then, and what they write is the same. A word that is not renewed is not
believed for long, and nobody waits for ever: a cache can at worst make a build slow, never wrong.
"""

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator

from ocibuild.core.errors import OcibuildError
from ocibuild.core.events import EventSink, Notice

__all__ = ["CacheTurn"]

_SETTLING_SECONDS = 0.3
_RENEWING_SECONDS = 10.0
_BELIEVED_SECONDS = 35.0
_PATIENCE_SECONDS = 1200.0
_OVER = ""

Write = Callable[[str], None]
"""Writes a word; raises what a registry raises."""
Read = Callable[[], str | None]
"""Reads the word of now; None where there is none, or where nothing can be read."""


class CacheTurn:
    """The turn to make what is asked of a cache. ``is_there`` asks whether it has been made meanwhile."""

    def __init__(
        self,
        write: Write,
        read: Read,
        is_there: Callable[[], bool],
        *,
        events: EventSink,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._read = read
        self._is_there = is_there
        self._events = events
        self._sleep = sleep
        self._clock = clock
        self._mine = secrets.token_hex(8)
        self._over = threading.Event()

    @contextlib.contextmanager
    def taken(self) -> Iterator[bool]:
        """Have the turn while the block runs; True where there is nothing to make any more, since another one has."""
        if self._waited():
            yield True
            return
        renewing = threading.Thread(target=self._renew, name="cache-turn", daemon=True)
        renewing.start()
        try:
            yield False
        finally:
            self.end()
            renewing.join()

    def end(self) -> None:
        """Give the turn back; nothing is written for it afterwards."""
        if not self._over.is_set():
            self._over.set()
            with contextlib.suppress(OcibuildError):
                self._write(f"{_OVER}:{self._mine}")

    def _waited(self) -> bool:
        """Wait until what is asked is there (True), or this one has the turn (False)."""
        deadline = self._clock() + _PATIENCE_SECONDS
        told, last, since = False, None, self._clock()
        while self._clock() < deadline:
            word = self._read()
            maker = (word or _OVER).partition(":")[0]
            if word != last:
                last, since = word, self._clock()
            if maker == self._mine:
                return False
            if maker == _OVER or self._clock() - since > _BELIEVED_SECONDS:
                if told and self._is_there():
                    return True
                try:
                    self._write(f"{self._mine}:0")
                except OcibuildError:
                    return False
                self._sleep(_SETTLING_SECONDS)
                continue
            if not told:
                told = True
                self._events(Notice("another machine makes the same for this cache: waiting for it"))
            self._sleep(1.0)
            if self._is_there():
                return True
        return False

    def _renew(self) -> None:
        count = 0
        while not self._over.wait(_RENEWING_SECONDS):
            count += 1
            with contextlib.suppress(OcibuildError):
                self._write(f"{self._mine}:{count}")
