"""What a build has of the machine that it runs on: a store, connections, an environment, somebody who listens."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from ocibuild.core.events import EventSink, PhaseFinished, PhaseStarted
from ocibuild.store.store import Store
from ocibuild.work.remote import Remote

__all__ = ["Machine", "Phase"]


@dataclass(frozen=True, slots=True)
class Machine:
    """The effects that conductors share; everything else is passed by itself."""

    store: Store
    remote: Remote
    environment: Mapping[str, str]
    events: EventSink
    now: Callable[[], float] = time.time

    def phase(self, name: str, detail: str = "") -> "Phase":
        """A context manager that tells when a phase begins and ends."""
        return Phase(self.events, name, detail)


class Phase:
    """Tells the start of a phase and, where it ends well, its end; set ``outcome`` to say how."""

    def __init__(self, events: EventSink, name: str, detail: str) -> None:
        self._events = events
        self._name = name
        self._detail = detail
        self._started = 0.0
        self.outcome = ""

    def __enter__(self) -> Self:
        self._events(PhaseStarted(self._name, self._detail))
        self._started = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._events(PhaseFinished(self._name, time.monotonic() - self._started, self.outcome))
