"""repo2docker's log: lines on standard error, as JSON with ``message`` and ``phase`` where BinderHub reads them."""

import json
import threading
from typing import TextIO

from ocibuild.core.events import (
    Event,
    Notice,
    PhaseFinished,
    PhaseStarted,
    StepOutput,
    TaskStarted,
)

__all__ = ["BinderLog"]

_PHASES = {"fetching": "fetching", "pushing": "pushing", "starting": "running"}
"""This program's phases -> repo2docker's; all others are building."""


class BinderLog:
    """A sink of events. Every line has the phase that is running; a failure has the phase ``failed``."""

    def __init__(self, stream: TextIO, *, as_json: bool, tells_tasks: bool = False) -> None:
        self._stream = stream
        self._as_json = as_json
        self._tells_tasks = tells_tasks
        self._phase = "fetching"
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Write the line that the event is worth, if any."""
        match event:
            case PhaseStarted(phase, detail):
                self._phase = _PHASES.get(phase, "building")
                self.tell(f"{phase} {detail}".rstrip())
            case PhaseFinished(phase, seconds, detail):
                self.tell(f"{phase} done in {seconds:.1f} s {detail}".rstrip())
            case StepOutput(_, line):
                self.tell(line)
            case Notice(message, warning):
                self.tell(f"warning: {message}" if warning else message)
            case TaskStarted(_, verb, subject) if self._tells_tasks:
                self.tell(f"{verb} {subject}")
            case _:
                pass

    def tell(self, message: str, *, phase: str | None = None) -> None:
        """Write a line; ``phase`` where it is another than the one that runs."""
        line = f"{message}\n"
        if self._as_json:
            line = json.dumps({"message": line, "phase": phase or self._phase}) + "\n"
        with self._lock:
            self._stream.write(line)
            self._stream.flush()
