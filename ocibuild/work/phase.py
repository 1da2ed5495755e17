"""A phase of a command, told when it begins and when it ends."""

import time
from typing import Self

from ocibuild.core.events import EventSink, PhaseFinished, PhaseStarted

__all__ = ["Phase"]


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
